//! How much a person and an address may do on boards, beside the limits of every message. Pure.

use std::time::{Duration, Instant};

use crate::limits::{Pair, Rate, Sender, TooFast};

/// Updates of a person: a page gathers what is drawn within a tenth of a second.
pub(crate) const UPDATE_PERSON: Rate = Rate { burst: 200.0, per_second: 30.0 };
/// Updates of an address.
pub(crate) const UPDATE_ADDRESS: Rate = Rate { burst: 4_000.0, per_second: 600.0 };
/// KiB of updates of a person: once a whole board, which it drew while it was away.
pub(crate) const BYTES_PERSON: Rate = Rate { burst: 8_192.0, per_second: 128.0 };
/// KiB of updates of an address.
pub(crate) const BYTES_ADDRESS: Rate = Rate { burst: 65_536.0, per_second: 2_048.0 };
/// Presences of a person: two connections of 20 a second, or one that catches up. More is not passed on.
pub(crate) const PRESENCE_PERSON: Rate = Rate { burst: 60.0, per_second: 40.0 };
/// Presences of an address.
pub(crate) const PRESENCE_ADDRESS: Rate = Rate { burst: 3_000.0, per_second: 2_000.0 };
/// Client ids and whole boards of a person.
pub(crate) const OPEN_PERSON: Rate = Rate { burst: 30.0, per_second: 1.0 };
/// Client ids and whole boards of an address.
pub(crate) const OPEN_ADDRESS: Rate = Rate { burst: 1_000.0, per_second: 50.0 };
/// Images of a person.
pub(crate) const IMAGE_PERSON: Rate = Rate { burst: 20.0, per_second: 0.2 };
/// Images of an address.
pub(crate) const IMAGE_ADDRESS: Rate = Rate { burst: 200.0, per_second: 2.0 };
/// Updates that are refused because they are too many: who goes on for so long draws no more in that room.
pub(crate) const FLOOD: Rate = Rate { burst: 2_000.0, per_second: 10.0 };

/// The account of everybody's rates on boards.
#[derive(Debug)]
pub(crate) struct BoardLimits {
    updates: Pair,
    bytes: Pair,
    presence: Pair,
    opens: Pair,
    images: Pair,
    floods: Pair,
}

impl Default for BoardLimits {
    fn default() -> Self {
        let pair = |what, person, address| Pair::new(what, Duration::ZERO, person, address);
        Self {
            updates: pair("too many changes of the board", UPDATE_PERSON, UPDATE_ADDRESS),
            bytes: pair("too large changes of the board", BYTES_PERSON, BYTES_ADDRESS),
            presence: pair("too many presences", PRESENCE_PERSON, PRESENCE_ADDRESS),
            opens: pair("the board is opened too often", OPEN_PERSON, OPEN_ADDRESS),
            images: pair("too many images", IMAGE_PERSON, IMAGE_ADDRESS),
            floods: pair("a flood", FLOOD, Rate { burst: FLOOD.burst * 10.0, ..FLOOD }),
        }
    }
}

/// An update that is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It may come later.
    TooFast(TooFast),
    /// It has been too much for too long.
    Flood,
}

impl BoardLimits {
    /// One update of so many bytes.
    ///
    /// # Errors
    /// [`Excess`]; then nothing is taken, but of the patience with floods.
    pub(crate) fn update(&mut self, who: &Sender, bytes: usize, now: Instant) -> Result<(), Excess> {
        if who.is_service {
            return Ok(());
        }
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let waits = self.updates.wait(who, 1, now).and_then(|_| self.bytes.wait(who, kib, now));
        if let Err(too_fast) = waits {
            if self.floods.wait(who, 1, now).is_err() {
                return Err(Excess::Flood);
            }
            self.floods.take(who, 1, now);
            return Err(Excess::TooFast(too_fast));
        }
        self.updates.take(who, 1, now);
        self.bytes.take(who, kib, now);
        Ok(())
    }

    /// Whether a presence is passed on.
    pub(crate) fn presence(&mut self, who: &Sender, now: Instant) -> bool {
        Self::one(&mut self.presence, who, now).is_ok()
    }

    /// A client id, or a whole board.
    ///
    /// # Errors
    /// [`TooFast`].
    pub(crate) fn open(&mut self, who: &Sender, now: Instant) -> Result<(), TooFast> {
        Self::one(&mut self.opens, who, now)
    }

    /// An image.
    ///
    /// # Errors
    /// [`TooFast`].
    pub(crate) fn image(&mut self, who: &Sender, now: Instant) -> Result<(), TooFast> {
        Self::one(&mut self.images, who, now)
    }

    fn one(pair: &mut Pair, who: &Sender, now: Instant) -> Result<(), TooFast> {
        if who.is_service {
            return Ok(());
        }
        pair.wait(who, 1, now)?;
        pair.take(who, 1, now);
        Ok(())
    }

    /// Forgets whoever has been quiet long enough. Call it once a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        let Self { updates, bytes, presence, opens, images, floods } = self;
        for pair in [updates, bytes, presence, opens, images, floods] {
            pair.forget_full(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::limits::Person;
    use crate::rights::Moderates;

    fn sender(subject: &str, last: u8) -> Sender {
        Sender {
            person: Person::Subject(subject.into()),
            address: IpAddr::from([192, 0, 2, last]),
            is_service: false,
            moderates: Moderates::Nowhere,
        }
    }

    #[test]
    fn who_goes_on_too_fast_for_long_floods_and_who_waits_does_not() {
        let start = Instant::now();
        let mut limits = BoardLimits::default();
        let flooder = sender("a", 1);
        let results: Vec<_> = (0..3_000).map(|_| limits.update(&flooder, 100, start)).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 200);
        assert!(matches!(results[200], Err(Excess::TooFast(_))));
        assert_eq!(results[2_999], Err(Excess::Flood));
        // Somebody else at the same address is not meant.
        assert_eq!(limits.update(&sender("b", 1), 100, start), Ok(()));
        // Who draws for ten minutes and waits when told to is never a flood.
        let patient = sender("c", 2);
        for tick in 0..6_000_u32 {
            let now = start + tick * Duration::from_millis(100);
            for _ in 0..4 {
                assert_ne!(limits.update(&patient, 100, now), Err(Excess::Flood));
            }
        }
    }

    #[test]
    fn a_whole_board_may_come_at_once_and_not_again() {
        let now = Instant::now();
        let mut limits = BoardLimits::default();
        let who = sender("a", 1);
        for _ in 0..8 {
            assert_eq!(limits.update(&who, 1 << 20, now), Ok(()));
        }
        assert!(matches!(limits.update(&who, 1 << 20, now), Err(Excess::TooFast(_))));
        assert!(limits.update(&sender("b", 1), 1 << 20, now).is_ok());
    }
}
