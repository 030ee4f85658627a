//! Participants of calls come, change and go.

use std::net::IpAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use actix_web::http::StatusCode;
use contract::call::{
    Bound, IceRestart, JoinCall, JoinedCall, MAX_DISPLAY_NAME_CHARS, MAX_SLOTS, MAX_SOURCES, MAX_WANTS,
    OfferedSlot, PatchCall, PatchedCall, PublishOffer, RESUME_SECS, ReceiveOffer, SlotKind, Wants,
};
use contract::id::{GroupId, ParticipantId, SessionId};
use contract::room::Room;
use contract::room_state::Right;
use contract::text;
use contract::token::{Claims, Grant, Role};
use rand::RngExt as _;
use room::Joining;
use rtp::{Codec, MediaKind};
use service_kit::HttpProblem;
use sfu_core::SourceId;
use tokio::sync::oneshot;
use transport::IceCredentials;
use transport::sdp::{
    self, CodecFormat, H264Profile, Local, PublishAnswer, PublishOptions, Slot, SlotStream, SlotsAnswer,
};

use super::open::{formats, parse_offer};
use super::problem::{
    RETRY_AFTER, call_refused, guarded, internal, join_refused, no_grant, no_session, overloaded, refused,
    sdp_problem,
};
use super::{Node, SHARD_TIMEOUT, new_etag};
use crate::end::EndReason;
use crate::published::{Published, SessionKey, csrc};
use crate::registry::{
    CallRefused, Connection, Gone, NewCall, OpenedCall, Opening, Placed, Registry, ToldPictures, Who,
};
use crate::shard::{self, CallSlot, Command, JoinRole, Member};

/// The msid of what has to be in sync: who is large, and the first voice.
const STAGE: &str = "stage";

/// Who asks to join.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    /// What its token says; a session may be resumed without.
    pub(crate) claims: Option<Claims>,
    /// Whom it counts for until it is connected.
    pub(crate) address: IpAddr,
    /// The host that it reached this node as.
    pub(crate) host: &'a str,
}

impl Node {
    /// Refuses early when the node is full or leaving, or when `address` has too many connections that are not connected.
    pub(crate) fn require_call_capacity(&self, address: IpAddr, resumes: bool) -> Result<(), HttpProblem> {
        if self.is_draining() {
            return Err(HttpProblem::unavailable("this server is being restarted", RETRY_AFTER));
        }
        let registry = self.registry();
        registry.may_call(address, resumes).map_err(refused)?;
        // The load of who comes back was taken before.
        match self.load.exceeded(&self.config.limits, registry.emptiest()).filter(|_| !resumes) {
            None => Ok(()),
            Some(limit) => Err(overloaded(limit)),
        }
    }

