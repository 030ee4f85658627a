//! Chromium pages in a call of light clients: `web/e2e/numbers`, run by `npm`, which leaves its figures in a file.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::results::Results;

/// All of it; each wait within has a limit of its own, and says what did not come.
const MOST: Duration = Duration::from_secs(600);

/// Runs them, where the browser tests can run. Figures that came before something failed count all the same.
pub(crate) async fn figures(results: &mut Results) -> anyhow::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    ensure!(web.join("node_modules").exists(), "the packages of web are not installed (npm ci)");
    let program = std::env::current_exe()?;
    let folder = program.parent().context("it lies in a folder")?;
    let (profile, target) = folder.file_name().zip(folder.parent()).context("it lies in a target folder")?;
    let out = std::env::temp_dir().join(format!("madang-bench-pages-{}.json", std::process::id()));
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "numbers"]).current_dir(&web);
    command.env("CARGO_TARGET_DIR", target).env("E2E_PROFILE", profile).env("NUMBERS_OUT", &out);
    let ended = run(command, MOST).await;
    let text = std::fs::read_to_string(&out);
    let _ = std::fs::remove_file(&out);
    let text = match text {
        Err(error) if error.kind() == ErrorKind::NotFound => "{}".to_owned(),
        other => other?,
    };
    let figures: Map<String, Value> = serde_json::from_str(&text)?;
    for (name, value) in figures {
        for sample in value.as_array().into_iter().flatten().filter_map(Value::as_f64) {
            results.add(&name, sample);
        }
    }
    let status = ended?;
    ensure!(status.success(), "`npm run numbers` in web failed: {status}");
    Ok(())
}

/// Runs it to its end, which comes at the latest after `most` or with Ctrl-C: then all that it has started is killed.
async fn run(mut command: Command, most: Duration) -> anyhow::Result<ExitStatus> {
    // A group of its own: `npm` dies without a word to what it runs.
    let mut child = command.process_group(0).spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let why = tokio::select! {
        ended = timeout(most, child.wait()) => match ended {
            Ok(status) => return Ok(status?),
            Err(_) => format!("it did not end within {} s", most.as_secs()),
        },
        _ = tokio::signal::ctrl_c() => "it was stopped".to_owned(),
    };
    kill(group, &mut child).await;
    bail!(why)
}

async fn kill(group: Option<Pid>, child: &mut Child) {
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Whether a process is there and has not ended.
    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    #[tokio::test]
    async fn what_does_not_end_is_killed_with_all_that_it_has_started() {
        let said = std::env::temp_dir().join(format!("madang-bench-killed-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $! > \"$1\"; wait", "sh"]).arg(&said);
        let error = run(command, Duration::from_secs(1)).await.expect_err("it does not end");
        assert_eq!(error.to_string(), "it did not end within 1 s");
        let grandchild = std::fs::read_to_string(&said).expect("it was started");
        let _ = std::fs::remove_file(&said);
        let begun = Instant::now();
        while runs(grandchild.trim()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "what it had started goes on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_ends_says_how() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        assert_eq!(run(command, MOST).await.expect("it runs").code(), Some(3));
    }
}
