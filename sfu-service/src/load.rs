//! How much this node does: measured, so that new sessions are refused before those that are there suffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use service_kit::shutdown::CancellationToken;

use crate::config::Limits;
use crate::metrics::{Metrics, ShardLabel, ShardMetrics};

/// How often the load is measured.
const INTERVAL: Duration = Duration::from_millis(500);
/// Weight of a new measurement, in percent: a moment's peak refuses nobody.
const WEIGHT: u64 = 50;

/// What the node does now. Written by [`run`], read by every request.
#[derive(Debug)]
pub(crate) struct Load {
    /// CPU time of each shard's thread, in thousandths of a core.
    shards: Box<[AtomicU64]>,
    /// Bits per second that leave, headers of the network not counted.
    egress: AtomicU64,
    /// Datagrams per second that leave.
    packets: AtomicU64,
}

/// What a node or a shard is at the limit of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// CPU time of the shard that would serve the session.
    Cpu,
    /// `limits.max_egress_mbps`.
    Egress,
    /// `limits.max_packets_per_second`.
    Packets,
}

impl Load {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            egress: AtomicU64::new(0),
            packets: AtomicU64::new(0),
        }
    }

    /// CPU time of a shard's thread, as a share of a core.
    pub(crate) fn cpu(&self, shard: usize) -> f64 {
        self.shards.get(shard).map_or(0.0, |permille| permille.load(Ordering::Relaxed) as f64 / 1_000.0)
    }

    /// What one more session on `shard` would be too much for.
    pub(crate) fn exceeded(&self, limits: &Limits, shard: usize) -> Option<Limit> {
        let over = |value: &AtomicU64, limit: u64| limit > 0 && value.load(Ordering::Relaxed) >= limit;
        if self.shards.get(shard).is_some_and(|cpu| over(cpu, u64::from(limits.max_cpu_percent) * 10)) {
            Some(Limit::Cpu)
        } else if over(&self.egress, limits.max_egress_mbps.saturating_mul(1_000_000)) {
            Some(Limit::Egress)
        } else if over(&self.packets, limits.max_packets_per_second) {
            Some(Limit::Packets)
        } else {
            None
        }
    }

    fn smooth(value: &AtomicU64, measured: u64) {
        let before = value.load(Ordering::Relaxed);
        value.store((before * (100 - WEIGHT) + measured * WEIGHT) / 100, Ordering::Relaxed);
    }
}

/// Measures until `stop`.
pub(crate) async fn run(
    load: Arc<Load>,
    shards: Vec<ShardMetrics>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    let mut before = Sample::take(&shards);
    interval.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        let sample = Sample::take(&shards);
        sample.since(&before, &load);
        before = sample;
        for shard in 0..shards.len() {
            metrics.shard_cpu.get_or_create(&ShardLabel { shard: shard as u64 }).set(load.cpu(shard));
        }
    }
}

/// Counters at one moment.
#[derive(Debug, Clone)]
struct Sample {
    at: Instant,
    cpu: Vec<Option<Duration>>,
    bytes: u64,
    packets: u64,
}

impl Sample {
    fn take(shards: &[ShardMetrics]) -> Self {
        let (mut bytes, mut packets) = (0, 0);
        for shard in shards {
            let counters = shard.socket.counters();
            bytes += counters.sent_bytes;
            packets += counters.sent;
        }
        let cpu = shards.iter().map(|shard| shard.counters.clock.cpu()).collect();
        Self { at: Instant::now(), cpu, bytes, packets }
    }

    /// Shows in `load` what happened between `before` and now.
    fn since(&self, before: &Self, load: &Load) {
        let elapsed = self.at.saturating_duration_since(before.at).as_micros().max(1);
        let per_second =
            |count: u64| u64::try_from(u128::from(count) * 1_000_000 / elapsed).unwrap_or(u64::MAX);
        Load::smooth(&load.egress, per_second(self.bytes.saturating_sub(before.bytes) * 8));
        Load::smooth(&load.packets, per_second(self.packets.saturating_sub(before.packets)));
        for ((now, before), shown) in self.cpu.iter().zip(&before.cpu).zip(&load.shards) {
            let (Some(now), Some(before)) = (now, before) else { continue };
            let permille = now.saturating_sub(*before).as_micros() * 1_000 / elapsed;
            Load::smooth(shown, u64::try_from(permille).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, cpu_ms: u64, bytes: u64, packets: u64) -> Sample {
        Sample { at, cpu: vec![Some(Duration::from_millis(cpu_ms)), None], bytes, packets }
    }

    #[test]
    fn rates_are_what_happened_in_the_time_between() {
        let (start, load) = (Instant::now(), Load::new(2));
        let first = sample(start, 0, 0, 0);
        let mut before = first;
        // A shard that works 90 % of the time, 10 Mbit/s, 2,000 packets/s.
        for step in 1..=20 {
            let at = start + INTERVAL * step;
            let next = sample(at, 450 * u64::from(step), 625_000 * u64::from(step), 1_000 * u64::from(step));
            next.since(&before, &load);
            before = next;
        }
        assert!((load.cpu(0) - 0.9).abs() < 0.01, "{load:?}");
        assert_eq!(load.cpu(1), 0.0, "not measured is no load");
        let limits = Limits { max_cpu_percent: 85, ..Limits::default() };
        assert_eq!(load.exceeded(&limits, 0), Some(Limit::Cpu));
        assert_eq!(load.exceeded(&limits, 1), None, "the other shard has room");
        assert_eq!(load.exceeded(&Limits { max_egress_mbps: 9, ..limits.clone() }, 1), Some(Limit::Egress));
        assert_eq!(load.exceeded(&Limits { max_egress_mbps: 11, ..limits.clone() }, 1), None);
        assert_eq!(
            load.exceeded(&Limits { max_packets_per_second: 1_900, ..limits.clone() }, 1),
            Some(Limit::Packets)
        );
        assert_eq!(load.exceeded(&Limits { max_cpu_percent: 0, ..limits }, 0), None, "0 is no limit");
    }
}
