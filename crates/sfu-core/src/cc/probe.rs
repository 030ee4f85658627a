//! Probing: a short burst at a rate that was not proven yet, and what of it arrived how fast.
//!
//! A probe is a few bursts, 5 ms apart, of whatever media is sent in that time, topped up with padding. It is
//! made only when the allocation could use more than the estimate ([`Prober::set_need`]): first at the rate that the
//! best of all needs, and once that has failed at the rate of the next step. One is in the air at a time, so each knows how the one before ended.

use rtp::seq::Seq;

use super::history::Sent;

/// Bursts of one probe, this far apart. After one that told nothing there are twice as many, up to
/// [`MAX_LONGER`] times: jitter counts for less over a longer time.
const BURSTS: i64 = 5;
const MAX_LONGER: u32 = 2;
const BURST_US: i64 = 5_000;
/// What a probe sends beyond the rate that is needed: the estimate must clear it.
const MARGIN: f32 = 1.2;
/// Longest queue that a probe may cause on a line that carries no more than the estimate. A probe that fails is made again
/// and again: it must not be what the viewer waits for.
const MAX_QUEUE_S: f32 = 0.06;
/// The first probe is at most this many times the estimate.
const MAX_LEAP: f32 = 6.0;
/// Shares of a probe that must have arrived to say something.
const MIN_ARRIVED: f32 = 0.7;
const MIN_PACKETS: u32 = 5;
/// A probe of less would be too few packets to be measured.
const LEAST_BYTES: f32 = 2_400.0;
/// A line that slows the probe down by more than this is full.
const SATURATED: f32 = 0.9;
/// How much of a full line is used.
const UTILISATION: f32 = 0.95;
/// After a probe that did not get what it was for.
const INTERVAL_US: i64 = 1_500_000;
/// After several: the line is as it is, and each probe is a queue of its own.
const LATER_US: i64 = 2_500_000;
const SEVERAL: u32 = 4;
/// After one that other packets spoiled.
const RETRY_US: i64 = 200_000;
/// Feedback about a probe comes within this.
const ANSWER_US: i64 = 500_000;
/// Time after a fall in which the queue drains, and nothing is probed.
const SETTLE_US: i64 = 800_000;

/// A probe, while it is sent and until its end is reported.
#[derive(Debug, Clone, Copy)]
struct Probe {
    id: u8,
    rate: f32,
    started_us: i64,
    /// How long it is sent.
    length_us: i64,
    /// When the next burst is due; none when all were sent.
    burst_us: Option<i64>,
    bytes: u32,
    packets: u32,
    /// The number of its last packet.
    last: Seq,
    arrived: Arrived,
}

/// What is known to have arrived of a probe.
#[derive(Debug, Clone, Copy, Default)]
struct Arrived {
    packets: u32,
    bytes: u32,
    first_send: i64,
    last_send: i64,
    last_send_bytes: u32,
    first_arrival: i64,
    last_arrival: i64,
    first_arrival_bytes: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Prober {
    probe: Option<Probe>,
    last_id: u8,
    /// Probes that did not get what they were for, since the last one that showed the line to carry everything.
    failed: u32,
    need: f32,
    /// What the best of all would need.
    best: f32,
    /// A probe has told something, or two have told nothing.
    pub(super) judged: bool,
    /// Nothing is probed before this time.
    not_before_us: i64,
}

impl Prober {
    /// What the next better choice of the allocation needs, and what the best one would, in bits per second; 0 if
    /// there is none.
    pub(super) fn set_need(&mut self, need: f32, best: f32) {
        (self.need, self.best) = (need, best);
    }

    /// The line is full, or has become another one.
    pub(super) fn hold(&mut self, now_us: i64) {
        self.probe = None;
        self.not_before_us = self.not_before_us.max(now_us + SETTLE_US);
    }

    /// When [`Prober::poll`] has something to do, with this estimate.
    pub(super) fn due_us(&self, estimate: f32) -> Option<i64> {
        match &self.probe {
            Some(probe) => Some(probe.burst_us.unwrap_or(probe.started_us + probe.length_us + ANSWER_US)),
            None => (self.need > estimate).then_some(self.not_before_us),
        }
    }

