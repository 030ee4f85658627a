//! Many changes at once cost as many decisions, not as many for everybody each time.

mod common;

use common::*;
use sfu_core::*;

struct Cost {
    decisions: u64,
    allocations: u64,
}

/// What it costs to take in what `change` does, all in one moment.
fn cost(world: &mut World, change: impl FnOnce(&mut World)) -> Cost {
    let before = world.shard.totals();
    change(world);
    world.settle();
    let after = world.shard.totals();
    Cost {
        decisions: after.decisions - before.decisions,
        allocations: after.allocations - before.allocations,
    }
}

/// A simulcast publisher that flows, and 1,000 viewers who come at once.
fn crowd() -> (World, Vec<SubscriptionId>, Cost) {
    let mut world = World::new();
    let track = video_track("0", vec![rid("a"), rid("b")]);
    let id = world.shard.add_publisher(publisher(1, 1, vec![track]), world.now).unwrap();
    let mut sources = [Source::new(10, "0").with_rid("a"), Source::new(20, "0").with_rid("b")];
    for _ in 0..40 {
        for source in &mut sources {
            world.send_frame(id, source);
        }
        world.advance(ms(50));
    }
    let mut subscriptions = Vec::new();
    let cost = cost(&mut world, |world| {
        for peer in 100..1_100 {
            let viewer = world.shard.add_subscriber(subscriber(1, peer), world.now).unwrap();
            let config = video_subscription(FIRST, 10 * peer);
            subscriptions.push(world.shard.subscribe(viewer, config, world.now).unwrap());
        }
    });
    (world, subscriptions, cost)
}

#[test]
fn a_thousand_changes_in_a_batch_are_a_thousand_decisions() {
    let (mut world, subscriptions, joined) = crowd();
    assert!((1_000..=1_010).contains(&joined.decisions), "{} decisions", joined.decisions);
    assert_eq!(joined.allocations, 1_000);
    let changed = cost(&mut world, |world| {
        for &id in &subscriptions {
            world.shard.set_wanted(id, only("a"), world.now);
            world.shard.set_wanted(id, only("b"), world.now);
            world.shard.set_wanted(id, only("a"), world.now);
        }
    });
    // Each is decided once more if its line's allowance comes out otherwise.
    assert!((1_000..=2_000).contains(&changed.decisions), "{} decisions", changed.decisions);
    assert_eq!(changed.allocations, 1_000);
    assert_eq!(cost(&mut world, |_| ()).decisions, 0, "nothing changed");
    let one = cost(&mut world, |world| world.shard.set_paused(subscriptions[0], true, world.now));
    assert!(one.decisions <= 2, "{} decisions for one viewer of a thousand", one.decisions);
    assert_eq!(one.allocations, 1);
}

#[test]
fn the_line_of_a_subscriber_is_shared_out_once_however_many_streams_change() {
    let mut world = World::new();
    for peer in 1..=100 {
        world.shard.add_publisher(video_publisher(1, peer), world.now).unwrap();
    }
    let viewer = world.shard.add_subscriber(subscriber(1, 1_000), world.now).unwrap();
    let mut ids = Vec::new();
    let subscribed = cost(&mut world, |world| {
        for index in 0..500u32 {
            let config = video_subscription(SourceId(1 + index % 100), 10_000 + 2 * index);
            ids.push(world.shard.subscribe(viewer, config, world.now).unwrap());
        }
    });
    assert_eq!((subscribed.decisions, subscribed.allocations), (500, 1));
    let shown = cost(&mut world, |world| {
        for (index, &id) in (0..).zip(&ids) {
            world.shard.show(id, Some(track(SourceId(1 + (index + 1) % 100), 0)), world.now);
            world.shard.show(id, None, world.now);
            world.shard.show(id, Some(track(SourceId(1 + (index + 2) % 100), 0)), world.now);
            world.shard.set_wanted(id, Wanted { max_temporal: Some(1), ..Wanted::default() }, world.now);
        }
    });
    assert!((500..=1_500).contains(&shown.decisions), "{} decisions", shown.decisions);
    assert_eq!(shown.allocations, 1);
}
