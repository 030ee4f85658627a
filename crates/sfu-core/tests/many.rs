//! Rooms of many publishers over several shards: whoever is there sees what it shows, whoever came first.

mod cluster;
mod common;

use cluster::Cluster;
use proptest::prelude::*;
use sfu_core::*;

/// A room where everybody shows everybody.
fn room_of(publishers: u32, watchers: usize) {
    let mut cluster = Cluster::new(3);
    let all: Vec<_> = (1..=publishers).map(|name| Some(SourceId(name))).collect();
    // Half of those who watch come before anybody sends.
    for index in 0..watchers / 2 {
        cluster.join(index % 3, &all);
    }
    for name in 1..=publishers {
        cluster.publish(SourceId(name), name as usize % 3, 0);
    }
    (0..5).for_each(|_| cluster.frame(33));
    for index in watchers / 2..watchers {
        cluster.join(index % 3, &all);
    }
    cluster.check();
    for watcher in cluster.watchers.values() {
        assert!(watcher.streams.values().all(|(_, _, viewer)| !viewer.packets.is_empty()));
    }
}

#[test]
fn a_broadcast_is_a_room_with_one_publisher() {
    room_of(1, 12);
}

#[test]
fn three_publish_on_three_shards() {
    room_of(3, 6);
}

#[test]
fn a_hundred_publish_on_three_shards() {
    room_of(100, 3);
}

#[test]
fn a_room_that_nobody_is_in_is_nowhere() {
    let mut cluster = Cluster::new(2);
    let peer = cluster.join(0, &[Some(SourceId(1))]);
    cluster.publish(SourceId(1), 1, 0);
    cluster.check();
    cluster.remove(SourceId(1));
    cluster.leave(peer);
    assert!(cluster.shards.iter().all(|world| world.shard.rooms() == 0));
}

#[derive(Debug, Clone)]
enum Step {
    Publish { name: u32, home: usize, first: usize },
    Lose { name: u32 },
    Remove { name: u32 },
    Join { shard: usize, shows: Option<u32> },
    Leave { watcher: usize },
    Show { watcher: usize, shows: Option<u32> },
    Play,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 1u32..4;
    let shows = prop::option::weighted(0.9, name.clone());
    prop_oneof![
        3 => (name.clone(), 0usize..3, 0usize..3)
            .prop_map(|(name, home, first)| Step::Publish { name, home, first }),
        1 => name.clone().prop_map(|name| Step::Lose { name }),
        1 => name.prop_map(|name| Step::Remove { name }),
        3 => (0usize..3, shows.clone()).prop_map(|(shard, shows)| Step::Join { shard, shows }),
        1 => (0usize..6).prop_map(|watcher| Step::Leave { watcher }),
        2 => (0usize..6, shows).prop_map(|(watcher, shows)| Step::Show { watcher, shows }),
        4 => Just(Step::Play),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whoever_is_there_at_the_end_sees_what_it_shows(steps in prop::collection::vec(step(), 1..40)) {
        let mut cluster = Cluster::new(3);
        for step in steps {
            let watcher = |index: usize| cluster.watchers.keys().nth(index).copied().unwrap_or_default();
            match step {
                Step::Publish { name, home, first } => cluster.publish(SourceId(name), home, first),
                Step::Lose { name } => cluster.lose(SourceId(name)),
                Step::Remove { name } => cluster.remove(SourceId(name)),
                Step::Join { shard, shows } => {
                    cluster.join(shard, &[shows.map(SourceId)]);
                }
                Step::Leave { watcher: index } => cluster.leave(watcher(index)),
                Step::Show { watcher: index, shows } => cluster.show(watcher(index), shows.map(SourceId)),
                Step::Play => cluster.frame(20),
            }
            cluster.shards.iter().for_each(|world| world.shard.check());
        }
        cluster.check();
    }
}
