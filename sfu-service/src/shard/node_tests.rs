//! Three shards of a node without their threads: what they say to each other arrives when the test says so. Sessions
//! count as connected at once; their packets come in and go out without a network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::destination::Source;
use contract::id::ParticipantId;
use contract::layer::Obstacle;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtp::{Codec, Extensions, Header, HeaderWriter, MediaKind};
use sfu_core::{EncodingConfig, Format, Peer, SourceId, TrackConfig, TrackName};
use transport::sdp::CodecFormat;
use transport::{IceCredentials, Identity};

use super::super::command::{Join, JoinRole};
use super::super::convert::{track_index, tracks};
use super::super::message::{MAX_PACKET, ShardMessageKind};
use super::super::participant::Role;
use super::super::rooms::Place;
use super::super::section::{LayerChoice, MediaSection};
use super::super::thread::{plainly, prepare};
use super::*;
use crate::published::{Published, RoomKey, SessionKey};

const ROOM: RoomKey = RoomKey::Group(1);
const CAMERA_PT: u8 = 96;
const SCREEN_PT: u8 = 98;
/// Frames from one keyframe to the next.
const KEYFRAMES: u64 = 5;

fn video(mid: &str, payload_type: u8) -> TrackConfig {
    let format = Format {
        payload_type,
        rtx: None,
        nack: true,
        codec: Codec::Vp8,
        clock_rate: 90_000,
        redundant: None,
    };
    TrackConfig {
        kind: MediaKind::Video,
        mid: mid.parse().unwrap(),
        formats: vec![format],
        encodings: vec![EncodingConfig::default()],
        csrc: None,
    }
}

/// A publisher with a camera, perhaps with a screen.
fn published(with_screen: bool) -> Arc<Published> {
    let mut all = tracks(&[]);
    all[usize::from(track_index(Source::Camera).0)] = video("c", CAMERA_PT);
    if with_screen {
        all[usize::from(track_index(Source::Screen).0)] = video("s", SCREEN_PT);
    }
    let vp8 = Some(CodecFormat::Vp8);
    let (extensions, formats) = (Extensions::new(), [None, vp8, vp8.filter(|_| with_screen), None]);
    Arc::new(Published {
        extensions,
        tracks: all,
        formats,
        remb: false,
        reduced_size: true,
        participant: None,
    })
}

/// A session on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    shard: usize,
    key: SessionKey,
}

/// A camera, or a camera and a screen, on a connection.
struct Publisher {
    session: Session,
    with_screen: bool,
    frame: u64,
    sequence: u16,
    payload_len: usize,
}

struct Node {
    shards: Vec<ShardThread>,
    _events: Vec<mpsc::Receiver<ShardEvent>>,
    now: Instant,
    next_key: u64,
    publishers: BTreeMap<(RoomKey, SourceId), Publisher>,
    /// What the control plane knows of publishers that are or were there.
    known: BTreeMap<(RoomKey, SourceId), Arc<Published>>,
    viewers: Vec<(RoomKey, Session)>,
    /// Sessions that others have replaced and that are not removed yet.
    stale: Vec<Session>,
}

