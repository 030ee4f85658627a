//! The room: sessions come and go, commands are done, and everybody hears of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use contract::call::MAX_DISPLAY_NAME_CHARS;
use contract::destination::{MAX_REQUEST_ID_LEN, Source};
use contract::id::ParticipantId;
use contract::room_state::{
    Person, PersonSource, Quality, Reaction, Right, Rights, RoomCommand, RoomDelta, RoomSnapshot,
    SourceState, WhyGone,
};
use contract::text::one_line;

use crate::command::{Answer, Refused};
use crate::gather::Gather;
use crate::limits::{MAX_EFFECTS, MAX_PEOPLE, MAX_REACTIONS, MAX_WRITES};
use crate::may::{Rank, Target, may, right_to};
use crate::member::Member;
use crate::rules::{Change, Rules};
use crate::state::{State, is_empty};

/// Names a change that is being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteId(u64);

/// What has to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A command is answered.
    Answer {
        /// The connection that the command came by last.
        connection: String,
        /// Its request id.
        request: String,
        /// The answer.
        answer: Answer,
    },
    /// What a source does from now on: one that is muted goes to nobody. A source that is new is taken for one that is on
    /// until it is said otherwise; it is said for each one that is published, and with each change.
    Gate {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        source: Source,
        /// What it does.
        state: SourceState,
    },
    /// The session of somebody who was removed ends.
    End(ParticipantId),
    /// A change of the rules has to be stored; [`Room::stored`] says when it is. One at a time.
    Store {
        /// Names it.
        write: WriteId,
        /// What changes.
        change: Change,
        /// The rules with that change.
        rules: Rules,
    },
}

/// Who comes in.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Who: the subject of the join token.
    pub participant: ParticipantId,
    /// Display name: what nobody sees is taken out, what is beyond 64 characters cut off.
    pub name: String,
    /// The token says the name: it cannot be changed.
    pub name_is_fixed: bool,
    /// What the token gives; who has [`Right::Moderate`] by it is a host.
    pub granted: Rights,
}

/// Why somebody does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// It was removed.
    #[error("you were removed from this room")]
    Removed,
    /// Nobody new comes in.
    #[error("this room is locked")]
    Locked,
    /// The room has as many people as it may have.
    #[error("this room is full")]
    Full,
}

/// A change that waits to be stored, or is being stored.
#[derive(Debug)]
struct Write {
    id: WriteId,
    change: Change,
    from: ParticipantId,
    request: String,
    connection: String,
}

/// What a command leads to.
enum Done {
    Now,
    WhenStored(Change),
}

/// The state of a room, at its home.
#[derive(Debug)]
pub struct Room {
    epoch: u64,
    seq: u64,
    most_people: usize,
    rules: Rules,
    /// Who was in when it was locked, and has left by itself since; the next home does not know.
    left: BTreeSet<ParticipantId>,
    /// Raised with every change of the rules.
    rules_revision: u64,
    state: State,
    members: BTreeMap<ParticipantId, Member>,
    /// What everybody was told: the state at `seq`.
    told: State,
    /// Who may differ between `told` and `state`: who is in one of them at least.
    touched: BTreeSet<ParticipantId>,
    /// Why those who are gone are, until it is told.
    why: BTreeMap<ParticipantId, WhyGone>,
    reactions: Vec<Reaction>,
    /// When the first thing happened that is not told yet.
    changed_at: Option<Instant>,
    gather: Gather,
    /// Numbers people and raised hands.
    counter: u64,
    /// The first is being stored.
    writes: VecDeque<Write>,
    next_write: u64,
    effects: VecDeque<Effect>,
}

impl Room {
    /// An empty room. `epoch` is greater than that of the room's state before. `most_people` is at most [`MAX_PEOPLE`].
    #[must_use]
    pub fn new(epoch: u64, most_people: usize, rules: Rules) -> Self {
        let state = State { locked: rules.locked, ..State::default() };
        Self {
            epoch,
            seq: 0,
            most_people: most_people.min(MAX_PEOPLE),
            rules,
            left: BTreeSet::new(),
            rules_revision: 0,
            told: state.clone(),
            state,
            members: BTreeMap::new(),
            touched: BTreeSet::new(),
            why: BTreeMap::new(),
            reactions: Vec::new(),
            changed_at: None,
            gather: Gather::default(),
            counter: 0,
            writes: VecDeque::new(),
            next_write: 0,
            effects: VecDeque::new(),
        }
    }

