//! What a run found: values for JSON, a table for people, and the bounds that were missed. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::scenario::{Expect, Ramp};
use crate::stats::Histogram;
use crate::totals::{Reasons, Totals};
use crate::viewer::ViewerSummary;

/// A distribution in ms; absent values were never measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// How many values there were.
    pub count: u64,
}

impl Quantiles {
    /// Of a distribution of microseconds.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Self {
        let at = |share| histogram.quantile(share).map(|us| us as f64 / 1_000.0);
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: histogram.count() }
    }
}

/// Everything that was measured. Times in ms unless they say otherwise; rates and shares over the measured part.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Seconds that were measured.
    pub measured_s: f64,
    /// It was interrupted.
    pub interrupted: bool,
    /// Publishers.
    pub publishers: usize,
    /// Viewers that were connected at the end.
    pub viewers: usize,
    /// Viewers that were connected at some time.
    pub joined: u64,
    /// Viewers that got at least one frame.
    pub served: u64,
    /// Joins that were refused or did not connect, over the whole run.
    pub failed_joins: u64,
    /// Why.
    pub failed_reasons: BTreeMap<String, u64>,
    /// Sessions that ended by themselves, over the whole run.
    pub dropped: u64,
    /// Why.
    pub dropped_reasons: BTreeMap<String, u64>,
    /// From the POST to the answer.
    pub answer_ms: Quantiles,
    /// From the POST to the end of the handshake.
    pub connect_ms: Quantiles,
    /// From the POST to the first media packet.
    pub first_packet_ms: Quantiles,
    /// From the POST to the first complete keyframe.
    pub first_frame_ms: Quantiles,
    /// Joins a second, while viewers joined at first.
    pub joins_per_s: f64,
    /// RTP packets that came to viewers.
    pub packets: u64,
    /// The same a second.
    pub packets_per_s: f64,
    /// Their bytes as Mbit/s.
    pub mbit_per_s: f64,
    /// Packets that should have come.
    pub expected: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Share of them.
    pub loss: f64,
    /// Share that did not come at first.
    pub raw_loss: f64,
    /// Packets that came as a retransmission.
    pub recovered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that were not authentic.
    pub refused: u64,
    /// From the publisher's send to the viewer's receive.
    pub delay_ms: Quantiles,
    /// Interarrival jitter, over viewers.
    pub jitter_ms: Quantiles,
    /// Frames that could be shown, a second and viewer.
    pub frames_per_s: f64,
    /// Freezes, those that go on included.
    pub freezes: u64,
    /// Viewers whose picture stood still at the end.
    pub frozen: usize,
    /// Longest time without a new frame, whole run.
    pub longest_gap_ms: f64,
    /// Packets that viewers asked for again.
    pub nacked: u64,
    /// Keyframes that viewers asked for.
    pub plis: u64,
    /// Retransmissions of publishers.
    pub resent: u64,
    /// RTP packets that publishers sent, a second.
    pub published_per_s: f64,
    /// Datagrams lost on purpose.
    pub dropped_on_purpose: u64,
    /// Trouble of the probe itself: datagrams that found its receive buffers full. Loss by these is not the server's.
    pub probe_drops: u64,
    /// Trouble of the probe itself: datagrams that the kernel did not take.
    pub probe_not_sent: u64,
    /// Trouble of the probe itself: frames left out because it was late.
    pub probe_skipped_frames: u64,
    /// CPU of the probe, percent of one core.
    pub probe_cpu_percent: Option<f64>,
    /// CPU of the server, percent of one core.
    pub server_cpu_percent: Option<f64>,
    /// CPU of the server, us per packet that came to a viewer.
    pub server_us_per_packet: Option<f64>,
    /// CPU of the server while viewers joined, ms for each.
    pub server_ms_per_join: Option<f64>,
    /// Resident memory of the server at the end, MB.
    pub server_rss_mb: Option<f64>,
    /// What of it came with the viewers, KB for each.
    pub server_rss_kb_per_viewer: Option<f64>,
    /// The steps of a ramp.
    pub steps: Vec<Step>,
    /// The most viewers that a ramp carried.
    pub carried: Option<usize>,
    /// Where and why a ramp broke.
    pub broke: Option<String>,
    /// Bounds of the scenario that were missed.
    pub missed: Vec<String>,
}

