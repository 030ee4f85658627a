//! Calls as one shard sees them: what the slots of its members show, and what is said on their channels.
//!
//! The core binds: pictures by what pages want, voices by who is heard.
//!
//! What changes only marks members; they are served before media goes out and at the end of the turn
//! ([`ShardThread::run_calls`]), so that many changes cost one decision and one message. Both messages of the channel are whole states, of which the latest counts:
//! one that cannot be sent or read now is replaced by the next and never lost.

use std::time::{Duration, Instant};

use contract::call::{
    Binding, Bound, CALL_CHANNEL, CallEvent, MAX_SPEAKING, MAX_WANTS, MissingSource, PictureCodec, Pictures,
    SlotKind, Speakers, Want, Wants, WhyMissing,
};
use contract::layer::EncodingsWanted;
use sfu_core::{Peer, RoomId, SourceId, SubscriberConfig, SubscriptionConfig, TrackName};
use transport::ChannelId;

use super::channels::VIEWER_RATE;
use super::member::{CallSlot, Member};
use super::participant::Role;
use super::room::{call_room, core_room};
use super::thread::ShardThread;
use crate::metrics::ShardCounters;
use crate::published::{RoomKey, by_csrc, csrc};

/// When that is tried again which could not be read or sent at once.
const RETRY: Duration = Duration::from_millis(100);

/// The members that have something to do.
#[derive(Debug, Default)]
pub(super) struct CallTurn {
    /// At the end of this turn.
    due: Vec<usize>,
    /// Later, at this moment.
    later: Vec<usize>,
    retry_at: Option<Instant>,
}

impl CallTurn {
    /// Whether somebody has something to do at the end of this turn.
    pub(super) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// When [`ShardThread::run_calls`] has something to do next.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if self.due.is_empty() { self.retry_at } else { Some(now) }
    }
}

impl ShardThread {
    fn member(&mut self, slot: usize) -> Option<&mut Member> {
        match &mut self.io.participants.get_mut(slot)?.role {
            Role::Member(member) => Some(member),
            Role::Publisher { .. } | Role::Viewer { .. } => None,
        }
    }

    /// Has a member served at the end of the turn, after `mark`.
    pub(super) fn mark_member(&mut self, slot: usize, mark: impl FnOnce(&mut Member)) {
        let Some(member) = self.member(slot) else { return };
        mark(member);
        if !std::mem::replace(&mut member.queued, true) {
            self.calls.due.push(slot);
        }
    }

    /// Who speaks in a room has changed. Each shard hears all microphones of the rooms that its members are in.
    pub(super) fn speakers_changed(&mut self, room: RoomId) {
        let room = call_room(room).and_then(|room| self.io.rooms.room(room));
        let members = room.map(|room| room.members.clone()).unwrap_or_default();
        members.into_iter().for_each(|slot| self.mark_member(slot, |member| member.say_speakers = true));
    }

    /// Who speaks in the room of a member.
    fn speakers(&self, slot: usize) -> Option<Speakers> {
        let room = core_room(self.io.participants.get(slot)?.room);
        let speaking = self.core.speaking(room).filter_map(number).take(MAX_SPEAKING).collect();
        Some(Speakers { speaking, stage: self.core.on_stage(room).and_then(number) })
    }

    /// Serves the members that have something to do.
    pub(super) fn run_calls(&mut self, now: Instant) {
        if self.calls.retry_at.is_some_and(|at| at <= now) {
            self.calls.retry_at = None;
            let later = std::mem::take(&mut self.calls.later);
            self.calls.due.extend(later);
        }
        for slot in std::mem::take(&mut self.calls.due) {
            self.guarded(slot, now, |shard| {
                if shard.serve_member(slot, now) {
                    shard.mark_later(slot, now);
                }
            });
        }
    }

    fn mark_later(&mut self, slot: usize, now: Instant) {
        let Some(member) = self.member(slot) else { return };
        if !std::mem::replace(&mut member.queued, true) {
            self.calls.later.push(slot);
            self.calls.retry_at.get_or_insert(now + RETRY);
        }
    }

