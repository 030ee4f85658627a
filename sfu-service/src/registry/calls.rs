//! Sessions of calls. One is a participant of a group's room with up to two connections: one that publishes, one that
//! receives. A session outlives its connections by [`RESUME_SECS`]: whoever has its secret goes on as the same
//! participant.
//!
//! A participant is the subject of its join token, and has one session in a room: a second one with the same subject
//! replaces the first, so that a join whose answer was lost is simply repeated. The numbers of its sources are its own
//! until it leaves, and nobody else's after that as long as anybody is in the room.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::call::{CallPerson, CallSource, PictureCodec, RESUME_SECS};
use contract::id::{GroupId, ParticipantId, SessionId};
use contract::room_state::Quality;
use rand::Rng;
use sfu_core::SourceId;

use super::pictures::{RoomPictures, ToldPictures};
use super::session::{Refused, Removal};
use super::{Registry, Seats};
use crate::end::EndReason;
use crate::published::{Published, RoomKey, SOURCES, SessionKey, csrc};

/// How long a session is there without a connection.
const RESUME: Duration = Duration::from_secs(RESUME_SECS);
/// Most participants of a room, whatever its group allows; more are refused. The home of the room holds it to what the
/// group says.
const MAX_PARTICIPANTS: usize = contract::group::MAX_PARTICIPANTS as usize;

/// The calls of a node.
#[derive(Debug, Default)]
pub(super) struct Calls {
    rooms: HashMap<GroupId, CallRoom>,
    sessions: HashMap<SessionId, Call>,
    /// Whose a connection is.
    connections: HashMap<SessionKey, SessionId>,
    next_room: u64,
}

/// A group's room: there while it has a participant.
#[derive(Debug)]
struct CallRoom {
    key: RoomKey,
    /// The sessions of those who are there.
    members: BTreeMap<ParticipantId, SessionId>,
    /// The name that the next participant gets, as the publisher that it is. None is used twice.
    next_source: u32,
    /// In which codec pictures are sent.
    pictures: RoomPictures,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) group: GroupId,
    pub(crate) room: RoomKey,
    pub(crate) participant: ParticipantId,
    /// Display name.
    name: String,
    /// Whether its token lets it receive; so it is when it is resumed.
    pub(crate) may_receive: bool,
    /// Its name as a publisher of the room.
    source: SourceId,
    /// Entity tag of its ICE sessions, with quotes.
    pub(crate) etag: String,
    /// What it publishes.
    published: Option<Arc<Published>>,
    pub(crate) publish: Option<Connection>,
    pub(crate) receive: Option<Connection>,
    /// Whether all its slots for pictures take H.264.
    decodes_h264: bool,
    /// The connections that it was opened with last.
    opened_with: Keys,
    /// Since when it has no connection.
    lost_at: Option<Instant>,
}

/// A connection of a session.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: SessionKey,
    pub(crate) shard: usize,
    pub(crate) opened_at: Instant,
    address: IpAddr,
    connected: bool,
    /// As its shard said last.
    quality: Quality,
}

/// The publishing and the receiving connection of a session, whichever it has.
type Keys = [Option<SessionKey>; 2];

/// One opening of a session. A resumed session has the same secret, and other connections.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) session: SessionId,
    /// Whether the session was there before.
    pub(crate) resumes: bool,
    keys: Keys,
    shard: usize,
}

/// Who comes.
#[derive(Debug)]
pub(crate) enum Who {
    /// Who has a join token.
    Joins {
        /// Its subject.
        participant: ParticipantId,
        /// Display name.
        name: String,
        /// Whether its token lets it receive.
        may_receive: bool,
    },
    /// Who has the secret of a session.
    Resumes(SessionId),
}

/// A new session, or a new life of one.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) group: GroupId,
    pub(crate) who: Who,
    /// Whom it counts for while it is not connected.
    pub(crate) address: IpAddr,
    /// The shard that serves it.
    pub(crate) shard: usize,
    /// Entity tag.
    pub(crate) etag: String,
    /// Whether it receives.
    pub(crate) receives: bool,
    /// Whether all its slots for pictures take H.264; so it is where there are none.
    pub(crate) decodes_h264: bool,
    pub(crate) now: Instant,
}