    /// Another number of people may come from now on. Those who are there stay.
    pub fn set_most_people(&mut self, most_people: usize) {
        self.most_people = most_people.min(MAX_PEOPLE);
    }

    /// Whether somebody may come in, whose token gives it `granted`. Who is there may: it comes back.
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub fn may_join(&self, who: &ParticipantId, granted: &Rights) -> Result<(), JoinRefused> {
        if self.rules.removed.contains(who) {
            return Err(JoinRefused::Removed);
        }
        if self.state.people.contains_key(who) {
            return Ok(());
        }
        let is_seated = self.rules.seated.contains(who) && !self.left.contains(who);
        if self.rules.locked && !is_seated && !self.rules.rights_of(who, granted).contains(&Right::Moderate) {
            return Err(JoinRefused::Locked);
        }
        if self.state.people.len() >= self.most_people { Err(JoinRefused::Full) } else { Ok(()) }
    }

    /// Somebody comes in, without sources yet. Who is there begins anew, in its old place.
    ///
    /// # Errors
    /// [`JoinRefused`]: nothing has changed.
    pub fn join(&mut self, joining: Joining, now: Instant) -> Result<(), JoinRefused> {
        let Joining { participant, name, name_is_fixed, granted } = joining;
        self.may_join(&participant, &granted)?;
        let order = match self.state.people.get(&participant) {
            Some(person) => person.order,
            None => self.next_number(),
        };
        let person = Person {
            participant: participant.clone(),
            order,
            name: one_line(&name).chars().take(MAX_DISPLAY_NAME_CHARS).collect(),
            host: granted.contains(&Right::Moderate),
            rights: self.rules.rights_of(&participant, &granted),
            sources: Vec::new(),
            quality: Quality::Good,
            hand: 0,
        };
        self.state.people.insert(participant.clone(), person);
        match self.members.get_mut(&participant) {
            Some(member) => (member.granted, member.name_is_fixed) = (granted, name_is_fixed),
            None => drop(self.members.insert(participant.clone(), Member::new(granted, name_is_fixed))),
        }
        self.touch(&participant, now);
        Ok(())
    }

    /// Somebody has left, or is lost for good.
    pub fn leave(&mut self, who: &ParticipantId, why: WhyGone, now: Instant) {
        if self.state.people.remove(who).is_some() {
            self.members.remove(who);
            // Whoever has left a locked room by itself is new when it comes again.
            if why == WhyGone::Left && self.rules.seated.contains(who) {
                self.left.insert(who.clone());
                self.rules_revision = self.rules_revision.saturating_add(1);
            }
            if self.told.people.contains_key(who) {
                self.why.insert(who.clone(), why);
                self.touch(who, now);
            } else {
                // Nobody heard of it: people who come and go while nothing is told leave nothing behind.
                self.touched.remove(who);
            }
        }
    }

    /// How good somebody's connection is; [`Quality::Lost`] while it is waited for.
    pub fn set_quality(&mut self, who: &ParticipantId, quality: Quality, now: Instant) {
        if self.state.people.get(who).is_some_and(|person| person.quality != quality) {
            self.change(who, now, |person| person.quality = quality);
        }
    }

    /// Somebody publishes a source, or does so again with another session. The state stays with a source that is
    /// published again; a new one is on or off as `is_on` says, and muted without the right to it.
    pub fn publish(&mut self, who: &ParticipantId, source: Source, csrc: u32, is_on: bool, now: Instant) {
        let Some(person) = self.state.people.get_mut(who) else { return };
        let may = person.rights.contains(&right_to(source));
        let known = person.sources.iter_mut().find(|known| known.source == source);
        let state = match (may, &known, is_on) {
            (false, ..) => SourceState::Muted,
            (true, Some(known), _) => known.state,
            (true, None, true) => SourceState::On,
            (true, None, false) => SourceState::Off,
        };
        let published = PersonSource { source, csrc, state };
        match known {
            Some(known) => *known = published,
            None => person.sources.push(published),
        }
        self.gate(who, source, state);
        self.touch(who, now);
    }

    /// Somebody no longer publishes a source.
    pub fn unpublish(&mut self, who: &ParticipantId, source: Source, now: Instant) {
        self.change(who, now, |person| person.sources.retain(|known| known.source != source));
    }