    /// Lets a participant in, or takes one in again. Returns the answer with its entity tag.
    pub(crate) async fn join_call(
        &self,
        group: &GroupId,
        caller: Caller<'_>,
        body: JoinCall,
    ) -> Result<(JoinedCall, String), HttpProblem> {
        let JoinCall { publish, receive, wants, name, resume } = body;
        let (who, may_receive, joining) = self.who(group, caller.claims.as_ref(), name, resume)?;
        check(publish.as_ref(), receive.as_ref(), &wants, may_receive)?;
        let answer = |shard: usize| -> Result<_, HttpProblem> {
            let local = || self.local(self.addresses.get(shard).cloned().unwrap_or_default());
            let publish = publish.as_ref().map(|offer| publishing(offer, local())).transpose()?;
            let receive = receive.as_ref().map(|offer| receiving(offer, local())).transpose()?;
            Ok((shard, publish, receive))
        };
        let mut answers = answer(self.registry().emptiest())?;
        // Only who will come in, as far as that is known, begins a new epoch of the room.
        let asked = match &joining {
            Some(joining) => {
                self.may_enter_as_known(group, joining).map_err(join_refused)?;
                self.ask_for_room(group).await?
            }
            None => None,
        };
        // Others may have come in while meta was asked.
        let emptiest = self.registry().emptiest();
        if answers.0 != emptiest {
            answers = answer(emptiest)?;
        }
        let (shard, publish, receive) = answers;
        let etag = new_etag();
        let (address, receives, now) = (caller.address, receive.is_some(), Instant::now());
        let decodes_h264 = receive.as_ref().is_none_or(Receiving::decodes_h264);
        let (group_id, tag) = (group.clone(), etag.clone());
        let new = NewCall { group: group_id, who, address, shard, etag: tag, receives, decodes_h264, now };
        let published = publish.as_ref().map(|publish| {
            |source: SourceId, participant: &ParticipantId| {
                Arc::new(published(&publish.answer, source, participant))
            }
        });
        if let Some(joining) = &joining {
            self.may_enter(asked.as_ref(), group, joining).map_err(join_refused)?;
        }
        let opened = self.registry().open_call(new, published, &mut rand::rng()).map_err(call_refused)?;
        self.remove(opened.replaced.iter().copied());
        self.tell_pictures(opened.told.iter().copied());
        let mut entering = Entering { node: self, opening: &opened.opening, is_done: false };
        if let Some(joining) = joining {
            self.enter(asked.as_ref(), group, joining, now).map_err(join_refused)?;
        }
        drop(asked);
        let bound = self.connect_call(shard, &opened, publish.as_ref(), receive.as_ref(), wants).await?;
        // What was changed while the shard did not have it yet.
        let pictures = self.registry().pictures_of(&opened.session);
        self.tell_pictures(pictures);
        let sends = opened.publish.as_ref();
        let sources = sends.map(|(_, published)| published.sources(opened.source)).unwrap_or_default();
        if !self.publishes(group, &opened.opening, &opened.participant, &sources, now) {
            return Err(call_refused(CallRefused::NoSession));
        }
        entering.is_done = true;
        drop(entering);
        let OpenedCall { session, participant, people, .. } = opened;
        let joined = JoinedCall {
            participant,
            ice_servers: self.ice_servers(Some(session.as_str()), Some(caller.host)),
            session,
            resume_secs: RESUME_SECS,
            publish_sdp: publish.map(|publish| publish.answer.text),
            receive_sdp: receive.map(|receive| receive.answer.text),
            sources,
            people,
            room: self.room_state(group, now),
            bound,
            pictures: pictures.map(|pictures| pictures.codec),
        };
        Ok((joined, etag))
    }

    /// Who comes, whether it may receive, and what the room is told of it unless it is there already. What it may send is
    /// the room's to say, now and later.
    fn who(
        &self,
        group: &GroupId,
        claims: Option<&Claims>,
        name: Option<String>,
        resume: Option<SessionId>,
    ) -> Result<(Who, bool, Option<Joining>), HttpProblem> {
        if let Some(session) = resume {
            let known = self
                .registry()
                .call(&session, group)
                .map(|call| (call.participant.clone(), call.may_receive));
            let known = known.filter(|(participant, _)| self.homes().is_in(group, participant));
            let (_, may_receive) = known.ok_or_else(|| call_refused(CallRefused::NoSession))?;
            return Ok((Who::Resumes(session), may_receive, None));
        }
        let claims = claims.ok_or_else(|| {
            HttpProblem::unauthorized("joining needs a join token of this room as `Authorization: Bearer`")
        })?;
        let room = Room::from(group);
        let Role::Join { room: own, name: given, grants } = &claims.role else {
            return Err(HttpProblem::forbidden("joining needs a join token: this one is of another kind"));
        };
        if *own != room {
            return Err(HttpProblem::new(StatusCode::FORBIDDEN, "wrong-room", "Forbidden")
                .detail("the token is of another room"));
        }
        let participant: ParticipantId = claims.sub.parse().map_err(|_| {
            HttpProblem::forbidden("the subject of the token is no participant id (`par_` and more)")
        })?;
        let name = text::one_line(given.as_deref().or(name.as_deref()).unwrap_or_default());
        if name.chars().count() > MAX_DISPLAY_NAME_CHARS {
            return Err(HttpProblem::bad_request("a display name has at most 64 characters"));
        }
        let may_receive = claims.may(&room, Grant::Subscribe);
        let joining = Joining {
            participant: participant.clone(),
            name: name.clone(),
            name_is_fixed: given.is_some(),
            granted: Right::of(grants),
        };
        Ok((Who::Joins { participant, name, may_receive }, may_receive, Some(joining)))
    }