/// What became of a [`NewCall`].
#[derive(Debug)]
pub(crate) struct OpenedCall {
    pub(crate) session: SessionId,
    pub(crate) participant: ParticipantId,
    pub(crate) room: RoomKey,
    pub(crate) source: SourceId,
    /// The publishing connection, with what it sends.
    pub(crate) publish: Option<(SessionKey, Arc<Published>)>,
    /// The receiving connection.
    pub(crate) receive: Option<SessionKey>,
    /// In which codec it sends its pictures, with the number of that, if it has a choice.
    pub(crate) pictures: Option<(PictureCodec, u64)>,
    /// The others who send in another one from now on.
    pub(crate) told: Vec<ToldPictures>,
    /// This opening, to know it again.
    pub(crate) opening: Opening,
    /// What has to go for it.
    pub(crate) replaced: Vec<Removal>,
    /// The others.
    pub(crate) people: Vec<CallPerson>,
    /// What the others publish.
    pub(crate) known: Vec<(SourceId, Arc<Published>)>,
}

/// A publisher that does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) room: RoomKey,
    pub(crate) source: SourceId,
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallRefused {
    /// As for any other session.
    Node(Refused),
    /// The room has as many participants as it may.
    RoomFull,
    /// There is no session with this secret any more.
    NoSession,
}

impl From<Refused> for CallRefused {
    fn from(refused: Refused) -> Self {
        Self::Node(refused)
    }
}

impl Calls {
    /// Connections that publish, and that receive.
    pub(super) fn counts(&self) -> (usize, usize) {
        let publishing = self.sessions.values().filter(|call| call.publish.is_some()).count();
        (publishing, self.connections.len() - publishing)
    }

    /// Takes a connection of a session out.
    fn take_out(&mut self, seats: &mut Seats, key: SessionKey) -> Option<(Connection, &mut Call)> {
        let call = self.sessions.get_mut(&self.connections.remove(&key)?)?;
        let is_it = |connection: &mut Connection| connection.key == key;
        let connection = call.publish.take_if(is_it).or_else(|| call.receive.take_if(is_it))?;
        seats.free(connection.address, connection.shard, connection.connected);
        Some((connection, call))
    }

    /// Takes all connections of a session out.
    fn disconnect(&mut self, seats: &mut Seats, id: &SessionId, reason: EndReason) -> Vec<Removal> {
        let Some(call) = self.sessions.get(id) else { return Vec::new() };
        let both = [&call.publish, &call.receive].into_iter().flatten();
        let keys: Vec<SessionKey> = both.map(|connection| connection.key).collect();
        let removed = keys.into_iter().filter_map(|key| {
            let (Connection { key, shard, .. }, _) = self.take_out(seats, key)?;
            Some(Removal { shard, key, reason })
        });
        removed.collect()
    }
}

impl Opening {
    /// What takes its connections from their shard.
    pub(crate) fn removals(&self, reason: EndReason) -> impl Iterator<Item = Removal> {
        let shard = self.shard;
        self.keys.into_iter().flatten().map(move |key| Removal { shard, key, reason })
    }
}

impl Call {
    /// The connections that it has.
    fn keys(&self) -> Keys {
        [&self.publish, &self.receive].map(|connection| connection.as_ref().map(|connection| connection.key))
    }

    /// What others see of it.
    fn person(&self) -> CallPerson {
        let published = self.published.as_ref();
        let sources = published.map(|published| published.sources(self.source)).unwrap_or_default();
        CallPerson { participant: self.participant.clone(), name: self.name.clone(), sources }
    }
}

impl Published {
    /// The sources that it has, with the numbers of the publisher that it is of.
    pub(crate) fn sources(&self, of: SourceId) -> Vec<CallSource> {
        let slots = SOURCES.into_iter().zip(self.formats).enumerate();
        let published = slots.filter_map(|(slot, (source, format))| {
            format?;
            Some(CallSource { source, csrc: csrc(of, slot)? })
        });
        published.collect()
    }
}

impl Registry {
    /// Whether a session of a call may come from `address`; one that is resumed has its place already.
    pub(crate) fn may_call(&self, address: IpAddr, resumes: bool) -> Result<(), Refused> {
        // Two connections.
        if resumes || self.seats.has_room(2) { self.seats.may_open(address) } else { Err(Refused::Full) }
    }

