//! The rooms of calls that this node is the home of: sessions and commands go in; orders to the node, and what signaling
//! is told come out. Pure.
//!
//! A room is here from before the first participant comes until the last has left and that is told. Signaling may be away
//! for as long as it likes: each connection to it begins with a snapshot of every room.

mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use contract::call::CallSource;
use contract::destination::{
    Address, Destination, Prefix, REQUEST_ID, Reply, SENDER, SENDER_CONNECTION, SENDER_ROOM, Source,
};
use contract::group::{GroupOrder, GroupReport, OpenedGroup, PutRules};
use contract::id::{GroupId, ParticipantId};
use contract::room::Room as RoomName;
use contract::room_state::{
    NodeReply, NodeRoom, Person, Quality, RoomCommand, RoomDelta, RoomSnapshot, RoomUpdate, SourceState,
    WhyGone,
};
use room::{Answer, Effect, JoinRefused, Joining, Refused, Room, WriteId};
use stomp_proto::Headers;

/// What waits for signaling. The oldest goes: whoever waits for an answer sends its command again, and a state is told
/// again as a whole.
const MAX_SAID: usize = 1_024;

/// What the node has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// What a source does; one that is muted goes to nobody. Of two orders the one with the greater number counts, however
    /// they come to the shard.
    Gate { group: GroupId, participant: ParticipantId, source: Source, state: SourceState, number: u64 },
    /// The session of somebody ends.
    End { group: GroupId, participant: ParticipantId, why: WhyEnded },
    /// Meta has to store the rules; then [`Homes::stored`].
    Store { group: GroupId, write: WriteId, put: PutRules },
}

/// Why the home ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyEnded {
    /// A moderator removed it.
    Removed,
    /// The group is deleted.
    Deleted,
    /// Another node is the home now.
    Moved,
}

/// What signaling is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// What is so in a room.
    Room(NodeRoom),
    /// The answer to a command.
    Reply(NodeReply),
}

/// Rooms whose home this node is at once. One more is not opened: 503.
pub(crate) const MAX_ROOMS: usize = 10_000;
/// A room that nobody is in is closed after so long, told or not: signaling may be away.
const EMPTY_LIFETIME: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Home {
    room: Room,
    /// Since when nobody is seen in it.
    empty_since: Option<Instant>,
    /// The fencing token that meta gave last.
    epoch: i64,
    /// Of the group, as meta told it last.
    group_version: i64,
    /// Of the rules that were to be stored last.
    rules_version: i64,
}

/// The rooms that this node is the home of.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    rooms: BTreeMap<GroupId, Home>,
    said: VecDeque<Said>,
    /// Numbers the gates of all rooms: a room that is opened anew goes on.
    gates: u64,
}

impl Homes {
    /// Whether this node is the home of the room of `group`.
    pub(crate) fn is_home(&self, group: &GroupId) -> bool {
        self.rooms.contains_key(group)
    }

    /// The epoch in which this node is the home of the room of `group`.
    pub(crate) fn epoch(&self, group: &GroupId) -> Option<i64> {
        self.rooms.get(group).map(|home| home.epoch)
    }

    /// Whether one more room may be opened.
    pub(crate) fn has_space(&self) -> bool {
        self.rooms.len() < MAX_ROOMS
    }

    /// Closes the rooms that nobody has been in for a while.
    pub(crate) fn close_empty(&mut self, now: Instant) {
        self.rooms.retain(|_, home| {
            if !home.room.is_settled() {
                home.empty_since = None;
                return true;
            }
            let since = *home.empty_since.get_or_insert(now);
            now.saturating_duration_since(since) < EMPTY_LIFETIME
        });
    }

    /// Whether anybody is in the room of `group`.
    pub(crate) fn has_anybody(&self, group: &GroupId) -> bool {
        self.rooms.get(group).is_some_and(|home| !home.room.is_empty())
    }

    /// This node is the home from now on, with what meta keeps of the room. One that is open here in that epoch stays as it
    /// is; in a later one, others may have been its home meanwhile, so it begins anew unless somebody is in it.
    pub(crate) fn open(&mut self, opened: &OpenedGroup) {
        let OpenedGroup { group, version, epoch, rules } = opened;
        if let Some(home) = self.rooms.get_mut(&group.id)
            && (home.epoch >= *epoch || !home.room.is_settled())
        {
            home.epoch = home.epoch.max(*epoch);
            return;
        }
        let most_people = usize::try_from(group.max_participants).unwrap_or(usize::MAX);
        let room = Room::new(epoch.unsigned_abs(), most_people, rules::from_meta(rules));
        // Signaling knows nothing of this room yet, and a delta alone says nothing to it.
        self.say(Said::Room(snapshot(&group.id, &room)));
        let home = Home { room, empty_since: None, epoch: *epoch, group_version: *version, rules_version: 0 };
        self.rooms.insert(group.id.clone(), home);
    }

