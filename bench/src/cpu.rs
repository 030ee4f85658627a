//! What a process uses, as its kernel counts it.

use std::time::Duration;

use anyhow::Context as _;

/// CPU time of a process, user and system of all its threads, to the nanosecond. Threads that have ended are not in
/// it: what is measured here starts its threads before.
pub(crate) fn time(pid: u32) -> anyhow::Result<Duration> {
    threads(pid, |_| true)
}

/// The same of the threads whose name begins with `prefix`.
pub(crate) fn time_of_threads(pid: u32, prefix: &str) -> anyhow::Result<Duration> {
    threads(pid, |name| name.starts_with(prefix))
}

fn threads(pid: u32, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        let path = task?.path();
        // A thread may end between the two reads.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
        let Ok(line) = std::fs::read_to_string(path.join("schedstat")) else { continue };
        if wanted(name.trim()) {
            nanos += line.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS is a number")
}
