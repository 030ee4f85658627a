//! What was received together goes out viewer by viewer.

mod common;

use common::*;
use sfu_core::*;

struct Scene {
    world: World,
    publisher: PublisherId,
    source: Source,
}

impl Scene {
    /// One publisher, watched by the peers 2 and 3, a keyframe ago.
    fn new() -> Self {
        let mut world = World::new();
        let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
        let mut scene = Self { world, publisher, source: Source::new(1000, "0") };
        scene.join(2);
        scene.join(3);
        scene.world.send_frame(publisher, &mut scene.source);
        scene.world.advance(ms(40));
        assert_eq!(scene.world.out.take_rtp(Peer(2)).len(), 9);
        assert_eq!(scene.world.out.take_rtp(Peer(3)).len(), 9);
        scene
    }

    fn join(&mut self, peer: u32) {
        let now = self.world.now;
        let viewer = self.world.shard.add_subscriber(subscriber(1, peer), now).unwrap();
        self.world.shard.subscribe(viewer, video_subscription(FIRST, 1000 * peer), now).unwrap();
    }

    fn frame(&mut self) -> Vec<Vec<u8>> {
        self.source.frame(self.world.now)
    }

    fn batch(&mut self, packets: &[Vec<u8>]) {
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        self.world.rtp_batch(self.publisher, &packets);
    }

    /// Whom the packets went to, in the order that they left.
    fn order(&self) -> Vec<u32> {
        self.world.out.rtp.iter().map(|sent| sent.peer.0).collect()
    }
}

#[test]
fn packets_of_a_frame_reach_one_viewer_before_the_next() {
    let mut scene = Scene::new();
    let frame = scene.frame();
    scene.batch(&frame[..2]);
    assert_eq!(scene.order(), [2, 2, 3, 3]);
    let mut viewer = Viewer::default();
    scene.world.out.take_rtp(Peer(2)).iter().for_each(|packet| viewer.receive(&packet.bytes, 2000));
    assert_eq!((viewer.packets.len(), viewer.missing().len(), viewer.duplicates), (2, 0, 0));
}

#[test]
fn nothing_leaves_before_it_is_forwarded_and_everything_once() {
    let mut scene = Scene::new();
    for packet in scene.frame() {
        scene.world.shard.handle_rtp(scene.publisher, &packet, scene.world.now, &mut scene.world.out);
    }
    assert!(scene.world.out.rtp.is_empty());
    scene.world.shard.forward(scene.world.now, &mut scene.world.out);
    assert_eq!(scene.order(), [2, 2, 2, 3, 3, 3]);
    scene.world.shard.forward(scene.world.now, &mut scene.world.out);
    assert_eq!(scene.world.out.rtp.len(), 6);
}

#[test]
fn a_long_batch_is_forwarded_on_the_way() {
    let mut scene = Scene::new();
    let frames: Vec<_> = (0..40).flat_map(|_| scene.frame()).collect();
    scene.batch(&frames);
    assert!(scene.order().len() > 64, "the first of it left before the rest was taken in");
    // The rest leaves as fast as the line takes it.
    scene.world.advance(ms(150));
    let mut viewer = Viewer::default();
    scene.world.out.take_rtp(Peer(3)).iter().for_each(|packet| viewer.receive(&packet.bytes, 3000));
    assert_eq!((viewer.packets.len(), viewer.missing().len(), viewer.duplicates), (120, 0, 0));
}

#[test]
fn who_starts_within_a_batch_gets_each_packet_once() {
    let mut scene = Scene::new();
    scene.join(4);
    scene.source.keyframe_wanted = true;
    // A keyframe and the next frame together: the first packet starts the viewer with all of them.
    let (now, later) = (scene.world.now, scene.world.now + ms(40));
    let packets = [scene.source.frame(now), scene.source.frame(later)].concat();
    scene.batch(&packets);
    for (peer, count) in [(2, 12), (3, 12), (4, 12)] {
        let mut viewer = Viewer::default();
        let sent = scene.world.out.take_rtp(Peer(peer));
        assert_eq!(sent.len(), count, "peer {peer}");
        sent.iter().for_each(|packet| viewer.receive(&packet.bytes, 1000 * peer));
        assert_eq!((viewer.duplicates, viewer.missing().len()), (0, 0));
        viewer.check_continuity();
    }
}