impl Node {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let identity = Identity::generate().unwrap();
        let bind = || prepare(udp::Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap(), None).unwrap();
        let prepared: Vec<Prepared> = (0..count).map(|_| bind()).collect();
        let handles: Vec<ShardHandle> = prepared.iter().map(|shard| shard.handle().clone()).collect();
        let mut received = Vec::new();
        let shards = prepared.into_iter().enumerate().map(|(index, prepared)| {
            let (events, receiver) = mpsc::channel(4);
            received.push(receiver);
            let settings = ShardSettings {
                index,
                identity: identity.clone(),
                epoch: (now, Duration::from_secs(1)),
                seed: index as u64,
                counters: Arc::default(),
                around: plainly,
            };
            ShardThread::new(prepared, settings, handles.clone(), events)
        });
        let shards = shards.collect();
        Self {
            shards,
            _events: received,
            now,
            next_key: 1,
            publishers: BTreeMap::new(),
            known: BTreeMap::new(),
            viewers: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// Lets a session in and has it connected.
    fn enter(&mut self, room: RoomKey, shard: usize, role: JoinRole) -> Session {
        let key = SessionKey(self.next_key);
        self.next_key += 1;
        let name = |side: &str| IceCredentials {
            ufrag: format!("{side}{}", key.0),
            pwd: "0123456789012345678901".into(),
        };
        let thread = &mut self.shards[shard];
        let join = Join {
            key,
            room,
            participant: format!("par_{}", key.0).parse::<ParticipantId>().unwrap(),
            local: name("ours"),
            remote: name("theirs"),
            remote_fingerprint: thread.settings.identity.fingerprint().clone(),
            dtls_client: false,
            data: None,
            role,
        };
        assert!(thread.join_guarded(join, self.now).is_some());
        let slot = thread.by_key[&key];
        thread.connected(slot, self.now);
        thread.io.lanes.flush();
        Session { shard, key }
    }

    fn remove(&mut self, session: Session) {
        let thread = &mut self.shards[session.shard];
        if let Some(&slot) = thread.by_key.get(&session.key) {
            thread.remove(slot, EndReason::Deleted, self.now);
        }
        thread.io.lanes.flush();
    }

    fn publish(&mut self, room: RoomKey, source: SourceId, shard: usize, with_screen: bool) {
        self.publish_as(room, source, shard, published(with_screen), with_screen);
    }

    fn publish_as(
        &mut self,
        room: RoomKey,
        source: SourceId,
        shard: usize,
        published: Arc<Published>,
        with_screen: bool,
    ) {
        let session = self.enter(room, shard, JoinRole::Publisher { source, published: published.clone() });
        self.known.insert((room, source), published);
        let sequence = (session.key.0 as u16).wrapping_mul(7_919);
        let publisher = Publisher { session, with_screen, frame: 0, sequence, payload_len: 500 };
        let before = self.publishers.insert((room, source), publisher);
        self.stale.extend(before.map(|before| before.session));
    }

    fn lose(&mut self, room: RoomKey, source: SourceId) {
        if let Some(publisher) = self.publishers.remove(&(room, source)) {
            self.remove(publisher.session);
        }
    }

    /// A viewer of the cameras and screens of two publishers, whether they are there or not.
    fn watch(&mut self, room: RoomKey, shard: usize) -> Session {
        self.watch_with(room, shard, Codec::Vp8)
    }

    /// The same with a viewer that takes this codec only.
    fn watch_with(&mut self, room: RoomKey, shard: usize, codec: Codec) -> Session {
        let of_room = self.known.iter().filter(|((of, _), _)| *of == room);
        let known = of_room.map(|((_, source), published)| (*source, published.clone())).collect();
        let shown = [0, 1].into_iter().flat_map(|source| {
            [Source::Camera, Source::Screen]
                .map(|kind| TrackName { source: SourceId(source), track: track_index(kind) })
        });
        let sections = shown.enumerate().map(|(index, shows)| MediaSection {
            shows,
            mid: format!("{index}").parse().unwrap(),
            ssrc: 10 * (1 + index as u32),
            rtx_ssrc: Some(10 * (1 + index as u32) + 1),
            cname: "owner".into(),
            formats: video("v", 100).formats.into_iter().map(|format| Format { codec, ..format }).collect(),
            id: None,
            mismatch: false,
            choice: LayerChoice::default(),
        });
        let role = JoinRole::Viewer {
            published: known,
            extensions: Extensions::new(),
            reduced_size: true,
            sections: sections.collect(),
        };
        let session = self.enter(room, shard, role);
        self.viewers.push((room, session));
        session
    }

    fn leave(&mut self, index: usize) {
        if index < self.viewers.len() {
            let (_, session) = self.viewers.remove(index);
            self.remove(session);
        }
    }

    fn remove_stale(&mut self) {
        for session in std::mem::take(&mut self.stale) {
            self.remove(session);
        }
    }

    /// Lets a shard take what others have said to it.
    fn deliver(&mut self, shard: usize) -> bool {
        let thread = &mut self.shards[shard];
        let more = thread.take_messages(self.now);
        thread.run_core(self.now);
        thread.io.lanes.flush();
        more
    }

    /// Lets everything arrive that is on its way, answers included.
    fn settle(&mut self) {
        for _ in 0..200 {
            for shard in 0..self.shards.len() {
                self.deliver(shard);
            }
        }
    }

    /// Every publisher films a frame of `packets` packets, which the shards do not hear of from each other yet.
    fn film(&mut self, packets: u16) {
        for ((_, _), publisher) in &mut self.publishers {
            let thread = &mut self.shards[publisher.session.shard];
            let Some(&slot) = thread.by_key.get(&publisher.session.key) else { continue };
            let types: &[u8] = if publisher.with_screen { &[CAMERA_PT, SCREEN_PT] } else { &[CAMERA_PT] };
            for index in 0..packets {
                publisher.sequence = publisher.sequence.wrapping_add(1);
                for &payload_type in types {
                    let packet = video_packet(publisher, payload_type, index, packets);
                    let now = self.now;
                    thread.take_in(slot, now, |thread| thread.publisher_rtp(slot, &packet, now));
                }
            }
            publisher.frame += 1;
            thread.forward(self.now);
            thread.io.lanes.flush();
        }
    }

    fn advance(&mut self, step: Duration) {
        self.now += step;
        let now = self.now;
        self.shards.iter_mut().for_each(|thread| thread.run_core(now));
    }

    /// Packets that a viewer has got so far of each of its sections.
    fn seen(&self, session: Session) -> Vec<u64> {
        let thread = &self.shards[session.shard];
        let slot = thread.by_key[&session.key];
        let Role::Viewer { sections, .. } = &thread.io.participants[slot].role else { panic!("a viewer") };
        let packets = |section: &MediaSection| {
            thread.core.subscription_stats(section.id.unwrap()).map_or(0, |stats| stats.packets)
        };
        sections.iter().map(packets).collect()
    }

    fn counter(&self, of: impl Fn(&ShardCounters) -> &std::sync::atomic::AtomicU64) -> u64 {
        self.shards.iter().map(|thread| of(&thread.io.counters).load(Ordering::Relaxed)).sum()
    }
}

/// One packet of the publisher's frame of now. The screen has an SSRC of its own.
fn video_packet(publisher: &Publisher, payload_type: u8, index: u16, count: u16) -> Vec<u8> {
    let mut writer = HeaderWriter::new();
    let header = Header {
        marker: index + 1 == count,
        payload_type,
        sequence: publisher.sequence,
        timestamp: (publisher.frame as u32).wrapping_mul(3_000),
        ssrc: (publisher.session.key.0 as u32) << 8 | u32::from(payload_type),
        padded: false,
    };
    writer.start(&header, false);
    writer.finish();
    let keyframe = publisher.frame.is_multiple_of(KEYFRAMES);
    let [p0, p1] = (publisher.frame as u16 | 0x8000).to_be_bytes();
    let first = if index == 0 { 0x90 } else { 0x80 };
    let mut payload = vec![first, 0x80, p0, p1, u8::from(!keyframe)];
    payload.resize(publisher.payload_len, index as u8);
    [writer.bytes(), &payload].concat()
}

/// Whoever is in the room sees every source that is there, and nothing else.
fn everybody_sees(node: &mut Node) {
    node.remove_stale();
    node.settle();
    let before: Vec<Vec<u64>> = node.viewers.iter().map(|(_, viewer)| node.seen(*viewer)).collect();
    for _ in 0..3 * KEYFRAMES {
        node.film(1);
        node.settle();
        node.advance(Duration::from_millis(33));
    }
    for ((room, viewer), before) in node.viewers.iter().zip(before) {
        let after = node.seen(*viewer);
        let news: Vec<bool> =
            after.iter().zip(&before).map(|(after, before)| after >= &(before + KEYFRAMES)).collect();
        let there = |source: u32, screen: bool| {
            let publisher = node.publishers.get(&(*room, SourceId(source)));
            publisher.is_some_and(|publisher| publisher.with_screen || !screen)
        };
        let expected =
            [(0, false), (0, true), (1, false), (1, true)].map(|(source, screen)| there(source, screen));
        assert_eq!(news, expected, "on shard {}: {before:?} and then {after:?}", viewer.shard);
        let nothing = after.iter().zip(&before).zip(expected).filter(|(_, expected)| !expected);
        nothing.for_each(|((after, before), _)| assert_eq!(after, before));
    }
    assert_eq!(node.counter(|counters| &counters.panics), 0);
}

/// Nobody is there any more: nothing of anybody is kept, on any shard.
fn nothing_stays(node: &mut Node) {
    let all: Vec<(RoomKey, SourceId)> = node.publishers.keys().copied().collect();
    all.into_iter().for_each(|(room, source)| node.lose(room, source));
    (0..node.viewers.len()).for_each(|_| node.leave(0));
    node.remove_stale();
    node.settle();
    for thread in &mut node.shards {
        assert!(thread.io.rooms.room(ROOM).is_none(), "{:?}", thread.io.rooms);
        assert!(thread.io.viewers.is_empty() && thread.io.lanes.is_clear());
        assert_eq!(thread.portions.grant(), None);
    }
}

#[test]
fn who_joins_while_the_publisher_is_away_sees_it_when_it_is_back() {
    for (viewer, back) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)] {
        let mut node = Node::new(3);
        node.publish(ROOM, SourceId(0), 0, false);
        node.film(1);
        node.lose(ROOM, SourceId(0));
        node.settle();
        // Nobody else is there, so that nothing of the room is left on any shard.
        node.watch(ROOM, viewer);
        node.settle();
        node.publish(ROOM, SourceId(0), back, true);
        everybody_sees(&mut node);
        nothing_stays(&mut node);
    }
}