    /// A command of `from`, which came by `connection`. It is answered by an [`Effect::Answer`], sooner or later.
    pub fn command(
        &mut self,
        from: &ParticipantId,
        connection: &str,
        request: &str,
        command: RoomCommand,
        now: Instant,
    ) {
        let answer =
            |answer| Effect::Answer { connection: connection.into(), request: request.into(), answer };
        if request.is_empty() || request.len() > MAX_REQUEST_ID_LEN {
            return self.effect(answer(Err(Refused::BadRequest)));
        }
        let Some(member) = self.members.get_mut(from) else {
            return self.effect(answer(Err(Refused::NotHere)));
        };
        match member.requests.find(request) {
            Some(Some(known)) => {
                let effect = answer(*known);
                return self.effect(effect);
            }
            // It is answered where it was asked last.
            Some(None) => {
                let write =
                    self.writes.iter_mut().find(|write| write.from == *from && write.request == request);
                if let Some(write) = write {
                    write.connection = connection.into();
                }
                return;
            }
            None => member.requests.begin(request),
        }
        match self.decide(from, command, now) {
            Ok(Done::WhenStored(change)) => {
                let id = WriteId(self.next_write);
                self.next_write = self.next_write.wrapping_add(1);
                let (from, request) = (from.clone(), request.to_owned());
                self.writes.push_back(Write { id, change, from, request, connection: connection.into() });
                if self.writes.len() == 1 {
                    self.store_next();
                }
            }
            Ok(Done::Now) => self.answer(from, connection, request, Ok(())),
            Err(refused) => self.answer(from, connection, request, Err(refused)),
        }
    }

    /// What [`Effect::Store`] asked for is stored, or is not. Nothing happens for one that is not waited for.
    pub fn stored(&mut self, write: WriteId, is_stored: bool, now: Instant) {
        let Some(done) = self.writes.pop_front_if(|first| first.id == write) else { return };
        let answer = if is_stored {
            self.rules.make(&done.change);
            self.rules_revision = self.rules_revision.saturating_add(1);
            self.follow(&done.change, now);
            Ok(())
        } else {
            Err(Refused::NotStored)
        };
        self.answer(&done.from, &done.connection, &done.request, answer);
        self.store_next();
    }