    /// Opens a session, or a resumed one anew. `publish` says what it publishes, once its name in the room is known.
    pub(crate) fn open_call(
        &mut self,
        new: NewCall,
        publish: Option<impl FnOnce(SourceId, &ParticipantId) -> Arc<Published>>,
        rng: &mut impl Rng,
    ) -> Result<OpenedCall, CallRefused> {
        let NewCall { group, who, address, shard, etag, receives, decodes_h264, now } = new;
        let resumes = matches!(who, Who::Resumes(_));
        self.may_call(address, resumes)?;
        let (session, participant, name, may_receive) = match who {
            Who::Joins { participant, name, may_receive } => {
                (SessionId::random(rng), participant, name, may_receive)
            }
            Who::Resumes(session) => {
                let call = self.calls.sessions.get(&session).filter(|call| call.group == group);
                let call = call.ok_or(CallRefused::NoSession)?;
                let (participant, name) = (call.participant.clone(), call.name.clone());
                let may_receive = call.may_receive;
                (session, participant, name, may_receive)
            }
        };
        let full = self.calls.rooms.get(&group).is_some_and(|room| {
            room.members.len() >= MAX_PARTICIPANTS && !room.members.contains_key(&participant)
        });
        if full {
            return Err(CallRefused::RoomFull);
        }
        let (room, source, before) = self.calls.enter(&group, &participant, &session);
        let mut replaced = self.calls.disconnect(&mut self.seats, &session, EndReason::Replaced);
        if let Some(before) = before {
            replaced.extend(self.calls.disconnect(&mut self.seats, &before, EndReason::Replaced));
            self.calls.sessions.remove(&before);
        }
        let published = publish.map(|publish| publish(source, &participant));
        let mut connection = || Connection {
            key: self.seats.take(address, shard),
            shard,
            opened_at: now,
            address,
            connected: false,
            quality: Quality::default(),
        };
        let mut call = Call {
            group: group.clone(),
            room,
            participant: participant.clone(),
            name,
            may_receive,
            source,
            etag,
            publish: published.as_ref().map(|_| connection()),
            receive: receives.then(connection),
            published: published.clone(),
            decodes_h264,
            opened_with: [None, None],
            lost_at: None,
        };
        call.opened_with = call.keys();
        let [publish, receive] = call.opened_with;
        let opening = Opening { session: session.clone(), resumes, keys: call.opened_with, shard };
        for key in [publish, receive].into_iter().flatten() {
            self.calls.connections.insert(key, session.clone());
        }
        self.calls.sessions.insert(session.clone(), call);
        let mut told = self.calls.settle_pictures(&group, now);
        told.retain(|told| Some(told.key) != receive);
        let pictures = self.calls.pictures_of(&session).map(|told| (told.codec, told.number));
        let others = self.calls.others(&group, &session);
        let people = others.iter().map(|call| call.person()).collect();
        let known = others.iter().filter_map(|call| Some((call.source, call.published.clone()?))).collect();
        let publish = publish.zip(published);
        Ok(OpenedCall {
            session,
            participant,
            room,
            source,
            publish,
            receive,
            pictures,
            told,
            opening,
            replaced,
            people,
            known,
        })
    }

    /// Whether a session still has all the connections of this opening.
    pub(crate) fn is_whole(&self, opening: &Opening) -> bool {
        self.calls.sessions.get(&opening.session).is_some_and(|call| call.keys() == opening.keys)
    }

    /// Whether a session is there, and was not opened anew since this opening.
    pub(crate) fn is_latest(&self, opening: &Opening) -> bool {
        self.calls.sessions.get(&opening.session).is_some_and(|call| call.opened_with == opening.keys)
    }

    /// A session by its secret.
    pub(crate) fn call(&self, id: &SessionId, group: &GroupId) -> Option<&Call> {
        self.calls.sessions.get(id).filter(|call| call.group == *group)
    }

    /// The same, to change its entity tag.
    pub(crate) fn call_mut(&mut self, id: &SessionId) -> Option<&mut Call> {
        self.calls.sessions.get_mut(id)
    }

