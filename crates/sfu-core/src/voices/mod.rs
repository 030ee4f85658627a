//! Who is heard in a room and who speaks in it. Pure: it takes what packets say of their sound, and `now`.
//!
//! | What | Where |
//! |---|---|
//! | what is voice, what is noise, how loud a microphone is | [`level`] |
//! | the loudest few, whom everybody hears | [`choose`] |
//! | who speaks mainly | [`speaker`] |
//! | the three together, with marks and the stage | [`Voices`] |
//!
//! A room is ranked by itself, and by each shard for its own listeners: a shard that has listeners of a room gets the
//! packets of all its microphones anyway. Two shards may differ for a moment in whom they let in; nobody hears both.

pub mod choose;
pub mod level;
pub mod speaker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use choose::{Choice, MAX_PLACES, People};
use level::{Heard, Microphone, Sound};
use speaker::{DECISION_INTERVAL, Dominant, Levels};

/// Most microphones of one room; the packets of others are not looked at, so that they are not heard.
pub const MAX_MICROPHONES: usize = 1_024;
/// Who is on the stage stays there for this long, unless he goes.
pub const STAGE_HOLDS: Duration = Duration::from_secs(2);
/// Somebody who has spoken for this long without a pause is marked.
pub const MARK_AFTER: Duration = Duration::from_millis(100);
/// And is not any more when nothing was said for this long.
pub const UNMARK_AFTER: Duration = Duration::from_millis(600);
/// A longer silence is a pause.
const MARK_PAUSE: Duration = Duration::from_millis(200);
/// A packet speaks for this long at most.
const LONGEST_PACKET: Duration = Duration::from_millis(60);
/// And for this long if none came before it.
const USUAL_PACKET: Duration = Duration::from_millis(20);

/// Something that others are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<K> {
    /// Somebody begins to speak, or has not said anything for a while.
    Speaking {
        /// Who.
        who: K,
        /// Which of it.
        speaking: bool,
    },
    /// The one who speaks mainly and is shown is another one, or is gone.
    OnStage(Option<K>),
}

/// How long somebody speaks.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// When speech was heard last.
    last: Option<Instant>,
    /// Speech since the last pause.
    spoken: Duration,
    /// Others were told.
    is_on: bool,
}

impl Mark {
    /// Takes in speech; whether the mark goes on with it.
    fn speaks(&mut self, now: Instant) -> bool {
        let since = self.last.replace(now).map(|last| now.saturating_duration_since(last));
        let (spoken, lasts) = match since {
            Some(since) if since < MARK_PAUSE => (self.spoken, since.min(LONGEST_PACKET)),
            _ => (Duration::ZERO, USUAL_PACKET),
        };
        self.spoken = spoken.saturating_add(lasts);
        let goes_on = !self.is_on && self.spoken >= MARK_AFTER;
        self.is_on |= goes_on;
        goes_on
    }

    /// When it goes off if nothing more is said.
    fn goes_off(&self) -> Option<Instant> {
        self.last.filter(|_| self.is_on).map(|last| last + UNMARK_AFTER)
    }
}

/// The microphones of a room. See the module.
#[derive(Debug)]
pub struct Voices<K> {
    microphones: BTreeMap<K, Microphone>,
    levels: BTreeMap<K, Levels>,
    marks: BTreeMap<K, Mark>,
    /// By how many voices are chosen: listeners have different numbers of streams.
    choices: Vec<Choice<K>>,
    dominant: Dominant<K>,
    stage: Option<(K, Instant)>,
    decides_at: Option<Instant>,
    /// Something that was chosen has changed since it was last asked.
    changed: bool,
    said: Vec<Said<K>>,
}

impl<K> Default for Voices<K> {
    fn default() -> Self {
        Self {
            microphones: BTreeMap::new(),
            levels: BTreeMap::new(),
            marks: BTreeMap::new(),
            choices: Vec::new(),
            dominant: Dominant::default(),
            stage: None,
            decides_at: None,
            changed: false,
            said: Vec::new(),
        }
    }
}

impl<K: Copy + Ord> Voices<K> {
    /// Somebody listens with `count` streams, 1 to [`MAX_PLACES`]: so many voices are chosen from now on.
    pub fn listen(&mut self, count: usize, now: Instant) {
        let count = count.clamp(1, MAX_PLACES);
        if let Err(place) = self.choices.binary_search_by_key(&count, Choice::count) {
            self.choices.insert(place, Choice::new(count));
            let all: Vec<K> = self.microphones.keys().copied().collect();
            all.into_iter().for_each(|who| self.offer(who, Sound::SILENCE, now));
        }
    }

    /// A microphone is there, though nothing may have come of it yet: while there are places for all it has one.
    pub fn open(&mut self, who: K, now: Instant) {
        if self.microphones.len() < MAX_MICROPHONES {
            self.microphones.entry(who).or_insert_with(|| Microphone::new(now));
            self.offer(who, Sound::SILENCE, now);
        }
    }