    /// The groups that this node is the home of, for the report to meta.
    pub(crate) fn reports(&self) -> Vec<GroupReport> {
        let report = |(id, home): (&GroupId, &Home)| GroupReport {
            group_id: id.clone(),
            version: home.group_version,
            epoch: home.epoch,
        };
        self.rooms.iter().map(report).collect()
    }

    /// What meta answers to that. An order that came too late changes nothing: it names another version or epoch.
    pub(crate) fn ordered(&mut self, order: &GroupOrder) -> Vec<Order> {
        let (id, why) = match order {
            GroupOrder::Changed { group, version } => {
                if let Some(home) = self.rooms.get_mut(&group.id)
                    && *version > home.group_version
                {
                    home.group_version = *version;
                    let most_people = usize::try_from(group.max_participants).unwrap_or(usize::MAX);
                    home.room.set_most_people(most_people);
                }
                return Vec::new();
            }
            GroupOrder::Deleted { group_id } => (group_id, WhyEnded::Deleted),
            GroupOrder::NotHome { group_id, epoch } => {
                if self.rooms.get(group_id).is_none_or(|home| home.epoch != *epoch) {
                    return Vec::new();
                }
                (group_id, WhyEnded::Moved)
            }
        };
        // Whoever is in hears it from the end of its session.
        let Some(home) = self.rooms.remove(id) else { return Vec::new() };
        let end =
            |person: &Person| Order::End { group: id.clone(), participant: person.participant.clone(), why };
        home.room.people().map(end).collect()
    }

    /// Whether somebody may come in. The room has to be open.
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub(crate) fn may_join(&self, group: &GroupId, joining: &Joining) -> Result<(), JoinRefused> {
        let home = self.rooms.get(group).ok_or(JoinRefused::Full)?;
        home.room.may_join(&joining.participant, &joining.granted)
    }

    /// Whether somebody is in the room of `group`.
    pub(crate) fn is_in(&self, group: &GroupId, who: &ParticipantId) -> bool {
        self.rooms.get(group).is_some_and(|home| home.room.person(who).is_some())
    }