#[test]
fn a_publisher_may_be_back_on_any_shard_with_other_tracks() {
    let mut node = Node::new(3);
    for shard in 0..3 {
        node.watch(ROOM, shard);
    }
    for (shard, with_screen) in [(0, false), (1, true), (2, false), (2, true), (0, true), (1, false)] {
        // Half of them while the one before is still there.
        if with_screen {
            node.lose(ROOM, SourceId(0));
        }
        node.publish(ROOM, SourceId(0), shard, with_screen);
        node.publish(ROOM, SourceId(1), (shard + 1) % 3, !with_screen);
        everybody_sees(&mut node);
    }
    nothing_stays(&mut node);
}

#[test]
fn a_publisher_that_was_replaced_and_is_heard_of_late_is_forgotten_too() {
    let mut node = Node::new(3);
    node.publish(ROOM, SourceId(0), 2, false);
    node.publish(ROOM, SourceId(0), 0, false);
    // The others have not heard of the first yet, and forget the second before they do.
    node.deliver(2);
    node.lose(ROOM, SourceId(0));
    nothing_stays(&mut node);
}

#[test]
fn what_a_full_inbox_dropped_is_repaired() {
    let mut node = Node::new(2);
    node.publish(ROOM, SourceId(0), 0, false);
    let viewer = node.watch(ROOM, 1);
    node.settle();
    // For a while the other shard takes nothing.
    for _ in 0..KEYFRAMES * 10 {
        node.film(30);
    }
    let dropped = node.counter(|counters| &counters.forward_drops);
    assert!((400..600).contains(&dropped), "{dropped}");
    node.settle();
    for _ in 0..40 {
        node.film(1);
        node.settle();
        node.advance(Duration::from_millis(25));
    }
    assert_eq!(node.seen(viewer)[0], KEYFRAMES * 10 * 30 + 40);
    let totals = node.shards[1].core.totals();
    assert_eq!((totals.crossing_repaired, totals.crossing_given_up), (dropped, 0));
    assert_eq!(node.counter(|counters| &counters.forward_drops), dropped, "no more than those");
}

