//! What a run of a call found: values for JSON, and a table for people. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::settings::Talk;
use crate::report::Quantiles;
use crate::scenario::{Expect, Scenario};
use crate::stats::Histogram;
use crate::totals::{Reasons, Totals};
use crate::worker::Snapshot;

/// Everything that was measured. Times in ms unless they say otherwise.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallReport {
    /// Name of the scenario.
    pub scenario: String,
    /// Callers that were wanted.
    pub callers: usize,
    /// Pictures that each sees, and encodings that each sends.
    pub tiles: usize,
    /// Encodings of each picture.
    pub encodings: usize,
    /// It was interrupted.
    pub interrupted: bool,

    /// Everybody joins at the wanted rate: from the POST to whole keyframes of all pictures that were there then, and
    /// every voice.
    pub join_together_ms: Quantiles,
    /// CPU of the server while everybody joined, ms for each.
    pub server_ms_per_join: Option<f64>,
    /// Bytes of all HTTP bodies of a join, on the average.
    pub http_bytes_per_join: Option<f64>,
    /// Messages of the room's state that one person got while everybody joined: the most of anybody.
    pub messages_while_joining: u64,
    /// Bytes of signaling that one person got meanwhile: the most of anybody.
    pub bytes_while_joining: u64,

    /// One joins the others: from the POST to whole keyframes of all pictures of the page and every voice.
    pub join_ms: Quantiles,
    /// Of those: from the POST to its answer.
    pub answer_ms: Quantiles,
    /// To the end of the DTLS handshake of the connection that receives.
    pub connect_ms: Quantiles,
    /// To the open data channel.
    pub channel_ms: Quantiles,
    /// Joins of that kind.
    pub joins: usize,
    /// Messages of the room's state, to everybody together, that one leaving and one coming cost.
    pub messages_per_join: Option<f64>,
    /// Bytes of it, and of the HTTP bodies.
    pub signaling_bytes_per_join: Option<f64>,

    /// Seconds that were measured.
    pub measured_s: f64,
    /// People who were there.
    pub people: usize,
    /// RTP packets that came to callers, a second.
    pub packets_per_s: f64,
    /// Their bytes as Mbit/s.
    pub mbit_per_s: f64,
    /// RTP packets that callers sent, a second.
    pub published_per_s: f64,
    /// Packets that should have come.
    pub expected: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came as a retransmission.
    pub recovered: u64,
    /// From the send to the receive.
    pub delay_ms: Quantiles,
    /// Interarrival jitter, over all slots of all callers.
    pub jitter_ms: Quantiles,
    /// Frames that could be shown, a second and caller.
    pub frames_per_s: f64,
    /// Keyframes that the server asked for meanwhile.
    pub keys_asked: u64,
    /// Utterances that began.
    pub utterances: u64,
    /// Of those that others should hear, the share of which nothing came.
    pub utterances_unheard: Option<f64>,
    /// What was missing of the beginning of an utterance.
    pub onset_lost_ms: Quantiles,
    /// How late its first packet was.
    pub onset_delay_ms: Quantiles,
    /// CPU of the server, percent of one core.
    pub server_cpu_percent: Option<f64>,
    /// CPU of the server, ms for each second of a participant.
    pub cpu_ms_per_participant_second: Option<f64>,
    /// CPU of the server, us per packet that came to a caller.
    pub server_us_per_packet: Option<f64>,
    /// CPU of each media thread, percent of one core.
    pub shard_cpu_percent: BTreeMap<String, f64>,
    /// Resident memory of the server at the end, MB.
    pub server_rss_mb: Option<f64>,
    /// CPU of the probe, percent of one core.
    pub probe_cpu_percent: Option<f64>,
    /// Trouble of the probe itself: datagrams that found its receive buffers full. Loss by these is not the server's.
    pub probe_drops: u64,

    /// Everybody turns the page at once: until all its pictures are there.
    pub page_ms: Quantiles,
    /// Keyframes that the server asked for, for each publisher and turn.
    pub keys_per_turn: Option<f64>,
    /// Keyframes that the server asked for while pages were turned.
    pub page_keys_asked: u64,
    /// Of those, within 500 ms of the one before, of one encoding.
    pub page_keys_asked_soon: u64,

    /// Joins and pages that never were complete, over the whole run, as all that follows.
    pub goals_missed: u64,
    /// Frames (sound: packets) whose source was compared with what was said.
    pub judged_frames: u64,
    /// Of those, frames that came before the message that names their source.
    pub early_frames: u64,
    /// The same of packets of sound.
    pub early_sounds: u64,
    /// The same before the channel was open, sound included.
    pub untold: u64,
    /// Sources that a slot showed and no message ever named.
    pub unnamed_sources: u64,
    /// Packets whose payload is of somebody else than their CSRC says.
    pub foreign_packets: u64,
    /// Packets without a CSRC.
    pub nameless: u64,
    /// Packets of one's own voice.
    pub heard_itself: u64,
    /// Packets that were not authentic, and messages that are not described.
    pub refused: u64,
    /// Times that a message of the room's state was missing.
    pub gaps: u64,
    /// Joins that were refused or did not connect.
    pub failed_joins: u64,
    /// Why.
    pub failed_reasons: BTreeMap<String, u64>,
    /// Sessions, and connections to signaling, that ended by themselves.
    pub dropped: u64,
    /// Why.
    pub dropped_reasons: BTreeMap<String, u64>,
    /// Bounds of the scenario that were missed.
    pub missed: Vec<String>,
    #[serde(skip)]
    takes_turns: bool,
}

