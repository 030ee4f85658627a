//! The Media Probe: load for WHIP and WHEP servers, and what it measures.

#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use probe::report::Progress;
use probe::scenario::{BUILT_IN, Scenario};
use tokio::sync::watch;

/// Publishers, viewers and callers by the thousand against any WHIP / WHEP server: join time, loss, jitter, freezes,
/// forward delay, cost of a viewer, and the point where it breaks.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a scenario: a file, or the name of a built-in one
    Run(Run),
    /// List the built-in scenarios
    List,
    /// Print a built-in scenario, to start a file of one's own from
    Show {
        /// Its name
        name: String,
    },
}

#[derive(clap::Args)]
struct Run {
    /// A TOML file, or a name of `probe list`
    scenario: String,
    /// Change a value, e.g. `--set view.viewers=500`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A Madang server: broadcasts are created there (short for `--set server.meta_url=URL`)
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Measure CPU and memory of this process
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Measure CPU and memory of the process that listens on this URL's port
    #[arg(long, value_name = "URL", conflicts_with = "server_pid")]
    server_admin: Option<String>,
    /// Write everything that was measured to this file, as JSON (`-`: to standard output)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress lines
    #[arg(long, short)]
    quiet: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::List => {
            for (name, text) in BUILT_IN {
                let table: toml::Table = text.parse().context("a built-in scenario is TOML")?;
                let description = table.get("description").and_then(|text| text.as_str()).unwrap_or_default();
                println!("{name:<10} {description}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { name } => {
            let found = BUILT_IN.iter().find(|(known, _)| *known == name);
            let (_, text) =
                found.with_context(|| format!("there is no scenario `{name}`: see `probe list`"))?;
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => {
            let scenario = load(&run)?;
            raise_open_files();
            tokio::runtime::Runtime::new()?.block_on(play(&run, &scenario))
        }
    }
}

/// Thousands of clients with a socket each need more files than a shell allows at first.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Nofile).maximum;
    // With fewer, the joins that find no socket are counted and told.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn load(run: &Run) -> anyhow::Result<Scenario> {
    let built_in = BUILT_IN.iter().find(|(name, _)| *name == run.scenario);
    let text = match built_in {
        Some((_, text)) if !Path::new(&run.scenario).exists() => (*text).to_owned(),
        _ => std::fs::read_to_string(&run.scenario).with_context(|| {
            format!("`{}` cannot be read, and `probe list` does not name it", run.scenario)
        })?,
    };
    let text_value = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut set = Vec::new();
    set.extend(run.server.as_deref().map(|url| format!("server.meta_url={}", text_value(url))));
    set.extend(run.server_pid.map(|pid| format!("server.pid={pid}")));
    set.extend(run.server_admin.as_deref().map(|url| format!("server.admin_url={}", text_value(url))));
    set.extend(run.set.iter().cloned());
    Scenario::parse(&text, &set).with_context(|| format!("scenario `{}`", run.scenario))
}

async fn play(run: &Run, scenario: &Scenario) -> anyhow::Result<ExitCode> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = stop.send(true);
        }
        // A second one ends it at once.
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    let in_place = std::io::stderr().is_terminal();
    let progress = |line: &Progress| {
        if run.quiet {
        } else if in_place {
            eprint!("\r\x1b[2K{line}");
        } else {
            eprintln!("{line}");
        }
    };
    if scenario.call.is_some() {
        let phase = |phase: &str| {
            if !run.quiet {
                eprintln!("{phase}");
            }
        };
        let report = probe::call::run(scenario, phase, stopped).await?;
        return tell(run, &report, report.missed.is_empty());
    }
    let report = probe::run::run(scenario, progress, stopped).await?;
    if in_place && !run.quiet {
        eprintln!();
    }
    tell(run, &report, report.missed.is_empty())
}

/// Prints a report, and writes it where that is wanted.
fn tell(
    run: &Run,
    report: &(impl serde::Serialize + std::fmt::Display),
    is_good: bool,
) -> anyhow::Result<ExitCode> {
    let to_stdout = run.json.as_deref() == Some(Path::new("-"));
    if let Some(path) = &run.json {
        let json = serde_json::to_string_pretty(report)?;
        if to_stdout {
            println!("{json}");
        } else {
            std::fs::write(path, json).with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    if !to_stdout {
        print!("{report}");
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