    /// Bytes of padding that are due now. What is then sent is told by [`Prober::sent`].
    pub(super) fn poll(&mut self, estimate: f32, now_us: i64) -> u32 {
        if self.due_us(estimate).is_none_or(|due| due > now_us) {
            return 0;
        }
        let need = self.need;
        let Some(probe) = &mut self.probe else {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            // Straight to the best, unless the line has shown that it does not carry that.
            let most = if self.failed == 0 { self.best.min(estimate * MAX_LEAP) } else { need };
            let rate = most.max(need) * MARGIN;
            let shortest_us = (LEAST_BYTES * 8e6 / rate) as i64;
            let bearable_us = (MAX_QUEUE_S * 1e6 * estimate / (rate - estimate).max(1.0)) as i64;
            let longer_us = (BURSTS * BURST_US) << self.failed.min(MAX_LONGER);
            let length_us = longer_us.min(bearable_us).max(BURSTS * BURST_US).max(shortest_us);
            let mut probe = Probe::new(self.last_id, rate, length_us, now_us);
            let bytes = probe.burst(now_us);
            self.probe = Some(probe);
            return bytes;
        };
        if probe.burst_us.is_none() {
            // Its end was never reported.
            self.probe = None;
            self.failed = self.failed.saturating_add(1);
            self.not_before_us = now_us + INTERVAL_US;
            return 0;
        }
        probe.burst(now_us)
    }

    /// A packet leaves; returns the probe that it is a part of, 0 for none.
    pub(super) fn sent(&mut self, seq: Seq, bytes: u32) -> u8 {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.burst_us.is_some()) else { return 0 };
        probe.bytes = probe.bytes.saturating_add(bytes);
        probe.packets += 1;
        probe.last = seq;
        probe.id
    }

    /// A packet of a probe arrived.
    pub(super) fn arrived(&mut self, sent: &Sent, arrival_us: i64) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.id == sent.probe) {
            probe.arrived.add(sent, arrival_us);
        }
    }

    /// Everything up to `reported` was reported: the rate that an ended probe has proven.
    pub(super) fn result(&mut self, reported: Seq, now_us: i64) -> Option<f32> {
        let probe = self.probe.filter(|probe| probe.burst_us.is_none() && probe.last <= reported)?;
        self.probe = None;
        let proven = probe.proven();
        // One that got what it was for may be followed by the next step at once.
        let reached = proven.is_some_and(|rate| rate > self.need);
        if proven.is_some_and(|rate| rate > self.best) {
            self.failed = 0;
        } else if !reached {
            self.failed = self.failed.saturating_add(1);
        }
        self.judged |= proven.is_some() || self.failed > 1;
        let wait = match proven {
            _ if reached => 0,
            // All of it left with the first burst, a keyframe perhaps: that is no measurement.
            None if probe.arrived.sent_us() < BURST_US => RETRY_US,
            _ if self.failed > SEVERAL => LATER_US,
            _ => INTERVAL_US,
        };
        self.not_before_us = now_us + wait;
        proven
    }
}

impl Probe {
    fn new(id: u8, rate: f32, length_us: i64, now_us: i64) -> Self {
        Self {
            id,
            rate,
            started_us: now_us,
            length_us,
            burst_us: Some(now_us),
            bytes: 0,
            packets: 0,
            last: 0,
            arrived: Arrived::default(),
        }
    }

    /// Padding for the burst that is due: what is missing at the rate up to the next one.
    fn burst(&mut self, now_us: i64) -> u32 {
        let elapsed = now_us - self.started_us;
        // Late bursts are not made up for: they would be sent at another rate than they are judged by.
        let next = elapsed + BURST_US;
        if elapsed >= self.length_us {
            self.burst_us = None;
            return 0;
        }
        self.burst_us = Some(now_us + BURST_US);
        let wanted = self.rate * next as f32 / 8e6;
        (wanted as u32).saturating_sub(self.bytes)
    }

    fn proven(&self) -> Option<f32> {
        let a = &self.arrived;
        let enough = a.packets >= MIN_PACKETS
            && a.packets as f32 >= self.packets as f32 * MIN_ARRIVED
            && a.bytes as f32 >= self.bytes as f32 * MIN_ARRIVED;
        let sent_us = a.sent_us();
        if !enough || sent_us < BURST_US || sent_us > 4 * self.length_us {
            return None;
        }
        // Between n packets are n - 1 gaps.
        let sent = a.bytes.saturating_sub(a.last_send_bytes) as f32 * 8e6 / sent_us as f32;
        let arrived_us = (a.last_arrival - a.first_arrival).max(1);
        let arrived = a.bytes.saturating_sub(a.first_arrival_bytes) as f32 * 8e6 / arrived_us as f32;
        let proven = if arrived < SATURATED * sent { UTILISATION * arrived } else { sent.min(arrived) };
        Some(proven.min(self.rate))
    }
}

