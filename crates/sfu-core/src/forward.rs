//! The second step of a packet's way: what was taken in goes to the subscriptions, viewer by viewer.
//!
//! Packets of a frame come in one after another; handed on one by one they would go to all viewers in turn.
//! Gathered first, a frame's packets to one viewer are neighbours in the send batch, so that the kernel takes
//! them as one message (GSO), and what is known of that viewer is looked up and cached once.

use std::time::{Duration, Instant};

use rtp::seq::Seq;
use rtp::{Extensions, MediaKind, RtpPacket};

use crate::config::Format;
use crate::link::Link;
use crate::publisher::{Context, Publisher};
use crate::rewrite::Media;
use crate::sink::Sink;
use crate::slots::Key;
use crate::splice::{Entry, Source};
use crate::subscription::{Outlet, Subscription};
use crate::track::{Encoding, Track};

/// Packets of all publishers that may wait to be forwarded; one more forwards them first. A frame has fewer
/// packets than this, and their bytes are far from all that a ring holds.
pub(crate) const MAX_FRESH: usize = 32;

/// What waits because a line is full goes out in steps of this.
pub(crate) const STEP: Duration = Duration::from_millis(5);
/// Longest time that media waits for the line: then it goes out all the same, and shows how full the line is.
const MAX_WAIT: Duration = Duration::from_millis(150);
/// What a viewer starts with may wait longer if it is old: it leaves this many times as fast as it was sent.
const CATCH_UP: u32 = 4;
const MAX_WAIT_AT_START: Duration = Duration::from_millis(750);

/// A packet that was taken in and not forwarded yet. Its bytes are in the ring of its encoding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh {
    pub(crate) publisher: Key,
    pub(crate) track: u8,
    pub(crate) source: Source,
    pub(crate) seq: Seq,
}

impl Publisher {
    /// Hands the packets of `fresh` that are of this publisher's `track` to its subscriptions.
    pub(crate) fn forward<S: Sink>(&mut self, track_index: u8, fresh: &[Fresh], cx: &mut Context<'_, S>) {
        let clock_offset = self.clock_offset.get();
        let Some(track) = self.tracks.get_mut(usize::from(track_index)) else { return };
        let Track { config, encodings, subscriptions, unsettled, .. } = track;
        let is_video = config.kind == MediaKind::Video;
        let (formats, ids) = (&config.formats, &self.ids);
        let mut slots: [Option<Media<'_>>; MAX_FRESH] = [const { None }; MAX_FRESH];
        let mut count = 0;
        let of_track = fresh.iter().filter(|f| f.publisher == self.id.key() && f.track == track_index);
        for (slot, &Fresh { source, seq, .. }) in slots.iter_mut().zip(of_track) {
            *slot = encodings
                .get(usize::from(source.encoding))
                .and_then(|encoding| Feed { encoding, source, formats, ids, clock_offset }.read(seq));
            count += 1;
        }
        // Most often one, and looked at for each subscription.
        let batch = slots.get(..count).unwrap_or_default();
        let several = cx.sink.joins_equal() && count > 1;
        let mut unstarted = 0u8;
        for (_, subscription) in
            subscriptions.iter_mut().filter(|(_, subscription)| !subscription.is_silent())
        {
            let before = subscription.map.source();
            // Of what it gets: packets of other encodings would only make its own longer.
            let gets = |media: &&Media<'_>| {
                let layers = subscription.map.layers();
                before == Some(media.source) && layers.is_some_and(|layers| media.info.mask.contains(layers))
            };
            let length = if several { subscription.length(batch.iter().flatten().filter(gets)) } else { 0 };
            for media in batch.iter().flatten() {
                let source = media.source;
                let Some(encoding) = encodings.get(usize::from(source.encoding)) else { continue };
                let feed = Feed { encoding, source, formats, ids, clock_offset };
                if subscription.map.source() != Some(source) {
                    // A stream that has started over since is not gone back to.
                    let wanted = subscription.target == source.encoding && encoding.run == source.run;
                    if !wanted || !subscription.accepts(&media.format, cx.sink) {
                        continue;
                    }
                    if is_video {
                        // The ring has this packet too: starting from it sends everything since the keyframe.
                        match start(&feed, subscription, cx) {
                            Start::Done => {}
                            Start::Later => *unsettled = true,
                            Start::NeedsKeyframe => unstarted |= 1 << source.encoding,
                        }
                        continue;
                    }
                    subscription.begin(source, &Entry::at(media), cx.now);
                } else if is_video && (before != Some(source) || subscription.is_behind(media.seq)) {
                    // It started with an earlier packet of this batch, or waits: the ring gives it all of them.
                    continue;
                }
                feed.pass(media, is_video, length, subscription, cx);
            }
        }
        for (encoding, index) in encodings.iter_mut().zip(0u8..) {
            if unstarted & (1 << index) != 0 {
                encoding.keyframes.want(cx.now);
            }
        }
    }
}