#[test]
fn who_joins_while_packets_wait_gets_each_packet_once() {
    let mut scene = Scene::new();
    for packet in scene.frame() {
        scene.world.shard.handle_rtp(scene.publisher, &packet, scene.world.now, &mut scene.world.out);
    }
    scene.join(4);
    scene.world.settle();
    scene.world.shard.forward(scene.world.now, &mut scene.world.out);
    let sent = scene.world.out.take_rtp(Peer(4));
    let mut viewer = Viewer::default();
    sent.iter().for_each(|packet| viewer.receive(&packet.bytes, 4000));
    assert_eq!((sent.len(), viewer.packets.len(), viewer.duplicates), (12, 12, 0));
    viewer.check_continuity();
}

/// A shell whose kernel takes packets of one length as one message.
struct Joining(Out);

impl Sink for Joining {
    fn rtp(&mut self, packet: Outgoing<'_>) {
        self.0.rtp(packet);
    }

    fn rtcp(&mut self, peer: Peer, packet: &[u8]) {
        self.0.rtcp(peer, packet);
    }

    fn to_edges(&mut self, publisher: PublisherId, what: ToEdge<'_>) {
        self.0.to_edges(publisher, what);
    }

    fn event(&mut self, event: Event) {
        self.0.event(event);
    }

    fn joins_equal(&self) -> bool {
        true
    }
}

#[test]
fn packets_of_a_frame_are_made_equal_where_that_is_of_use() {
    let mut scene = Scene::new();
    scene.source.packets_per_frame = 5;
    let mut frame = scene.frame();
    // As browsers cut frames, and one that is much shorter.
    let whole = frame[0].len();
    for (packet, less) in frame.iter_mut().zip([1, 1, 400, 0, 60]) {
        packet.truncate(whole - less);
    }
    let mut out = Joining(Out::default());
    for packet in &frame {
        scene.world.shard.handle_rtp(scene.publisher, packet, scene.world.now, &mut out);
    }
    scene.world.shard.forward(scene.world.now, &mut out);
    let sent: Vec<_> = out.0.take_rtp(Peer(2)).into_iter().map(|sent| sent.bytes).collect();
    let lengths: Vec<_> = sent.iter().map(Vec::len).collect();
    let longest = lengths[3];
    assert_eq!(lengths, [longest, longest, longest - 400, longest, longest - 60]);
    for (sent, came) in sent.iter().zip(&frame) {
        let (sent, came) = (rtp::RtpPacket::parse(sent).unwrap(), rtp::RtpPacket::parse(came).unwrap());
        // The picture id moves, the rest is as it came.
        assert_eq!(sent.payload()[4..], came.payload()[4..]);
        assert_eq!(sent.padded, sent.payload().len() != sent.padded_payload().len());
    }
    let padded = sent.iter().filter(|sent| rtp::RtpPacket::parse(sent).unwrap().padded).count();
    assert_eq!(padded, 2);
}

#[test]
fn packets_are_not_made_as_long_as_those_of_an_encoding_that_goes_to_others() {
    let mut world = World::new();
    let tracks = vec![video_track("0", vec![rid("a"), rid("b")])];
    let id = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    let subscription = world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    world.shard.set_wanted(subscription, only("a"), world.now);
    let mut sources = [Source::new(10, "0").with_rid("a"), Source::new(20, "0").with_rid("b")];
    // Twelve bytes less: near enough to be made equal.
    (sources[0].payload_len, sources[1].payload_len) = (888, 900);
    let mut out = Joining(Out::default());
    for _ in 0..3 {
        let batch: Vec<_> = sources.iter_mut().flat_map(|source| source.frame(world.now)).collect();
        for packet in &batch {
            world.shard.handle_rtp(id, packet, world.now, &mut out);
        }
        world.shard.forward(world.now, &mut out);
        world.advance(ms(33));
    }
    let sent = out.0.take_rtp(Peer(2));
    assert!(sent.len() >= 9);
    let padded = sent.iter().filter(|sent| rtp::RtpPacket::parse(&sent.bytes).unwrap().padded).count();
    assert_eq!(padded, 0);
}