impl CallReport {
    /// Nothing is found yet.
    pub(crate) fn begun(scenario: &Scenario) -> Self {
        let call = scenario.call.clone().unwrap_or_default();
        Self {
            scenario: scenario.name.clone(),
            callers: call.callers,
            tiles: call.tiles.min(call.callers.saturating_sub(1)),
            encodings: scenario.publish.simulcast.len().max(1),
            takes_turns: call.talk == Talk::Turns && call.speakers <= call.voices,
            ..Self::default()
        }
    }

    pub(crate) fn joined_together(&mut self, window: &Totals, joins: usize, bytes: usize) {
        self.join_together_ms = Quantiles::of(&window.join_time);
        self.http_bytes_per_join = (joins > 0).then(|| bytes as f64 / joins as f64);
    }

    /// Messages and bytes that each has heard.
    pub(crate) fn heard_while_joining(&mut self, each: impl Iterator<Item = (u64, u64)>) {
        for (messages, bytes) in each {
            self.messages_while_joining = self.messages_while_joining.max(messages);
            self.bytes_while_joining = self.bytes_while_joining.max(bytes);
        }
    }

    pub(crate) fn joined_alone(
        &mut self,
        window: &Totals,
        answers: &Histogram,
        joins: usize,
        http_bytes: usize,
        (messages, bytes): (u64, u64),
    ) {
        self.join_ms = Quantiles::of(&window.join_time);
        self.answer_ms = Quantiles::of(answers);
        self.connect_ms = Quantiles::of(&window.connect_time);
        self.channel_ms = Quantiles::of(&window.channel_time);
        self.joins = joins;
        let each = |all: f64| (joins > 0).then(|| all / joins as f64);
        self.messages_per_join = each(messages as f64);
        self.signaling_bytes_per_join = each(bytes as f64 + http_bytes as f64);
    }

    pub(crate) fn measured(&mut self, window: &Totals, elapsed: Duration, people: usize) {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        self.measured_s = seconds;
        self.people = people;
        self.packets_per_s = window.packets as f64 / seconds;
        self.mbit_per_s = window.bytes as f64 * 8.0 / seconds / 1e6;
        self.published_per_s = window.sent_packets as f64 / seconds;
        self.expected = window.expected;
        self.lost = window.lost();
        self.recovered = window.recovered;
        self.delay_ms = Quantiles::of(&window.delay);
        self.frames_per_s = window.frames as f64 / seconds / people.max(1) as f64;
        self.utterances = window.utterances;
        let others = people.saturating_sub(1) as u64;
        let due = (window.utterances * others).max(1) as f64;
        // What began at the edges of the window may count on one side only, so a few in a hundred mean nothing.
        let unheard = 1.0 - window.utterances_heard as f64 / due;
        self.utterances_unheard = (self.takes_turns && window.utterances > 0).then_some(unheard.max(0.0));
        self.onset_lost_ms = Quantiles::of(&window.onset_lost);
        self.onset_delay_ms = Quantiles::of(&window.onset_delay);
    }

    pub(crate) fn server_cpu(&mut self, percent: Option<f64>, people: usize, packets: u64, seconds: f64) {
        self.server_cpu_percent = percent;
        self.cpu_ms_per_participant_second = percent.map(|percent| percent * 10.0 / people.max(1) as f64);
        self.server_us_per_packet =
            percent.filter(|_| packets > 0).map(|percent| percent * 1e4 * seconds / packets as f64);
    }

