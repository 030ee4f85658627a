//! A published track: its encodings, and the feeds of those who are shown it.

use std::time::Instant;

use rtp::{Codec, MediaKind, RtpPacket};
use slab::Slab;

use crate::config::{Format, Gate, MAX_ENCODINGS, TrackConfig};
use crate::encoding::Encoding;
use crate::feed::Feed;
use crate::ids::SubscriptionId;
use crate::layers::EncodingSet;
use crate::layers::Layers;
use crate::layers::allocate::{Demand, Priority};
use crate::layers::ladder::{self, Candidate, Favours, Flow, Ladder, Step};
use crate::stats::TrackStats;
use crate::subscription::Subscription;

/// The encodings of a track as candidates.
#[derive(Debug)]
pub(crate) struct Candidates {
    candidates: [Candidate; MAX_ENCODINGS],
    len: usize,
}

impl Candidates {
    pub(crate) fn as_slice(&self) -> &[Candidate] {
        self.candidates.get(..self.len).unwrap_or_default()
    }
}

/// A published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) config: TrackConfig,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) feeds: Slab<Feed>,
    pub(crate) marks: Marks,
    /// How many feeds are interested in each encoding.
    interest: [u32; MAX_ENCODINGS],
    /// The publisher has to be told what is wanted now.
    pub(crate) interest_moved: bool,
    /// What the layers of all feeds were last chosen from.
    chosen_from: Option<Choosable>,
    pub(crate) active: bool,
    /// It shows a screen: it comes before cameras when bandwidth is short.
    pub(crate) screen: bool,
    /// It is a microphone: it is heard in voice slots.
    pub(crate) is_microphone: bool,
    /// Whether others get what comes of it.
    pub(crate) gate: Gate,
}

/// The feeds of a track that something changed for.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Each once, as [`Feed::marked`] says.
    keys: Vec<usize>,
    all: bool,
}

impl Marks {
    /// Something changed for `feed`, which has this key.
    pub(crate) fn mark(&mut self, key: usize, feed: &mut Feed) {
        if !std::mem::replace(&mut feed.marked, true) {
            self.keys.push(key);
        }
    }
}

/// What a choice of layers depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choosable {
    /// Without their bitrates, which move all the time and count only while sizes are not known.
    candidates: [Candidate; MAX_ENCODINGS],
    /// By index, worst first.
    order: [u8; MAX_ENCODINGS],
    codec: Option<Codec>,
}

impl Track {
    pub(crate) fn new(config: TrackConfig) -> Self {
        let encodings =
            config.encodings.iter().map(|&encoding| Encoding::new(encoding, config.kind)).collect();
        Self {
            config,
            encodings,
            feeds: Slab::new(),
            marks: Marks::default(),
            interest: [0; MAX_ENCODINGS],
            interest_moved: false,
            chosen_from: None,
            active: false,
            screen: false,
            is_microphone: false,
            gate: Gate::Open,
        }
    }

    /// Begins to feed a subscription; returns the key of its feed. Until its layers are chosen the first encoding will
    /// do: most often there is no other.
    pub(crate) fn attach(&mut self, id: SubscriptionId, paused: bool) -> usize {
        let mut feed = Feed::new(id);
        if !paused {
            feed.expect_first();
        }
        let key = self.feeds.insert(feed);
        self.asks_otherwise(key, paused);
        key
    }

    /// What is asked for with this feed is new or has changed. Sound flows or does not from here on; the layers of
    /// pictures are chosen with the next [`crate::Shard::handle_timeout`].
    pub(crate) fn asks_otherwise(&mut self, key: usize, paused: bool) {
        let Some(feed) = self.feeds.get_mut(key) else { return };
        if paused {
            feed.pause();
        }
        match self.config.kind {
            MediaKind::Audio if paused => {}
            MediaKind::Audio => feed.expect_first(),
            MediaKind::Video => self.marks.mark(key, feed),
        }
    }

    /// Ends a feed.
    pub(crate) fn detach(&mut self, key: usize) {
        if let Some(feed) = self.feeds.try_remove(key) {
            self.count_interest(feed.interest(), EncodingSet::default());
        }
    }

    /// Something changed for this feed: its layers are chosen anew.
    pub(crate) fn mark(&mut self, key: usize) {
        if let Some(feed) = self.feeds.get_mut(key) {
            self.marks.mark(key, feed);
        }
    }

    /// Something changed for all feeds.
    pub(crate) fn mark_all(&mut self) {
        self.marks.all = true;
    }

    /// Whether layers have to be chosen now.
    pub(crate) fn is_marked(&self) -> bool {
        self.marks.all || !self.marks.keys.is_empty() || self.interest_moved
    }

