//! What a subscriber's line carries, shared out over its subscriptions: collects what each could get, lets
//! [`allocate`] decide, and hands the choices out.
//!
//! It runs when the estimate moves, when the subscriber wants something else, and once a second, since bitrates
//! change too. What the next better choice would need is told to the controller, which probes for it.

use std::time::Instant;

use rtp::MediaKind;

use crate::allocate::{Choice, Demand, Priority, allocate};
use crate::layers::Share;
use crate::publisher::Publisher;
use crate::slots::Slots;
use crate::subscriber::{Place, Subscriber};
use crate::subscription::Subscription;
use crate::timers::{Owner, Timers};

/// Memory of one sharing, used for all subscribers of a shard in turn.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    places: Vec<Place>,
    demands: Vec<Demand>,
    choices: Vec<Choice>,
}

impl Shares {
    /// Shares out what the line of `subscriber` carries.
    pub(crate) fn share(
        &mut self,
        subscriber: &mut Subscriber,
        publishers: &mut Slots<Publisher>,
        timers: &mut Timers,
        now: Instant,
    ) {
        self.places.clear();
        self.demands.clear();
        for place in subscriber.places() {
            let publisher = publishers.get(place.publisher.key());
            let track = publisher.and_then(|publisher| publisher.tracks.get(usize::from(place.track)));
            if let Some(demand) = track.and_then(|track| track.demand(place.key, now)) {
                self.places.push(place);
                self.demands.push(demand);
            }
        }
        let bandwidth = subscriber.share_bandwidth(now).map(|known| {
            // Without packets there is no feedback: before the first of it everybody gets something, and so does who
            // has never said that the line carries less than that.
            let starves = known.proven && known.may_starve;
            if starves { known.bitrate } else { known.bitrate.max(least(&self.demands)) }
        });
        allocate(bandwidth.unwrap_or(u64::MAX), &self.demands, &mut self.choices);
        let need = need(&self.demands, &self.choices).unwrap_or(0);
        let best = best(&self.demands);
        subscriber.link.update(|controller| controller.set_need(need, best));
        let jammed = subscriber.link.is_jammed(now);
        for (place, choice) in self.places.iter().zip(&self.choices) {
            let Some(publisher) = publishers.get_mut(place.publisher.key()) else { continue };
            let Some(track) = publisher.tracks.get_mut(usize::from(place.track)) else { continue };
            let Some(subscription) = track.subscriptions.get_mut(place.key) else { continue };
            let share = match (bandwidth, *choice) {
                (None, _) => Share::Unbounded,
                (Some(_), Some(step)) => Share::Upto(step),
                (Some(_), None) => Share::Nothing,
            };
            if track.config.kind == MediaKind::Video && take(subscription, share, jammed) {
                track.unsettled = true;
                let owner = Owner::Publisher(place.publisher.key());
                timers.arm(owner, &mut publisher.deadline, Some(now));
            }
        }
    }
}

/// Gives a subscription its share; whether that is another one than before.
fn take(subscription: &mut Subscription, share: Share, jammed: bool) -> bool {
    let changed = match (subscription.share, share) {
        (Share::Upto(old), Share::Upto(new)) => (old.encoding, old.layers) != (new.encoding, new.layers),
        (old, new) => old != new,
    };
    subscription.share = share;
    if let Share::Upto(step) = share
        && jammed
        && subscription.map.source().is_some_and(|source| source.encoding != step.encoding)
    {
        // What is on its way already takes longer than the keyframe of the new encoding: more of the old one would
        // only come before it.
        subscription.map.end();
        subscription.head_for(step.encoding, step.layers);
    }
    changed
}

/// What the best of everything costs.
fn best(demands: &[Demand]) -> u64 {
    let cost = |demand: &Demand| demand.cost(demand.ladder.steps().len().saturating_sub(1));
    demands.iter().map(cost).fold(0, u64::saturating_add)
}

/// What the lowest step of everything costs.
fn least(demands: &[Demand]) -> u64 {
    demands.iter().map(|demand| demand.cost(0)).fold(0, u64::saturating_add)
}

/// What one step more than `choices` would cost; `None` if everybody has the best.
fn need(demands: &[Demand], choices: &[Choice]) -> Option<u64> {
    let (mut used, mut extra) = (0u64, None::<u64>);
    for (demand, choice) in demands.iter().zip(choices) {
        let at = choice.and_then(|step| demand.ladder.position(step.encoding, step.layers));
        let cost = at.map_or(0, |at| demand.cost(at));
        used = used.saturating_add(cost);
        let next = at.map_or(0, |at| at + 1);
        if next < demand.ladder.steps().len() && demand.priority != Priority::Audio {
            let step = demand.cost(next).saturating_sub(cost);
            extra = Some(extra.map_or(step, |extra| extra.min(step)));
        }
    }
    Some(used.saturating_add(extra?))
}