    /// The choice for listeners with `count` streams; `None` before [`Voices::listen`].
    #[must_use]
    pub fn choice(&self, count: usize) -> Option<&Choice<K>> {
        let count = count.clamp(1, MAX_PLACES);
        self.choices.iter().find(|choice| choice.count() == count)
    }

    /// A packet of a microphone has come, in its order and for the first time.
    pub fn hear(&mut self, who: K, heard: Heard, now: Instant) {
        if !self.microphones.contains_key(&who) && self.microphones.len() >= MAX_MICROPHONES {
            return;
        }
        let microphone = self.microphones.entry(who).or_insert_with(|| Microphone::new(now));
        let sound = microphone.hear(heard, now);
        self.levels.entry(who).or_insert_with(|| Levels::new(now)).hear(sound, now);
        if sound.speech {
            self.speaks(who, now);
        }
        self.offer(who, sound, now);
    }

    /// Has all choices look at somebody.
    fn offer(&mut self, who: K, sound: Sound, now: Instant) {
        let Self { microphones, choices, dominant, .. } = self;
        let people = People { microphones, dominant: dominant.speaker() };
        for choice in choices {
            self.changed |= choice.hear(who, sound, &people, now);
        }
    }

    fn speaks(&mut self, who: K, now: Instant) {
        if self.marks.entry(who).or_default().speaks(now) {
            self.said.push(Said::Speaking { who, speaking: true });
        }
        self.decides_at.get_or_insert(now + DECISION_INTERVAL);
    }

    /// A microphone is muted, or gone: it is not heard from now on, nor is it the one who speaks.
    pub fn remove(&mut self, who: K) {
        self.microphones.remove(&who);
        self.levels.remove(&who);
        if self.marks.remove(&who).is_some_and(|mark| mark.is_on) {
            self.said.push(Said::Speaking { who, speaking: false });
        }
        for choice in &mut self.choices {
            self.changed |= choice.remove(who);
        }
        self.dominant.remove(who);
        if self.stage.take_if(|(on_stage, _)| *on_stage == who).is_some() {
            self.said.push(Said::OnStage(None));
        }
    }

    /// Whether a microphone is open, or was heard.
    #[must_use]
    pub fn knows(&self, who: K) -> bool {
        self.microphones.contains_key(&who)
    }

    /// Whether no microphone was heard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.microphones.is_empty()
    }

    /// Who is on the stage.
    #[must_use]
    pub fn on_stage(&self) -> Option<K> {
        self.stage.map(|(who, _)| who)
    }

    /// Who is marked as speaking.
    pub fn speaking(&self) -> impl Iterator<Item = K> {
        self.marks.iter().filter(|(_, mark)| mark.is_on).map(|(who, _)| *who)
    }

    /// When [`Voices::tick`] is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.marks.values().filter_map(Mark::goes_off).chain(self.decides_at).min()
    }

    /// Does what is due at `now`: marks go off, and it is decided who speaks mainly.
    pub fn tick(&mut self, now: Instant) {
        for (who, mark) in &mut self.marks {
            if mark.goes_off().is_some_and(|at| at <= now) {
                mark.is_on = false;
                self.said.push(Said::Speaking { who: *who, speaking: false });
            }
        }
        self.marks.retain(|_, mark| {
            mark.is_on || mark.last.is_some_and(|last| now.saturating_duration_since(last) < MARK_PAUSE)
        });
        if self.decides_at.take_if(|at| *at <= now).is_some() {
            self.decide(now);
        }
    }

    fn decide(&mut self, now: Instant) {
        self.dominant.decide(&mut self.levels, now);
        let held = |since: Instant| now.saturating_duration_since(since) >= STAGE_HOLDS;
        let next = self.dominant.speaker().filter(|who| self.on_stage() != Some(*who));
        if let Some(who) = next.filter(|_| self.stage.is_none_or(|(_, since)| held(since))) {
            self.stage = Some((who, now));
            self.said.push(Said::OnStage(Some(who)));
        }
        let waits = self.dominant.speaker() != self.on_stage();
        if waits || self.levels.values().any(|levels| !levels.is_silent()) {
            self.decides_at = Some(now + DECISION_INTERVAL);
        }
    }

    /// Whether something that was chosen has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What others have to be told, oldest first.
    pub fn take_said(&mut self) -> impl Iterator<Item = Said<K>> {
        self.said.drain(..)
    }

    /// From when on the packets of a microphone are sent to who begins to hear it now.
    #[must_use]
    pub fn hear_from(&self, who: K, now: Instant) -> Instant {
        self.microphones.get(&who).map_or(now, |microphone| microphone.hear_from(now))
    }
}