    /// Hands the connections of a session to their shard, and has its slots chosen.
    async fn connect_call(
        &self,
        shard: usize,
        opened: &OpenedCall,
        publish: Option<&Publishing>,
        receive: Option<&Receiving>,
        wants: Wants,
    ) -> Result<Bound, HttpProblem> {
        let name = (opened.room, opened.participant.clone());
        if let (Some((key, published)), Some(Publishing { answer, local })) = (&opened.publish, publish) {
            let role = JoinRole::Publisher { source: opened.source, published: published.clone() };
            let placed = Placed { key: *key, shard };
            self.join(&placed, name.clone(), local, &answer.remote, answer.data, role).await?;
        }
        let (Some(key), Some(Receiving { answer, local, slots })) = (opened.receive, receive) else {
            return Ok(Bound { wants: wants.generation, ..Bound::default() });
        };
        let mut member = Member::new(opened.source, answer.extensions, answer.reduced_size, slots.clone());
        member.pictures = opened.pictures;
        let role = JoinRole::Member { published: opened.known.clone(), member: Box::new(member) };
        self.join(&Placed { key, shard }, name, local, &answer.remote, answer.data, role).await?;
        self.choose_slots((key, shard), Some(wants)).await
    }

    /// What the slots of a receiving connection show, after `wants` if there are any.
    async fn choose_slots(
        &self,
        (key, shard): (SessionKey, usize),
        wants: Option<Wants>,
    ) -> Result<Bound, HttpProblem> {
        let overloaded = || HttpProblem::unavailable("the server is overloaded", RETRY_AFTER);
        let (reply, answer) = oneshot::channel();
        let command = Command::ChooseSlots { key, wants, reply };
        self.shards.get(shard).ok_or_else(internal)?.send(command).map_err(|_| overloaded())?;
        let answer = tokio::time::timeout(SHARD_TIMEOUT, answer).await;
        answer.map_err(|_| overloaded())?.map_err(|_| overloaded())?.ok_or_else(no_session)
    }

    /// The entity tag of a session.
    pub(crate) fn call_etag(&self, id: &SessionId, group: &GroupId) -> Option<String> {
        self.registry().call(id, group).map(|call| call.etag.clone())
    }