    pub(crate) fn jitter(&mut self, mut jitters: Vec<Duration>) {
        jitters.sort_unstable();
        let at = |share: f64| {
            let place = (jitters.len() as f64 * share) as usize;
            jitters.get(place.min(jitters.len().saturating_sub(1))).map(|jitter| jitter.as_secs_f64() * 1e3)
        };
        self.jitter_ms =
            Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: jitters.len() as u64 };
    }

    pub(crate) fn paged(&mut self, window: &Totals, turns: usize, people: usize) {
        self.page_ms = Quantiles::of(&window.page_time);
        let publishers = (turns * people) as f64;
        self.keys_per_turn = (publishers > 0.0).then(|| window.keys_sent as f64 / publishers);
    }

    pub(crate) fn ended(&mut self, snapshot: &Snapshot, refused: &Reasons, deaf: &Reasons, gaps: u64) {
        let totals = &snapshot.totals;
        self.goals_missed = totals.goals_missed + snapshot.waiting as u64;
        self.judged_frames = totals.judged_frames;
        self.early_frames = totals.early_frames;
        self.early_sounds = totals.early_sounds;
        self.untold = totals.untold;
        self.unnamed_sources = totals.unnamed_sources;
        self.foreign_packets = totals.foreign_packets;
        self.nameless = totals.nameless;
        self.heard_itself = totals.heard_itself;
        self.refused = totals.refused;
        self.gaps = gaps;
        let mut failed = snapshot.failed.clone();
        failed.merge(refused);
        let mut dropped = snapshot.dropped.clone();
        dropped.merge(deaf);
        let named = |reasons: &Reasons| -> BTreeMap<String, u64> {
            reasons.iter().map(|(reason, count)| (reason.to_owned(), count)).collect()
        };
        (self.failed_joins, self.failed_reasons) = (failed.total(), named(&failed));
        (self.dropped, self.dropped_reasons) = (dropped.total(), named(&dropped));
    }

    /// How much more the busiest media thread has to do than the mean of all: 1 is even.
    #[must_use]
    pub fn shard_balance(&self) -> Option<f64> {
        let most = self.shard_cpu_percent.values().copied().fold(0.0, f64::max);
        let mean = self.shard_cpu_percent.values().sum::<f64>() / self.shard_cpu_percent.len().max(1) as f64;
        (mean > 0.0).then(|| most / mean)
    }

    pub(crate) fn judge(&mut self, expect: &Expect) {
        self.missed.clear();
        let mut at_most = |what: &str, value: Option<f64>, most: Option<f64>| {
            let Some(most) = most else { return };
            match value {
                Some(value) if value <= most => {}
                Some(value) => self.missed.push(format!("{what} is {value}, over {most}")),
                None => self.missed.push(format!("{what} was never measured")),
            }
        };
        let loss = if self.expected == 0 { 0.0 } else { self.lost as f64 / self.expected as f64 };
        at_most("loss", Some(loss), expect.max_loss);
        at_most("delay p99", self.delay_ms.p99, expect.max_delay_p99_ms);
        at_most("join p95", self.join_ms.p95, expect.max_join_p95_ms);
        at_most("failed joins", Some(self.failed_joins as f64), expect.max_failed_joins.map(|n| n as f64));
        at_most("dropped sessions", Some(self.dropped as f64), expect.max_dropped.map(|n| n as f64));
        // What no call may do, however it is set.
        for (what, count) in [
            ("packets under a wrong name", self.foreign_packets),
            ("packets without a name", self.nameless),
            ("packets of one's own voice", self.heard_itself),
            ("joins and pages that were never complete", self.goals_missed),
        ] {
            at_most(what, Some(count as f64), Some(0.0));
        }
    }
}

