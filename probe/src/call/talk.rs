//! Who speaks when, and how loud: the levels of a microphone as a function of time. Pure.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rtp::AudioLevel;

use super::settings::{Call, Talk};

/// Silence at the end of each turn: longer than the pause between two words.
const PAUSE: Duration = Duration::from_millis(400);
/// A syllable is loud for so long, and quieter for as long.
const SYLLABLE: Duration = Duration::from_millis(120);
const LOUD: u8 = 22;
const QUIET: u8 = 36;
/// The noise of a room.
const NOISE: AudioLevel = AudioLevel { voice: false, level: 78 };

/// The conversation of a run. What it follows may change while it goes on.
#[derive(Debug)]
pub(crate) struct Conversation {
    talk: AtomicU8,
    /// Callers that take part, and how many of them speak at a time.
    callers: u32,
    speakers: u32,
    turn: Duration,
}

/// What somebody says at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saying {
    pub(crate) level: AudioLevel,
    /// Which utterance it is; none is a pause. Consecutive turns have different numbers.
    pub(crate) utterance: Option<u16>,
}

impl Conversation {
    pub(crate) fn new(call: &Call) -> Self {
        Self {
            talk: AtomicU8::new(code(call.talk_joining)),
            callers: call.callers as u32,
            speakers: call.speakers.clamp(1, call.callers) as u32,
            turn: Duration::from_secs_f64(call.turn_s),
        }
    }

    /// From now on it goes like this.
    pub(crate) fn follow(&self, talk: Talk) {
        self.talk.store(code(talk), Ordering::Relaxed);
    }

    /// What caller `number` says `elapsed` after the start of the run.
    pub(crate) fn says(&self, number: u32, elapsed: Duration) -> Saying {
        let talk = self.talk.load(Ordering::Relaxed);
        let silence = Saying { level: NOISE, utterance: None };
        let syllable = elapsed.as_millis() / SYLLABLE.as_millis() + u128::from(number);
        let level = if syllable.is_multiple_of(2) { LOUD } else { QUIET };
        let speaks = |utterance| Saying {
            // Nobody is as loud as somebody else: up to 5 dB apart.
            level: AudioLevel { voice: true, level: level + (number % 6) as u8 },
            utterance: Some(utterance),
        };
        if talk == code(Talk::All) {
            return speaks(0);
        }
        if talk == code(Talk::None) {
            return silence;
        }
        let turn = (elapsed.as_nanos() / self.turn.as_nanos().max(1)) as u32;
        let within = elapsed.saturating_sub(self.turn * turn);
        // The callers in groups of as many as speak at a time, one group after the other.
        let groups = self.callers.div_ceil(self.speakers).max(1);
        if number % groups != turn % groups || within + PAUSE > self.turn {
            return silence;
        }
        speaks(turn as u16)
    }
}

fn code(talk: Talk) -> u8 {
    match talk {
        Talk::All => 0,
        Talk::Turns => 1,
        Talk::None => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn as_many_speak_at_a_time_as_is_wanted_and_everybody_has_a_turn() {
        let call =
            Call { callers: 10, speakers: 2, turn_s: 2.0, talk_joining: Talk::Turns, ..Call::default() };
        let conversation = Conversation::new(&call);
        let mut turns = [0; 10];
        for turn in 0..5 {
            let speaking: Vec<u32> = (0..10)
                .filter(|number| conversation.says(*number, at(turn * 2_000 + 100)).utterance.is_some())
                .collect();
            assert_eq!(speaking.len(), 2, "{speaking:?}");
            speaking.iter().for_each(|number| turns[*number as usize] += 1);
        }
        assert_eq!(turns, [1; 10]);
        // The pause at the end of a turn.
        assert!((0..10).all(|number| conversation.says(number, at(1_700)).utterance.is_none()));
    }

    #[test]
    fn the_conversation_changes_while_it_goes_on() {
        let conversation = Conversation::new(&Call::default());
        let all = |ms| (0..10).all(|number| conversation.says(number, at(ms)).utterance.is_some());
        assert!(all(0) && all(1_999));
        conversation.follow(Talk::None);
        assert!(
            (0..10)
                .all(|number| conversation.says(number, at(5)) == Saying { level: NOISE, utterance: None })
        );
    }
}
