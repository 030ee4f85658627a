//! Which microphones of a room are heard: the loudest few, and as few changes as that allows.
//!
//! ```text
//! | place 0 | place 1 | ... | place n-1 |  spare  |
//!   what everybody hears                   what those hear besides who are among them: nobody hears itself
//! ```
//!
//! A microphone takes a place by the first of these rules that applies, and gives it up by no other:
//!
//! | The place | is taken by |
//! |---|---|
//! | is empty, or its holder is closed | any packet: while there are places for all nobody is chosen |
//! | has a holder who has not spoken for two seconds | the first packet of speech; a softer sound if the holder has not talked for ten seconds and has not just come |
//! | has another holder, and not the one who speaks mainly | the second packet of who speaks 6 dB louder; 20 dB if the holder has just come |
//!
//! Who loses a place goes to the spare one if he was the louder one of late. So who speaks in turns keeps his place,
//! and who begins to speak finds one that nobody needs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::level::{Microphone, Sound};

/// Most places of one choice.
pub const MAX_PLACES: usize = 8;
/// So much louder has to be who drives another away, in decibels.
const LOUDER: u8 = 6;
/// And so much who drives away one that came less than this ago: somebody who speaks, one who breathes.
const MUCH_LOUDER: u8 = 20;
const IMMUNE: Duration = Duration::from_millis(300);
/// Packets of an utterance that this takes. The first may be a click; what it costs is sent from the ring.
const PACKETS_TO_STEAL: u32 = 2;

/// What a choice needs to know of who is there.
#[derive(Debug)]
pub struct People<'a, K> {
    /// Every microphone that was heard, by its name.
    pub microphones: &'a BTreeMap<K, Microphone>,
    /// The one who speaks mainly.
    pub dominant: Option<K>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Choice<K> {
    /// Holders, and since when they are. The last place is the spare one.
    places: Box<[Option<(K, Instant)>]>,
}

impl<K: Copy + Ord> Choice<K> {
    /// A choice of `count` voices, 1 to [`MAX_PLACES`].
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { places: vec![None; count.clamp(1, MAX_PLACES) + 1].into_boxed_slice() }
    }

    /// How many voices are chosen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len() - 1
    }

    /// Who is chosen.
    pub fn chosen(&self) -> impl Iterator<Item = K> {
        self.places.iter().take(self.count()).flatten().map(|(who, _)| *who)
    }

    /// Who comes next.
    #[must_use]
    pub fn spare(&self) -> Option<K> {
        self.places.last().copied().flatten().map(|(who, _)| who)
    }

    /// Who is chosen for a listener whose own voices are `own`: the others, and the next one if he is among them himself.
    pub fn for_listener(&self, own: impl Fn(K) -> bool + Copy) -> impl Iterator<Item = K> {
        let is_among = self.chosen().any(own);
        self.chosen().chain(self.spare().filter(|_| is_among)).filter(move |who| !own(*who))
    }

    /// A packet of `who` has come, which is in `people`. Returns whether something has changed.
    pub fn hear(&mut self, who: K, sound: Sound, people: &People<'_, K>, now: Instant) -> bool {
        let spare = self.count();
        let is_at = self.places.iter().position(|place| place.is_some_and(|(holder, _)| holder == who));
        if is_at.is_some_and(|place| place < spare) {
            return false;
        }
        if let Some(place) = self.place_for(0..spare, who, sound, people, now) {
            let lost = self.put(place, Some((who, now)));
            if is_at.is_some() {
                self.put(spare, None);
            }
            self.keep_as_spare(lost, people, now);
            return true;
        }
        if is_at.is_some() {
            return false;
        }
        let place = self.place_for(spare..spare + 1, who, sound, people, now);
        place.is_some_and(|place| {
            self.put(place, Some((who, now)));
            true
        })
    }

    /// A microphone is muted, or gone: it is not heard from now on. Returns whether it was.
    pub fn remove(&mut self, who: K) -> bool {
        let mut was_heard = false;
        for place in &mut self.places {
            was_heard |= place.take_if(|(holder, _)| *holder == who).is_some();
        }
        was_heard
    }

    fn put(&mut self, place: usize, holder: Option<(K, Instant)>) -> Option<(K, Instant)> {
        self.places.get_mut(place).and_then(|place| std::mem::replace(place, holder))
    }

    /// The best of `places` that `who` may take.
    fn place_for(
        &self,
        places: std::ops::Range<usize>,
        who: K,
        sound: Sound,
        people: &People<'_, K>,
        now: Instant,
    ) -> Option<usize> {
        let microphone = people.microphones.get(&who)?;
        let drives = sound.speech && microphone.utterance() >= PACKETS_TO_STEAL;
        let in_range = self.places.iter().enumerate().skip(places.start).take(places.len());
        let takeable = in_range.filter_map(|(place, holder)| {
            let Some((holder, since)) = *holder else { return Some((Grade::Empty, place)) };
            let other = people.microphones.get(&holder).filter(|other| !other.is_closed(now));
            let Some(other) = other else { return Some((Grade::Empty, place)) };
            let is_new = now.saturating_duration_since(since) < IMMUNE;
            let takes_part = is_new || other.has_talked(now);
            if other.is_silent(now) && (sound.speech || (sound.audible && !takes_part)) {
                return Some((Grade::Silent(other.last_talk()), place));
            }
            let louder = other.peak(now).plus(if is_new { MUCH_LOUDER } else { LOUDER });
            let is_driven = people.dominant != Some(holder) && sound.loudness >= louder;
            (drives && is_driven).then(|| (Grade::Speaks(other.peak(now).decibels()), place))
        });
        takeable.min().map(|(_, place)| place)
    }

    /// Who has lost a place is kept in the spare one, if he is worth more than who is there.
    fn keep_as_spare(&mut self, lost: Option<(K, Instant)>, people: &People<'_, K>, now: Instant) {
        let worth = |who: K| {
            let other = people.microphones.get(&who).filter(|other| !other.is_closed(now));
            other.map(|other| (!other.is_silent(now), other.peak(now)))
        };
        let Some((who, since)) = lost.filter(|(who, _)| worth(*who).is_some()) else { return };
        if self.spare().is_none_or(|spare| worth(spare) < worth(who)) {
            self.put(self.count(), Some((who, since)));
        }
    }
}