    /// Does what there is to do for a member; `true` if some of it has to wait.
    fn serve_member(&mut self, slot: usize, now: Instant) -> bool {
        let Some(member) = self.member(slot) else { return false };
        member.queued = false;
        self.read_wants(slot, now) | self.say(slot, now)
    }

    /// A message has come on the channel of a call.
    pub(super) fn call_message(&mut self, slot: usize, channel: ChannelId, bytes: Vec<u8>) {
        let is_it = self.member(slot).is_some_and(|member| member.channel == Some(channel));
        if is_it {
            self.mark_member(slot, |member| member.waiting = Some(bytes));
        } else {
            ShardCounters::add(&self.io.counters.data_dropped, 1);
        }
    }

    /// A channel is open: if it is the one of the call, the member hears its bindings there.
    pub(super) fn call_channel_opened(&mut self, slot: usize, channel: ChannelId, label: &str) {
        if label == CALL_CHANNEL {
            self.mark_member(slot, |member| {
                member.channel = Some(channel);
                (member.say, member.say_speakers, member.say_pictures) = (true, true, true);
            });
        }
    }

    pub(super) fn call_channel_closed(&mut self, slot: usize, channel: ChannelId) {
        if let Some(member) = self.member(slot) {
            member.channel.take_if(|open| *open == channel);
        }
    }

    /// Reads what a member wants, if its pace allows; `true` if not.
    fn read_wants(&mut self, slot: usize, now: Instant) -> bool {
        let Some(participant) = self.io.participants.get_mut(slot) else { return false };
        let Role::Member(member) = &mut participant.role else { return false };
        let said = member.waiting.as_ref().map(Vec::len);
        let Some(len) = said.or(member.patched.as_ref().map(size_of_wants)) else { return false };
        if !participant.channels.spend(len, VIEWER_RATE, now) {
            return true;
        }
        let said = member.waiting.take().map(|bytes| serde_json::from_slice::<Wants>(&bytes));
        match said {
            None => {}
            Some(Ok(wants)) if wants.sources.len() <= MAX_WANTS => {
                take_wants(&mut self.core, member, wants, now);
            }
            Some(_) => ShardCounters::add(&self.io.counters.data_dropped, 1),
        }
        if let Some(wants) = member.patched.take() {
            take_wants(&mut self.core, member, wants, now);
        }
        false
    }

    /// Takes wants that came by HTTP, if there are any, at the pace of those that come on the channel, and says what the
    /// slots show; nothing if there is no such member.
    pub(super) fn choose_slots(&mut self, slot: usize, wants: Option<Wants>, now: Instant) -> Option<Bound> {
        self.fault_point("wants");
        let participant = self.io.participants.get_mut(slot)?;
        let Role::Member(member) = &mut participant.role else { return None };
        if let Some(wants) = wants {
            if participant.channels.spend(size_of_wants(&wants), VIEWER_RATE, now) {
                take_wants(&mut self.core, member, wants, now);
                // The answer comes by another way, and later than the first picture.
                self.mark_member(slot, |_| {});
            } else {
                let waits = member.patched.as_ref().map(|waiting| waiting.generation);
                if waits.is_none_or(|waits| waits <= wants.generation) {
                    member.patched = Some(wants);
                }
                self.mark_later(slot, now);
            }
        }
        self.bound(slot)
    }

    /// Which of the encodings of a member's other connection are watched.
    pub(super) fn encodings_watched(&mut self, slot: usize, wanted: EncodingsWanted) {
        self.mark_member(slot, |member| member.encodings = Some(wanted));
    }

    /// In which codec a member is to send its pictures. What was said before it, and is heard after it, changes nothing.
    pub(super) fn pictures_in(&mut self, slot: usize, codec: PictureCodec, number: u64) {
        self.mark_member(slot, |member| {
            if member.pictures.is_none_or(|(_, last)| last < number) {
                member.pictures = Some((codec, number));
                member.say_pictures = true;
            }
        });
    }