    /// A session ends for good.
    pub(crate) fn leave_call(&mut self, id: &SessionId, reason: EndReason) -> (Vec<Removal>, Option<Gone>) {
        let removals = self.calls.disconnect(&mut self.seats, id, reason);
        (removals, self.calls.forget(id))
    }

    /// A session loses its connections, and may be resumed.
    pub(crate) fn lose_call(&mut self, id: &SessionId, reason: EndReason, now: Instant) -> Vec<Removal> {
        let removals = self.calls.disconnect(&mut self.seats, id, reason);
        if let Some(call) = self.calls.sessions.get_mut(id) {
            call.lost_at = Some(now);
        }
        removals
    }

    /// When the connection was opened, if it is one of a call: it is connected now.
    pub(crate) fn call_connected(&mut self, key: SessionKey) -> Option<Instant> {
        let call = self.calls.sessions.get_mut(self.calls.connections.get(&key)?)?;
        let both = [&mut call.publish, &mut call.receive].into_iter().flatten();
        let connection = both.into_iter().find(|connection| connection.key == key)?;
        if !std::mem::replace(&mut connection.connected, true) {
            self.seats.connected(connection.address);
        }
        Some(connection.opened_at)
    }

    /// How good a connection of a call is. Returns whose, and how good its connections are together: as the worst, and
    /// lost where one that was opened is gone.
    pub(crate) fn call_quality(
        &mut self,
        key: SessionKey,
        quality: Quality,
    ) -> Option<(GroupId, ParticipantId, Quality)> {
        let call = self.calls.sessions.get_mut(self.calls.connections.get(&key)?)?;
        let both = [&mut call.publish, &mut call.receive].into_iter().flatten();
        both.into_iter().find(|connection| connection.key == key)?.quality = quality;
        let both = [&call.publish, &call.receive].into_iter().flatten();
        let worst = both.map(|connection| connection.quality).max()?;
        let is_whole = call.keys() == call.opened_with;
        let quality = if is_whole { worst } else { Quality::Lost };
        Some((call.group.clone(), call.participant.clone(), quality))
    }

    /// A connection is gone from its shard by itself. Whether it was one of a call.
    pub(crate) fn call_closed(&mut self, key: SessionKey, now: Instant) -> bool {
        let Some((_, call)) = self.calls.take_out(&mut self.seats, key) else { return false };
        if call.publish.is_none() && call.receive.is_none() {
            call.lost_at = Some(now);
        }
        true
    }

    /// Whose a session is.
    pub(crate) fn participant_with(&self, id: &SessionId) -> Option<(GroupId, ParticipantId)> {
        let call = self.calls.sessions.get(id)?;
        Some((call.group.clone(), call.participant.clone()))
    }

    /// Whose a connection is, if it is one of a call.
    pub(crate) fn participant_of(&self, key: SessionKey) -> Option<(GroupId, ParticipantId)> {
        let call = self.calls.sessions.get(self.calls.connections.get(&key)?)?;
        Some((call.group.clone(), call.participant.clone()))
    }

    /// The session of a participant.
    pub(crate) fn session_of(&self, group: &GroupId, who: &ParticipantId) -> Option<SessionId> {
        self.calls.rooms.get(group)?.members.get(who).cloned()
    }

    /// The publishing connection of a participant, with its shard.
    pub(crate) fn publishing(&self, group: &GroupId, who: &ParticipantId) -> Option<(usize, SessionKey)> {
        let session = self.calls.rooms.get(group)?.members.get(who)?;
        let connection = self.calls.sessions.get(session)?.publish.as_ref()?;
        Some((connection.shard, connection.key))
    }

    /// The receiving connection of whom a publishing one is, with its shard.
    pub(crate) fn call_receiver(&self, key: SessionKey) -> Option<(usize, SessionKey)> {
        let call = self.calls.sessions.get(self.calls.connections.get(&key)?)?;
        call.receive.as_ref().map(|connection| (connection.shard, connection.key))
    }