#[test]
fn what_joiners_have_missed_does_not_push_out_what_is_live() {
    let mut node = Node::new(2);
    let rooms: Vec<RoomKey> = (1..=20).map(RoomKey::Group).collect();
    rooms.iter().for_each(|room| node.publish(*room, SourceId(0), 0, false));
    let live = node.watch(rooms[0], 1);
    node.settle();
    // A keyframe of 300 packets in each room: six times what an inbox takes.
    node.film(300);
    node.settle();
    let viewers: Vec<Session> = rooms.iter().map(|room| node.watch(*room, 1)).collect();
    for _ in 1..KEYFRAMES {
        node.film(1);
        for _ in 0..100 {
            node.deliver(0);
            node.deliver(1);
        }
        node.advance(Duration::from_millis(33));
    }
    node.advance(Duration::from_millis(500));
    assert_eq!(node.seen(live)[0], 300 + KEYFRAMES - 1);
    for viewer in viewers {
        assert_eq!(node.seen(viewer)[0], 300 + KEYFRAMES - 1);
    }
    // The first frame of the room that is watched was more than half an inbox by itself.
    assert_eq!(node.counter(|counters| &counters.forward_drops), 0);
    let totals = node.shards[1].core.totals();
    assert_eq!(totals.crossing_given_up, 0);
}