    /// The next thing that has to be done outside.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Room::poll_delta`] may have something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let changed_at = self.changed_at?;
        Some(self.gather.due().map_or(changed_at, |due| due.max(changed_at)))
    }

    /// What changed since the last delta, if it is time and something did.
    pub fn poll_delta(&mut self, now: Instant) -> Option<RoomDelta> {
        if self.changed_at.is_none() || !self.gather.is_due(now) {
            return None;
        }
        self.changed_at = None;
        let why = |id: &ParticipantId| self.why.get(id).copied().unwrap_or(WhyGone::Left);
        let mut delta = self.told.difference(&self.state, &self.touched, why);
        delta.reactions = std::mem::take(&mut self.reactions);
        self.touched.clear();
        self.why.clear();
        if is_empty(&delta) {
            return None;
        }
        self.seq = self.seq.saturating_add(1);
        (delta.epoch, delta.seq) = (self.epoch, self.seq);
        self.told.apply(&delta);
        debug_assert_eq!(self.told, self.state);
        self.gather.sent(now);
        Some(delta)
    }

    /// The state that the deltas so far lead to. What is gathered now is not in it: the next delta brings it.
    #[must_use]
    pub fn snapshot(&self) -> RoomSnapshot {
        self.told.snapshot(self.epoch, self.seq)
    }

    /// Somebody as it is now, whether that is told or not.
    #[must_use]
    pub fn person(&self, who: &ParticipantId) -> Option<&Person> {
        self.state.people.get(who)
    }

    /// Everybody as it is now.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.state.people.values()
    }

    /// How many people are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.people.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.people.is_empty()
    }

    /// Whether nobody is there and nothing waits to be stored.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_empty() && self.writes.is_empty()
    }

    /// What holds in the room wherever its home is.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules as they hold now: without the seats of those who have left by themselves.
    #[must_use]
    pub fn rules_in_force(&self) -> Rules {
        let mut rules = self.rules.clone();
        rules.seated.retain(|who| !self.left.contains(who));
        rules
    }

    /// How often the rules have changed.
    #[must_use]
    pub fn rules_revision(&self) -> u64 {
        self.rules_revision
    }

    /// A delta in which nothing is different from what was told last.
    #[must_use]
    pub fn nothing_new(&self) -> RoomDelta {
        RoomDelta { epoch: self.epoch, seq: self.seq, ..RoomDelta::default() }
    }

    /// Checks a command and does it, unless it has to be stored first.
    fn decide(&mut self, from: &ParticipantId, command: RoomCommand, now: Instant) -> Result<Done, Refused> {
        let about = match &command {
            RoomCommand::Hand { participant, .. } => participant.clone(),
            RoomCommand::Mute { participant, .. }
            | RoomCommand::Remove { participant }
            | RoomCommand::Grant { participant, .. }
            | RoomCommand::Revoke { participant, .. } => Some(participant.clone()),
            _ => None,
        };
        let about = about.unwrap_or_else(|| from.clone());
        let giver = self.state.people.get(from).ok_or(Refused::NotHere)?;
        let target = if about == *from {
            Target::Own
        } else {
            Target::Other(Rank::of(self.state.people.get(&about).ok_or(Refused::NoSuchPerson)?))
        };
        if !may(giver, &command, target) {
            return Err(Refused::NotAllowed);
        }
        match command {
            RoomCommand::Switch { source, on } => self.switch(from, source, on, now)?,
            RoomCommand::Rename { name } => self.rename(from, &name, now)?,
            RoomCommand::Hand { up, .. } => self.raise(&about, up, now),
            RoomCommand::React { reaction } => {
                let member = self.members.get_mut(from).ok_or(Refused::NotHere)?;
                if self.reactions.len() >= MAX_REACTIONS {
                    return Err(Refused::TooFast { retry_ms: 100 });
                }
                member.react(now).map_err(|retry_ms| Refused::TooFast { retry_ms })?;
                self.reactions.push(Reaction { participant: from.clone(), reaction });
                self.changed_at.get_or_insert(now);
            }
            RoomCommand::Mute { source, .. } => self.mute(&about, source, now)?,
            RoomCommand::Remove { .. } => return self.to_store(Change::Remove(about)),
            RoomCommand::Lock { on } => {
                let inside = || self.state.people.keys().cloned().collect();
                return self.to_store(Change::Lock(on.then(inside)));
            }
            RoomCommand::Grant { right, .. } => return self.to_store(Change::Grant(about, right)),
            RoomCommand::Revoke { right, .. } => return self.to_store(Change::Revoke(about, right)),
        }
        Ok(Done::Now)
    }

    fn switch(&mut self, who: &ParticipantId, source: Source, on: bool, now: Instant) -> Result<(), Refused> {
        let person = self.state.people.get_mut(who).ok_or(Refused::NotHere)?;
        let known = person.sources.iter_mut().find(|known| known.source == source);
        let known = known.ok_or(Refused::NoSuchSource)?;
        let state = match (on, known.state) {
            (true, _) => SourceState::On,
            // Who is muted and switches off does not open what a moderator closed.
            (false, SourceState::Muted) => SourceState::Muted,
            (false, _) => SourceState::Off,
        };
        let was = std::mem::replace(&mut known.state, state);
        if state != was {
            self.gate(who, source, state);
        }
        self.touch(who, now);
        Ok(())
    }

    fn rename(&mut self, who: &ParticipantId, name: &str, now: Instant) -> Result<(), Refused> {
        if self.members.get(who).is_none_or(|member| member.name_is_fixed) {
            return Err(Refused::NotAllowed);
        }
        let name = one_line(name);
        if name.is_empty() || name.chars().count() > MAX_DISPLAY_NAME_CHARS {
            return Err(Refused::BadName);
        }
        self.change(who, now, |person| person.name = name);
        Ok(())
    }

    fn raise(&mut self, who: &ParticipantId, up: bool, now: Instant) {
        let is_up = self.state.people.get(who).is_some_and(|person| person.hand != 0);
        if up != is_up {
            let number = if up { self.next_number() } else { 0 };
            self.change(who, now, |person| person.hand = number);
        }
    }

    fn mute(&mut self, who: &ParticipantId, source: Source, now: Instant) -> Result<(), Refused> {
        let person = self.state.people.get(who).ok_or(Refused::NoSuchPerson)?;
        let both = [source, Source::ScreenAudio];
        let meant = if source == Source::Screen { &both[..] } else { &both[..1] };
        let found: Vec<Source> = person
            .sources
            .iter()
            .filter(|known| meant.contains(&known.source))
            .map(|known| known.source)
            .collect();
        if found.is_empty() {
            return Err(Refused::NoSuchSource);
        }
        found.into_iter().for_each(|source| self.close(who, source, now));
        Ok(())
    }

    /// Nobody gets what `who` sends as `source` any more.
    fn close(&mut self, who: &ParticipantId, source: Source, now: Instant) {
        let Some(person) = self.state.people.get_mut(who) else { return };
        let known = person.sources.iter_mut().find(|known| known.source == source);
        let Some(known) = known.filter(|known| known.state != SourceState::Muted) else { return };
        known.state = SourceState::Muted;
        self.gate(who, source, SourceState::Muted);
        self.touch(who, now);
    }

    /// A change that has to be stored first, unless it changes nothing.
    fn to_store(&self, change: Change) -> Result<Done, Refused> {
        let mut after = self.rules.clone();
        after.make(&change);
        if self.writes.is_empty() && after == self.rules {
            return Ok(Done::Now);
        }
        if self.writes.len() >= MAX_WRITES {
            return Err(Refused::Busy);
        }
        if self.rules.fits(&change) { Ok(Done::WhenStored(change)) } else { Err(Refused::TooManyRules) }
    }

    /// Asks for the first of the changes that wait.
    fn store_next(&mut self) {
        while let Some(first) = self.writes.front() {
            if self.rules.fits(&first.change) {
                let mut rules = self.rules.clone();
                rules.make(&first.change);
                let (write, change) = (first.id, first.change.clone());
                return self.effect(Effect::Store { write, change, rules });
            }
            // Those before it took the last places.
            if let Some(Write { from, request, connection, .. }) = self.writes.pop_front() {
                self.answer(&from, &connection, &request, Err(Refused::TooManyRules));
            }
        }
    }

    /// The rules are other ones: what follows for who is there.
    fn follow(&mut self, change: &Change, now: Instant) {
        match change {
            Change::Lock(seated) => {
                if seated.is_none() {
                    self.left.clear();
                }
                self.state.locked = seated.is_some();
                self.changed_at.get_or_insert(now);
            }
            Change::Remove(who) => {
                if self.state.people.contains_key(who) {
                    self.effect(Effect::End(who.clone()));
                    self.leave(who, WhyGone::Removed, now);
                }
            }
            Change::Grant(who, _) | Change::Revoke(who, _) => {
                let Some(member) = self.members.get(who) else { return };
                let rights = self.rules.rights_of(who, &member.granted);
                let Some(person) = self.state.people.get_mut(who) else { return };
                let lost = person.sources.iter().map(|known| known.source);
                let lost: Vec<Source> = lost.filter(|source| !rights.contains(&right_to(*source))).collect();
                person.rights = rights;
                self.touch(who, now);
                lost.into_iter().for_each(|source| self.close(who, source, now));
            }
        }
    }

    fn answer(&mut self, from: &ParticipantId, connection: &str, request: &str, answer: Answer) {
        if let Some(member) = self.members.get_mut(from) {
            member.requests.end(request, &answer);
        }
        self.effect(Effect::Answer { connection: connection.into(), request: request.into(), answer });
    }

    fn gate(&mut self, who: &ParticipantId, source: Source, state: SourceState) {
        self.effect(Effect::Gate { participant: who.clone(), source, state });
    }

    fn effect(&mut self, effect: Effect) {
        debug_assert!(self.effects.len() < MAX_EFFECTS, "effects are drained after each call");
        if self.effects.len() >= MAX_EFFECTS {
            self.effects.pop_front();
        }
        self.effects.push_back(effect);
    }

    fn change(&mut self, who: &ParticipantId, now: Instant, change: impl FnOnce(&mut Person)) {
        if let Some(person) = self.state.people.get_mut(who) {
            change(person);
            self.touch(who, now);
        }
    }

    fn touch(&mut self, who: &ParticipantId, now: Instant) {
        self.touched.insert(who.clone());
        self.changed_at.get_or_insert(now);
    }

    fn next_number(&mut self) -> u64 {
        self.counter = self.counter.saturating_add(1);
        self.counter
    }
}