/// One step of a ramp.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Step {
    /// Viewers.
    pub viewers: usize,
    /// Share of packets that never came.
    pub loss: f64,
    /// Forward delay.
    pub delay_ms: Quantiles,
    /// Mbit/s to all viewers.
    pub mbit_per_s: f64,
    /// Joins that failed since the start.
    pub failed_joins: u64,
    /// CPU of the server, percent of one core.
    pub server_cpu_percent: Option<f64>,
    /// CPU of the probe, percent of one core.
    pub probe_cpu_percent: Option<f64>,
    /// Datagrams that found the probe's receive buffers full.
    pub probe_drops: u64,
}

impl Step {
    /// The bound that this step breaks, if it does.
    #[must_use]
    pub fn broken(&self, ramp: &Ramp) -> Option<String> {
        let viewers = self.viewers;
        if self.failed_joins > ramp.max_failed_joins as u64 {
            let (failed, most) = (self.failed_joins, ramp.max_failed_joins);
            return Some(format!("{failed} joins failed on the way to {viewers} viewers, over {most}"));
        }
        let ours = if self.probe_drops > 0 { " (the probe itself dropped some of it)" } else { "" };
        if self.loss > ramp.max_loss {
            let (loss, most) = (self.loss * 100.0, ramp.max_loss * 100.0);
            return Some(format!("loss {loss:.3} % at {viewers} viewers, over {most:.3} %{ours}"));
        }
        let delay = self.delay_ms.p99?;
        let most = ramp.max_delay_p99_ms;
        (delay > most).then(|| format!("delay p99 {delay:.1} ms at {viewers} viewers, over {most:.1} ms"))
    }
}

impl Report {
    /// Fills in what the totals of the measured part say.
    pub(crate) fn measured(&mut self, window: &Totals, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        self.measured_s = seconds;
        self.packets = window.packets;
        self.packets_per_s = window.packets as f64 / seconds;
        self.mbit_per_s = window.bytes as f64 * 8.0 / seconds / 1e6;
        self.published_per_s = window.sent_packets as f64 / seconds;
        self.expected = window.expected;
        self.lost = window.lost();
        self.loss = window.loss();
        self.raw_loss = window.raw_loss();
        self.recovered = window.recovered;
        self.duplicates = window.duplicates;
        self.refused = window.refused;
        self.delay_ms = Quantiles::of(&window.delay);
        self.freezes = window.freezes;
        self.nacked = window.nacked;
        self.plis = window.plis;
        self.resent = window.resent;
        self.dropped_on_purpose = window.dropped_on_purpose;
        self.probe_not_sent = window.not_sent;
        self.probe_skipped_frames = window.skipped_frames;
        self.frames_per_s = window.frames as f64 / seconds / (self.viewers.max(1) as f64);
    }

    /// Fills in what the totals of the whole run say.
    pub(crate) fn whole(&mut self, all: &Totals, failed: &Reasons, dropped: &Reasons) {
        self.joined = all.connected;
        self.served = all.served;
        self.failed_joins = failed.total();
        self.failed_reasons = map(failed);
        self.dropped = dropped.total();
        self.dropped_reasons = map(dropped);
        self.answer_ms = Quantiles::of(&all.answer_time);
        self.connect_ms = Quantiles::of(&all.connect_time);
        self.first_packet_ms = Quantiles::of(&all.first_packet_time);
        self.first_frame_ms = Quantiles::of(&all.first_frame_time);
    }

    /// Fills in what each viewer saw.
    pub(crate) fn viewers(&mut self, viewers: &[ViewerSummary]) {
        self.viewers = viewers.len();
        let mut jitter = Histogram::default();
        for viewer in viewers.iter().filter(|viewer| viewer.served) {
            jitter.record(viewer.jitter.as_micros() as u64);
            self.longest_gap_ms = self.longest_gap_ms.max(viewer.freezes.longest.as_secs_f64() * 1_000.0);
        }
        self.jitter_ms = Quantiles::of(&jitter);
        self.frozen = viewers.iter().filter(|viewer| viewer.frozen).count();
        self.freezes += self.frozen as u64;
    }

