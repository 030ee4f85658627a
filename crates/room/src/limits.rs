//! What is bounded, and what happens beyond.

use std::time::Duration;

/// Most people of a room, whatever it is set to. More are refused.
pub const MAX_PEOPLE: usize = contract::group::MAX_PARTICIPANTS as usize;
/// Answers that are remembered of a person. The oldest is forgotten: a command that is repeated after so many others
/// is done again.
pub const MAX_REQUESTS: usize = 64;
/// Reactions of one delta. More are refused until it is out.
pub const MAX_REACTIONS: usize = 64;
/// Reactions of one person at once.
pub const REACTION_BURST: u32 = 5;
/// One more reaction of a person after this time.
pub const REACTION_INTERVAL: Duration = Duration::from_millis(500);
/// People that the rules name, removed ones and those with other rights than their token says. A command that would
/// name one more is refused.
pub const MAX_RULES: usize = contract::group::MAX_RULED_PEOPLE;
/// Changes of the rules that wait to be stored. More are refused.
pub const MAX_WRITES: usize = 64;
/// Effects that nobody took: a bug of the caller. The oldest goes.
pub const MAX_EFFECTS: usize = 65_536;
