//! Chooses what the feeds of a track get: collects what a decision depends on, lets [`decide`] make it, and carries
//! it out.
//!
//! Only feeds that something changed for are decided anew ([`Track::mark`]): the subscriber asked for something else,
//! its line leaves more or less for it, the encodings of the track changed. Four times a second those are looked at
//! again, too, whose last decision has not come about yet.

use rtp::MediaKind;

use crate::config::Wanted;
use crate::downlink::Downlink;
use crate::feed::{Feed, Start};
use crate::forward::Egress;
use crate::ids::StreamId;
use crate::layers::decide::{Inputs, decide};
use crate::layers::ladder::{self, Ladder};
use crate::packet::StreamView;
use crate::publisher::Publisher;
use crate::sink::Sink;
use crate::stats::Totals;
use crate::subscription::{Outlet, Subscription};
use crate::track::Track;

/// Decides for the feeds of a track that are marked: starts those that can start now, switches those that should, asks
/// for keyframes for the others, and says which encodings nobody wants. `keys` is memory for it to use.
pub(crate) fn choose_layers<S: Sink>(
    publisher: &mut Publisher,
    track_index: u8,
    routine: bool,
    keys: &mut Vec<usize>,
    totals: &mut Totals,
    egress: &mut Egress<'_, S>,
) {
    let now = egress.out.now;
    let (publisher_id, clock_offset) = (publisher.id, publisher.clock_offset.get());
    let Some(track) = publisher.tracks.get_mut(usize::from(track_index)) else { return };
    let all = track.candidates(now);
    let candidates = all.as_slice();
    let (codec, favours) = (track.codec(), track.favours());
    track.take_marked(&all, routine, keys);
    if track.config.kind == MediaKind::Audio {
        // There is nothing to choose: see [`Track::asks_otherwise`].
        return;
    }
    let mut last: Option<((Wanted, u8), Ladder)> = None;
    for &key in keys.iter() {
        let Track { config, encodings, feeds, .. } = &mut *track;
        let Some(feed) = feeds.get_mut(key) else { continue };
        let Some(subscriber) = egress.subscribers.get_mut(feed.subscription.subscriber.key()) else {
            continue;
        };
        let Some((subscription, downlink)) = subscriber.outgoing(feed.subscription) else { continue };
        let interest = feed.interest();
        totals.decisions += 1;
        let bounds = (subscription.wanted, subscription.most_spatial(codec));
        // Most viewers want the same.
        let ladder = match &last {
            Some((same, ladder)) if *same == bounds => ladder,
            _ => &last.insert((bounds, ladder::ladder(candidates, &bounds.0, bounds.1, favours))).1,
        };
        let inputs = Inputs {
            candidates,
            ladder,
            wanted: &subscription.wanted,
            paused: subscription.paused,
            allowance: feed.allowance(),
            current: feed.current().map(|stream| stream.encoding),
            target: feed.target(),
        };
        let plan = decide(&inputs);
        feed.apply(&plan);
        if let Some(target) = plan.target
            && let Some(encoding) = encodings.get_mut(usize::from(target.encoding))
        {
            let (encoding_index, run) = (target.encoding, encoding.run);
            let id = StreamId { publisher: publisher_id, track: track_index, encoding: encoding_index, run };
            let formats = config.formats.as_slice();
            let view =
                StreamView { id, encoding, formats, ids: &publisher.ids, clock_offset, csrc: config.csrc };
            let outcome = start_or_rise(feed, &view, subscription, downlink, &mut egress.out);
            if feed.has_fallen_behind() {
                subscriber.catch_up_soon(now, egress.timers);
            }
            match outcome {
                Start::Done | Start::NotYet => {}
                Start::Later => track.mark(key),
                Start::NeedsKeyframe => encoding.keyframes.want(now),
                Start::NeedsSlide => encoding.keyframes.want_slide(now),
            }
        }
        track.count_interest(interest, plan.interest);
    }
    publisher.tell_interest(track_index, ladder::worst(candidates), egress.out.sink, now);
}

/// Starts what a feed waits for, if it can start now; one that has its encoding already may need a keyframe for better
/// layers of it.
fn start_or_rise<S: Sink>(
    feed: &mut Feed,
    view: &StreamView<'_>,
    subscription: &mut Subscription,
    downlink: &mut Downlink,
    out: &mut Outlet<'_, S>,
) -> Start {
    if !feed.waits_for(view) {
        let needed = feed.needs_keyframe_to_rise(view.encoding, subscription, out.now);
        return if needed { Start::NeedsKeyframe } else { Start::Done };
    }
    if view.encoding.format.is_some_and(|format| !subscription.accepts(&format, out.sink)) {
        return Start::NotYet;
    }
    feed.start(view, subscription, downlink, out)
}