    /// The keys of the feeds whose layers have to be chosen, given the candidates of now; the marks are taken away. At
    /// a `routine` look those are visited, too, whose last decision has not come about yet.
    pub(crate) fn take_marked(&mut self, candidates: &Candidates, routine: bool, keys: &mut Vec<usize>) {
        keys.clear();
        self.interest_moved = false;
        let choosable = Choosable::new(candidates, self.codec());
        let changed = self.chosen_from.replace(choosable) != Some(choosable);
        let all = std::mem::take(&mut self.marks.all) || changed;
        if all || routine {
            self.marks.keys.clear();
            let visited = self.feeds.iter().filter(|(_, feed)| all || feed.marked || feed.is_under_way());
            keys.extend(visited.map(|(key, _)| key));
        } else {
            keys.append(&mut self.marks.keys);
        }
    }

    /// A feed that was interested in the encodings of `before` is now in those of `after`.
    pub(crate) fn count_interest(&mut self, before: EncodingSet, after: EncodingSet) {
        if before == after {
            return;
        }
        for (count, encoding) in self.interest.iter_mut().zip(0u8..) {
            if before.contains(encoding) {
                debug_assert!(*count > 0, "interest that was counted");
                *count = count.saturating_sub(1);
            }
            *count += u32::from(after.contains(encoding));
        }
        self.interest_moved = true;
    }

    /// See [`crate::Shard::check`].
    pub(crate) fn check(&self) {
        for (&count, encoding) in self.interest.iter().zip(0u8..) {
            let interested = self.feeds.iter().filter(|(_, feed)| feed.interest().contains(encoding)).count();
            assert_eq!(count as usize, interested, "interest is counted once for each feed");
        }
        let marked = self.feeds.iter().filter(|(_, feed)| feed.marked);
        assert!(self.marks.all || { marked }.all(|(key, _)| self.marks.keys.contains(&key)));
    }

    /// Whether a feed is interested in an encoding.
    pub(crate) fn has_interest(&self, encoding: u8) -> bool {
        self.interest.get(usize::from(encoding)).is_some_and(|&count| count > 0)
    }

    /// The publisher came back with this negotiation: the streams start over, the subscriptions stay.
    pub(crate) fn resume(&mut self, config: TrackConfig) {
        self.encodings.truncate(config.encodings.len());
        for (index, &negotiated) in config.encodings.iter().enumerate() {
            match self.encodings.get_mut(index) {
                Some(encoding) => {
                    encoding.restart();
                    encoding.keyframes.restart();
                    encoding.interest.restart();
                    encoding.config = negotiated;
                    encoding.ssrc = negotiated.ssrc;
                    encoding.rtx_ssrc = negotiated.rtx_ssrc;
                }
                None => self.encodings.push(Encoding::new(negotiated, config.kind)),
            }
        }
        self.config = config;
        self.mark_all();
    }

    /// Others get what comes of it, or do not. What came of a `local` one while it was closed is not asked for: it begins
    /// anew, and so does what crosses from it.
    pub(crate) fn set_gate(&mut self, gate: Gate, local: bool) {
        let was_closed = std::mem::replace(&mut self.gate, gate) == Gate::Closed;
        let is_closed = gate == Gate::Closed;
        for encoding in &mut self.encodings {
            if local && was_closed != is_closed {
                encoding.restart();
            }
            match gate {
                Gate::Open => encoding.keyframes.rise(),
                Gate::Off | Gate::Closed => encoding.keyframes.rest(is_closed),
            }
        }
        self.mark_all();
    }

    /// The format under a payload type of the publisher.
    pub(crate) fn format(&self, payload_type: u8) -> Option<Format> {
        self.config.formats.iter().find(|format| format.payload_type == payload_type).copied()
    }

    /// The format of a packet that carries something for viewers. Others have a number of the stream and no more: of a
    /// payload type that was not negotiated (forward error correction, comfort noise, tones), nothing but padding, or
    /// redundant audio that cannot be read.
    pub(crate) fn media_format(&self, packet: &RtpPacket<'_>) -> Option<Format> {
        self.format(packet.payload_type).filter(|format| format.primary(packet.payload()).is_some())
    }

    /// The format whose retransmissions have this payload type.
    pub(crate) fn retransmitted(&self, payload_type: u8) -> Option<Format> {
        self.config.formats.iter().find(|format| format.rtx == Some(payload_type)).copied()
    }

    /// The format of what flows, or flowed last.
    pub(crate) fn format_now(&self) -> Option<Format> {
        self.encodings.iter().find_map(|encoding| encoding.format)
    }