/// Which place is taken first: the lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Empty,
    /// When its holder talked last, if ever.
    Silent(Option<Instant>),
    /// How loud its holder was of late.
    Speaks(u8),
}

/// Gives the streams of one listener, some of which carry a voice already, those that it is to hear, the first of them
/// first: what goes on stays in its stream. Returns whether something has changed.
pub fn assign<K: Copy + Ord>(streams: &mut [Option<K>], voices: impl Iterator<Item = K>) -> bool {
    let mut wanted = [None; MAX_PLACES];
    let count = streams.len().min(MAX_PLACES);
    let mut free = 0..count;
    for who in voices {
        if !wanted.contains(&Some(who)) {
            let Some(slot) = free.next().and_then(|place| wanted.get_mut(place)) else { break };
            *slot = Some(who);
        }
    }
    let mut changed = false;
    for stream in streams.iter_mut() {
        let goes_on = stream.and_then(|who| wanted.iter_mut().find(|wanted| **wanted == Some(who)));
        match goes_on {
            Some(wanted) => *wanted = None,
            None => changed |= stream.take().is_some(),
        }
    }
    let mut new = wanted.iter().flatten();
    for stream in streams.iter_mut().filter(|stream| stream.is_none()) {
        *stream = new.next().copied();
        changed |= stream.is_some();
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voices::level::Heard;
    use rtp::AudioLevel;

    /// A room whose choice is looked at packet by packet.
    struct Room {
        now: Instant,
        microphones: BTreeMap<u32, Microphone>,
        dominant: Option<u32>,
        choice: Choice<u32>,
    }

    impl Room {
        /// Of `count` voices, with `people` whose microphones are open and were never loud.
        fn new(count: usize, people: u32) -> Self {
            let (now, microphones) = (Instant::now(), BTreeMap::new());
            let choice = Choice::new(count);
            let mut room = Self { now, microphones, dominant: None, choice };
            room.pass(600, &[], people);
            room
        }

        fn packet(&mut self, who: u32, level: u8) -> bool {
            let mic = self.microphones.entry(who).or_insert_with(|| Microphone::new(self.now));
            let sound = mic.hear(Heard::Level(AudioLevel { voice: level < 70, level }), self.now);
            let (microphones, dominant) = (&self.microphones, self.dominant);
            let people = People { microphones, dominant };
            self.choice.hear(who, sound, &people, self.now)
        }

        /// For so many milliseconds these people speak and the others are quiet.
        fn pass(&mut self, ms: u64, speak: &[(u32, u8)], people: u32) {
            for _ in 0..ms / 20 {
                self.now += Duration::from_millis(20);
                for who in 0..people {
                    let level =
                        speak.iter().find(|(speaker, _)| *speaker == who).map_or(90, |(_, level)| *level);
                    self.packet(who, level);
                }
            }
        }

        fn chosen(&self) -> Vec<u32> {
            self.choice.chosen().collect()
        }
    }

    #[test]
    fn while_there_are_places_for_all_nobody_is_chosen() {
        let room = Room::new(4, 4);
        assert_eq!((room.chosen(), room.choice.spare()), (vec![0, 1, 2, 3], None));
        assert_eq!(Room::new(4, 9).choice.spare(), Some(4));
    }

    #[test]
    fn who_begins_takes_the_place_of_who_was_silent_longest_with_the_first_packet() {
        let mut room = Room::new(2, 4);
        room.pass(1_000, &[(0, 30)], 4);
        room.pass(2_000, &[(1, 30)], 4);
        assert_eq!(room.chosen(), [0, 1]);
        assert!(room.packet(3, 40));
        assert_eq!(room.chosen(), [3, 1]);
    }

    #[test]
    fn who_is_louder_drives_away_who_was_quieter_of_late_with_the_second_packet() {
        let mut room = Room::new(2, 4);
        room.pass(500, &[(0, 30), (1, 40)], 4);
        assert!(!room.packet(2, 36), "not louder");
        room.now += Duration::from_millis(400);
        assert!(!room.packet(2, 34), "it may be a click");
        assert!(room.packet(2, 20));
        assert_eq!((room.chosen(), room.choice.spare()), (vec![0, 2], Some(1)));
        room.dominant = Some(0);
        room.now += Duration::from_millis(280);
        assert!(!room.packet(1, 10) && !room.packet(1, 10), "not who has just come");
        room.now += Duration::from_millis(20);
        assert!(room.packet(1, 10));
        assert_eq!((room.chosen(), room.choice.spare()), (vec![0, 1], Some(2)));
    }

    #[test]
    fn who_speaks_mainly_stays() {
        let mut room = Room::new(2, 4);
        room.pass(500, &[(0, 50), (1, 50)], 4);
        room.dominant = Some(0);
        room.pass(200, &[(0, 50), (1, 50), (2, 10)], 4);
        assert_eq!(
            (room.chosen(), room.choice.spare()),
            (vec![0, 2], Some(1)),
            "however much louder another is"
        );
    }

    #[test]
    fn who_is_muted_leaves_an_empty_place_and_who_is_spare_moves_up() {
        let mut room = Room::new(2, 3);
        assert_eq!((room.chosen(), room.choice.spare()), (vec![0, 1], Some(2)));
        assert!(room.choice.remove(0) && !room.choice.remove(0));
        assert_eq!(room.chosen(), [1]);
        assert!(room.packet(2, 90));
        assert_eq!((room.chosen(), room.choice.spare()), (vec![2, 1], None));
    }

    #[test]
    fn nobody_hears_itself_and_everything_stays_where_it_is() {
        let room = Room::new(2, 3);
        let mut streams = [None; 2];
        assert!(assign(&mut streams, room.choice.for_listener(|_| false)));
        assert_eq!(streams, [Some(0), Some(1)]);
        let mut own = [Some(1), Some(7)];
        assert!(assign(&mut own, room.choice.for_listener(|who| who == 0)));
        assert_eq!(own, [Some(1), Some(2)], "the spare one instead of itself");
        assert!(!assign(&mut own, room.choice.for_listener(|who| who == 0)));
        let mut phone = [None];
        assert!(assign(&mut phone, room.choice.for_listener(|who| who == 2)));
        assert_eq!(phone, [Some(0)]);
        assert!(assign(&mut phone, [9, 9].into_iter().chain(room.choice.chosen())));
        assert_eq!(phone, [Some(9)], "who is wanted before all");
    }
}