    /// Ends the sessions that nobody has resumed in time.
    pub(crate) fn end_lost_calls(&mut self, now: Instant) -> Vec<Gone> {
        let is_over =
            |call: &Call| call.lost_at.is_some_and(|at| now.saturating_duration_since(at) >= RESUME);
        let over = self.calls.sessions.iter().filter(|(_, call)| is_over(call));
        let over: Vec<SessionId> = over.map(|(id, _)| id.clone()).collect();
        over.iter().filter_map(|id| self.calls.forget(id)).collect()
    }

    /// Who sends its pictures in another codec from now on, in rooms where somebody has come or gone, or that have waited
    /// long enough.
    pub(crate) fn settle_pictures(&mut self, now: Instant) -> Vec<ToldPictures> {
        let groups: Vec<GroupId> = self.calls.rooms.keys().cloned().collect();
        groups.iter().flat_map(|group| self.calls.settle_pictures(group, now)).collect()
    }

    /// In which codec a session is to send its pictures, if it has a choice and can be told.
    pub(crate) fn pictures_of(&self, id: &SessionId) -> Option<ToldPictures> {
        self.calls.pictures_of(id)
    }

    /// Ends every session: the node stops.
    pub(super) fn end_calls(&mut self, reason: EndReason) -> Vec<Removal> {
        let all: Vec<SessionId> = self.calls.sessions.keys().cloned().collect();
        let ended = all.iter().flat_map(|id| {
            let removals = self.calls.disconnect(&mut self.seats, id, reason);
            self.calls.forget(id);
            removals
        });
        ended.collect()
    }
}

impl Calls {
    /// Makes a session the one of its participant, in a room that is made if it is not there. Returns the participant's
    /// name there, and the session that it had before, if that was another one.
    fn enter(
        &mut self,
        group: &GroupId,
        participant: &ParticipantId,
        session: &SessionId,
    ) -> (RoomKey, SourceId, Option<SessionId>) {
        let next = &mut self.next_room;
        let room = self.rooms.entry(group.clone()).or_insert_with(|| {
            *next += 1;
            let key = RoomKey::Group(*next);
            CallRoom { key, members: BTreeMap::new(), next_source: 0, pictures: RoomPictures::default() }
        });
        let before = room.members.insert(participant.clone(), session.clone());
        let known = before.as_ref().and_then(|before| self.sessions.get(before));
        let source = known.map_or_else(
            || {
                let source = SourceId(room.next_source);
                room.next_source = room.next_source.saturating_add(1);
                source
            },
            |call| call.source,
        );
        (room.key, source, before.filter(|before| before != session))
    }

    /// Looks at who is in a room: who sends its pictures in another codec from now on.
    fn settle_pictures(&mut self, group: &GroupId, now: Instant) -> Vec<ToldPictures> {
        let Some(room) = self.rooms.get_mut(group) else { return Vec::new() };
        let members = || room.members.values().filter_map(|id| self.sessions.get(id));
        let everybody = members().all(|call| call.decodes_h264);
        if !room.pictures.update(everybody, now) {
            return Vec::new();
        }
        let room = self.rooms.get(group).into_iter();
        let members = room.flat_map(|room| room.members.values());
        members.filter_map(|id| self.pictures_of(id)).collect()
    }

    /// See [`Registry::pictures_of`].
    fn pictures_of(&self, id: &SessionId) -> Option<ToldPictures> {
        let call = self.sessions.get(id)?;
        call.published.as_ref().filter(|published| published.has_picture_choice())?;
        let &Connection { key, shard, .. } = call.receive.as_ref()?;
        let (codec, number) = self.rooms.get(&call.group)?.pictures.get();
        Some(ToldPictures { shard, key, codec, number })
    }

    /// The sessions of a room besides one.
    fn others(&self, group: &GroupId, session: &SessionId) -> Vec<&Call> {
        let members = self.rooms.get(group).into_iter().flat_map(|room| room.members.values());
        members.filter(|other| *other != session).filter_map(|other| self.sessions.get(other)).collect()
    }

    /// Forgets a session that has no connection any more, and the room with the last.
    fn forget(&mut self, id: &SessionId) -> Option<Gone> {
        let call = self.sessions.remove(id)?;
        let room = self.rooms.get_mut(&call.group)?;
        room.members.remove(&call.participant);
        if room.members.is_empty() {
            self.rooms.remove(&call.group);
        }
        Some(Gone { room: call.room, source: call.source })
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
