//! The second step of a packet's way: what was taken in goes to the feeds, viewer by viewer.
//!
//! Packets of a frame come in one after another; handed on one by one they would go to all viewers in turn.
//! Gathered first, a frame's packets to one viewer are neighbours in the send batch, so that the kernel takes
//! them as one message (GSO), and what is known of that viewer is looked up and cached once.

use rtp::MediaKind;
use rtp::seq::Seq;

use crate::downlink::Downlink;
use crate::feed::{Feed, Start};
use crate::layers::EncodingSet;
use crate::packet::{Media, StreamView};
use crate::publisher::{Fresh, Publisher};
use crate::sink::Sink;
use crate::slots::Slots;
use crate::subscriber::Subscriber;
use crate::subscription::{Outlet, Subscription};
use crate::timers::Timers;
use crate::track::Track;
use crate::voices::level::MAX_CATCH_UP;

/// Packets of all publishers that may wait to be forwarded; one more forwards them first. A frame has fewer
/// packets than this, and their bytes are far from all that a ring holds.
pub(crate) const MAX_FRESH: usize = 32;

/// What forwarding needs of its shard.
pub(crate) struct Egress<'a, S> {
    pub(crate) subscribers: &'a mut Slots<Subscriber>,
    pub(crate) timers: &'a mut Timers,
    pub(crate) out: Outlet<'a, S>,
}

/// The encodings that viewers wait for a keyframe of: to start, or as the next slide.
#[derive(Debug, Default)]
struct Unstarted {
    keyframes: EncodingSet,
    slides: EncodingSet,
}

/// Hands the packets of `fresh` that are of this track of `publisher` to its feeds.
pub(crate) fn forward<S: Sink>(
    publisher: &mut Publisher,
    track_index: u8,
    fresh: &[Fresh],
    egress: &mut Egress<'_, S>,
) {
    let (id, clock_offset) = (publisher.id, publisher.clock_offset.get());
    let Some(track) = publisher.tracks.get_mut(usize::from(track_index)) else { return };
    let Track { config, encodings, feeds, marks, .. } = track;
    let may_wait = config.kind == MediaKind::Video;
    let (formats, ids, csrc) = (config.formats.as_slice(), &publisher.ids, config.csrc);
    let mut slots: [Option<(Media<'_>, StreamView<'_>)>; MAX_FRESH] = [const { None }; MAX_FRESH];
    let mut count = 0;
    let of_track = fresh.iter().filter(|f| (f.stream.publisher, f.stream.track) == (id, track_index));
    for (slot, &Fresh { stream, seq }) in slots.iter_mut().zip(of_track) {
        *slot = encodings.get(usize::from(stream.encoding)).and_then(|encoding| {
            let view = StreamView { id: stream, encoding, formats, ids, clock_offset, csrc };
            Some((view.read(seq)?, view))
        });
        count += 1;
    }
    // Most often one, and looked at for each feed.
    let batch = slots.get(..count).unwrap_or_default();
    let mut unstarted = Unstarted::default();
    for (key, feed) in feeds.iter_mut() {
        if pass_batch(batch, may_wait, feed, &mut unstarted, egress) {
            marks.mark(key, feed);
        }
    }
    for (encoding, index) in encodings.iter_mut().zip(0u8..) {
        if unstarted.keyframes.contains(index) {
            encoding.keyframes.want(egress.out.now);
        }
        if unstarted.slides.contains(index) {
            encoding.keyframes.want_slide(egress.out.now);
        }
    }
}

