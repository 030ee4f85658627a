use std::sync::Arc;

use rtp::Extensions;
use sfu_core::{EncodingIndex, SourceId, TrackIndex};

use super::super::inbox::{Inbox, MAX_MESSAGES, inbox};
use super::super::message::{MAX_PACKET, ShardMessageKind};
use super::*;
use crate::published::{Published, RoomKey, SessionKey};

/// A way to another shard, whose inbox nobody empties but the test.
fn lanes() -> (Lanes, Inbox, mio::Poll) {
    let poll = mio::Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
    let (handle, inbox) = inbox(waker);
    (Lanes::new(vec![handle]), inbox, poll)
}

fn message(connection: u64, kind: ShardMessageKind) -> ShardMessage {
    let (room, source) = (RoomKey::Group(1), SourceId(0));
    ShardMessage { room, source, connection: SessionKey(connection), from: 0, kind }
}

fn packet(connection: u64) -> ShardMessage {
    let (track, encoding) = (TrackIndex(0), EncodingIndex(0));
    let (run, began, number, len, bytes) = (0, 0, 0, 10, [0; MAX_PACKET]);
    message(connection, ShardMessageKind::Packet { track, encoding, run, began, number, len, bytes })
}

fn published(connection: u64) -> ShardMessage {
    let published = Published {
        extensions: Extensions::new(),
        tracks: Vec::new(),
        formats: [None; 4],
        remb: false,
        reduced_size: true,
        participant: None,
    };
    message(connection, ShardMessageKind::Published(Arc::new(published)))
}

/// What has arrived: the connection of each message, and whether it says what that sends.
fn arrived(inbox: &Inbox) -> Vec<(u64, bool)> {
    let all = std::iter::from_fn(|| inbox.message());
    all.map(|one| (one.connection.0, matches!(one.kind, ShardMessageKind::Published(_)))).collect()
}

#[test]
fn a_full_inbox_loses_packets_and_no_state_and_nothing_is_overtaken() {
    let (mut lanes, inbox, _poll) = lanes();
    assert!(lanes.send(0, published(1)));
    assert_eq!((0..2_000).filter(|_| lanes.send(0, packet(1))).count(), MAX_MESSAGES - 1);
    // A publisher who is back: what it sends is held back, and so its packets are dropped.
    assert!(lanes.send(0, published(2)) && !lanes.is_clear());
    assert!(!lanes.send(0, packet(2)));
    // There is room again, but what is held back comes first.
    assert!(inbox.message().is_some());
    assert!(!lanes.send(0, packet(2)), "it would overtake");
    lanes.flush();
    assert!(lanes.is_clear());
    assert!(inbox.message().is_some());
    assert!(lanes.send(0, packet(2)));
    let all = arrived(&inbox);
    assert_eq!(all.len(), MAX_MESSAGES);
    let back = all.iter().position(|one| *one == (2, true)).unwrap();
    assert!(all[..back].iter().all(|one| *one == (1, false)));
    assert_eq!(all[back + 1..], [(2, false)]);
}

#[test]
fn of_states_that_wait_only_the_last_is_said() {
    let (mut lanes, inbox, _poll) = lanes();
    while lanes.send(0, packet(1)) {}
    let (track, encoding) = (TrackIndex(0), EncodingIndex(0));
    for connection in 2..1_000 {
        lanes.send(0, published(connection));
        lanes.send(0, message(connection, ShardMessageKind::PortionEnd { more: true }));
        for wanted in [true, false] {
            lanes.send(0, message(connection, ShardMessageKind::Wanted { track, encoding, wanted }));
            lanes.send(0, message(connection, ShardMessageKind::More));
        }
        lanes.send(0, message(connection, ShardMessageKind::Withdrawn));
        lanes.send(0, message(connection, ShardMessageKind::Pull));
    }
    assert!(lanes.lanes[0].held.len() <= 3, "{:?}", lanes.lanes[0].held.len());
    arrived(&inbox);
    lanes.flush();
    let kinds: Vec<ShardMessageKind> = std::iter::from_fn(|| inbox.message()).map(|one| one.kind).collect();
    assert!(matches!(kinds[..], [ShardMessageKind::Withdrawn, ShardMessageKind::Pull]), "{kinds:?}");
}
