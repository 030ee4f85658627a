//! What every process tells of itself: its version, CPU time, memory, open files, and when it started.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The version of all crates, and the commit where the build names it.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: Option<&str> = option_env!("MADANG_COMMIT");

/// Registers `build_info` and `process_*`.
pub(crate) fn register(registry: &mut Registry) {
    let build = vec![("version", VERSION), ("commit", COMMIT.unwrap_or("unknown"))];
    registry.register("build", "What runs", Info::new(build));
    registry.register_collector(Box::new(Process));
}

/// Reads `/proc/self` when it is asked; where there is none it tells nothing.
#[derive(Debug)]
struct Process;

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    cpu_seconds: f64,
    resident_bytes: u64,
    /// Since the machine started.
    start_seconds: f64,
}

impl Reading {
    /// From the text of `/proc/self/stat` (proc_pid_stat(5)).
    fn of(stat: &str, ticks_per_second: u64, page_size: usize) -> Option<Self> {
        // The name of the program is in brackets and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second.max(1) as f64;
        // Fields 14 and 15, 22 and 24 of the man page; the first one here is its third.
        Some(Self {
            cpu_seconds: seconds(number(11)?.saturating_add(number(12)?)),
            resident_bytes: number(21)?.saturating_mul(page_size as u64),
            start_seconds: seconds(number(19)?),
        })
    }

    fn now() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        Self::of(&stat, rustix::param::clock_ticks_per_second(), rustix::param::page_size())
    }
}

/// Seconds since the Unix epoch at which the machine started.
fn boot_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        if let Some(reading) = Reading::now() {
            let bytes = Some(&Unit::Bytes);
            gauge("process_resident_memory", "Memory in use", bytes, reading.resident_bytes as f64)?;
            if let Some(boot) = boot_time() {
                let help = "When the process started, since the Unix epoch";
                gauge("process_start_time", help, Some(&Unit::Seconds), boot + reading.start_seconds)?;
            }
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            gauge("process_open_fds", "Open files and sockets", None, files.count() as f64)?;
        }
        if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            gauge("process_max_fds", "Most files and sockets that may be open", None, most as f64)?;
        }
        if let Some(reading) = Reading::now() {
            let counter = ConstCounter::new(reading.cpu_seconds);
            let help = "CPU time used";
            let unit = Some(&Unit::Seconds);
            counter.encode(encoder.encode_descriptor("process_cpu", help, unit, counter.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 4 0 12300 1000000 25 0";
        let expected = Reading { cpu_seconds: 3.0, resident_bytes: 102_400, start_seconds: 123.0 };
        assert_eq!(Reading::of(stat, 100, 4096), Some(expected));
        assert_eq!(Reading::of("7 (a", 100, 4096), None);
        assert_eq!(Reading::of("7 (a) S 1", 100, 4096), None);
    }
}
