//! People who speak: the levels that their microphones send, made by a seeded generator.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;

use crate::common::Rng;
use rtp::AudioLevel;
use sfu_core::voices::level::Heard;

/// A packet every 20 ms.
pub const PACKET: u64 = 20;
/// Time goes on in steps of so many milliseconds.
pub const STEP: u64 = 4;

/// Packets of a breath, and between two at least.
const BREATH: u32 = 12;
const BETWEEN_BREATHS: u32 = 75;

/// What a client says of its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Level, and whether it is voice.
    Tells,
    /// Level, and the bit in every packet.
    AlwaysVoice,
    /// Level, and never the bit.
    NeverVoice,
    /// No level.
    Sizes,
}

pub const CLIENTS: [Client; 4] = [Client::Tells, Client::AlwaysVoice, Client::NeverVoice, Client::Sizes];

/// What is at a microphone at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Quiet,
    /// Somebody speaks; since when, in milliseconds.
    Speech {
        since: u64,
    },
    /// A dog barks.
    Bark,
}

/// Somebody with a microphone: what it sends depends on nothing but its seed and what is there.
#[derive(Debug, Clone)]
pub struct Person {
    pub client: Client,
    /// The loudest syllables, and the noise of the room, in -dBov.
    pub voice: u8,
    pub noise: u8,
    /// Packets until the next breath may come; at its beginning there is one.
    breath: u32,
    rng: Rng,
}

impl Person {
    pub fn new(seed: u64, client: Client) -> Self {
        let mut rng = Rng(seed);
        let (voice, noise) = (18 + rng.below(12) as u8, 66 + rng.below(14) as u8);
        Self { client, voice, noise, breath: 0, rng }
    }

    /// The packet of now.
    pub fn packet(&mut self, at: At) -> Heard {
        let jitter = self.rng.below(5) as u8;
        self.breath = match at {
            At::Quiet if self.breath == 0 && self.rng.below(200) == 0 => BETWEEN_BREATHS + BREATH,
            _ => self.breath.saturating_sub(1),
        };
        let (level, voice) = match at {
            At::Quiet if self.breath > BETWEEN_BREATHS => (52 + jitter, false),
            At::Quiet => (self.noise + jitter - 2, false),
            At::Bark => (8 + jitter, false),
            At::Speech { since } => match since % 250 {
                // Four syllables a second: a soft consonant, a vowel, and the way down to the next.
                0..20 => (self.voice + 14 + jitter, true),
                20..160 => (self.voice + jitter, true),
                160..200 => (self.voice + 12 + jitter, true),
                _ => (self.voice + 24 + jitter, true),
            },
        };
        match self.client {
            Client::Tells => Heard::Level(AudioLevel { voice, level }),
            Client::AlwaysVoice => Heard::Level(AudioLevel { voice: true, level }),
            Client::NeverVoice => Heard::Level(AudioLevel { voice: false, level }),
            Client::Sizes => {
                let most = if level < 50 { 70 } else { 20 };
                Heard::Size(most + self.rng.below(15) as usize)
            }
        }
    }
}

/// Who says something and when, in milliseconds: utterances with pauses between them, by who says them and from when.
#[derive(Debug, Clone, Default)]
pub struct Script(BTreeMap<(u32, u64), Utterance>);

#[derive(Debug, Clone, Copy)]
pub struct Utterance {
    pub to: u64,
    pub bark: bool,
}

impl Script {
    /// All times are of the raster of [`STEP`].
    pub fn say(&mut self, who: u32, from: u64, to: u64) {
        self.0.insert((who, from / STEP * STEP), Utterance { to: to / STEP * STEP, bark: false });
    }

    pub fn bark(&mut self, who: u32, from: u64, to: u64) {
        self.0.insert((who, from / STEP * STEP), Utterance { to: to / STEP * STEP, bark: true });
    }

    /// Somebody speaks from `from` to `to`, in sentences with pauses of up to 400 ms.
    pub fn speak(&mut self, who: u32, from: u64, to: u64, rng: &mut Rng) {
        let mut at = from;
        while at + 200 < to {
            let end = (at + 600 + rng.below(2_000)).min(to);
            self.say(who, at, end);
            at = end + 100 + rng.below(300);
        }
    }

    /// Utterances that are no barks: who, from and to.
    pub fn words(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        self.0.iter().filter(|(_, said)| !said.bark).map(|((who, from), said)| (*who, *from, said.to))
    }

    pub fn at(&self, who: u32, ms: u64) -> At {
        let last = self.0.range((who, 0)..=(who, ms)).next_back();
        match last.filter(|(_, said)| ms < said.to) {
            None => At::Quiet,
            Some((_, Utterance { bark: true, .. })) => At::Bark,
            Some(((_, from), _)) => At::Speech { since: ms - from },
        }
    }
}
