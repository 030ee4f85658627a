//! What the room keeps of a person and tells nobody.

use std::time::Instant;

use contract::room_state::Rights;

use crate::limits::{REACTION_BURST, REACTION_INTERVAL};
use crate::requests::Requests;

/// What the room keeps of a person beside what everybody knows.
#[derive(Debug)]
pub(crate) struct Member {
    /// What its token gives it.
    pub(crate) granted: Rights,
    /// Its token says its name.
    pub(crate) name_is_fixed: bool,
    pub(crate) requests: Requests,
    /// When it could have shown all of its reactions again.
    reactions_rested: Option<Instant>,
}

impl Member {
    pub(crate) fn new(granted: Rights, name_is_fixed: bool) -> Self {
        Self { granted, name_is_fixed, requests: Requests::default(), reactions_rested: None }
    }

    /// Takes one reaction from what it may show.
    ///
    /// # Errors
    /// After how many milliseconds it may show the next one.
    pub(crate) fn react(&mut self, now: Instant) -> Result<(), u64> {
        let rested = self.reactions_rested.unwrap_or(now).max(now) + REACTION_INTERVAL;
        let over = rested.saturating_duration_since(now + REACTION_INTERVAL * REACTION_BURST);
        if over.is_zero() {
            self.reactions_rested = Some(rested);
            return Ok(());
        }
        Err(u64::try_from(over.as_millis()).unwrap_or(u64::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_person_shows_five_reactions_and_then_two_a_second() {
        let start = Instant::now();
        let mut member = Member::new(Rights::new(), false);
        let shown = (0..10).filter(|_| member.react(start).is_ok()).count();
        assert_eq!(shown, 5);
        assert_eq!(member.react(start), Err(500));
        assert_eq!(member.react(start + Duration::from_millis(499)), Err(1));
        let mut shown = 0;
        for ms in 0..10_000 {
            shown += u32::from(member.react(start + Duration::from_millis(ms)).is_ok());
        }
        assert_eq!(shown, 19);
    }
}
