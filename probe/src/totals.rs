//! What all clients of a thread have seen, and what of it came within a part of the run.

use std::collections::BTreeMap;

use crate::stats::Histogram;

/// Different reasons of failed and dropped sessions that are kept; further ones count as "other".
const MAX_REASONS: usize = 16;

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident: $type:ident,)*) => {
        /// Counts and distributions that only grow; the difference of two states is what came between.
        #[derive(Debug, Clone, Default)]
        pub struct Totals {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Totals {
            /// Adds everything of `other`.
            pub fn merge(&mut self, other: &Self) {
                $(totals!(@merge $type, self, other, $name);)*
            }

            /// What came since `earlier`, an older state of the same.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: totals!(@since $type, self, earlier, $name),)* }
            }
        }
    };
    (@merge u64, $a:ident, $b:ident, $name:ident) => { $a.$name += $b.$name };
    (@merge Histogram, $a:ident, $b:ident, $name:ident) => { $a.$name.merge(&$b.$name) };
    (@since u64, $a:ident, $b:ident, $name:ident) => { $a.$name.saturating_sub($b.$name) };
    (@since Histogram, $a:ident, $b:ident, $name:ident) => { $a.$name.since(&$b.$name) };
}

totals! {
    /// RTP packets that came to viewers, retransmissions included.
    packets: u64,
    /// Their bytes, UDP payload.
    bytes: u64,
    /// Packets that should have come, by sequence numbers.
    expected: u64,
    /// Of them, those that came as they were first sent.
    arrived: u64,
    /// Of them, those that came as a retransmission.
    recovered: u64,
    /// Packets that came twice or too late to be told.
    duplicates: u64,
    /// Video frames (sound: packets) that could be shown.
    frames: u64,
    /// Freezes that ended.
    freezes: u64,
    /// Packets that were not authentic, or otherwise refused.
    refused: u64,
    /// Packets that were asked for again.
    nacked: u64,
    /// Keyframes that were asked for.
    plis: u64,
    /// RTP packets that publishers sent, retransmissions included.
    sent_packets: u64,
    /// Their bytes, UDP payload.
    sent_bytes: u64,
    /// Retransmissions that publishers sent.
    resent: u64,
    /// Frames that publishers left out because this machine was too slow.
    skipped_frames: u64,
    /// Datagrams lost on purpose.
    dropped_on_purpose: u64,
    /// Datagrams that this machine did not take from us.
    not_sent: u64,
    /// Viewers that were connected.
    connected: u64,
    /// Viewers that got a frame.
    served: u64,
    /// Sessions that did not connect.
    failed: u64,
    /// Sessions that ended by themselves.
    dropped: u64,
    /// From a publisher's send to a viewer's receive, us; retransmissions left out.
    delay: Histogram,
    /// From the POST to the answer, us.
    answer_time: Histogram,
    /// From the POST to the end of the DTLS handshake, us.
    connect_time: Histogram,
    /// From the POST to the first media packet, us.
    first_packet_time: Histogram,
    /// From the POST to the first complete keyframe, us.
    first_frame_time: Histogram,
    /// Calls: from the POST to whole keyframes of all pictures of the page and every voice, us.
    join_time: Histogram,
    /// Calls: from wanting another page to whole keyframes of all its pictures, us.
    page_time: Histogram,
    /// Calls: joins and pages that were not complete before something else was wanted.
    goals_missed: u64,
    /// Calls: frames (sound: packets) whose source was compared with what was said.
    judged_frames: u64,
    /// Calls: of those, frames of a source that no message had named for that slot yet.
    early_frames: u64,
    /// Calls: the same before the channel was open, sound included.
    untold: u64,
    /// Calls: the same of packets of sound.
    early_sounds: u64,
    /// Calls: from the POST to the open data channel, us.
    channel_time: Histogram,
    /// Calls: sources that a slot showed and no message ever named.
    unnamed_sources: u64,
    /// Calls: packets whose payload is of somebody else than their CSRC says.
    foreign_packets: u64,
    /// Calls: packets without a CSRC.
    nameless: u64,
    /// Calls: packets of one's own voice.
    heard_itself: u64,
    /// Calls: utterances that speakers began.
    utterances: u64,
    /// Calls: utterances of others that somebody heard something of.
    utterances_heard: u64,
    /// Calls: what was missing of their beginning, us.
    onset_lost: Histogram,
    /// Calls: how late the first packet of them was, us.
    onset_delay: Histogram,
    /// Calls: keyframes that publishers sent.
    keys_sent: u64,
}

impl Totals {
    /// Packets that did not come in any way.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.arrived + self.recovered)
    }

    /// Share of the expected packets that did not come in any way.
    #[must_use]
    pub fn loss(&self) -> f64 {
        share(self.lost(), self.expected)
    }

    /// Share of the expected packets that did not come at first.
    #[must_use]
    pub fn raw_loss(&self) -> f64 {
        share(self.expected.saturating_sub(self.arrived), self.expected)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How often which reason came.
#[derive(Debug, Clone, Default)]
pub struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    /// Counts a reason.
    pub fn add(&mut self, reason: &str) {
        self.add_many(reason, 1);
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(reason, count)| self.add_many(reason, *count));
    }

    /// The reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn add_many(&mut self, reason: &str, count: u64) {
        let known = self.0.contains_key(reason) || self.0.len() < MAX_REASONS;
        *self.0.entry(if known { reason.to_owned() } else { "other".to_owned() }).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences() {
        let mut totals = Totals { expected: 10, arrived: 8, recovered: 1, ..Totals::default() };
        totals.delay.record(5);
        assert_eq!(totals.lost(), 1);
        assert!((totals.raw_loss() - 0.2).abs() < 1e-9);
        let before = totals.clone();
        totals.merge(&before);
        assert_eq!((totals.expected, totals.delay.count()), (20, 2));
        let window = totals.since(&before);
        assert_eq!((window.expected, window.arrived, window.delay.count()), (10, 8, 1));
        assert!((Totals::default().loss()).abs() < 1e-9);
    }

    #[test]
    fn reasons_are_counted_and_bounded() {
        let mut reasons = Reasons::default();
        (0..100).for_each(|n| reasons.add(&format!("reason {n}")));
        reasons.add("reason 0");
        assert_eq!(reasons.total(), 101);
        assert!(reasons.iter().count() <= MAX_REASONS + 1);
        assert!(reasons.iter().any(|(reason, count)| reason == "reason 0" && count == 2));
    }
}