impl fmt::Display for CallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} callers, {} pictures seen, {} encodings sent{}",
            self.scenario,
            self.callers,
            self.tiles,
            self.encodings,
            if self.interrupted { " (interrupted)" } else { "" }
        )?;
        let mut row = |name: &str, text: String| writeln!(f, "  {name:<18} {text}");
        let of = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let ms = |q: &Quantiles| format!("p50 {}  p95 {}  p99 {} ms", of(q.p50), of(q.p95), of(q.p99));
        row(
            "join, together",
            format!("{}, {} ms of CPU each", ms(&self.join_together_ms), of(self.server_ms_per_join)),
        )?;
        row(
            "meanwhile",
            format!(
                "at most {} messages and {} bytes to anybody",
                self.messages_while_joining, self.bytes_while_joining
            ),
        )?;
        row("join, one by one", format!("{}, {} joins", ms(&self.join_ms), self.joins))?;
        row("  answer", ms(&self.answer_ms))?;
        row("  connected", ms(&self.connect_ms))?;
        row("  channel open", ms(&self.channel_ms))?;
        row(
            "signaling",
            format!(
                "{} messages and {} bytes a join, HTTP included, to all together",
                of(self.messages_per_join),
                of(self.signaling_bytes_per_join)
            ),
        )?;
        row("forward delay", ms(&self.delay_ms))?;
        row("jitter", ms(&self.jitter_ms))?;
        row(
            "packets",
            format!(
                "{:.0}/s to callers ({:.1} Mbit/s), {:.0}/s from them, {} of {} lost, {} recovered",
                self.packets_per_s,
                self.mbit_per_s,
                self.published_per_s,
                self.lost,
                self.expected,
                self.recovered
            ),
        )?;
        row(
            "voices",
            format!(
                "{} utterances, lost at the onset {}, first packet after {}, unheard {} %",
                self.utterances,
                ms(&self.onset_lost_ms),
                ms(&self.onset_delay_ms),
                of(self.utterances_unheard.map(|share| share * 100.0))
            ),
        )?;
        row(
            "pages",
            format!(
                "{}, {} keyframes a publisher and turn, {} asked for, {} of them too soon",
                ms(&self.page_ms),
                of(self.keys_per_turn),
                self.page_keys_asked,
                self.page_keys_asked_soon
            ),
        )?;
        row(
            "names",
            format!(
                "{} frames judged: {} packets wrong, {} without, {} of one's own voice, {} frames and {} packets of sound \
                 ahead of their message, {} before the channel was open, {} sources never named, {} joins or pages incomplete",
                self.judged_frames,
                self.foreign_packets,
                self.nameless,
                self.heard_itself,
                self.early_frames,
                self.early_sounds,
                self.untold,
                self.unnamed_sources,
                self.goals_missed
            ),
        )?;
        if self.server_cpu_percent.is_some() {
            let shards: Vec<String> =
                self.shard_cpu_percent.values().map(|cpu| format!("{cpu:.0}")).collect();
            row(
                "server",
                format!(
                    "{} % of a core, {} ms a participant and second, {} us a packet, media threads {} % (busiest to mean {}), {} MB",
                    of(self.server_cpu_percent),
                    of(self.cpu_ms_per_participant_second),
                    of(self.server_us_per_packet),
                    shards.join(" + "),
                    of(self.shard_balance()),
                    of(self.server_rss_mb)
                ),
            )?;
        }
        row(
            "probe",
            format!("{} % of a core, {} datagrams dropped", of(self.probe_cpu_percent), self.probe_drops),
        )?;
        for (what, count, reasons) in [
            ("failed joins", self.failed_joins, &self.failed_reasons),
            ("dropped", self.dropped, &self.dropped_reasons),
        ] {
            if count > 0 {
                let reasons: Vec<String> =
                    reasons.iter().map(|(reason, count)| format!("{count} x {reason}")).collect();
                row(what, format!("{count}: {}", reasons.join("; ")))?;
            }
        }
        for missed in &self.missed {
            writeln!(f, "MISSED: {missed}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_call_may_do_is_missed_whatever_is_expected() {
        let mut report = CallReport { foreign_packets: 1, expected: 100, lost: 1, ..CallReport::default() };
        report.judge(&Expect::default());
        assert_eq!(report.missed.len(), 1, "{:?}", report.missed);
        report.judge(&Expect { max_loss: Some(0.001), max_join_p95_ms: Some(600.0), ..Expect::default() });
        assert_eq!(report.missed.len(), 3, "{:?}", report.missed);
        assert!(report.to_string().contains("MISSED: loss is 0.01"));
    }

    #[test]
    fn figures_of_everybody_become_those_of_one() {
        let mut report = CallReport { takes_turns: true, ..CallReport::default() };
        report.server_cpu(Some(50.0), 10, 1_000, 1.0);
        assert_eq!(report.cpu_ms_per_participant_second, Some(50.0));
        assert_eq!(report.server_us_per_packet, Some(500.0));
        report.shard_cpu_percent = [("a".to_owned(), 30.0), ("b".to_owned(), 10.0)].into();
        assert_eq!(report.shard_balance(), Some(1.5));
        let window = Totals { utterances: 4, utterances_heard: 18, ..Totals::default() };
        report.measured(&window, Duration::from_secs(1), 6);
        assert!(report.utterances_unheard.is_some_and(|share| (share - 0.1).abs() < 1e-9));
        report.jitter((0..100).map(Duration::from_millis).collect());
        assert_eq!((report.jitter_ms.p50, report.jitter_ms.p99), (Some(50.0), Some(99.0)));
    }
}
