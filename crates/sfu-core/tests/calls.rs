//! Calls over several shards: each slot shows what it should, and says so, in whatever order things happen.

mod cluster;
mod common;

use cluster::{Cluster, Rest};
use proptest::prelude::*;
use sfu_core::*;

#[test]
fn everybody_sees_everybody_over_three_shards() {
    let mut cluster = Cluster::new(3);
    for name in 1..=12u32 {
        let peer = cluster.call(name as usize % 3, 12);
        // Half of them say what they want before anybody is there.
        cluster.want(peer, &(1..=12).collect::<Vec<_>>());
    }
    (1..=12).for_each(|name| cluster.publish(SourceId(name), name as usize % 3, 0));
    cluster.check_calls();
}

/// How often a camera was asked for a keyframe within the interval at most.
fn most_asked(cluster: &Cluster) -> usize {
    let within = |asked: &[std::time::Instant]| {
        let of = |first: &std::time::Instant| {
            asked.iter().filter(|at| **at >= *first && **at < *first + REQUEST_INTERVAL).count()
        };
        asked.iter().map(of).max().unwrap_or(0)
    };
    cluster.cameras.values().map(|camera| within(&camera.asked)).max().unwrap_or(0)
}

#[test]
fn who_pages_through_a_hundred_people_makes_nobody_send_keyframes_all_the_time() {
    let mut cluster = Cluster::new(3);
    (1..=100).for_each(|name| cluster.publish(SourceId(name), name as usize % 3, 0));
    let peers: Vec<u32> = (0..9).map(|index| cluster.call(index % 3, 12)).collect();
    (0..10).for_each(|_| cluster.frame(20));
    cluster.cameras.values_mut().for_each(|camera| camera.asked.clear());
    // Everybody turns a page every 60 ms, and each looks at others.
    for turn in 0..60u32 {
        for (peer, index) in peers.iter().zip(0u32..) {
            let first = (turn * 12 + index * 5) % 100;
            let page: Vec<u32> = (0..12).map(|tile| 1 + (first + tile) % 100).collect();
            cluster.want(*peer, &page);
        }
        (0..3).for_each(|_| cluster.frame(20));
    }
    assert_eq!(most_asked(&cluster), 1, "the wishes of all slots on all shards are one");
    let asked: usize = cluster.cameras.values().map(|camera| camera.asked.len()).sum();
    assert!(asked > 100, "{asked}: they were asked");
}

#[test]
fn what_nobody_watches_is_off_and_comes_back_at_once() {
    let mut cluster = Cluster::new(3);
    let peer = cluster.call(2, 1);
    (1..=3).for_each(|name| cluster.publish(SourceId(name), name as usize % 3, 0));
    cluster.want(peer, &[1]);
    (0..150).for_each(|_| cluster.frame(33));
    let rests = |cluster: &Cluster| {
        cluster.cameras.values().map(|camera| camera.rest == Rest::Rests).collect::<Vec<_>>()
    };
    assert_eq!(rests(&cluster), [false, true, true], "also the only encoding");
    for (name, expected) in [(2, [true, false, true]), (3, [true, true, false]), (1, [false, true, true])] {
        cluster.want(peer, &[name]);
        let tile = |cluster: &mut Cluster| {
            cluster.callers.get_mut(&peer).unwrap().slots.values_mut().next().unwrap().fresh
        };
        let before = tile(&mut cluster);
        let mut waited = 0;
        while tile(&mut cluster) == before {
            cluster.frame(10);
            waited += 10;
            assert!(waited < 300, "{name} is not back");
        }
        (0..150).for_each(|_| cluster.frame(33));
        assert_eq!(rests(&cluster), expected);
    }
    cluster.check_calls();
}

#[derive(Debug, Clone)]
enum Step {
    Publish { name: u32, home: usize, first: usize },
    Lose { name: u32 },
    Remove { name: u32 },
    Mute { name: u32, muted: bool },
    Call { shard: usize, tiles: usize },
    HangUp { caller: usize },
    Want { caller: usize, names: Vec<u32> },
    Play { frames: usize },
    Pass { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 1u32..6;
    prop_oneof![
        4 => (name.clone(), 0usize..3, 0usize..3)
            .prop_map(|(name, home, first)| Step::Publish { name, home, first }),
        1 => name.clone().prop_map(|name| Step::Lose { name }),
        1 => name.clone().prop_map(|name| Step::Remove { name }),
        2 => (name.clone(), any::<bool>()).prop_map(|(name, muted)| Step::Mute { name, muted }),
        2 => (0usize..3, 1usize..4).prop_map(|(shard, tiles)| Step::Call { shard, tiles }),
        1 => (0usize..4).prop_map(|caller| Step::HangUp { caller }),
        5 => (0usize..4, prop::collection::vec(name, 0..6))
            .prop_map(|(caller, names)| Step::Want { caller, names }),
        5 => (1usize..5).prop_map(|frames| Step::Play { frames }),
        1 => (1u64..4).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_slot_shows_what_it_should_and_says_so(steps in prop::collection::vec(step(), 1..40)) {
        let mut cluster = Cluster::new(3);
        for step in steps {
            let caller = |index: usize| cluster.callers.keys().nth(index).copied().unwrap_or_default();
            match step {
                Step::Publish { name, home, first } => cluster.publish(SourceId(name), home, first),
                Step::Lose { name } => cluster.lose(SourceId(name)),
                Step::Remove { name } => cluster.remove(SourceId(name)),
                Step::Mute { name, muted } => cluster.mute(SourceId(name), muted),
                Step::Call { shard, tiles } => drop(cluster.call(shard, tiles)),
                Step::HangUp { caller: index } => cluster.hang_up(caller(index)),
                Step::Want { caller: index, names } => cluster.want(caller(index), &names),
                Step::Play { frames } => (0..frames).for_each(|_| cluster.frame(20)),
                Step::Pass { seconds } => (0..10 * seconds).for_each(|_| cluster.frame(100)),
            }
            cluster.shards.iter().for_each(|world| world.shard.check());
        }
        cluster.check_calls();
    }
}

#[test]
fn thirty_who_join_at_once_see_everybody_on_their_page() {
    let mut cluster = Cluster::new(3);
    (1..=30).for_each(|name| cluster.publish(SourceId(name), name as usize % 3, 0));
    // Nobody watches, so all cameras rest.
    (0..60).for_each(|_| cluster.frame(100));
    assert!(cluster.cameras.values().all(|camera| camera.rest == Rest::Rests));
    cluster.cameras.values_mut().for_each(|camera| camera.asked.clear());
    // They come within half a second, and each looks at twelve others.
    let mut waiting = Vec::new();
    let mut took = Vec::new();
    for turn in 0..200u32 {
        if turn < 30 {
            let peer = cluster.call(turn as usize % 3, 12);
            cluster.want(peer, &(0..12).map(|tile| 1 + (turn * 7 + tile) % 30).collect::<Vec<_>>());
            waiting.push((peer, turn));
        }
        cluster.frame(16);
        waiting.retain(|&(peer, since)| {
            let caller = &cluster.callers[&peer];
            let mut bindings = cluster.shards[caller.shard].shard.bindings(caller.subscriber);
            let sees_all = bindings.all(|binding| binding.from.is_some());
            took.extend(sees_all.then_some((turn + 1 - since) * 16));
            !sees_all
        });
    }
    took.sort_unstable();
    assert_eq!((waiting.len(), most_asked(&cluster)), (0, 1));
    assert!(
        took[28] <= 300,
        "{took:?}: 95 of 100 within so many milliseconds, without the way there and back"
    );
}
