//! The second step of a packet's way: what was taken in goes to the subscriptions, viewer by viewer.
//!
//! Packets of a frame come in one after another; handed on one by one they would go to all viewers in turn.
//! Gathered first, a frame's packets to one viewer are neighbours in the send batch, so that the kernel takes
//! them as one message (GSO), and what is known of that viewer is looked up and cached once.

use crate::config::{Format, MediaKind};
use crate::extension::Extensions;
use crate::publisher::{Context, Publisher};
use crate::rewrite::Media;
use crate::rtp::RtpPacket;
use crate::seq::Seq;
use crate::sink::Sink;
use crate::slots::Key;
use crate::splice::{Entry, Source};
use crate::subscription::{Outlet, Subscription};
use crate::track::{Encoding, Track};

/// Packets of all publishers that may wait to be forwarded; one more forwards them first. A frame has fewer
/// packets than this, and their bytes are far from all that a ring holds.
pub(crate) const MAX_FRESH: usize = 32;

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
        let mut batch: [Option<Media<'_>>; MAX_FRESH] = [const { None }; MAX_FRESH];
        let of_track = fresh.iter().filter(|f| f.publisher == self.id.key() && f.track == track_index);
        for (slot, fresh) in batch.iter_mut().zip(of_track) {
            *slot = read(encodings, &config.formats, fresh.source, fresh.seq, &self.ids, clock_offset);
        }
        let mut unstarted = 0u8;
        for (_, subscription) in
            subscriptions.iter_mut().filter(|(_, subscription)| !subscription.is_silent())
        {
            let before = subscription.map.source();
            let several = cx.sink.joins_equal() && batch.iter().flatten().nth(1).is_some();
            let length = if several { subscription.length(batch.iter().flatten()) } else { 0 };
            for media in batch.iter().flatten() {
                let encoding = encodings.get(usize::from(media.source.encoding));
                let Some(encoding) = encoding else { continue };
                if subscription.map.source() != Some(media.source) {
                    // A stream that has started over since is not gone back to.
                    let wanted = subscription.target == media.source.encoding;
                    if !wanted || encoding.run != media.source.run {
                        continue;
                    }
                    if !subscription.accepts(&media.format, cx.sink) {
                        continue;
                    }
                    if config.kind == MediaKind::Video {
                        // The ring has this packet too: starting from it sends everything since the keyframe.
                        let newest = encoding.newest().unwrap_or_default();
                        let entry =
                            encoding.entry(cx.now).filter(|entry| subscription.may_begin(entry, newest));
                        match entry {
                            Some(_) if !subscription.may_leave(cx.now) => *unsettled = true,
                            Some(entry) => {
                                let (ids, target) = (&self.ids, media.source.encoding);
                                let formats = &config.formats;
                                start(encoding, target, formats, subscription, &entry, ids, clock_offset, cx);
                            }
                            None => unstarted |= 1 << media.source.encoding,
                        }
                        continue;
                    }
                    subscription.begin(media.source, &Entry::at(media), cx.now);
                } else if config.kind == MediaKind::Video && before != Some(media.source) {
                    // It started with an earlier packet of this batch: the ring gave it all of them.
                    continue;
                } else {
                    subscription.adapt(media, encoding);
                }
                let subscriber = subscription.id.subscriber.key();
                let Some(subscriber) = cx.subscribers.get_mut(subscriber) else { continue };
                let mut out =
                    Outlet { sink: &mut *cx.sink, writer: &mut *cx.writer, clock: cx.clock, now: cx.now };
                let length = if media.packet.marker { 0 } else { length };
                subscription.forward(media, &encoding.numbers, length, &mut subscriber.link, &mut out);
            }
        }
        for (encoding, index) in encodings.iter_mut().zip(0u8..) {
            if unstarted & (1 << index) != 0 {
                encoding.keyframes.want();
            }
        }
    }
}

/// Reads a packet of the ring.
fn read<'a>(
    encodings: &'a [Encoding],
    formats: &[Format],
    source: Source,
    seq: Seq,
    ids: &Extensions,
    clock_offset: Option<i64>,
) -> Option<Media<'a>> {
    let encoding = encodings.get(usize::from(source.encoding))?;
    let bytes = encoding.ring.get(seq)?;
    let packet = RtpPacket::parse(bytes).ok()?;
    let format = formats.iter().find(|format| format.payload_type == packet.payload_type)?;
    Some(Media::new(packet, seq, source, *format, encoding, ids, clock_offset))
}

/// Starts a subscription at `entry`: everything that the ring has from there on goes out at once.
#[allow(clippy::too_many_arguments)]
pub(crate) fn start<S: Sink>(
    encoding: &Encoding,
    encoding_index: u8,
    formats: &[Format],
    subscription: &mut Subscription,
    entry: &Entry,
    ids: &Extensions,
    clock_offset: Option<i64>,
    cx: &mut Context<'_, S>,
) {
    let Some(subscriber) = cx.subscribers.get_mut(subscription.id.subscriber.key()) else { return };
    let source = Source { encoding: encoding_index, run: encoding.run };
    subscription.begin(source, entry, cx.now);
    let mut out = Outlet { sink: &mut *cx.sink, writer: &mut *cx.writer, clock: cx.clock, now: cx.now };
    for seq in entry.seq..=encoding.newest().unwrap_or(entry.seq) {
        let Some(packet) = encoding.ring.get(seq).and_then(|bytes| RtpPacket::parse(bytes).ok()) else {
            continue;
        };
        let format = formats.iter().find(|format| format.payload_type == packet.payload_type);
        let Some(format) = format else { continue };
        let media = Media::new(packet, seq, source, *format, encoding, ids, clock_offset);
        subscription.forward(&media, &encoding.numbers, 0, &mut subscriber.link, &mut out);
    }
}