impl Arrived {
    fn sent_us(&self) -> i64 {
        self.last_send - self.first_send
    }

    fn add(&mut self, sent: &Sent, arrival_us: i64) {
        let first = self.packets == 0;
        if first || sent.at_us < self.first_send {
            self.first_send = sent.at_us;
        }
        if first || sent.at_us >= self.last_send {
            (self.last_send, self.last_send_bytes) = (sent.at_us, sent.bytes);
        }
        if first || arrival_us < self.first_arrival {
            (self.first_arrival, self.first_arrival_bytes) = (arrival_us, sent.bytes);
        }
        if first || arrival_us > self.last_arrival {
            self.last_arrival = arrival_us;
        }
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(sent.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a probe of 2 Mbit/s over a line of `line` bits per second, losing every `lost`-th packet.
    fn run(line: f32, lost: u32) -> (Prober, Option<f32>) {
        let mut prober = Prober::default();
        prober.set_need(2e6 / MARGIN, 2e6 / MARGIN);
        let (mut now, mut seq, mut free) = (1_000_000i64, 100u64, 0.0f32);
        let mut packets = Vec::new();
        while let Some(due) = prober.due_us(3e5).filter(|&due| due < 1_100_000) {
            now = now.max(due);
            let mut bytes = prober.poll(3e5, now);
            while bytes > 0 {
                let size = 275;
                bytes = bytes.saturating_sub(size);
                let id = prober.sent(seq, size);
                assert_eq!(id, 1);
                free = free.max((now - 1_000_000) as f32) + size as f32 * 8e6 / line;
                packets.push((Sent { at_us: now, bytes: size, probe: id, was_missing: false }, free as i64));
                seq += 1;
            }
        }
        assert!((15..40).contains(&packets.len()), "{}", packets.len());
        for (i, (sent, arrival)) in packets.iter().enumerate() {
            if lost == 0 || !(i as u32).is_multiple_of(lost) {
                prober.arrived(sent, *arrival);
            }
        }
        assert_eq!(prober.result(seq - 2, now), None, "its last packet is not reported yet");
        let result = prober.result(seq - 1, now);
        (prober, result)
    }

    #[test]
    fn a_line_that_carries_it_is_proven() {
        let (prober, result) = run(10e6, 0);
        let result = result.expect("proven");
        assert!((1.8e6..=2e6).contains(&result), "{result}");
        assert!(prober.due_us(result).is_none(), "enough for what is needed");
        let (_, lossy) = run(10e6, 10);
        assert!(lossy.expect("a tenth may be lost") > 1.6e6);
    }

    #[test]
    fn a_line_that_does_not_is_measured() {
        let (prober, result) = run(1e6, 0);
        let result = result.expect("measured");
        assert!((0.8e6..1e6).contains(&result), "{result}");
        assert!(prober.due_us(result).expect("again") >= 1_000_000 + INTERVAL_US);
        assert_eq!(run(10e6, 2).1, None, "half of it lost says nothing");
    }

    #[test]
    fn nothing_is_probed_without_need_or_while_the_queue_drains() {
        let mut prober = Prober::default();
        assert_eq!(prober.due_us(3e5), None);
        prober.set_need(1e6, 3e6);
        assert_eq!(prober.due_us(2e6), None);
        prober.hold(1_000_000);
        assert_eq!(prober.due_us(3e5), Some(1_000_000 + SETTLE_US));
        assert_eq!(prober.poll(3e5, 1_000_000), 0);
        assert!(prober.poll(3e5, 2_000_000) > 0);
        // Nobody reports it: given up.
        (0..10).for_each(|i| _ = prober.poll(3e5, 2_000_000 + i * BURST_US));
        assert_eq!(prober.poll(3e5, 2_100_000 + ANSWER_US), 0);
        assert!(prober.due_us(3e5).expect("again") > 2_100_000 + ANSWER_US);
    }
}
