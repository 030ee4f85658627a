//! What the packets of one microphone say: how loud it is, and whether somebody speaks.
//!
//! Senders differ. Some tell voice from noise, some set the bit in every packet, some send no level at all. So the bit
//! is believed only from who also leaves it out at times, what is always there at one level counts as the noise of
//! a room, and where there is no level the size of a packet has to do.

use std::time::{Duration, Instant};

use rtp::AudioLevel;

/// What is at least this loud counts as sound that may be worth hearing, voice or not: -45 dBov.
const LOUD: Loudness = Loudness(127 - 45);
/// The noise of a room is not louder than this: -30 dBov. What is, is music.
const LOUDEST_NOISE: Loudness = Loudness(127 - 30);
/// Sound that is less than this above the quietest of a microphone is its noise, in decibels.
const NOISE: u8 = 6;
/// Sound that is this much above it is not, however quiet.
const ABOVE_NOISE: u8 = 12;
/// What is known of a microphone's noise is of a window of this length and the one before: in speech there is a pause
/// in less.
const WINDOW: Duration = Duration::from_millis(2_500);
/// Packets that have to come before something is known of it.
const KNOWN_AFTER: u32 = 25;
/// How long a peak holds: longer than the pause between two syllables.
const PEAK_HOLDS: Duration = Duration::from_millis(200);
/// And how fast it falls afterwards, in decibels a second.
const PEAK_FALLS: u128 = 60;
/// What is said after a longer pause is another utterance.
const PAUSE: Duration = Duration::from_millis(300);
/// An utterance of so many packets is talk, and no word, breath or click.
const TALK: u32 = 20;
/// Who has talked less than this ago takes part in the talk.
const TAKES_PART: Duration = Duration::from_secs(10);
/// A microphone at which nobody has spoken for this long is silent.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(2);
/// A microphone that sends nothing for this long is closed. Discontinuous transmission sends something every 400 ms.
pub(crate) const CLOSED_AFTER: Duration = Duration::from_secs(2);
/// How long before the first packet of an utterance that is known as voice it begins: with a soft consonant.
const PRE_ROLL: Duration = Duration::from_millis(40);
/// The most of an utterance that is caught up with when it is let in late.
pub const MAX_CATCH_UP: Duration = Duration::from_millis(100);
/// Payloads up to this many bytes stand for silence: discontinuous transmission of Opus has 1 or 2.
const SILENT_BYTES: usize = 8;
/// Payloads of less are no speech of a usual bitrate.
const QUIET_BYTES: usize = 40;
/// Where there is no level: larger packets, and of many sizes the larger ones, are as loud as this; smaller ones as the
/// other.
const LARGE: Loudness = Loudness(90);
const SMALL: Loudness = Loudness(60);

/// How loud, in decibels above -127 dBov: 0 is silence, 127 the loudest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loudness(u8);

impl Loudness {
    /// Nothing is heard.
    pub const SILENCE: Self = Self(0);

    /// Of a level as RFC 6464 has it, in decibels below the loudest.
    #[must_use]
    pub fn of_level(level: u8) -> Self {
        Self(127u8.saturating_sub(level))
    }

    /// Decibels above -127 dBov.
    #[must_use]
    pub fn decibels(self) -> u8 {
        self.0
    }

    /// So many decibels louder.
    #[must_use]
    pub fn plus(self, decibels: u8) -> Self {
        Self(self.0.saturating_add(decibels))
    }
}

/// What a packet of a microphone says of its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The level that the sender measured.
    Level(AudioLevel),
    /// It measured none: the length of the payload in bytes.
    Size(usize),
}

impl Heard {
    /// Whether it may be the beginning of speech.
    #[must_use]
    pub fn is_loud(self) -> bool {
        match self {
            Self::Level(AudioLevel { level, .. }) => Loudness::of_level(level) >= LOUD,
            Self::Size(size) => size >= QUIET_BYTES,
        }
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// How loud it is; noise that is always there is silence.
    pub loudness: Loudness,
    /// Somebody may want to hear it.
    pub audible: bool,
    /// It is taken for speech: it is loud, or said to be voice by who knows, or has gone on for longer than a breath.
    pub speech: bool,
}

impl Sound {
    /// Nothing is heard.
    pub const SILENCE: Self = Self { loudness: Loudness::SILENCE, audible: false, speech: false };
}

/// A window in which the noise of a microphone is measured.
#[derive(Debug, Clone, Copy)]
struct Window {
    packets: u32,
    quietest: Loudness,
    /// A packet was said to be no voice.
    unvoiced: bool,
    smallest: usize,
    largest: usize,
}

impl Window {
    const EMPTY: Self =
        Self { packets: 0, quietest: Loudness(127), unvoiced: false, smallest: usize::MAX, largest: 0 };

    fn with(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            quietest: self.quietest.min(other.quietest),
            unvoiced: self.unvoiced || other.unvoiced,
            smallest: self.smallest.min(other.smallest),
            largest: self.largest.max(other.largest),
        }
    }