#[test]
fn a_packet_that_is_too_long_to_cross_holds_nothing_up() {
    let mut node = Node::new(2);
    node.publish(ROOM, SourceId(0), 0, false);
    for payload_len in [500, MAX_PACKET + 100, 500] {
        node.publishers.get_mut(&(ROOM, SourceId(0))).unwrap().payload_len = payload_len;
        node.film(1);
        node.advance(Duration::from_millis(33));
    }
    let viewer = node.watch(ROOM, 1);
    node.settle();
    node.film(1);
    node.settle();
    assert_eq!(node.seen(viewer)[0], 3);
    // Dropped where it was read, and where it was asked for again.
    let dropped = node.counter(|counters| &counters.forward_drops);
    assert!((1..=2).contains(&dropped), "{dropped}");
    everybody_sees(&mut node);
}

#[test]
fn packets_of_a_connection_that_was_replaced_are_not_taken_for_those_of_the_next() {
    let mut node = Node::new(2);
    node.publish(ROOM, SourceId(0), 0, false);
    node.watch(ROOM, 1);
    node.settle();
    node.film(1);
    // The packets wait in the inbox while the publisher comes back; what it sends is said after them.
    node.publish(ROOM, SourceId(0), 0, true);
    let mut order = Vec::new();
    while let Some(message) = node.shards[1].inbox.message() {
        match message.kind {
            ShardMessageKind::Published(_) => order.push((message.connection.0, "published")),
            ShardMessageKind::Packet { .. } => order.push((message.connection.0, "packet")),
            _ => {}
        }
        node.shards[1].message(&message, node.now);
    }
    assert_eq!(order, [(1, "packet"), (3, "published")]);
    everybody_sees(&mut node);
}

