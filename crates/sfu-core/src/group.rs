//! What has come since the last keyframe, and whether a viewer who joins should get it.
//!
//! It goes out at once and is decoded at once, so what counts is what it costs, not how old it is: the ten frames of the
//! last minute of a still screen are cheaper than the next keyframe, which nobody knows when to expect.

use crate::pace::Pace;

/// Frames that are decoded at once for a viewer who joins, where the next keyframe comes as soon as it is asked for.
const MAX_FRAMES: u32 = 40;
/// The same where it does not: the publisher answers no requests, or has a frame now and then only.
const MAX_FRAMES_PATIENT: u32 = 120;
/// Packets, wherever.
const MAX_PACKETS: u32 = 900;
/// Bytes that the ring keeps for viewers who may join, beyond what it keeps of any stream.
const MAX_HELD_BYTES: u32 = 512 << 10;
/// Seconds that a group may span. Longer ones cannot be squeezed into the moment in which they are shown.
const MAX_SPAN: u32 = 300;
/// The same for publishers that answer no requests: a keyframe every other second or so comes by itself.
const MAX_SPAN_DEAF: u32 = 3;

/// What a viewer who joins would have to wait for otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The answer to a request.
    Usual,
    /// A frame, which comes now and then.
    Slow,
    /// The next keyframe of a publisher that answers no requests.
    Deaf,
}

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Group {
    packets: u32,
    frames: u32,
    bytes: u32,
}

impl Group {
    /// A packet after the one that the keyframe begins with.
    pub(crate) fn add(&mut self, begins_frame: bool, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.frames = self.frames.saturating_add(u32::from(begins_frame));
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Bytes of them.
    pub(crate) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Whether a viewer should start with it, given that it spans so many seconds.
    pub(crate) fn is_worth_sending(&self, patience: Patience, span: u32) -> bool {
        let (frames, seconds) = match patience {
            Patience::Usual => (MAX_FRAMES, MAX_SPAN),
            Patience::Slow => (MAX_FRAMES_PATIENT, MAX_SPAN),
            Patience::Deaf => (u32::MAX, MAX_SPAN_DEAF),
        };
        self.packets <= MAX_PACKETS && self.frames <= frames && span <= seconds
    }

    /// Whether the ring should keep it longer than packets are kept anyway.
    pub(crate) fn is_worth_holding(&self, pace: &Pace) -> bool {
        let frames = if pace.is_slow() { MAX_FRAMES_PATIENT } else { MAX_FRAMES };
        self.packets <= MAX_PACKETS && self.frames <= frames && self.bytes <= MAX_HELD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(frames: u32, packets_per_frame: u32) -> Group {
        let mut group = Group::default();
        for packet in 0..frames * packets_per_frame {
            group.add(packet % packets_per_frame == 0, 1_000);
        }
        group
    }

    #[test]
    fn what_it_costs_counts_and_not_how_old_it_is() {
        assert!(group(30, 3).is_worth_sending(Patience::Usual, 1));
        assert!(group(30, 3).is_worth_sending(Patience::Usual, 200), "a still picture");
        assert!(!group(60, 3).is_worth_sending(Patience::Usual, 2), "a keyframe comes sooner");
        assert!(group(60, 3).is_worth_sending(Patience::Slow, 60));
        assert!(group(60, 3).is_worth_sending(Patience::Deaf, 2));
        assert!(!group(20, 50).is_worth_sending(Patience::Deaf, 1), "too many packets");
        assert!(!group(2, 1).is_worth_sending(Patience::Slow, 3_600));
    }
}