    fn add(&mut self, heard: Heard) {
        let one = match heard {
            Heard::Level(AudioLevel { voice, level }) => {
                Self { packets: 1, quietest: Loudness::of_level(level), unvoiced: !voice, ..Self::EMPTY }
            }
            Heard::Size(size) if size > SILENT_BYTES => {
                Self { packets: 1, smallest: size, largest: size, ..Self::EMPTY }
            }
            Heard::Size(_) => Self { packets: 1, ..Self::EMPTY },
        };
        *self = self.with(one);
    }
}

/// An open microphone, or one that was.
#[derive(Debug, Clone)]
pub struct Microphone {
    window: Window,
    before: Window,
    window_began: Instant,
    /// A packet was said to be voice, ever.
    voiced: bool,
    peak: (Loudness, Instant),
    last_packet: Instant,
    last_audible: Option<Instant>,
    last_speech: Option<Instant>,
    last_talk: Option<Instant>,
    /// When the utterance of now, or the last one, began, and how many packets of it there are.
    onset: Instant,
    utterance: u32,
}

impl Microphone {
    /// One whose first packet is about to come.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            window: Window::EMPTY,
            before: Window::EMPTY,
            window_began: now,
            voiced: false,
            peak: (Loudness::SILENCE, now),
            last_packet: now,
            last_audible: None,
            last_speech: None,
            last_talk: None,
            onset: now,
            utterance: 0,
        }
    }

    /// Takes a packet in.
    pub fn hear(&mut self, heard: Heard, now: Instant) -> Sound {
        let elapsed = now.saturating_duration_since(self.window_began);
        if elapsed >= WINDOW {
            let window = std::mem::replace(&mut self.window, Window::EMPTY);
            self.before = if elapsed < 2 * WINDOW { window } else { Window::EMPTY };
            self.window_began = now;
        }
        self.window.add(heard);
        self.voiced |= matches!(heard, Heard::Level(AudioLevel { voice: true, .. }));
        let known = self.window.with(self.before);
        let tells = self.voiced && known.unvoiced;
        let mut sound = judge(heard, &known, tells);
        self.last_packet = now;
        if sound.loudness >= self.peak(now) {
            self.peak = (sound.loudness, now);
        }
        if sound.audible {
            let goes_on = self.last_audible.is_some_and(|last| now.saturating_duration_since(last) < PAUSE);
            (self.onset, self.utterance) =
                if goes_on { (self.onset, self.utterance.saturating_add(1)) } else { (now, 1) };
            self.last_audible = Some(now);
            if self.utterance >= TALK {
                self.last_talk = self.last_audible;
                sound.speech |= !tells && known.packets >= KNOWN_AFTER;
            }
            if sound.speech {
                self.last_speech = self.last_audible;
            }
        }
        sound
    }

    /// How loud it was of late: the loudest packet of the last 200 ms, falling slowly after that.
    #[must_use]
    pub fn peak(&self, now: Instant) -> Loudness {
        let (Loudness(peak), at) = self.peak;
        let falls = now.saturating_duration_since(at).saturating_sub(PEAK_HOLDS).as_millis() * PEAK_FALLS;
        Loudness(peak.saturating_sub(u8::try_from(falls / 1_000).unwrap_or(u8::MAX)))
    }

    /// When somebody who has said more than a word was heard last.
    #[must_use]
    pub fn last_talk(&self) -> Option<Instant> {
        self.last_talk
    }

    /// Whether that was a moment ago: he may well go on.
    #[must_use]
    pub fn has_talked(&self, now: Instant) -> bool {
        self.last_talk.is_some_and(|last| now.saturating_duration_since(last) < TAKES_PART)
    }

    /// Whether nobody has spoken for two seconds.
    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        self.last_speech.is_none_or(|last| now.saturating_duration_since(last) >= SILENT_AFTER)
    }

    /// Whether nothing at all has come for two seconds.
    #[must_use]
    pub fn is_closed(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_packet) >= CLOSED_AFTER
    }

    /// How many audible packets the utterance of now has, or the last one had.
    #[must_use]
    pub fn utterance(&self) -> u32 {
        self.utterance
    }

    /// From when on its packets are sent to who begins to hear it now: from the onset of the utterance, but at most
    /// [`MAX_CATCH_UP`] back.
    #[must_use]
    pub fn hear_from(&self, now: Instant) -> Instant {
        let speaks = self.last_audible.is_some_and(|last| now.saturating_duration_since(last) < PAUSE);
        let begins = if speaks { self.onset.checked_sub(PRE_ROLL) } else { None };
        let least = now.checked_sub(MAX_CATCH_UP).unwrap_or(now);
        begins.unwrap_or(now).max(least)
    }
}