    /// What a member is told of its slots now.
    fn bound(&mut self, slot: usize) -> Option<Bound> {
        let participant = self.io.participants.get_mut(slot)?;
        let Role::Member(member) = &mut participant.role else { return None };
        member.generation = member.generation.wrapping_add(1);
        let subscriber = member.subscriber?;
        let shown: Vec<_> = self.core.bindings(subscriber).collect();
        let room = self.io.rooms.room(participant.room);
        let binding = |slot: &CallSlot| {
            let shown = shown.iter().find(|shown| Some(shown.slot) == slot.id)?;
            let name = shown.shows?;
            let source = number(name)?;
            let publisher = room?.publisher(name.source)?;
            let from = shown.from.filter(|_| shown.csrc == Some(source));
            let participant = publisher.published.participant.clone()?;
            Some(Binding { mid: slot.mid.to_string(), source, participant, from })
        };
        let slots: Vec<Binding> = member.slots.iter().filter_map(binding).collect();
        let pictures = self.core.missing(subscriber).iter().filter_map(missing);
        // Of the others the core knows nothing: no source can have such a number, and voices are not wanted.
        let others = member.wants.sources.iter().filter_map(|want| {
            let why = match by_csrc(want.source) {
                None => WhyMissing::Absent,
                Some(_) if want.slot == SlotKind::Voice => WhyMissing::Kind,
                Some(_) => return None,
            };
            Some(MissingSource { source: want.source, slot: want.slot, why })
        });
        let missing = pictures.chain(others).collect();
        Some(Bound { generation: member.generation, wants: member.wants.generation, slots, missing })
    }

    /// Says on the channel of a member what is still to be said; `true` if it was not taken.
    fn say(&mut self, slot: usize, now: Instant) -> bool {
        let Some(member) = self.member(slot) else { return false };
        let Some(channel) = member.channel else { return false };
        let (bound, encodings) = (std::mem::take(&mut member.say), member.encodings.take());
        let speakers = std::mem::take(&mut member.say_speakers);
        let pictures = member.pictures.filter(|_| std::mem::take(&mut member.say_pictures));
        let pictures = pictures.map(|(codec, _)| CallEvent::Pictures(Pictures { codec }));
        let bound = if bound { self.bound(slot).map(CallEvent::Bound) } else { None };
        let speakers = if speakers { self.speakers(slot).map(CallEvent::Speakers) } else { None };
        let mut waits = false;
        for event in
            bound.into_iter().chain(encodings.map(CallEvent::Encodings)).chain(speakers).chain(pictures)
        {
            let Ok(text) = serde_json::to_vec(&event) else { continue };
            let Some(participant) = self.io.participants.get_mut(slot) else { return false };
            if participant.transport.send_data(channel, &text, false, now).is_ok() {
                ShardCounters::add(&self.io.counters.data_sent, 1);
                continue;
            }
            waits = true;
            if let Some(member) = self.member(slot) {
                match event {
                    CallEvent::Bound(_) => member.say = true,
                    CallEvent::Encodings(wanted) => member.encodings = Some(wanted),
                    CallEvent::Speakers(_) => member.say_speakers = true,
                    CallEvent::Pictures(_) => member.say_pictures = true,
                }
            }
        }
        self.drain_transport(slot, now);
        waits
    }

    /// A member has come: its slots are there, and bound, but nothing is sent yet.
    pub(super) fn member_came(&mut self, slot: usize, now: Instant) {
        let Some(participant) = self.io.participants.get_mut(slot) else { return };
        let room = participant.room;
        let Role::Member(member) = &mut participant.role else { return };
        let config = SubscriberConfig {
            peer: Peer(slot as u32),
            room: core_room(room),
            extensions: member.extensions,
            reduced_size: member.reduced_size,
            own: Some(member.own),
        };
        let id = match self.core.add_subscriber(config, now) {
            Ok(id) => id,
            Err(error) => return tracing::warn!(%error, "the media core refuses a member of a call"),
        };
        member.subscriber = Some(id);
        self.io.viewers.insert(id, slot);
        for slot in &mut member.slots {
            let config = SubscriptionConfig {
                shows: None,
                mid: slot.mid,
                ssrc: slot.ssrc,
                rtx_ssrc: slot.rtx_ssrc,
                cname: slot.cname.clone(),
                formats: slot.formats.clone(),
                slot: Some(core_kind(slot.kind)),
            };
            match self.core.subscribe(id, config, now) {
                Ok(id) => {
                    slot.id = Some(id);
                    self.core.set_paused(id, true, now);
                }
                Err(error) => tracing::warn!(%error, "the media core refuses a slot"),
            }
        }
        self.io.rooms.member_came(room, slot);
    }

