//! Signs of life, both ways. A page takes 1.5 s without packets for the loss of its connection, long before ICE does,
//! so no session goes without packets, whatever flows. And what a publisher's shard has not heard from for as long,
//! its viewers are told.
//!
//! Each participant is looked at every [`PULSE_INTERVAL`], and not all of them at once: when a publisher is lost,
//! everybody who watched it has nothing to get, and a thousand reports in one turn would hold up what others get.

use std::time::{Duration, Instant};

use sfu_core::Peer;

use super::io::Io;
use super::participant::{MediaPath, Role};
use super::rooms::SourceKey;
use super::thread::ShardThread;

/// Whoever was sent nothing since the last time is sent a report, this often.
const PULSE_INTERVAL: Duration = Duration::from_millis(250);
/// Parts of the interval; in each, as many of the participants are looked at.
const PARTS: usize = 10;
const PART: Duration = Duration::from_millis(PULSE_INTERVAL.as_millis() as u64 / PARTS as u64);

/// When whom is looked at. Pure.
#[derive(Debug)]
pub(super) struct Pulse {
    next: Instant,
    part: usize,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, part: 0 }
    }

    /// The part of the participants whose turn it is, if it is time: those whose slot is this number, modulo [`PARTS`].
    fn turn(&mut self, now: Instant) -> Option<usize> {
        if now < self.next {
            return None;
        }
        // A thread that was late does not make up for it: that would be the burst that this is against.
        let next = self.next + PART;
        self.next = if next <= now { now + PART } else { next };
        let part = self.part;
        self.part = (part + 1) % PARTS;
        Some(part)
    }
}

impl ShardThread {
    /// When [`Self::pulse`] is due, if ever.
    pub(super) fn next_pulse(&self) -> Option<Instant> {
        (!self.io.participants.is_empty()).then_some(self.pulse.next)
    }

    /// Looks who was sent nothing and who is not heard any more, of those whose turn it is.
    pub(super) fn pulse(&mut self, now: Instant) {
        if self.next_pulse().is_none() {
            return;
        }
        let Some(part) = self.pulse.turn(now) else { return };
        let (mut idle, mut changed): (Vec<usize>, Vec<(usize, SourceKey)>) = Default::default();
        let Io { participants, paths, .. } = &mut self.io;
        for slot in (part..participants.capacity()).step_by(PARTS) {
            let Some(participant) = participants.get_mut(slot) else { continue };
            if let Role::Publisher { source, current: true, .. } = participant.role
                && participant.hearing.pulse()
            {
                changed.push((slot, (participant.room, source)));
            }
            if paths.get_mut(slot).is_some_and(|path| path.sender.is_some() && !path.take_sent()) {
                idle.push(slot);
            }
        }
        if !idle.is_empty() {
            let mut report = Vec::new();
            rtp::rtcp::write::receiver_report(&mut report, self.core.ssrc(), &[]);
            for slot in idle {
                self.guarded(slot, now, |shard| {
                    sfu_core::Sink::rtcp(&mut shard.io, Peer(slot as u32), &report);
                    // Or it would count as something that was sent before the next pulse.
                    shard.io.paths.get_mut(slot).map(MediaPath::take_sent);
                });
            }
        }
        for (slot, key) in changed {
            self.report_media(key, now);
            self.say_quality(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_in_each_interval_and_not_all_at_once() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let turns: Vec<(u64, usize)> =
            (0..1_000).filter_map(|ms| Some((ms, pulse.turn(start + Duration::from_millis(ms))?))).collect();
        let times: Vec<u64> = turns.iter().map(|(ms, _)| *ms).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 25), "{times:?}");
        for part in 0..PARTS {
            let own: Vec<u64> = turns.iter().filter(|(_, of)| *of == part).map(|(ms, _)| *ms).collect();
            assert!(own.len() == 4 && own.windows(2).all(|pair| pair[1] - pair[0] == 250), "{part}: {own:?}");
        }
    }

    #[test]
    fn who_was_late_makes_no_burst() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.turn(start), Some(0));
        let late = start + Duration::from_secs(3);
        assert_eq!((pulse.turn(late), pulse.turn(late)), (Some(1), None));
        assert_eq!(pulse.turn(late + PART), Some(2));
        // A little late is made up for, so that the interval holds.
        assert_eq!(pulse.turn(late + PART * 2 + PART / 2), Some(3));
        assert_eq!(pulse.turn(late + PART * 3), Some(4));
    }
}