#[test]
fn a_fault_in_what_one_session_caused_ends_that_session_alone() {
    let mut node = Node::new(2);
    node.publish(ROOM, SourceId(0), 0, false);
    let viewer = node.watch(ROOM, 1);
    everybody_sees(&mut node);
    let now = node.now;
    // A join.
    node.shards[1].fault = Some("join");
    let name =
        |side: &str| IceCredentials { ufrag: format!("{side}x"), pwd: "0123456789012345678901".into() };
    let join = Join {
        key: SessionKey(100),
        room: ROOM,
        participant: "par_x".parse().unwrap(),
        local: name("ours"),
        remote: name("theirs"),
        remote_fingerprint: node.shards[1].settings.identity.fingerprint().clone(),
        dtls_client: false,
        data: None,
        role: JoinRole::Publisher { source: SourceId(1), published: published(false) },
    };
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    node.shards[1].command(Command::Join(Box::new(join), reply), now);
    assert!(answer.try_recv().unwrap().is_err());
    assert!(!node.shards[1].by_key.contains_key(&SessionKey(100)));
    // An ICE restart and a choice of layers, each of a viewer of its own.
    let restarts = node.watch(ROOM, 1);
    node.shards[1].fault = Some("restart");
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let (local, remote) = (name("new"), name("other"));
    node.shards[1].command(Command::RestartIce { key: restarts.key, local, remote, reply }, now);
    assert!(answer.try_recv().is_err());
    assert!(!node.shards[1].by_key.contains_key(&restarts.key));
    let chooses = node.watch(ROOM, 1);
    node.shards[1].fault = Some("layers");
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    node.shards[1].command(Command::ChooseLayers { key: chooses.key, change: None, reply }, now);
    assert!(answer.try_recv().is_err());
    assert!(!node.shards[1].by_key.contains_key(&chooses.key));
    assert_eq!(node.counter(|counters| &counters.panics), 3);
    node.viewers.retain(|(_, session)| *session == viewer);

    // A pull, and a publisher that is announced: the shards go on, and so does everybody else.
    let other = RoomKey::Group(2);
    node.shards[0].fault = Some("pull");
    node.publish(other, SourceId(0), 0, false);
    node.watch(other, 1);
    node.settle();
    assert_eq!(node.counter(|counters| &counters.panics), 4);
    assert!(!node.shards[0].by_key.contains_key(&node.publishers[&(other, SourceId(0))].session.key));
    node.shards[1].fault = Some("published");
    node.publish(other, SourceId(0), 0, false);
    node.settle();
    assert_eq!(node.counter(|counters| &counters.panics), 5);
    node.shards.iter().for_each(|thread| thread.io.counters.panics.store(0, Ordering::Relaxed));
    node.publish(other, SourceId(0), 0, false);
    everybody_sees(&mut node);
}

#[test]
fn a_fault_while_others_are_sent_to_ends_only_the_one_that_it_was_for() {
    let mut node = Node::new(1);
    node.publish(ROOM, SourceId(0), 0, false);
    let viewers = [node.watch(ROOM, 0), node.watch(ROOM, 0), node.watch(ROOM, 0)];
    node.film(1);
    let thread = &mut node.shards[0];
    thread.io.fault = Some(Peer(thread.by_key[&viewers[1].key] as u32));
    // So many packets that some are forwarded before the next is taken: not inside of the publisher's boundary.
    node.film(100);
    let ended = |session: Session| !node.shards[0].by_key.contains_key(&session.key);
    assert_eq!(viewers.map(ended), [false, true, false]);
    assert!(!ended(node.publishers[&(ROOM, SourceId(0))].session));
    assert_eq!(node.counter(|counters| &counters.panics), 1);
    node.shards[0].io.counters.panics.store(0, Ordering::Relaxed);
    node.viewers.retain(|(_, session)| *session != viewers[1]);
    everybody_sees(&mut node);
}

