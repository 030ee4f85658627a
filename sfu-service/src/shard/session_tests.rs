use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rtp::Extensions;
use sfu_core::SourceId;
use tokio::sync::mpsc;
use transport::{IceCredentials, Identity};

use super::super::convert::tracks;
use super::super::thread::{ShardSettings, plainly, prepare};
use super::*;
use crate::published::{Published, RoomKey, SessionKey};

fn shard() -> (ShardThread, mpsc::Receiver<ShardEvent>) {
    let prepared = prepare(udp::Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap(), None).unwrap();
    let shards = vec![prepared.handle().clone()];
    let (events, received) = mpsc::channel(16);
    let settings = ShardSettings {
        index: 0,
        identity: Identity::generate().unwrap(),
        epoch: (Instant::now(), Duration::from_secs(1)),
        seed: 1,
        counters: Arc::default(),
        around: plainly,
    };
    (ShardThread::new(prepared, settings, shards, events), received)
}

/// Lets the publisher of `room` in and returns its slot.
fn join(shard: &mut ShardThread, room: i64, now: Instant) -> usize {
    let credentials =
        |name: &str| IceCredentials { ufrag: format!("{name}{room}"), pwd: "0123456789012345678901".into() };
    let key = SessionKey(room.unsigned_abs());
    let formats = [None; 4];
    let published = Published {
        extensions: Extensions::new(),
        tracks: tracks(&[]),
        formats,
        remb: false,
        reduced_size: true,
        participant: None,
    };
    let join = Join {
        key,
        room: RoomKey::Group(room.unsigned_abs()),
        participant: format!("par_{room}").parse().unwrap(),
        local: credentials("ours"),
        remote: credentials("theirs"),
        remote_fingerprint: shard.settings.identity.fingerprint().clone(),
        dtls_client: false,
        data: None,
        role: JoinRole::Publisher { source: SourceId(0), published: Arc::new(published) },
    };
    shard.join(join, now);
    shard.by_key[&key]
}

#[test]
fn a_panic_ends_its_own_session_and_no_other() {
    let (mut shard, mut events) = shard();
    let now = Instant::now();
    let (faulty, sound) = (join(&mut shard, 1, now), join(&mut shard, 2, now));
    shard.connected(faulty, now);
    shard.connected(sound, now);
    for key in [1, 2] {
        assert!(matches!(events.try_recv(), Ok(ShardEvent::Connected(SessionKey(k))) if k == key));
    }

    shard.guarded(faulty, now, |_| panic!("a fault of the test"));
    assert!(matches!(events.try_recv(), Ok(ShardEvent::Ended(SessionKey(1), EndReason::Panic))));
    assert!(events.try_recv().is_err(), "nobody else ends");
    assert_eq!(shard.io.counters.panics.load(Ordering::Relaxed), 1);
    assert!(!shard.io.participants.contains(faulty) && shard.io.rooms.room(RoomKey::Group(1)).is_none());
    assert!(!shard.by_key.contains_key(&SessionKey(1)) && !shard.by_ufrag.contains_key("ours1"));

    let mut went_on = false;
    shard.guarded(sound, now, |shard| went_on = shard.io.participants.contains(sound));
    assert!(went_on && shard.io.rooms.room(RoomKey::Group(2)).is_some());
    // Its place is free again, and what is still on its way to the old session reaches nobody.
    assert_eq!(join(&mut shard, 3, now), faulty);
    shard.guarded(faulty, now, |shard| shard.close(faulty, EndReason::Deleted, now));
    assert!(matches!(events.try_recv(), Ok(ShardEvent::Ended(SessionKey(3), EndReason::Deleted))));
}