    /// Whoever `is_there` does not name is lost for good.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&GroupId, &ParticipantId) -> bool, now: Instant) {
        for (group, home) in &mut self.rooms {
            let people = home.room.people().map(|person| &person.participant);
            let lost: Vec<ParticipantId> = people.filter(|who| !is_there(group, who)).cloned().collect();
            lost.iter().for_each(|who| home.room.leave(who, WhyGone::Lost, now));
        }
    }

    /// Somebody comes in, or comes in anew. The room has to be open.
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub(crate) fn join(
        &mut self,
        group: &GroupId,
        joining: Joining,
        now: Instant,
    ) -> Result<(), JoinRefused> {
        // A room that is not open has nobody who could let anybody in.
        let home = self.rooms.get_mut(group).ok_or(JoinRefused::Full)?;
        home.room.join(joining, now)
    }

    /// What somebody publishes, with the number of each source. Those that it does not publish any more are gone.
    pub(crate) fn publish(
        &mut self,
        group: &GroupId,
        who: &ParticipantId,
        sources: &[CallSource],
        now: Instant,
    ) -> Vec<Order> {
        self.with(group, |room| {
            let known = room.person(who).map(|person| person.sources.clone()).unwrap_or_default();
            for source in known.iter().map(|known| known.source) {
                if sources.iter().all(|own| own.source != source) {
                    room.unpublish(who, source, now);
                }
            }
            // It is off until its page says that it is on.
            sources.iter().for_each(|own| room.publish(who, own.source, own.csrc, false, now));
        })
    }

    /// Somebody has left, or was waited for in vain.
    pub(crate) fn leave(&mut self, group: &GroupId, who: &ParticipantId, why: WhyGone, now: Instant) {
        self.with(group, |room| room.leave(who, why, now));
    }

    /// How good somebody's connection is.
    pub(crate) fn set_quality(
        &mut self,
        group: &GroupId,
        who: &ParticipantId,
        quality: Quality,
        now: Instant,
    ) {
        self.with(group, |room| room.set_quality(who, quality, now));
    }

    /// A command, as signaling hands it on.
    pub(crate) fn command(&mut self, headers: &Headers, body: &[u8], now: Instant) -> Vec<Order> {
        let header = |name| headers.get(name).unwrap_or_default();
        let (connection, request) = (header(SENDER_CONNECTION), header(REQUEST_ID));
        let room: Option<RoomName> = header(SENDER_ROOM).parse().ok();
        let (Some(room), Ok(who)) = (room, header(SENDER).parse::<ParticipantId>()) else {
            // Nobody but a participant has both: it is no command.
            return Vec::new();
        };
        let Some(group) = room.group().filter(|group| self.is_home(group)) else {
            self.reply(connection, request, &room, Err(Refused::NotHere));
            return Vec::new();
        };
        let Ok(command) = serde_json::from_slice::<RoomCommand>(body) else {
            // Signaling is of a later release.
            self.reply(connection, request, &room, Err(Refused::BadRequest));
            return Vec::new();
        };
        self.with(&group, |room| room.command(&who, connection, request, command, now))
    }

    /// What meta says of rules that were to be stored.
    pub(crate) fn stored(
        &mut self,
        group: &GroupId,
        write: WriteId,
        is_stored: bool,
        now: Instant,
    ) -> Vec<Order> {
        self.with(group, |room| room.stored(write, is_stored, now))
    }

    /// The state of a room as it was told last, or would have been.
    pub(crate) fn snapshot(&mut self, group: &GroupId, now: Instant) -> Option<RoomSnapshot> {
        let home = self.rooms.get_mut(group)?;
        let delta = home.room.poll_delta(now);
        let snapshot = home.room.snapshot();
        if let Some(delta) = delta {
            self.say(Said::Room(changed(group, delta)));
        }
        Some(snapshot)
    }

    /// A connection to signaling begins: with the snapshots, so that what waits of before is not needed.
    pub(crate) fn begin(&mut self) -> Vec<NodeRoom> {
        self.said.retain(|said| matches!(said, Said::Reply(_)));
        self.snapshots()
    }

    /// What is repeated to signaling.
    pub(crate) fn snapshots(&self) -> Vec<NodeRoom> {
        self.rooms.iter().map(|(group, home)| snapshot(group, &home.room)).collect()
    }

    /// What signaling is to be told now. Rooms that nobody is in any more are forgotten once that is told.
    pub(crate) fn poll_said(&mut self, now: Instant) -> Option<Said> {
        if let Some(said) = self.said.pop_front() {
            return Some(said);
        }
        let next = self
            .rooms
            .iter_mut()
            .find_map(|(group, home)| Some(Said::Room(changed(group, home.room.poll_delta(now)?))));
        if next.is_none() {
            self.rooms.retain(|_, home| !home.room.is_settled() || home.room.poll_timeout().is_some());
        }
        next
    }

    /// When [`Homes::poll_said`] may have something.
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let deltas = self.rooms.values().filter_map(|home| home.room.poll_timeout());
        deltas.chain((!self.said.is_empty()).then_some(now)).min()
    }

    /// Does something with a room, and sorts what it asks for.
    fn with(&mut self, group: &GroupId, act: impl FnOnce(&mut Room)) -> Vec<Order> {
        let Some(home) = self.rooms.get_mut(group) else { return Vec::new() };
        let revision = home.room.rules_revision();
        act(&mut home.room);
        // Before what is answered to whoever changed them: by then they hold.
        let rules =
            (home.room.rules_revision() != revision).then(|| rules::to_meta(&home.room.rules_in_force()));
        let told = RoomUpdate::Delta(home.room.nothing_new());
        let (mut orders, mut answers) = (Vec::new(), Vec::new());
        let gates = &mut self.gates;
        while let Some(effect) = home.room.poll_effect() {
            let group = group.clone();
            match effect {
                Effect::Answer { connection, request, answer } => answers.push((connection, request, answer)),
                Effect::Gate { participant, source, state } => {
                    *gates = gates.saturating_add(1);
                    orders.push(Order::Gate { group, participant, source, state, number: *gates });
                }
                Effect::End(participant) => {
                    orders.push(Order::End { group, participant, why: WhyEnded::Removed });
                }
                Effect::Store { write, rules, .. } => {
                    home.rules_version = home.rules_version.saturating_add(1);
                    let put = PutRules {
                        epoch: home.epoch,
                        version: home.rules_version,
                        rules: rules::to_meta(&rules),
                    };
                    orders.push(Order::Store { group, write, put });
                }
            }
        }
        let room = RoomName::from(group);
        if rules.is_some() {
            self.say(Said::Room(NodeRoom { room: room.clone(), update: told, rules }));
        }
        for (connection, request, answer) in answers {
            self.reply(&connection, &request, &room, answer);
        }
        orders
    }

    fn reply(&mut self, connection: &str, request: &str, room: &RoomName, answer: Answer) {
        let request = request.to_owned();
        let reply = match answer {
            Ok(()) => Reply::done(request),
            Err(refused) => {
                let path = Destination::RoomState(room.clone());
                Reply::Refused {
                    request: Some(request),
                    destination: Address { prefix: Prefix::App, path }.to_string(),
                    reason: refused.reason(),
                    message: refused.to_string(),
                    retry_after_ms: refused.retry_ms(),
                    board: None,
                }
            }
        };
        self.say(Said::Reply(NodeReply { connection: connection.to_owned(), reply }));
    }

    fn say(&mut self, said: Said) {
        if self.said.len() >= MAX_SAID {
            self.said.pop_front();
        }
        self.said.push_back(said);
    }
}

/// All that signaling is told of a room.
fn snapshot(group: &GroupId, room: &Room) -> NodeRoom {
    let update = RoomUpdate::Snapshot(room.snapshot());
    NodeRoom { room: RoomName::from(group), update, rules: Some(rules::to_meta(&room.rules_in_force())) }
}

fn changed(group: &GroupId, delta: RoomDelta) -> NodeRoom {
    NodeRoom { room: RoomName::from(group), update: RoomUpdate::Delta(delta), rules: None }
}

#[cfg(test)]
mod tests;