    /// PATCH: ICE restarts, if `may_restart`, and wants. Returns the answer with the entity tag.
    pub(crate) async fn patch_call(
        &self,
        id: &SessionId,
        group: &GroupId,
        body: PatchCall,
        may_restart: bool,
    ) -> Result<(PatchedCall, String), HttpProblem> {
        let PatchCall { publish, receive, wants } = body;
        if wants.as_ref().is_some_and(|wants| wants.sources.len() > MAX_WANTS) {
            return Err(too_many("wants", MAX_WANTS));
        }
        let (of_publish, of_receive, mut etag) = {
            let registry = self.registry();
            let call = registry.call(id, group).ok_or_else(no_session)?;
            let place = |connection: &Connection| (connection.key, connection.shard);
            (call.publish.as_ref().map(place), call.receive.as_ref().map(place), call.etag.clone())
        };
        let restarts = publish.is_some() || receive.is_some();
        if restarts && !may_restart {
            return Err(HttpProblem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "Precondition required",
            )
            .detail("an ICE restart needs If-Match with the entity tag of the session, or `*`"));
        }
        // Both are read before either is restarted.
        let read = |restart: Option<IceRestart>| {
            let read = restart.map(|restart| sdp::ice_credentials(&restart.ufrag, &restart.pwd));
            read.transpose().map_err(sdp_problem)
        };
        let (publish, receive) = (read(publish)?, read(receive)?);
        let mut patched = PatchedCall::default();
        for (remote, of, ours) in
            [(publish, of_publish, &mut patched.publish), (receive, of_receive, &mut patched.receive)]
        {
            let Some(remote) = remote else { continue };
            let IceCredentials { ufrag, pwd } =
                self.restart_ice(of.ok_or_else(no_session)?, &remote).await?.ice;
            *ours = Some(IceRestart { ufrag, pwd });
        }
        if restarts {
            etag = new_etag();
            if let Some(call) = self.registry().call_mut(id) {
                call.etag.clone_from(&etag);
            }
        }
        patched.bound = match (of_receive, &wants) {
            (Some(of), _) => self.choose_slots(of, wants).await?,
            // Nothing can be seen: that is the state.
            (None, _) => Bound::default(),
        };
        Ok((patched, etag))
    }

    /// DELETE, or what ends a session otherwise.
    pub(crate) fn leave_call(&self, id: &SessionId, reason: EndReason) {
        self.end_call(self.registry(), id, reason);
    }

    fn end_call(&self, mut registry: MutexGuard<'_, Registry>, id: &SessionId, reason: EndReason) {
        let participant = registry.participant_with(id);
        let (removals, gone) = registry.leave_call(id, reason);
        if let Some((group, who)) = participant {
            // Under the lock: the same person may be about to come in anew.
            self.has_left(&group, &who, Instant::now());
        }
        drop(registry);
        self.remove(removals);
        self.forget_publishers(gone);
    }

    /// Nothing of an opening stays. Whoever has opened the session anew since keeps it, and who was there before may
    /// resume again.
    fn abandon(&self, opening: &Opening) {
        let (mut registry, now) = (self.registry(), Instant::now());
        if registry.is_latest(opening) {
            let known = registry.participant_with(&opening.session).filter(|_| opening.resumes);
            let Some((group, who)) = known.filter(|(group, who)| self.homes().is_in(group, who)) else {
                return self.end_call(registry, &opening.session, EndReason::NotTaken);
            };
            let removals = registry.lose_call(&opening.session, EndReason::NotTaken, now);
            drop(registry);
            self.is_lost(&group, &who, now);
            return self.remove(removals);
        }
        drop(registry);
        // Whatever ended the session told the shard so, perhaps before the shard got the connection.
        self.remove(opening.removals(EndReason::NotTaken));
    }

    /// Ends the sessions that nobody has resumed in time.
    pub(crate) fn end_lost_calls(&self) {
        let now = Instant::now();
        let gone = self.registry().end_lost_calls(now);
        self.forget_publishers(gone);
        self.forget_lost(now);
        let told = self.registry().settle_pictures(now);
        self.tell_pictures(told);
    }

    /// Has participants send their pictures in another codec.
    fn tell_pictures(&self, told: impl IntoIterator<Item = ToldPictures>) {
        for ToldPictures { shard, key, codec, number } in told {
            self.tell(shard, Command::Pictures { key, codec, number });
        }
    }

    /// Publishers of calls do not come back.
    fn forget_publishers(&self, gone: impl IntoIterator<Item = Gone>) {
        for Gone { room, source } in gone {
            (0..self.shards.len()).for_each(|shard| self.tell(shard, Command::Gone { room, source }));
        }
    }
}

/// Somebody is coming in. A request that fails, or that is dropped because its client has gone, leaves nothing behind.
struct Entering<'a> {
    node: &'a Node,
    opening: &'a Opening,
    is_done: bool,
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.node.abandon(self.opening);
        }
    }
}

/// A publish connection that was answered.
struct Publishing {
    answer: PublishAnswer,
    local: Local,
}

/// A receive connection that was answered.
struct Receiving {
    answer: SlotsAnswer,
    local: Local,
    slots: Vec<CallSlot>,
}

impl Receiving {
    /// Whether all slots for pictures take H.264.
    fn decodes_h264(&self) -> bool {
        let mut pictures = self.slots.iter().filter(|slot| !slot.kind.is_audio());
        pictures.all(|slot| slot.formats.iter().any(|format| format.codec == Codec::H264))
    }
}

/// Checks what was sent against limits, and whether its sender may receive. Every source may be offered: what comes of one
/// that its owner has no right to goes to nobody, until the room gives that right.
fn check(
    publish: Option<&PublishOffer>,
    receive: Option<&ReceiveOffer>,
    wants: &Wants,
    may_receive: bool,
) -> Result<(), HttpProblem> {
    if publish.is_none() && receive.is_none() {
        return Err(HttpProblem::bad_request("offer a connection: `publish`, `receive` or both"));
    }
    let offered = publish.map(|offer| offer.sources.as_slice()).unwrap_or_default();
    let slots = receive.map(|offer| offer.slots.len()).unwrap_or_default();
    for (what, count, limit) in [
        ("sources", offered.len(), MAX_SOURCES),
        ("slots", slots, MAX_SLOTS),
        ("wants", wants.sources.len(), MAX_WANTS),
    ] {
        if count > limit {
            return Err(too_many(what, limit));
        }
    }
    if receive.is_some() && !may_receive {
        return Err(no_grant("receive"));
    }
    Ok(())
}