/// What a packet is by itself, given what is known of its microphone, and whether its sender `tells` voice from noise.
fn judge(heard: Heard, known: &Window, tells: bool) -> Sound {
    let AudioLevel { voice, level } = match heard {
        Heard::Level(level) => level,
        Heard::Size(size) => {
            let middle = known.smallest.saturating_add(known.largest) / 2;
            let varies = known.largest >= known.smallest.saturating_mul(2);
            let is_small = size < QUIET_BYTES || (varies && size < middle);
            let loudness = match size {
                ..=SILENT_BYTES => Loudness::SILENCE,
                _ if is_small => SMALL,
                _ => LARGE,
            };
            let audible = loudness >= LOUD;
            return Sound { loudness, audible, speech: audible };
        }
    };
    let (loudness, is_known) = (Loudness::of_level(level), known.packets >= KNOWN_AFTER);
    let is_believed = !is_known || known.unvoiced;
    let is_voice = voice && is_believed && loudness > Loudness::SILENCE;
    let is_noise = is_known && loudness < known.quietest.plus(NOISE) && loudness < LOUDEST_NOISE;
    if is_noise && !is_voice {
        return Sound::SILENCE;
    }
    // Where the bit tells voice from noise a breath is noise; and a barking dog is heard, but does not speak.
    let is_loud = loudness >= LOUD;
    let stands_out = is_known && !tells && loudness >= known.quietest.plus(ABOVE_NOISE);
    let speech = if tells { is_voice } else { is_loud };
    Sound { loudness, audible: is_voice || is_loud || stands_out, speech }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a packet every 20 ms and returns the last verdict.
    fn feed(mic: &mut Microphone, now: &mut Instant, packets: usize, heard: Heard) -> Sound {
        let mut sound = Sound::SILENCE;
        for _ in 0..packets {
            *now += Duration::from_millis(20);
            sound = mic.hear(heard, *now);
        }
        sound
    }

    fn level(level: u8, voice: bool) -> Heard {
        Heard::Level(AudioLevel { voice, level })
    }

    fn start() -> (Instant, Microphone) {
        let now = Instant::now();
        (now, Microphone::new(now))
    }

    #[test]
    fn the_first_packet_counts() {
        for (heard, audible, speech) in [
            (level(60, true), true, false),
            (level(45, false), true, true),
            (level(46, false), false, false),
            (level(127, true), false, false),
            (Heard::Size(80), true, true),
            (Heard::Size(2), false, false),
        ] {
            let (mut now, mut mic) = start();
            let sound = feed(&mut mic, &mut now, 1, heard);
            assert_eq!((sound.audible, sound.speech), (audible, speech), "{heard:?}");
        }
    }

    #[test]
    fn a_bit_that_is_always_set_says_nothing() {
        let (mut now, mut mic) = start();
        assert!(!feed(&mut mic, &mut now, 50, level(70, true)).audible, "the noise of the room");
        let soft = feed(&mut mic, &mut now, 19, level(57, true));
        assert!(soft.audible && !soft.speech, "it may be a breath");
        assert!(feed(&mut mic, &mut now, 1, level(57, true)).speech, "somebody who speaks softly");
        let (mut now, mut mic) = start();
        feed(&mut mic, &mut now, 50, level(70, false));
        assert!(feed(&mut mic, &mut now, 1, level(69, true)).speech, "a bit that means something");
        let bark = feed(&mut mic, &mut now, 1, level(10, false));
        assert!(bark.audible && !bark.speech);
    }

    #[test]
    fn a_fan_is_noise_and_music_is_not() {
        let (mut now, mut mic) = start();
        let fan = feed(&mut mic, &mut now, 200, level(40, true));
        assert_eq!((fan.audible, fan.loudness), (false, Loudness::SILENCE));
        assert!(feed(&mut mic, &mut now, 1, level(25, true)).audible, "who speaks beside it");
        let (mut now, mut mic) = start();
        assert!(feed(&mut mic, &mut now, 200, level(15, true)).audible);
    }

    #[test]
    fn sizes_do_where_there_is_no_level() {
        let (mut now, mut mic) = start();
        assert!(feed(&mut mic, &mut now, 100, Heard::Size(80)).audible, "all of one size");
        feed(&mut mic, &mut now, 10, Heard::Size(25));
        assert!(!feed(&mut mic, &mut now, 1, Heard::Size(25)).audible);
        assert!(feed(&mut mic, &mut now, 1, Heard::Size(70)).speech);
    }

    #[test]
    fn a_peak_holds_over_a_pause_between_syllables_and_then_falls() {
        let (mut now, mut mic) = start();
        feed(&mut mic, &mut now, 1, level(27, true));
        let at = |ms: u64| mic.peak(now + Duration::from_millis(ms)).decibels();
        assert_eq!([at(0), at(200), at(300), at(1_200), at(60_000)], [100, 100, 94, 40, 0]);
    }

    #[test]
    fn an_utterance_is_heard_from_its_onset_but_not_from_long_ago() {
        let (mut now, mut mic) = start();
        feed(&mut mic, &mut now, 50, level(90, false));
        assert_eq!(mic.hear_from(now), now, "nothing to catch up with");
        feed(&mut mic, &mut now, 1, level(20, true));
        assert_eq!(mic.hear_from(now), now - PRE_ROLL);
        feed(&mut mic, &mut now, 20, level(20, true));
        assert_eq!((mic.hear_from(now), mic.utterance()), (now - MAX_CATCH_UP, 21));
        assert!(!mic.is_silent(now + Duration::from_millis(1_999)) && !mic.is_closed(now));
        let later = now + Duration::from_secs(2);
        assert!(mic.is_silent(later) && mic.is_closed(later));
    }
}
