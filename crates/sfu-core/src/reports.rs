//! What subscribers are told of their streams, and what is told of them: sender reports and statistics.

use std::time::{Duration, Instant};

use rtp::ntp::Ntp;
use rtp::rtcp::{self, SenderInfo};

use crate::cc::Controller;
use crate::clock::WallClock;
use crate::feed::Feed;
use crate::packet::StreamView;
use crate::publisher::Publisher;
use crate::sink::Sink;
use crate::slots::Slots;
use crate::stats::{SubscriberStats, SubscriptionStats};
use crate::subscriber::Subscriber;
use crate::subscription::Subscription;

/// A compound is sent when it has grown to this.
const FULL_COMPOUND: usize = 1_000;

/// What reports need of the shard.
pub(crate) struct Reports<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) rtcp: &'a mut Vec<u8>,
    pub(crate) clock: WallClock,
    pub(crate) now: Instant,
    /// The SSRC that this shard reports under.
    pub(crate) ssrc: u32,
}

/// Sends the sender reports of a subscriber's streams, and the answer to a receiver reference time.
pub(crate) fn send_reports<S: Sink>(
    subscriber: &mut Subscriber,
    publishers: &Slots<Publisher>,
    out: &mut Reports<'_, S>,
) {
    out.rtcp.clear();
    let ntp = out.clock.ntp(out.now);
    for subscription in subscriber.subscriptions.iter_mut() {
        let Some(info) = sender_info(publishers, subscription, ntp) else { continue };
        subscription.map.told(info.ntp, info.rtp);
        rtcp::write::sender_report(out.rtcp, subscription.ssrc, &info);
        rtcp::write::cname(out.rtcp, subscription.ssrc, subscription.cname.as_bytes());
        if out.rtcp.len() >= FULL_COMPOUND {
            out.sink.rtcp(subscriber.peer, out.rtcp);
            out.rtcp.clear();
        }
    }
    if let Some((receiver, last, at)) = subscriber.reference.take() {
        if out.rtcp.is_empty() && !subscriber.reduced_size {
            rtcp::write::receiver_report(out.rtcp, out.ssrc, &[]);
        }
        let delay = out.now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
        // In the name of a stream that it gets, like its sender reports.
        let sender =
            subscriber.subscriptions.iter().next().map_or(out.ssrc, |subscription| subscription.ssrc);
        rtcp::write::delay_since_last_rr(out.rtcp, sender, receiver, last, delay as u32);
    }
    if !out.rtcp.is_empty() {
        out.sink.rtcp(subscriber.peer, out.rtcp);
        out.rtcp.clear();
    }
}

/// What a subscription gets of the track that it shows.
fn feed_of<'a>(publishers: &'a Slots<Publisher>, subscription: &Subscription) -> Option<&'a Feed> {
    let place = subscription.feed?;
    publishers.get(place.publisher.key())?.tracks.get(usize::from(place.track))?.feeds.get(place.key)
}

/// The stream that goes out as a subscription.
fn going_out<'a>(publishers: &'a Slots<Publisher>, subscription: &Subscription) -> Option<StreamView<'a>> {
    let place = subscription.feed?;
    let publisher = publishers.get(place.publisher.key())?;
    let track = publisher.tracks.get(usize::from(place.track))?;
    publisher.view(track.feeds.get(place.key)?.current()?)
}

/// What the sender report of a subscription says at `ntp`: the publisher's timestamps on this node's clock, so
/// that sound and picture meet and the age of both can be told.
fn sender_info(publishers: &Slots<Publisher>, subscription: &Subscription, ntp: Ntp) -> Option<SenderInfo> {
    let view = going_out(publishers, subscription).filter(StreamView::is_current)?;
    let timestamp = view.clock()?.rtp_at(ntp, view.encoding.format?.clock_rate);
    let rtp = subscription.map.live_timestamp(timestamp)?;
    let (packets, octets) = (subscription.stats.packets, subscription.octets);
    (packets > 0).then_some(SenderInfo { ntp, rtp, packets: packets as u32, octets })
}

/// Numbers of a subscription.
pub(crate) fn subscription_stats(
    publishers: &Slots<Publisher>,
    subscription: &Subscription,
) -> SubscriptionStats {
    let view = going_out(publishers, subscription);
    let layers = subscription.map.layers();
    let temporal = view
        .zip(layers)
        .and_then(|(view, layers)| (view.encoding.top().1 > 0).then(|| view.encoding.known(layers).1));
    let too_slow = feed_of(publishers, subscription).is_some_and(|feed| feed.allowance().is_too_slow());
    let encoding = view.map(|view| view.id.encoding);
    SubscriptionStats { encoding, temporal, too_slow, ..subscription.stats }
}

/// Numbers of a subscriber.
pub(crate) fn subscriber_stats(publishers: &Slots<Publisher>, subscriber: &Subscriber) -> SubscriberStats {
    let controller = subscriber.downlink.controller();
    let subscriptions = subscriber.subscriptions.iter();
    SubscriberStats {
        subscriptions: subscriptions
            .map(|subscription| subscription_stats(publishers, subscription))
            .collect(),
        round_trip: subscriber.round_trip,
        remb: subscriber.remb,
        bandwidth: subscriber.bandwidth.map(|known| known.bitrate),
        queue: controller.map_or(Duration::ZERO, Controller::queue),
        loss: controller.map_or(0.0, Controller::loss),
    }
}