#[test]
fn who_does_not_decode_the_publisher_is_told_so() {
    let mut node = Node::new(2);
    node.publish(ROOM, SourceId(0), 0, false);
    let viewers = [node.watch(ROOM, 1), node.watch_with(ROOM, 1, Codec::H264)];
    for _ in 0..KEYFRAMES {
        node.film(1);
        node.settle();
        node.advance(Duration::from_millis(33));
    }
    let now = node.now;
    for (viewer, obstacle) in viewers.into_iter().zip([None, Some(Obstacle::Codec)]) {
        let thread = &mut node.shards[1];
        let slot = thread.by_key[&viewer.key];
        let layers = thread.choose_layers(slot, None, now).unwrap();
        assert_eq!(layers.media.iter().map(|media| media.obstacle).collect::<Vec<_>>(), [obstacle]);
    }
    assert_eq!(node.counter(|counters| &counters.mismatches), 1);
}

#[test]
fn who_has_a_line_that_carries_no_picture_is_told_so() {
    let mut node = Node::new(2);
    node.publish(ROOM, SourceId(0), 0, false);
    let viewers = [node.watch(ROOM, 1), node.watch(ROOM, 1)];
    for _ in 0..300 {
        node.film(3);
        node.settle();
        let now = node.now;
        let thread = &mut node.shards[1];
        let slot = thread.by_key[&viewers[1].key];
        let Role::Viewer { subscriber: Some(id), .. } = thread.io.participants[slot].role else {
            panic!("a viewer")
        };
        let mut estimate = Vec::new();
        rtp::rtcp::write::remb(&mut estimate, 99, 60_000, &[10]);
        thread.core.handle_subscriber_rtcp(id, &estimate, now, &mut thread.io);
        node.advance(Duration::from_millis(33));
    }
    let now = node.now;
    for (viewer, obstacle) in viewers.into_iter().zip([None, Some(Obstacle::Line)]) {
        let thread = &mut node.shards[1];
        let slot = thread.by_key[&viewer.key];
        let layers = thread.choose_layers(slot, None, now).unwrap();
        assert_eq!(layers.media.iter().map(|media| media.obstacle).collect::<Vec<_>>(), [obstacle]);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish { source: u32, shard: usize, with_screen: bool },
    Lose { source: u32 },
    Join { shard: usize },
    Leave { index: usize },
    Film,
    Deliver { shard: usize },
    RemoveStale,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u32..2, 0usize..3, any::<bool>())
            .prop_map(|(source, shard, with_screen)| Step::Publish { source, shard, with_screen }),
        2 => (0u32..2).prop_map(|source| Step::Lose { source }),
        3 => (0usize..3).prop_map(|shard| Step::Join { shard }),
        2 => (0usize..4).prop_map(|index| Step::Leave { index }),
        3 => Just(Step::Film),
        3 => (0usize..3).prop_map(|shard| Step::Deliver { shard }),
        1 => Just(Step::RemoveStale),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(8),
        ..ProptestConfig::default()
    })]

    /// Publishers come, are lost, come back elsewhere, viewers join and leave, in any order, and the shards hear of each
    /// other whenever they do: whoever is in the room at the end sees every source that is there.
    #[test]
    fn whoever_is_in_the_room_at_the_end_sees_it(steps in prop::collection::vec(step(), 1..40)) {
        let mut node = Node::new(3);
        for step in steps {
            match step {
                Step::Publish { source, shard, with_screen } => {
                    node.publish(ROOM, SourceId(source), shard, with_screen);
                }
                Step::Lose { source } => node.lose(ROOM, SourceId(source)),
                Step::Join { shard } => {
                    node.watch(ROOM, shard);
                }
                Step::Leave { index } => node.leave(index),
                Step::Film => {
                    node.film(2);
                    node.advance(Duration::from_millis(33));
                }
                Step::Deliver { shard } => {
                    node.deliver(shard);
                }
                Step::RemoveStale => node.remove_stale(),
            }
        }
        everybody_sees(&mut node);
        nothing_stays(&mut node);
    }
}

#[path = "call_tests.rs"]
mod calls;
