//! Structured logs on standard error. Only binaries call [`init`].

use std::error::Error;
use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

/// What is logged unless the settings say otherwise. The HTTP library logs what strangers send as its own errors:
/// whoever sends garbage would fill the log.
pub const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// How log lines look.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets the process's subscriber: level from `filter` in the syntax of `RUST_LOG` (which wins when set). Colours only
/// where people look: a terminal, without `NO_COLOR`.
pub fn init(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(|| Lossy(io::stderr()));
    match format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

/// A line for people on standard output, such as a banner; nobody has to be there to read it.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The one line on standard error with which a process fails.
pub fn say_error(error: &(dyn Error + 'static)) {
    let _ = writeln!(io::stderr(), "error: {}", one_line(error));
}

/// An error and its causes in one line, each said once.
#[must_use]
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let flat = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = flat(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = flat(error.to_string());
        // Many errors repeat their cause in their own words.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// A stream whose reader may be gone: what nobody reads is lost, and the process lives on.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen\non 1: {source}")]
    struct Outer {
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("taken")]
    struct Inner(#[source] io::Error);

    #[test]
    fn each_cause_is_said_once_and_in_one_line() {
        let error = Outer { source: Inner(io::Error::other("by another")) };
        assert_eq!(one_line(&error), "cannot listen on 1: taken: by another");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut lossy = Lossy(Gone);
        lossy.write_all(b"a line\n").unwrap();
        lossy.flush().unwrap();
    }
}
