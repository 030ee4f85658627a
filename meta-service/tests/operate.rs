//! The service as a process of its own: a database that is not there, a migration, a signal.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Nobody listens there.
const NO_DATABASE: &str = "postgres://madang@127.0.0.1:9/madang";

fn command(database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meta-service"));
    command
        .args(["--dev", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--database", database])
        .env("META_TOKEN_SECRET", "operate-operate-operate-operate-operate")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_database_that_is_not_there_is_waited_for_in_words_and_a_signal_ends_the_wait() {
    let mut child = command(NO_DATABASE).spawn().expect("runs");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let waits: Vec<String> = lines
        .map(|line| line.expect("UTF-8"))
        .filter(|line| line.contains("no database yet"))
        .take(2)
        .collect();
    // Each says why, and when it is tried again: later and later.
    assert!(waits[0].contains("retry_seconds=0.5") && waits[1].contains("retry_seconds=1"), "{waits:?}");
    assert!(waits.iter().all(|line| line.contains("error=")), "{waits:?}");
    kill_process(Pid::from_raw(child.id().cast_signed()).expect("a process"), Signal::TERM)
        .expect("is there");
    assert!(child.wait().expect("ends").success());
}

#[test]
fn a_migration_ends_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("meta.db");
    let output = command(&file.display().to_string()).arg("migrate").output().expect("runs");
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success() && log.contains("up to date"), "{log}");
    assert!(file.exists());
}
