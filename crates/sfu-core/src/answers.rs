//! Answers what subscribers ask for: lost packets and keyframes.

use std::time::Instant;

use rtp::MediaKind;
use rtp::rtcp::NackList;

use crate::forward::Egress;
use crate::ids::{StreamId, SubscriptionId};
use crate::packet::StreamView;
use crate::publisher::Publisher;
use crate::sink::Sink;
use crate::slots::Slots;
use crate::stats::Totals;
use crate::subscription::FeedPlace;

/// Sequence numbers answered of one NACK.
const MAX_NACKED: usize = 1_000;

/// The stream `id` as the ring of its publisher has it; `None` if it started over since: then its numbers, and perhaps
/// its payload types, are no longer known.
fn current_view(publishers: &Slots<Publisher>, id: StreamId) -> Option<StreamView<'_>> {
    publishers.get(id.publisher.key())?.view(id).filter(StreamView::is_current)
}

/// Answers a NACK about a subscription, from the rings of what it showed when the packets went out.
pub(crate) fn answer_nack<S: Sink>(
    publishers: &Slots<Publisher>,
    id: SubscriptionId,
    missing: &NackList<'_>,
    totals: &mut Totals,
    egress: &mut Egress<'_, S>,
) {
    let Some(subscriber) = egress.subscribers.get_mut(id.subscriber.key()) else { return };
    let round_trip = subscriber.round_trip;
    let Some((subscription, downlink)) = subscriber.outgoing(id) else { return };
    let target = subscription.feed.and_then(|place| {
        let track = publishers.get(place.publisher.key())?.tracks.get(usize::from(place.track))?;
        Some((place.publisher, place.track, track.feeds.get(place.key)?.target()?.encoding))
    });
    let before = subscription.stats;
    for wire in missing.iter().take(MAX_NACKED) {
        totals.nacks_received += 1;
        let numbers = |id| current_view(publishers, id).map(|view| &view.encoding.numbers);
        let original = subscription.original(wire, numbers).and_then(|(seq, original)| {
            let view = current_view(publishers, original.stream)?;
            // If it is not here, the publisher was asked for it, and it goes out when it comes.
            Some((seq, original, view.read(original.seq)?, view))
        });
        let Some((seq, original, media, view)) = original else {
            subscription.stats.unanswered += 1;
            continue;
        };
        let StreamId { publisher, track, encoding, .. } = original.stream;
        let left = target != Some((publisher, track, encoding));
        let mapped = original.mapped(seq, &media, &view.encoding.numbers);
        subscription.repeat(&media, &mapped, left, round_trip, downlink, &mut egress.out);
    }
    totals.nacks_unanswered += subscription.stats.unanswered - before.unanswered;
    totals.retransmitted += subscription.stats.retransmitted - before.retransmitted;
}

/// A subscriber needs a keyframe of what its feed at `place` gets. Returns whether somebody can be asked for one.
pub(crate) fn ask_keyframe(publishers: &mut Slots<Publisher>, place: FeedPlace, now: Instant) -> bool {
    let publisher = publishers.get_mut(place.publisher.key());
    let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(place.track)));
    let Some(track) = track.filter(|track| track.config.kind == MediaKind::Video) else { return false };
    let Some(feed) = track.feeds.get(place.key) else { return false };
    let current = feed.current().map(|stream| stream.encoding);
    let Some(encoding) = current.or(feed.target().map(|target| target.encoding)) else { return false };
    let Some(encoding) = track.encodings.get_mut(usize::from(encoding)) else { return false };
    if feed.has_slides() {
        encoding.keyframes.want_slide(now);
    } else {
        encoding.keyframes.want(now);
    }
    true
}
