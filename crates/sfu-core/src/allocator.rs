//! Shares out what a subscriber's line carries: collects what each of its subscriptions could get, lets [`allocate`]
//! decide, and hands the allowances out.
//!
//! It runs when the estimate moves, when the subscriber wants something else (once, however much changed), and once a
//! second, since bitrates change too. What the next better step would need is told to the controller, which probes
//! for it.

use std::time::Instant;

use rtp::MediaKind;

use crate::layers::allocate::{Allowance, Demand, allocate, best, least, need};
use crate::layers::ladder::Step;
use crate::publisher::Publisher;
use crate::slots::Slots;
use crate::subscriber::Subscriber;
use crate::subscription::FeedPlace;
use crate::timers::{Owner, Timers};

/// Memory for sharing out one line, used for all subscribers of a shard in turn.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    places: Vec<FeedPlace>,
    demands: Vec<Demand>,
    steps: Vec<Option<Step>>,
}

impl Allocator {
    /// Shares out what the line of `subscriber` carries, and marks the feeds for which that is something else than
    /// before.
    pub(crate) fn allocate(
        &mut self,
        subscriber: &mut Subscriber,
        publishers: &mut Slots<Publisher>,
        timers: &mut Timers,
        now: Instant,
    ) {
        self.places.clear();
        self.demands.clear();
        let (is_queued, comeback) = (subscriber.downlink.is_queued(), subscriber.comebacks.percent(now));
        for subscription in subscriber.subscriptions.iter() {
            let Some(place) = subscription.feed else { continue };
            let publisher = publishers.get(place.publisher.key());
            let track = publisher.and_then(|publisher| publisher.tracks.get(usize::from(place.track)));
            if let Some(demand) =
                track.and_then(|track| track.demand(place.key, subscription, is_queued, comeback, now))
            {
                self.places.push(place);
                self.demands.push(demand);
            }
        }
        let bandwidth = subscriber.take_bandwidth(now).map(|known| {
            // Without packets there is no feedback: before the first of it everybody gets something, and so does who
            // has never said that the line carries less than that.
            let starves = known.proven && known.may_starve;
            if starves { known.bitrate } else { known.bitrate.max(least(&self.demands)) }
        });
        let left = allocate(bandwidth.unwrap_or(u64::MAX), &self.demands, &mut self.steps);
        let is_slow = bandwidth.is_some() && self.steps.iter().any(Option::is_none);
        subscriber.comebacks.update(is_slow, now);
        let need = need(&self.demands, &self.steps).unwrap_or(0);
        let best = best(&self.demands);
        subscriber.downlink.update(|controller| controller.set_need(need, best));
        let jammed = subscriber.downlink.is_jammed(now);
        for (place, step) in self.places.iter().zip(&self.steps) {
            let Some(publisher) = publishers.get_mut(place.publisher.key()) else { continue };
            let Some(track) = publisher.tracks.get_mut(usize::from(place.track)) else { continue };
            let Some(feed) = track.feeds.get_mut(place.key) else { continue };
            let allowance = match (bandwidth, *step) {
                (None, _) => Allowance::Unbounded,
                (Some(_), Some(step)) => Allowance::Upto(step),
                (Some(_), None) => Allowance::too_slow(left),
            };
            if track.config.kind == MediaKind::Video && feed.allow(allowance, jammed) {
                track.mark(place.key);
                let owner = Owner::Publisher(place.publisher.key());
                timers.arm(owner, &mut publisher.deadline, Some(now));
            }
        }
    }
}