/// What a subscription gets: one encoding of a track, as the ring has it.
pub(crate) struct Feed<'a> {
    pub(crate) encoding: &'a Encoding,
    pub(crate) source: Source,
    pub(crate) formats: &'a [Format],
    pub(crate) ids: &'a Extensions,
    pub(crate) clock_offset: Option<i64>,
}

impl<'a> Feed<'a> {
    /// Reads a packet of the ring; `None` if it never came or is no longer kept.
    pub(crate) fn read(&self, seq: Seq) -> Option<Media<'a>> {
        let packet = RtpPacket::parse(self.encoding.ring.get(seq)?).ok()?;
        let format = self.formats.iter().find(|format| format.payload_type == packet.payload_type);
        match format.filter(|_| !packet.payload().is_empty()) {
            Some(&format) => {
                let Self { encoding, source, ids, clock_offset, .. } = *self;
                Some(Media::new(packet, seq, source, format, encoding, ids, clock_offset))
            }
            None => Some(Media::nothing(packet, seq, self.source, self.encoding.format?)),
        }
    }

    /// Sends a packet that has just come, unless the line is full: then it waits, and what follows with it. Sound never
    /// does.
    fn pass<S: Sink>(
        &self,
        media: &Media<'_>,
        may_wait: bool,
        length: usize,
        subscription: &mut Subscription,
        cx: &mut Context<'_, S>,
    ) {
        let key = subscription.id.subscriber.key();
        let Some(subscriber) = cx.subscribers.get_mut(key) else { return };
        if may_wait {
            if subscription.map.is_newest(media.seq) && !subscriber.link.may_send(cx.now) {
                subscription.fall_behind(media.seq, cx.now + MAX_WAIT);
                subscriber.catch_up_soon(cx.now, cx.timers);
                return;
            }
            subscription.adapt(media, self.encoding);
        }
        let mut out = Outlet { sink: &mut *cx.sink, writer: &mut *cx.writer, clock: cx.clock, now: cx.now };
        let length = if media.packet.marker { 0 } else { length };
        subscription.forward(media, &self.encoding.numbers, length, &mut subscriber.link, &mut out);
    }

    /// Sends what `subscription` has not got yet, as much as its line takes now and at least so much that the rest
    /// does not wait longer than it may.
    pub(crate) fn catch_up<S: Sink>(
        &self,
        subscription: &mut Subscription,
        link: &mut Link,
        out: &mut Outlet<'_, S>,
    ) {
        let Some(Behind { next, until }) = subscription.behind.take() else { return };
        if subscription.map.source() != Some(self.source) || self.encoding.run != self.source.run {
            // It goes on with something else.
            return;
        }
        let end = self.encoding.newest().map_or(next, |newest| newest + 1);
        let steps = until.saturating_duration_since(out.now).as_micros() / STEP.as_micros();
        let least = next + end.saturating_sub(next).div_ceil(steps.max(1) as u64);
        for seq in next..end {
            if seq >= least && !link.may_send(out.now) {
                subscription.behind = Some(Behind { next: seq, until });
                return;
            }
            let Some(media) = self.read(seq) else { continue };
            subscription.adapt(&media, self.encoding);
            subscription.forward(&media, &self.encoding.numbers, 0, link, out);
        }
    }
}

/// A subscription whose line was full: the ring keeps for it what follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    /// The packet that is sent next.
    pub(crate) next: Seq,
    /// When everything before the newest packet has to be sent.
    pub(crate) until: Instant,
}

/// What became of a start.
pub(crate) enum Start {
    Done,
    /// The picture that goes out from another source has to be finished first.
    Later,
    NeedsKeyframe,
}

/// Starts a subscription, or switches it, at the last keyframe: everything that the ring has from there on goes out,
/// as fast as the line takes it.
pub(crate) fn start<S: Sink>(
    feed: &Feed<'_>,
    subscription: &mut Subscription,
    cx: &mut Context<'_, S>,
) -> Start {
    let newest = feed.encoding.newest().unwrap_or_default();
    let entry = feed.encoding.entry(cx.now).filter(|entry| subscription.may_begin(entry, newest));
    let Some(entry) = entry else { return Start::NeedsKeyframe };
    if !subscription.may_leave(cx.now) {
        return Start::Later;
    }
    let Some(subscriber) = cx.subscribers.get_mut(subscription.id.subscriber.key()) else {
        return Start::Done;
    };
    subscription.begin(feed.source, &entry, cx.now);
    let wait = (entry.age() / CATCH_UP).clamp(MAX_WAIT, MAX_WAIT_AT_START);
    subscription.fall_behind(entry.seq, cx.now + wait);
    let mut out = Outlet { sink: &mut *cx.sink, writer: &mut *cx.writer, clock: cx.clock, now: cx.now };
    feed.catch_up(subscription, &mut subscriber.link, &mut out);
    if subscription.behind.is_some() {
        subscriber.catch_up_soon(cx.now, cx.timers);
    }
    Start::Done
}