    /// Notes which bounds are missed.
    pub(crate) fn judge(&mut self, expect: &Expect) {
        let over = |what: &str, value: Option<f64>, most: Option<f64>| {
            let most = most?;
            match value {
                Some(value) if value <= most => None,
                Some(value) => Some(format!("{what} is {value:.4}, more than {most}")),
                None => Some(format!("{what} was never measured")),
            }
        };
        let count = |value: u64| Some(value as f64);
        let most = |bound: Option<u64>| bound.map(|bound| bound as f64);
        let under = |what: &str, value: u64, least: Option<u64>| {
            least.filter(|least| value < *least).map(|least| format!("{what} is {value}, less than {least}"))
        };
        self.missed = [
            over("loss", Some(self.loss).filter(|_| self.expected > 0), expect.max_loss),
            over("delay p99 in ms", self.delay_ms.p99, expect.max_delay_p99_ms),
            over("first frame p95 in ms", self.first_frame_ms.p95, expect.max_first_frame_p95_ms),
            over("the number of freezes", count(self.freezes), most(expect.max_freezes)),
            over("jitter p95 in ms", self.jitter_ms.p95, expect.max_jitter_p95_ms),
            over("the number of failed joins", count(self.failed_joins), most(expect.max_failed_joins)),
            over("the number of dropped sessions", count(self.dropped), most(expect.max_dropped)),
            over("server CPU in us per packet", self.server_us_per_packet, expect.max_server_us_per_packet),
            under("the number of served viewers", self.served, expect.min_served),
            under("what the ramp carried", self.carried.unwrap_or(0) as u64, expect.min_ramp),
        ]
        .into_iter()
        .flatten()
        .collect();
    }
}

fn map(reasons: &Reasons) -> BTreeMap<String, u64> {
    reasons.iter().map(|(reason, count)| (reason.to_owned(), count)).collect()
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        writeln!(f, "\n{}: {:.1} s measured{interrupted}", self.scenario, self.measured_s)?;
        let mut row = |name: &str, text: String| writeln!(f, "  {name:<16} {text}");
        row("publishers", format!("{}, {:.0} packets/s", self.publishers, self.published_per_s))?;
        row(
            "viewers",
            format!(
                "{} at the end, {} joined ({:.0}/s), {} served, {} failed, {} dropped",
                self.viewers, self.joined, self.joins_per_s, self.served, self.failed_joins, self.dropped
            ),
        )?;
        for (reason, count) in self.failed_reasons.iter().chain(&self.dropped_reasons) {
            row("", format!("{count} x {reason}"))?;
        }
        for (name, quantiles) in [
            ("answer", &self.answer_ms),
            ("connected", &self.connect_ms),
            ("first packet", &self.first_packet_ms),
            ("first frame", &self.first_frame_ms),
            ("forward delay", &self.delay_ms),
            ("jitter", &self.jitter_ms),
        ] {
            row(name, quantile_row(quantiles))?;
        }
        row("received", format!("{:.0} packets/s, {:.1} Mbit/s", self.packets_per_s, self.mbit_per_s))?;
        row(
            "loss",
            format!(
                "{} of {} ({:.4} %); at first {:.4} %, {} repaired, {} twice",
                self.lost,
                self.expected,
                self.loss * 100.0,
                self.raw_loss * 100.0,
                self.recovered,
                self.duplicates
            ),
        )?;
        row(
            "picture",
            format!(
                "{:.1} frames/s, {} freezes, {} frozen at the end, longest gap {:.0} ms",
                self.frames_per_s, self.freezes, self.frozen, self.longest_gap_ms
            ),
        )?;
        row(
            "requests",
            format!(
                "{} packets again, {} keyframes; publishers repeated {}",
                self.nacked, self.plis, self.resent
            ),
        )?;
        if let (Some(cpu), Some(rss)) = (self.server_cpu_percent, self.server_rss_mb) {
            let mut text = format!("{cpu:.0} % of a core, {rss:.0} MB");
            for (value, unit) in [
                (self.server_us_per_packet, "us per packet"),
                (self.server_ms_per_join, "ms per join"),
                (self.server_rss_kb_per_viewer, "KB per viewer"),
            ] {
                if let Some(value) = value {
                    write!(text, ", {value:.2} {unit}")?;
                }
            }
            row("server", text)?;
        }
        row(
            "probe",
            format!(
                "{:.0} % of a core, {} datagrams dropped, {} not sent, {} frames skipped",
                self.probe_cpu_percent.unwrap_or_default(),
                self.probe_drops,
                self.probe_not_sent,
                self.probe_skipped_frames
            ),
        )?;
        if self.dropped_on_purpose > 0 {
            row("lost on purpose", self.dropped_on_purpose.to_string())?;
        }
        self.ramp(f)?;
        for missed in &self.missed {
            writeln!(f, "MISSED: {missed}")?;
        }
        Ok(())
    }
}

