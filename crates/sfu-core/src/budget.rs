//! How much may be sent again to one subscriber.

use std::time::{Duration, Instant};

/// Retransmission is at most one byte in five of the stream.
const SHARE: u64 = 5;
/// What a stream may have saved up: a burst of loss on a good line.
const MAX_SAVED: u64 = 64 << 10;
/// What a new stream starts with.
const INITIAL: u64 = 8 << 10;
/// Packets that were sent again, or late, and are remembered.
const REMEMBERED: usize = 64;
/// A repeated NACK within this time, or within 7/8 of a round trip where that is known, asks for what is on its way. Not
/// within a whole one: a client that has waited for a round trip, as it measures it, has really missed the packet.
const MIN_INTERVAL: Duration = Duration::from_millis(15);

/// Sequence number and time of a packet that was sent again, or late.
type Repeated = Option<(u16, Instant)>;

/// The budget of one subscription.
#[derive(Debug)]
pub(crate) struct RetransmissionBudget {
    saved: u64,
    /// Recent ones, by the low bits of the number. Allocated with the
    /// first one: most subscriptions never need it.
    recent: Option<Box<[Repeated; REMEMBERED]>>,
}

impl RetransmissionBudget {
    pub(crate) fn new() -> Self {
        Self { saved: INITIAL * SHARE, recent: None }
    }

    /// A media packet of `len` bytes was sent.
    pub(crate) fn earn(&mut self, len: usize) {
        self.saved = (self.saved + len as u64).min(MAX_SAVED * SHARE);
    }

    /// Whether `seq`, a packet of `len` bytes, may be sent again now; it counts as sent.
    pub(crate) fn spend(
        &mut self,
        seq: u16,
        len: usize,
        round_trip: Option<Duration>,
        now: Instant,
    ) -> Spend {
        let recent = self.recent.get_or_insert_with(|| Box::new([None; REMEMBERED]));
        let Some(slot) = recent.get_mut(usize::from(seq) % REMEMBERED) else { return Spend::Refused };
        let interval = (round_trip.unwrap_or_default() * 7 / 8).max(MIN_INTERVAL);
        if slot.is_some_and(|(last, at)| last == seq && now.saturating_duration_since(at) < interval) {
            return Spend::OnItsWay;
        }
        let Some(left) = self.saved.checked_sub(len as u64 * SHARE) else { return Spend::Refused };
        self.saved = left;
        *slot = Some((seq, now));
        Spend::Allowed
    }

    /// `seq` was sent for the first time, after others that follow it: a NACK for it may be on its way.
    pub(crate) fn sent_late(&mut self, seq: u16, now: Instant) {
        let recent = self.recent.get_or_insert_with(|| Box::new([None; REMEMBERED]));
        if let Some(slot) = recent.get_mut(usize::from(seq) % REMEMBERED) {
            *slot = Some((seq, now));
        }
    }

    /// Whether another copy of `len` bytes may be sent as well, with enough left for what is asked for next; it counts
    /// as sent.
    pub(crate) fn spend_more(&mut self, len: usize) -> bool {
        let left = self.saved.checked_sub(len as u64 * SHARE).filter(|&left| left >= MAX_SAVED * SHARE / 2);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
    }
}

/// What [`RetransmissionBudget::spend`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spend {
    Allowed,
    OnItsWay,
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_stream_is_sent_again_and_no_more() {
        let now = Instant::now();
        let mut budget = RetransmissionBudget::new();
        let (mut sent, mut again) = (0u64, 0u64);
        for seq in 0..20_000u16 {
            budget.earn(1000);
            sent += 1000;
            if budget.spend(seq, 1000, None, now) == Spend::Allowed {
                again += 1000;
            }
        }
        assert!(again <= sent / SHARE + INITIAL, "{again} of {sent}");
        assert!(again >= sent / SHARE - 1000, "{again} of {sent}");
    }

    #[test]
    fn what_is_on_its_way_is_not_sent_again() {
        let now = Instant::now();
        let mut budget = RetransmissionBudget::new();
        let round_trip = Some(Duration::from_millis(50));
        assert_eq!(budget.spend(7, 100, round_trip, now), Spend::Allowed);
        assert_eq!(budget.spend(7, 100, round_trip, now + Duration::from_millis(43)), Spend::OnItsWay);
        assert_eq!(budget.spend(7, 100, round_trip, now + Duration::from_millis(44)), Spend::Allowed);
        budget.sent_late(8, now);
        assert_eq!(budget.spend(8, 100, round_trip, now + Duration::from_millis(43)), Spend::OnItsWay);
        assert_eq!(budget.spend(8, 100, round_trip, now + Duration::from_millis(44)), Spend::Allowed);
    }
}
