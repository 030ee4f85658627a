//! Who speaks mainly, by Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing" (2013),
//! with the numbers that Jitsi and mediasoup use.
//!
//! A microphone's levels are looked at over three lengths of time. Each is the count of the parts that are active in
//! the one before, and a score says how much more likely that count is for speech than for noise:
//!
//! ```text
//! levels, 20 ms each        | | | | | | | | | | ...   50 of them
//! immediate: of 13 parts     9 8 0 9 ...               how high the level is
//! medium:    of 5 levels     |   4   |   5   | ...     how many are high
//! long:      of 10 mediums   |        7       |        how many are full of speech
//! ```
//!
//! Every 300 ms the others are compared with who speaks mainly now. Somebody takes over who beats him at all three:
//! who only makes a noise loses at the long one, who is interrupted by a yes or a cough goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::level::Sound;

/// How often it is decided.
pub const DECISION_INTERVAL: Duration = Duration::from_millis(300);
/// Time of one level.
const STEP: Duration = Duration::from_millis(20);
/// A packet says how loud it is for this long at most; later there is silence.
const MAX_STEPS: usize = 3;

/// Parts of a level, levels of a medium, mediums of a long.
const PARTS: u32 = 13;
const LEVELS: usize = 5;
const MEDIUMS: usize = 10;
const KEPT: usize = LEVELS * MEDIUMS;
/// Decibels of a part.
const PART: u8 = 127_u8.div_ceil(PARTS as u8);
/// A level is high with more parts than this; a medium is full of speech with more high levels than this.
const HIGH: u8 = 7;
const FULL: u32 = 4;
/// By how much, as a logarithm, somebody has to beat who speaks mainly, over the short, medium and long time.
const C: [f64; 3] = [3.0, 2.0, 0.0];
/// How fast the likelihood of a count falls where nobody speaks.
const DECAY: [f64; 3] = [0.78, 24.0, 47.0];
const LEAST_SCORE: f64 = 1e-10;

/// What is remembered of one microphone's levels.
#[derive(Debug, Clone)]
pub struct Levels {
    /// In parts, a ring: the newest is before `next`.
    parts: [u8; KEPT],
    next: usize,
    /// Up to when they say something.
    until: Instant,
    /// The newest level, which goes on until the next packet.
    last: u8,
}

impl Levels {
    /// Nothing was heard before `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { parts: [0; KEPT], next: 0, until: now, last: 0 }
    }

    /// Takes in what a packet is. What is not speech is silence.
    pub fn hear(&mut self, sound: Sound, now: Instant) {
        self.fill(now);
        self.last = if sound.speech { sound.loudness.decibels() / PART } else { 0 };
        // Packets that were held up come together, and each stands for its time all the same.
        self.push(self.last);
        self.until = self.until.max(now);
    }

    /// The time since the last packet, without the one that comes now.
    fn fill(&mut self, now: Instant) {
        let steps = now.saturating_duration_since(self.until).as_millis() / STEP.as_millis();
        // What came a little late is no step more.
        let steps = usize::try_from(steps).unwrap_or(KEPT).min(KEPT);
        for step in 1..steps {
            self.push(if step < MAX_STEPS { self.last } else { 0 });
        }
    }

    fn push(&mut self, part: u8) {
        if let Some(place) = self.parts.get_mut(self.next) {
            *place = part;
        }
        self.next = (self.next + 1) % KEPT;
    }

    /// Whether nothing of the last second is speech.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.parts.iter().all(|&part| part == 0)
    }

    /// The scores over the short, medium and long time.
    fn scores(&mut self, now: Instant) -> [f64; 3] {
        let behind = now.saturating_duration_since(self.until);
        if behind > STEP * MAX_STEPS as u32 {
            self.fill(now);
            self.last = 0;
            self.until = now;
        }
        let newest_first = (1..=KEPT).map(|back| (self.next + KEPT - back) % KEPT);
        let mut newest_first = newest_first.filter_map(|place| self.parts.get(place).copied());
        let mut immediate = 0;
        let (mut first_medium, mut full) = (0, 0);
        for medium in 0..MEDIUMS {
            let mut high = 0;
            for level in 0..LEVELS {
                let part = newest_first.next().unwrap_or(0);
                if (medium, level) == (0, 0) {
                    immediate = u32::from(part);
                }
                high += u32::from(part > HIGH);
            }
            if medium == 0 {
                first_medium = high;
            }
            full += u32::from(high > FULL);
        }
        let [short, medium, long] = DECAY;
        [
            score(immediate, PARTS, short),
            score(first_medium, LEVELS as u32, medium),
            score(full, MEDIUMS as u32, long),
        ]
    }
}

/// How much more likely it is that `active` of `parts` are active where somebody speaks than where nobody does.
fn score(active: u32, parts: u32, decay: f64) -> f64 {
    let active = active.min(parts);
    // The logarithm of the number of ways to choose `active` of `parts`.
    let ways: f64 = (0..active).map(|i| (f64::from(parts - i) / f64::from(i + 1)).ln()).sum();
    let speech = ways + f64::from(parts) * 0.5f64.ln();
    let noise = decay.ln() - decay * f64::from(active);
    (speech - noise).max(LEAST_SCORE)
}

/// Who speaks mainly in a room.
#[derive(Debug, Clone)]
pub struct Dominant<K> {
    speaker: Option<K>,
}

impl<K> Default for Dominant<K> {
    fn default() -> Self {
        Self { speaker: None }
    }
}

impl<K: Copy + Ord> Dominant<K> {
    /// Who it is; he goes on to be it in silence.
    #[must_use]
    pub fn speaker(&self) -> Option<K> {
        self.speaker
    }

    /// Decides anew, given everybody's levels. Returns whether it is another one now.
    pub fn decide(&mut self, all: &mut BTreeMap<K, Levels>, now: Instant) -> bool {
        let current = self.speaker.and_then(|who| all.get_mut(&who)).map(|levels| levels.scores(now));
        let current = current.unwrap_or([LEAST_SCORE; 3]);
        let mut best: Option<(f64, K)> = None;
        let others =
            all.iter_mut().filter(|(who, levels)| Some(**who) != self.speaker && !levels.is_silent());
        for (&who, levels) in others {
            let scores @ [_, medium, _] = levels.scores(now);
            let mut compared = scores.iter().zip(&current).zip(&C);
            if compared.all(|((score, current), least)| (score / current).ln() > *least)
                && best.is_none_or(|(most, _)| medium > most)
            {
                best = Some((medium, who));
            }
        }
        if let Some((_, who)) = best {
            self.speaker = Some(who);
        }
        best.is_some()
    }

    /// Somebody is gone. Returns whether it was him.
    pub fn remove(&mut self, who: K) -> bool {
        self.speaker.take_if(|speaker| *speaker == who).is_some()
    }
}