    /// A member is connected: its slots begin.
    pub(super) fn attach_member(&mut self, slot: usize, now: Instant) {
        let Some(Role::Member(member)) = self.io.participants.get(slot).map(|participant| &participant.role)
        else {
            return;
        };
        member.slots.iter().filter_map(|slot| slot.id).for_each(|id| self.core.set_paused(id, false, now));
    }

    /// A publisher of a call has left for good: whoever waits for it does so no more.
    pub(super) fn publisher_is_gone(&mut self, room: RoomKey, source: SourceId, now: Instant) {
        let Some(known) = self.io.rooms.rooms.get_mut(&room) else { return };
        known.gone.insert(source);
        self.reconcile((room, source), now);
        self.io.rooms.drop_if_idle(room);
    }
}

/// About the bytes of wants as a message.
fn size_of_wants(wants: &Wants) -> usize {
    const BYTES_OF_ONE: usize = 72;
    wants.sources.len().saturating_mul(BYTES_OF_ONE)
}

/// Takes what a page wants. Of messages that have overtaken each other the one that was said last counts.
fn take_wants(core: &mut sfu_core::Shard, member: &mut Member, wants: Wants, now: Instant) {
    if wants.generation < member.wants.generation {
        return;
    }
    (member.wants, member.say) = (wants, true);
    let Some(subscriber) = member.subscriber else { return };
    let pictures = |want: &Want| {
        let &Want { source, slot, height, priority, pinned } = want;
        Some(sfu_core::Want { track: by_csrc(source)?, slot: core_kind(slot), height, priority, pinned })
    };
    let wanted: Vec<sfu_core::Want> = member.wants.sources.iter().filter_map(pictures).collect();
    core.set_wants(subscriber, &wanted, now);
}

fn number(name: TrackName) -> Option<u32> {
    csrc(name.source, usize::from(name.track.0))
}

fn missing(missing: &sfu_core::MissingSource) -> Option<MissingSource> {
    let why = match missing.why {
        sfu_core::WhyMissing::Absent => WhyMissing::Absent,
        sfu_core::WhyMissing::Kind => WhyMissing::Kind,
        sfu_core::WhyMissing::Codec => WhyMissing::Codec,
        sfu_core::WhyMissing::Slots => WhyMissing::Slots,
        sfu_core::WhyMissing::Line => WhyMissing::Line,
    };
    let slot = match missing.slot {
        sfu_core::SlotKind::Tile => SlotKind::Tile,
        sfu_core::SlotKind::Stage => SlotKind::Stage,
        sfu_core::SlotKind::Screen => SlotKind::Screen,
        sfu_core::SlotKind::Voice => SlotKind::Voice,
        sfu_core::SlotKind::ScreenAudio => SlotKind::ScreenAudio,
    };
    Some(MissingSource { source: number(missing.track)?, slot, why })
}

fn core_kind(kind: SlotKind) -> sfu_core::SlotKind {
    match kind {
        SlotKind::Tile => sfu_core::SlotKind::Tile,
        SlotKind::Stage => sfu_core::SlotKind::Stage,
        SlotKind::Screen => sfu_core::SlotKind::Screen,
        SlotKind::Voice => sfu_core::SlotKind::Voice,
        SlotKind::ScreenAudio => sfu_core::SlotKind::ScreenAudio,
    }
}