    /// The codec of what flows, or flowed last.
    pub(crate) fn codec(&self) -> Option<Codec> {
        self.format_now().map(|format| format.codec)
    }

    /// When its last packet came.
    pub(crate) fn last_media(&self) -> Option<Instant> {
        self.encodings.iter().filter_map(|encoding| encoding.last_media).max()
    }

    /// When the track counts as silent unless media comes; `None` if none ever came.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        self.encodings.iter().filter_map(Encoding::silent_at).max()
    }

    /// The encodings as candidates.
    pub(crate) fn candidates(&self, now: Instant) -> Candidates {
        let newest = self.last_media();
        let mut list = Candidates { candidates: [Candidate::NONE; MAX_ENCODINGS], len: 0 };
        for (slot, encoding) in list.candidates.iter_mut().zip(&self.encodings) {
            *slot = encoding.candidate(newest, now);
            list.len += 1;
        }
        list
    }

    /// What is given up last of it where a line is short.
    pub(crate) fn favours(&self) -> Favours {
        if self.screen { Favours::Detail } else { Favours::Motion }
    }

    /// Whether all of it may be switched off while nobody wants it: it is a picture of a call.
    pub(crate) fn rests_whole(&self) -> bool {
        self.config.csrc.is_some() && self.config.kind == MediaKind::Video
    }

    /// Whether some of it may be switched off while nobody wants it.
    pub(crate) fn may_rest(&self) -> bool {
        self.encodings.len() > 1 || self.rests_whole()
    }

    /// Whether there is something to choose for its subscriptions, or something that nobody may want.
    pub(crate) fn chooses(&self) -> bool {
        let layered = self.encodings.iter().any(|encoding| encoding.top() != (0, 0));
        self.may_rest() || (layered && !self.feeds.is_empty())
    }

    /// What a subscription with the feed under `key` could get; `None` if it wants nothing now, or nothing can be had.
    /// `is_queued` is whether packets wait on its line, `comeback` what the lowest step must be able to cost where the
    /// line was too slow for it, in percent.
    pub(crate) fn demand(
        &self,
        key: usize,
        subscription: &Subscription,
        is_queued: bool,
        comeback: u64,
        now: Instant,
    ) -> Option<Demand> {
        let feed = self.feeds.get(key).filter(|_| !subscription.paused)?;
        debug_assert_eq!(feed.subscription, subscription.id, "places and feeds agree");
        if self.config.kind == MediaKind::Audio {
            let mut ladder = Ladder::default();
            let bitrate = self.encodings.first().map_or(0, |encoding| encoding.bitrate(now));
            ladder.push(Step { encoding: 0, layers: Layers::ALL, bitrate });
            let (priority, current, comeback) = (Priority::Audio, Some(0), None);
            let rank = subscription.rank();
            return Some(Demand { priority, rank, ladder, current, comeback, is_queued });
        }
        let candidates = self.candidates(now);
        let most_spatial = subscription.most_spatial(self.codec());
        let ladder =
            ladder::ladder(candidates.as_slice(), &subscription.wanted, most_spatial, self.favours());
        ladder.steps().first()?;
        let current = feed.aim().and_then(|step| ladder.position(step.encoding, step.layers));
        let priority = if self.screen { Priority::Screen } else { Priority::Camera };
        let comeback = feed.allowance().is_too_slow().then_some(comeback);
        let rank = subscription.rank();
        Some(Demand { priority, rank, ladder, current, comeback, is_queued })
    }

    /// The first time after `now` that something is due for this track.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let encodings =
            self.encodings.iter().flat_map(|encoding| [encoding.nack.due(), encoding.request_due(now)]);
        let silence = self.silent_at().filter(|_| self.active);
        let marked = self.is_marked().then_some(now);
        encodings.chain([silence, marked]).flatten().min()
    }

    pub(crate) fn stats(&self, now: Instant) -> TrackStats {
        TrackStats {
            active: self.encodings.iter().any(|encoding| encoding.active(now)),
            encodings: self.encodings.iter().map(|encoding| encoding.stats(self.last_media(), now)).collect(),
        }
    }
}

impl Choosable {
    fn new(list: &Candidates, codec: Option<Codec>) -> Self {
        let mut choosable = Self { candidates: list.candidates, order: [0; MAX_ENCODINGS], codec };
        for (slot, index) in choosable.order.iter_mut().zip(ladder::ranked(list.as_slice())) {
            *slot = index;
        }
        let mut flowing = list.as_slice().iter().filter(|candidate| candidate.flow != Flow::Stopped);
        if flowing.all(|candidate| candidate.size.is_some()) {
            choosable.candidates.iter_mut().for_each(|candidate| candidate.rates = Candidate::NONE.rates);
        }
        choosable
    }
}