impl Report {
    fn ramp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(carried) = self.carried else { return Ok(()) };
        writeln!(
            f,
            "  {:>8} {:>9} {:>10} {:>10} {:>8} {:>8} {:>6}",
            "viewers", "loss %", "p99 ms", "Mbit/s", "server %", "probe %", "drops"
        )?;
        for step in &self.steps {
            let percent = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
            writeln!(
                f,
                "  {:>8} {:>9.4} {:>10.2} {:>10.0} {:>8} {:>8} {:>6}",
                step.viewers,
                step.loss * 100.0,
                step.delay_ms.p99.unwrap_or_default(),
                step.mbit_per_s,
                percent(step.server_cpu_percent),
                percent(step.probe_cpu_percent),
                step.probe_drops,
            )?;
        }
        match &self.broke {
            Some(why) => writeln!(f, "  carried {carried} viewers; broke: {why}"),
            None => writeln!(f, "  carried {carried} viewers, the most that was asked for"),
        }
    }
}

fn quantile_row(quantiles: &Quantiles) -> String {
    match (quantiles.p50, quantiles.p95, quantiles.p99) {
        (Some(p50), Some(p95), Some(p99)) => format!("p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2} ms"),
        _ => "-".to_owned(),
    }
}

/// One line while it runs.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// What it does.
    pub phase: &'static str,
    /// Viewers connected, and wanted.
    pub viewers: (usize, usize),
    /// Joins that failed.
    pub failed: u64,
    /// Packets a second since the last line.
    pub packets_per_s: f64,
    /// Mbit/s since the last line.
    pub mbit_per_s: f64,
    /// Share lost since the last line.
    pub loss: f64,
    /// Forward delay since the last line.
    pub delay_ms: Quantiles,
    /// Viewers whose picture stands still.
    pub frozen: usize,
    /// CPU of the server since the last line, percent of one core.
    pub server_cpu_percent: Option<f64>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connected, wanted) = self.viewers;
        write!(
            f,
            "{:>5.0} s {:<8} {connected}/{wanted} viewers, {} failed, {:.0} packets/s, {:.1} Mbit/s, loss {:.3} %",
            self.elapsed_s,
            self.phase,
            self.failed,
            self.packets_per_s,
            self.mbit_per_s,
            self.loss * 100.0
        )?;
        if let (Some(p50), Some(p99)) = (self.delay_ms.p50, self.delay_ms.p99) {
            write!(f, ", delay p50 {p50:.1} p99 {p99:.1} ms")?;
        }
        write!(f, ", {} frozen", self.frozen)?;
        self.server_cpu_percent.map_or(Ok(()), |cpu| write!(f, ", server {cpu:.0} %"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_bounds_are_named() {
        let mut report = Report::default();
        let window = Totals { expected: 100, arrived: 90, freezes: 2, ..Totals::default() };
        report.measured(&window, Duration::from_secs(1));
        let expect = Expect {
            max_loss: Some(0.05),
            max_freezes: Some(2),
            max_delay_p99_ms: Some(20.0),
            min_served: Some(1),
            ..Expect::default()
        };
        report.judge(&expect);
        assert_eq!(report.missed.len(), 3, "{:?}", report.missed);
        assert!(report.missed[0].starts_with("loss is 0.1"));
        assert!(report.missed[1].contains("never measured"));
        assert!(report.missed[2].contains("less than 1"));
        report.judge(&Expect::default());
        assert!(report.missed.is_empty());
        assert!(report.to_string().contains("10 of 100"));
    }

    #[test]
    fn a_step_breaks_at_the_first_bound_that_it_passes() {
        let ramp = Ramp { max_loss: 0.01, max_delay_p99_ms: 20.0, max_failed_joins: 1, ..Ramp::default() };
        let step = Step { viewers: 10, ..Step::default() };
        assert_eq!(step.broken(&ramp), None);
        assert!(Step { failed_joins: 2, ..step.clone() }.broken(&ramp).unwrap().contains("2 joins"));
        assert!(Step { loss: 0.02, ..step.clone() }.broken(&ramp).unwrap().contains("loss 2.000 %"));
        let delay_ms = Quantiles { p99: Some(21.0), ..Quantiles::default() };
        assert!(Step { delay_ms, ..step }.broken(&ramp).unwrap().contains("delay p99 21.0 ms at 10"));
    }
}