fn too_many(what: &str, limit: usize) -> HttpProblem {
    HttpProblem::bad_request(format!("too many {what}; at most {limit} are accepted"))
}

fn publishing(offer: &PublishOffer, local: Local) -> Result<Publishing, HttpProblem> {
    let parsed = parse_offer(&offer.sdp)?;
    let sources = offer.sources.iter().map(|offer| (offer.mid.clone(), offer.source)).collect();
    let options = PublishOptions {
        sources: Some(sources),
        // Every browser decodes the first (RFC 7742, section 5); nothing is negotiated again when all decode the other.
        picture_codecs: vec![CodecFormat::Vp8, CodecFormat::H264(H264Profile::ConstrainedBaseline)],
        data_channels: false,
        redundancy: true,
        ..PublishOptions::default()
    };
    let answer = guarded(|| sdp::answer_publish(&parsed, &local, &options))?.map_err(sdp_problem)?;
    Ok(Publishing { answer, local })
}

fn receiving(offer: &ReceiveOffer, local: Local) -> Result<Receiving, HttpProblem> {
    let parsed = parse_offer(&offer.sdp)?;
    let mut rng = rand::rng();
    // Both words of an msid and the CNAME are new each time: they say nothing, and a page tells slots by `a=mid`.
    let cname = format!("{:032x}", rng.random::<u128>());
    let ssrcs = ssrcs(2 * offer.slots.len());
    let mut in_sync = Vec::new();
    let slot = |(offered, ssrcs): (&OfferedSlot, &[u32])| {
        let (ssrc, rtx_ssrc) = (*ssrcs.first()?, *ssrcs.last()?);
        let is_synced = matches!(offered.kind, SlotKind::Stage | SlotKind::Voice);
        let is_first = is_synced && !in_sync.contains(&offered.kind);
        in_sync.extend(is_first.then_some(offered.kind));
        let group = if is_first { STAGE.to_owned() } else { format!("slot-{ssrc}") };
        let kind = if offered.kind.is_audio() { MediaKind::Audio } else { MediaKind::Video };
        let stream = SlotStream { group, id: format!("track-{ssrc}"), ssrc, rtx_ssrc };
        Some(Slot { mid: offered.mid.clone(), kind, stream })
    };
    let slots: Vec<Slot> = offer.slots.iter().zip(ssrcs.chunks(2)).filter_map(slot).collect();
    let answer = guarded(|| sdp::answer_slots(&parsed, &local, &cname, &slots))?.map_err(sdp_problem)?;
    let cname: Arc<str> = cname.into();
    let agreed = offer.slots.iter().zip(&answer.slots).map(|(offered, media)| CallSlot {
        kind: offered.kind,
        mid: media.mid,
        ssrc: media.ssrc,
        rtx_ssrc: media.rtx_ssrc,
        cname: cname.clone(),
        formats: media.codecs.iter().map(shard::format).collect(),
        id: None,
    });
    let slots = agreed.collect();
    Ok(Receiving { answer, local, slots })
}

/// Different SSRCs, none of them 0.
fn ssrcs(count: usize) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::with_capacity(count);
    while all.len() < count {
        let ssrc: u32 = rand::rng().random();
        if ssrc != 0 && !all.contains(&ssrc) {
            all.push(ssrc);
        }
    }
    all
}

/// What a participant publishes, with the numbers of its sources.
fn published(answer: &PublishAnswer, source: SourceId, participant: &ParticipantId) -> Published {
    let (mut tracks, formats) = (shard::tracks(&answer.media), formats(&answer.media));
    for (slot, track) in tracks.iter_mut().enumerate() {
        // What only keeps a place is no source.
        track.csrc = formats.get(slot).copied().flatten().and_then(|_| csrc(source, slot));
    }
    Published {
        extensions: answer.extensions,
        tracks,
        formats,
        remb: answer.media.iter().any(|media| media.codec.feedback.remb),
        reduced_size: answer.reduced_size,
        participant: Some(participant.clone()),
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
