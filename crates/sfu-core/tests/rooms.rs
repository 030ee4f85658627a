//! No packet leaves its room, and none reaches who did not ask for it.

mod common;

use std::collections::HashMap;

use common::*;
use proptest::prelude::*;
use rtp::RtpPacket;
use sfu_core::*;

#[derive(Debug, Clone)]
enum Step {
    AddPublisher { room: u64 },
    AddSubscriber { room: u64 },
    Subscribe { subscriber: usize, publisher: usize },
    Send { publisher: usize },
    Unsubscribe { subscription: usize },
    Pause { subscription: usize, paused: bool },
    RemovePublisher { publisher: usize },
    RemoveSubscriber { subscriber: usize },
    Lose { publisher: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0usize..8;
    prop_oneof![
        1 => (0u64..3).prop_map(|room| Step::AddPublisher { room }),
        1 => (0u64..3).prop_map(|room| Step::AddSubscriber { room }),
        4 => (index.clone(), index.clone()).prop_map(|(subscriber, publisher)| Step::Subscribe { subscriber, publisher }),
        6 => index.clone().prop_map(|publisher| Step::Send { publisher }),
        1 => index.clone().prop_map(|subscription| Step::Unsubscribe { subscription }),
        1 => (index.clone(), any::<bool>()).prop_map(|(subscription, paused)| Step::Pause { subscription, paused }),
        1 => index.clone().prop_map(|publisher| Step::RemovePublisher { publisher }),
        1 => index.clone().prop_map(|subscriber| Step::RemoveSubscriber { subscriber }),
        1 => index.prop_map(|publisher| Step::Lose { publisher }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_arrives_was_subscribed_in_the_same_room(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let mut publishers: Vec<(PublisherId, u64, Source)> = Vec::new();
        let mut subscribers: Vec<(SubscriberId, u64, Peer)> = Vec::new();
        let mut subscriptions: Vec<SubscriptionId> = Vec::new();
        // By subscription: the peer it goes to, the tag that its publisher writes, its SSRC.
        let mut expected: HashMap<SubscriptionId, (Peer, Option<u8>, u32)> = HashMap::new();
        let (mut tag, mut peer) = (0u32, 0u32);
        for step in steps {
            match step {
                Step::AddPublisher { room } => {
                    tag += 1;
                    let id = world.shard.add_publisher(video_publisher(room, 1000 + tag), world.now).unwrap();
                    publishers.push((id, room, Source::new(tag, "0")));
                }
                Step::AddSubscriber { room } => {
                    peer += 1;
                    let id = world.shard.add_subscriber(subscriber(room, peer), world.now).unwrap();
                    subscribers.push((id, room, Peer(peer)));
                }
                Step::Subscribe { subscriber, publisher } => {
                    let (Some(to), Some(from)) = (subscribers.get(subscriber), publishers.get(publisher)) else { continue };
                    let ssrc = 10_000 + 2 * expected.len() as u32;
                    // Names are of the subscriber's own room: nobody has the name of another room's publisher there.
                    let name = SourceId(1000 + u32::from(from.2.tag));
                    if let Ok(id) = world.shard.subscribe(to.0, video_subscription(name, ssrc), world.now) {
                        let tag = (to.1 == from.1).then_some(from.2.tag);
                        prop_assert!(expected.insert(id, (to.2, tag, ssrc)).is_none());
                        subscriptions.push(id);
                    }
                }
                Step::Send { publisher } => {
                    if let Some((id, _, source)) = publishers.get_mut(publisher) {
                        source.keyframe_wanted = true;
                        let id = *id;
                        world.send_frame(id, source);
                    }
                }
                Step::Unsubscribe { subscription } => {
                    if let Some(id) = subscriptions.get(subscription) {
                        world.shard.unsubscribe(*id);
                    }
                }
                Step::Pause { subscription, paused } => {
                    if let Some(id) = subscriptions.get(subscription) {
                        world.shard.set_paused(*id, paused, world.now);
                    }
                }
                Step::RemovePublisher { publisher } => {
                    if let Some((id, ..)) = publishers.get(publisher) {
                        world.shard.remove_publisher(*id, world.now);
                    }
                }
                Step::RemoveSubscriber { subscriber } => {
                    if let Some((id, ..)) = subscribers.get(subscriber) {
                        world.shard.remove_subscriber(*id);
                    }
                }
                Step::Lose { publisher } => {
                    if let Some((id, ..)) = publishers.get(publisher) {
                        world.shard.publisher_lost(*id, world.now);
                    }
                }
            }
            world.shard.check();
            world.advance(ms(50));
            for sent in world.out.rtp.drain(..) {
                let (peer, tag, ssrc) = expected[&sent.subscription];
                let packet = RtpPacket::parse(&sent.bytes).unwrap();
                prop_assert_eq!((sent.peer, Some(packet.payload()[5]), packet.ssrc), (peer, tag, ssrc));
            }
        }
    }
}

#[test]
fn two_rooms_on_one_shard_each_get_their_own() {
    let mut world = World::new();
    let mut senders = Vec::new();
    for room in 0..2u32 {
        let publisher =
            world.shard.add_publisher(video_publisher(room.into(), 100 + room), world.now).unwrap();
        let viewer = world.shard.add_subscriber(subscriber(room.into(), room), world.now).unwrap();
        let name = SourceId(100 + room);
        world.shard.subscribe(viewer, video_subscription(name, 5000), world.now).unwrap();
        let other = world.shard.add_subscriber(subscriber(u64::from(1 - room), 50), world.now).unwrap();
        world.shard.subscribe(other, video_subscription(name, 6000), world.now).unwrap();
        senders.push((publisher, Source::new(200 + room, "0")));
    }
    for (publisher, source) in &mut senders {
        world.send_frame(*publisher, source);
    }
    for room in 0..2 {
        let got = world.out.take_rtp(Peer(room));
        assert_eq!(got.len(), 9, "the keyframe of the own room");
        assert!(
            got.iter().all(|sent| RtpPacket::parse(&sent.bytes).unwrap().payload()[5] == 200 + room as u8)
        );
    }
    assert!(world.out.rtp.is_empty());
}

#[test]
fn stale_ids_do_nothing() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    let subscription = world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    world.shard.unsubscribe(subscription);
    let again = world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    assert_ne!(subscription, again);
    world.shard.unsubscribe(subscription);
    world.shard.set_paused(subscription, true, world.now);
    world.send_frame(publisher, &mut Source::new(9, "0"));
    assert_eq!(world.out.take_rtp(Peer(2)).len(), 9);
    world.shard.remove_subscriber(viewer);
    world.shard.remove_subscriber(viewer);
    let other = world.shard.add_subscriber(subscriber(1, 3), world.now).unwrap();
    assert_ne!(viewer, other);
    assert_eq!(
        world.shard.subscribe(viewer, video_subscription(FIRST, 1), world.now),
        Err(AddError::Unknown)
    );
    assert!(world.shard.subscriber_stats(viewer).is_none());
}