/// Sends one viewer what a batch has for it, and adds to `unstarted` what it needs a keyframe of. Returns whether it is
/// to be looked at again: a picture has to be finished before it can switch.
fn pass_batch<S: Sink>(
    batch: &[Option<(Media<'_>, StreamView<'_>)>],
    may_wait: bool,
    feed: &mut Feed,
    unstarted: &mut Unstarted,
    egress: &mut Egress<'_, S>,
) -> bool {
    let before = feed.current();
    let is_meant =
        |(media, view): &(Media<'_>, StreamView<'_>)| before == Some(media.stream) || feed.waits_for(view);
    if feed.target().is_none() || !batch.iter().flatten().any(is_meant) {
        return false;
    }
    let Egress { subscribers, timers, out } = egress;
    let Some(subscriber) = subscribers.get_mut(feed.subscription.subscriber.key()) else { return false };
    let Some((subscription, downlink)) = subscriber.outgoing(feed.subscription) else { return false };
    let several = out.sink.joins_equal() && batch.len() > 1;
    let layers = subscription.map.layers();
    // Of what it gets: packets of other encodings would only make its own longer.
    let gets = |media: &&Media<'_>| {
        before == Some(media.stream) && layers.is_some_and(|layers| media.info.mask.contains(layers))
    };
    let own = batch.iter().flatten().map(|(media, _)| media).filter(gets);
    let length = if several { subscription.length(own) } else { 0 };
    let mut later = false;
    for (media, view) in batch.iter().flatten() {
        if feed.current() != Some(media.stream) {
            // A stream that has started over since is not gone back to.
            if !feed.waits_for(view) || !subscription.accepts(&media.format, out.sink) {
                continue;
            }
            if may_wait {
                // The ring has this packet too: starting from it sends everything since the keyframe.
                match feed.start(view, subscription, downlink, out) {
                    Start::Done | Start::NotYet => {}
                    Start::Later => later = true,
                    Start::NeedsKeyframe => unstarted.keyframes.add(media.stream.encoding),
                    Start::NeedsSlide => unstarted.slides.add(media.stream.encoding),
                }
                continue;
            }
            begin_sound(media, view, batch, feed, subscription, downlink, out);
        } else if may_wait && (before != Some(media.stream) || feed.is_behind(media.seq)) {
            // It started with an earlier packet of this batch, or waits: the ring gives it all of them.
            continue;
        }
        feed.pass(media, view.encoding, length, subscription, downlink, out);
    }
    if feed.has_fallen_behind() {
        subscriber.catch_up_soon(out.now, timers);
    }
    later
}

/// Begins a piece of sound with `media`; of a voice that has just come in with what it has said already.
fn begin_sound<S: Sink>(
    media: &Media<'_>,
    view: &StreamView<'_>,
    batch: &[Option<(Media<'_>, StreamView<'_>)>],
    feed: &mut Feed,
    subscription: &mut Subscription,
    downlink: &mut Downlink,
    out: &mut Outlet<'_, S>,
) {
    let Some(from) = subscription.hear_from.take() else {
        return feed.begin(view, &view.entry_at(media), subscription, out);
    };
    // It may have been paused since.
    let least = out.now.checked_sub(MAX_CATCH_UP).unwrap_or(out.now);
    let entry = view.entry_since(from.max(least), media);
    feed.begin(view, &entry, subscription, out);
    // Those of this batch come by themselves.
    let in_batch = |seq: Seq| batch.iter().flatten().any(|(other, _)| other.seq == seq);
    for seq in (entry.seq..media.seq).filter(|seq| !in_batch(*seq)) {
        if let Some(before) = view.read(seq) {
            feed.pass(&before, view.encoding, 0, subscription, downlink, out);
        }
    }
}

/// Sends what waited for the line of `subscriber`, as much as it takes now.
pub(crate) fn catch_up<S: Sink>(
    subscriber: &mut Subscriber,
    publishers: &mut Slots<Publisher>,
    timers: &mut Timers,
    out: &mut Outlet<'_, S>,
) {
    if !subscriber.takes_catch_up(out.now) {
        return;
    }
    let Subscriber { subscriptions, downlink, .. } = subscriber;
    let mut goes_on = false;
    for subscription in subscriptions.iter_mut() {
        let Some(place) = subscription.feed else { continue };
        let Some(publisher) = publishers.get_mut(place.publisher.key()) else { continue };
        let clock_offset = publisher.clock_offset.get();
        let Some(track) = publisher.tracks.get_mut(usize::from(place.track)) else { continue };
        let Track { config, encodings, feeds, .. } = track;
        let Some(feed) = feeds.get_mut(place.key).filter(|feed| feed.has_fallen_behind()) else { continue };
        debug_assert_eq!(feed.subscription, subscription.id, "places and feeds agree");
        let Some(id) = feed.current() else { continue };
        let Some(encoding) = encodings.get(usize::from(id.encoding)) else { continue };
        let (formats, ids, csrc) = (config.formats.as_slice(), &publisher.ids, config.csrc);
        let view = StreamView { id, encoding, formats, ids, clock_offset, csrc };
        feed.catch_up(&view, subscription, downlink, out);
        goes_on |= feed.has_fallen_behind();
    }
    if goes_on {
        subscriber.catch_up_soon(out.now, timers);
    }
}
