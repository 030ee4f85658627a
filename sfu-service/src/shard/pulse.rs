//! Signs of life, both ways. A page takes 1.5 s without packets for the loss of its connection, long before ICE does,
//! so no session goes without packets, whatever flows. And what a publisher's shard has not heard from for as long,
//! its viewers are told.

use std::time::{Duration, Instant};

use sfu_core::Peer;

use super::io::Io;
use super::participant::{MediaPath, Role};
use super::rooms::SourceKey;
use super::thread::ShardThread;

/// Whoever was sent nothing since the last time is sent a report, this often.
pub(super) const PULSE_INTERVAL: Duration = Duration::from_millis(250);

impl ShardThread {
    /// When [`Self::pulse`] is due, if ever.
    pub(super) fn next_pulse(&self) -> Option<Instant> {
        (!self.io.participants.is_empty()).then_some(self.next_pulse)
    }

    /// Looks who was sent nothing and who is not heard any more, if it is time to.
    pub(super) fn pulse(&mut self, now: Instant) {
        if self.next_pulse().is_none_or(|at| now < at) {
            return;
        }
        self.next_pulse = now + PULSE_INTERVAL;
        let (mut idle, mut changed): (Vec<usize>, Vec<SourceKey>) = Default::default();
        let Io { participants, paths, .. } = &mut self.io;
        for (slot, participant) in participants.iter_mut() {
            if let Role::Publisher { source, current: true, .. } = participant.role
                && participant.hearing.pulse()
            {
                changed.push((participant.room, source));
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
        for key in changed {
            self.report_media(key, now);
        }
    }
}
