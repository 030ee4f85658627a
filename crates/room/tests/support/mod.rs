//! What the tests share: names, and a room with its effects carried out.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::destination::Source;
use contract::id::ParticipantId;
use contract::room_state::{Right, Rights, RoomCommand, RoomDelta, SourceState, WhyGone};
use room::{Answer, Change, Effect, JoinRefused, Joining, Room, Rules, WriteId};

pub(crate) const SOURCES: [Source; 4] =
    [Source::Camera, Source::Microphone, Source::Screen, Source::ScreenAudio];

pub(crate) fn par(number: usize) -> ParticipantId {
    format!("par_{number:03}").parse().unwrap()
}

pub(crate) fn rights(rights: &[Right]) -> Rights {
    rights.iter().copied().collect()
}

pub(crate) fn all_but_moderate() -> Rights {
    rights(&[Right::Camera, Right::Microphone, Right::Screen, Right::Chat, Right::Draw])
}

pub(crate) fn everything() -> Rights {
    let mut all = all_but_moderate();
    all.insert(Right::Moderate);
    all
}

/// A room and whoever carries out what it asks for.
pub(crate) struct House {
    pub(crate) room: Room,
    pub(crate) now: Instant,
    /// What the SFU knows of the sources of each session.
    pub(crate) gates: BTreeMap<(ParticipantId, usize), SourceState>,
    pub(crate) answers: Vec<(String, String, Answer)>,
    pub(crate) ended: Vec<ParticipantId>,
    /// What the room waits for.
    pub(crate) waiting: Option<(WriteId, Change, Rules)>,
    /// What is stored.
    pub(crate) disk: Rules,
}

impl House {
    pub(crate) fn new(most_people: usize) -> Self {
        Self {
            room: Room::new(1, most_people, Rules::default()),
            now: Instant::now(),
            gates: BTreeMap::new(),
            answers: Vec::new(),
            ended: Vec::new(),
            waiting: None,
            disk: Rules::default(),
        }
    }

    pub(crate) fn join(&mut self, who: usize, granted: Rights) -> Result<(), JoinRefused> {
        let joining =
            Joining { participant: par(who), name: format!("name {who}"), name_is_fixed: false, granted };
        // A new session.
        self.gates.retain(|(id, _), _| *id != par(who));
        let joined = self.room.join(joining, self.now);
        self.drain();
        joined
    }

    pub(crate) fn leave(&mut self, who: usize) {
        self.room.leave(&par(who), WhyGone::Left, self.now);
        self.drain();
    }

    pub(crate) fn publish(&mut self, who: usize, source: usize, is_on: bool) {
        let csrc = u32::try_from(who * 4 + source).unwrap();
        self.room.publish(&par(who), SOURCES[source], csrc, is_on, self.now);
        self.drain();
    }

    pub(crate) fn command(&mut self, who: usize, request: &str, command: RoomCommand) {
        self.room.command(&par(who), "here", request, command, self.now);
        self.drain();
    }

    /// A command that is answered at once, or when it is stored.
    pub(crate) fn ask(&mut self, who: usize, request: &str, command: RoomCommand) -> Answer {
        self.command(who, request, command);
        while self.waiting.is_some() {
            self.stored(true);
        }
        let (_, _, answer) = self.answers.iter().rev().find(|(_, id, _)| id == request).unwrap();
        *answer
    }

    pub(crate) fn stored(&mut self, is_stored: bool) {
        let Some((write, _, rules)) = self.waiting.take() else { return };
        if is_stored {
            self.disk = rules;
        }
        self.room.stored(write, is_stored, self.now);
        self.drain();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub(crate) fn delta(&mut self) -> Option<RoomDelta> {
        self.room.poll_delta(self.now)
    }

    /// The next delta, when its time has come.
    pub(crate) fn next_delta(&mut self) -> Option<RoomDelta> {
        self.now = self.now.max(self.room.poll_timeout()?);
        self.room.poll_delta(self.now)
    }

    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Answer { connection, request, answer } => {
                    self.answers.push((connection, request, answer));
                }
                Effect::Gate { participant, source, state } => {
                    let source = SOURCES.iter().position(|known| *known == source).unwrap();
                    self.gates.insert((participant, source), state);
                }
                Effect::End(who) => self.ended.push(who),
                Effect::Store { write, change, rules } => {
                    assert!(self.waiting.is_none(), "one at a time");
                    self.waiting = Some((write, change, rules));
                }
            }
        }
    }
}
