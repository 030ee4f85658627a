//! Slots: what their packets are of is said by each of them, and by an event from which packet on.

mod common;

use std::collections::BTreeMap;

use common::*;
use rtp::{RtpPacket, unwrap_rtx};
use sfu_core::*;

const SSRC: u32 = 5000;
const PEER: Peer = Peer(9);

/// The source that the only track of a publisher is.
fn csrc(publisher: u32) -> u32 {
    0xca11_0000 + publisher
}

/// A publisher of one camera that is a source of a call.
fn camera(peer: u32) -> PublisherConfig {
    let track = video_track("0", vec![EncodingConfig::default()]);
    publisher(1, peer, vec![TrackConfig { csrc: Some(csrc(peer)), ..track }])
}

/// The contributing sources of a packet as the receiver of `SSRC` takes it, and its timestamp.
fn sources(bytes: &[u8]) -> (Vec<u32>, u32) {
    let packet = RtpPacket::parse(bytes).unwrap();
    if packet.ssrc == SSRC {
        return (packet.contributing().collect(), packet.timestamp);
    }
    let mut original = vec![0; 2000];
    let len = unwrap_rtx(bytes, SSRC, VIEWER_VIDEO_PT, &mut original).expect("a retransmission");
    let original = RtpPacket::parse(&original[..len]).unwrap();
    (original.contributing().collect(), original.timestamp)
}

/// Publishers 1 and 2 with a camera each, and a viewer with one slot.
struct Scene {
    world: World,
    publishers: [(PublisherId, Source); 2],
    subscriber: SubscriberId,
    slot: SubscriptionId,
}

impl Scene {
    fn new(slot: Option<SlotKind>) -> Self {
        let mut world = World::new();
        let publishers = [1u32, 2].map(|peer| {
            let id = world.shard.add_publisher(camera(peer), world.now).unwrap();
            let mut source = Source::new(peer, "0");
            source.tag = peer as u8;
            (id, source)
        });
        let subscriber = world.shard.add_subscriber(subscriber(1, PEER.0), world.now).unwrap();
        let config = SubscriptionConfig { shows: None, slot, ..video_subscription(FIRST, SSRC) };
        let slot = world.shard.subscribe(subscriber, config, world.now).unwrap();
        Self { world, publishers, subscriber, slot }
    }

    fn show(&mut self, name: Option<u32>) {
        let name = name.map(|name| track(SourceId(name), 0));
        self.world.shard.show(self.slot, name, self.world.now);
        self.world.settle();
    }

    /// A frame of each camera; what the viewer got of it.
    fn frame(&mut self) -> Vec<Sent> {
        for (id, source) in &mut self.publishers {
            self.world.send_frame(*id, source);
            let peer = Peer(source.tag.into());
            self.world.out.take_rtcp(peer).iter().for_each(|rtcp| drop(source.handle_rtcp(rtcp)));
        }
        self.world.advance(ms(33));
        self.world.shard.check();
        self.world.out.take_rtp(PEER)
    }

    fn bound(&mut self) -> Vec<(SubscriptionId, TrackName, Option<u32>, u32)> {
        let events = std::mem::take(&mut self.world.out.events);
        let bound = |event| match event {
            Event::Bound { subscription, track, csrc, from, .. } => Some((subscription, track, csrc, from)),
            _ => None,
        };
        events.into_iter().filter_map(bound).collect()
    }
}

#[test]
fn every_packet_says_whose_it_is_and_an_event_from_which_on() {
    let mut scene = Scene::new(Some(SlotKind::Tile));
    for shown in [Some(1), Some(2), None, Some(2), Some(1)] {
        scene.show(shown);
        let mut first = None;
        for _ in 0..10 {
            for sent in scene.frame() {
                let (sources, timestamp) = sources(&sent.bytes);
                assert_eq!(sources, [csrc(shown.expect("nothing is shown"))]);
                first.get_or_insert(timestamp);
            }
        }
        assert_eq!(first.is_some(), shown.is_some());
        let expected = shown
            .zip(first)
            .map(|(shown, from)| (scene.slot, track(SourceId(shown), 0), Some(csrc(shown)), from));
        assert_eq!(scene.bound(), Vec::from_iter(expected), "said once, for the first packet");
        let shows = shown.map(|shown| track(SourceId(shown), 0));
        let (slot, kind, csrc, from) = (scene.slot, SlotKind::Tile, shown.map(csrc), first);
        let binding = Binding { slot, kind, shows, csrc, from };
        assert!(scene.world.shard.bindings(scene.subscriber).eq([binding]));
    }
}

#[test]
fn what_is_sent_again_is_of_whom_it_was() {
    let mut scene = Scene::new(Some(SlotKind::Tile));
    scene.show(Some(1));
    let lost: Vec<Sent> = (0..3).flat_map(|_| scene.frame()).collect();
    scene.show(Some(2));
    let mut got = Vec::new();
    (0..4).for_each(|_| got.extend(scene.frame()));
    assert!(!got.is_empty());
    let numbers: Vec<u16> =
        lost.iter().rev().take(3).map(|sent| RtpPacket::parse(&sent.bytes).unwrap().sequence).collect();
    let mut nack = Vec::new();
    rtp::rtcp::write::nack(&mut nack, 99, SSRC, &numbers);
    scene.world.viewer_rtcp(scene.subscriber, &nack);
    let again = scene.world.out.take_rtp(PEER);
    assert_eq!(again.len(), 3);
    for sent in again {
        assert!(sent.retransmission);
        assert_eq!(sources(&sent.bytes).0, [csrc(1)]);
    }
}

#[test]
fn streams_that_are_no_slots_say_nothing_and_are_not_longer() {
    let sizes = [None, Some(SlotKind::Tile)].map(|slot| {
        let mut scene = Scene::new(slot);
        scene.show(Some(1));
        let sent: Vec<Sent> = (0..5).flat_map(|_| scene.frame()).collect();
        let count = usize::from(slot.is_some());
        assert!(sent.iter().all(|sent| sources(&sent.bytes).0.len() == count));
        assert_eq!(scene.bound().len(), count);
        sent.iter().map(|sent| sent.bytes.len()).collect::<Vec<_>>()
    });
    let [plain, slot] = sizes;
    assert_eq!(slot, plain.iter().map(|len| len + rtp::CSRC_LEN).collect::<Vec<_>>());
}

#[test]
fn sound_is_repeated_as_the_same_bytes_whatever_the_slot_has_shown_since() {
    let mut world = World::new();
    let tracks = |csrc| vec![TrackConfig { csrc: Some(csrc), ..audio_track("0") }];
    let [first, second] = [1, 2]
        .map(|peer| world.shard.add_publisher(publisher(1, peer, tracks(csrc(peer))), world.now).unwrap());
    let viewer = world.shard.add_subscriber(subscriber(1, PEER.0), world.now).unwrap();
    let config = SubscriptionConfig { slot: Some(SlotKind::Voice), ..audio_subscription(FIRST, 0, 7000) };
    let slot = world.shard.subscribe(viewer, config, world.now).unwrap();
    (0..5).for_each(|number| world.rtp(first, &sound_packet("0", number)));
    let sent = world.out.take_rtp(PEER);
    world.shard.show(slot, Some(track(SourceId(2), 0)), world.now);
    world.settle();
    world.rtp(second, &sound_packet("0", 100));
    let other = world.out.take_rtp(PEER);
    let sources = |sent: &Sent| RtpPacket::parse(&sent.bytes).unwrap().contributing().collect::<Vec<_>>();
    assert_eq!((sources(&sent[4]), sources(&other[0])), (vec![csrc(1)], vec![csrc(2)]));
    let mut nack = Vec::new();
    let number = RtpPacket::parse(&sent[4].bytes).unwrap().sequence;
    rtp::rtcp::write::nack(&mut nack, 99, 7000, &[number]);
    world.viewer_rtcp(viewer, &nack);
    let again = world.out.take_rtp(PEER);
    assert_eq!(again.iter().map(|sent| &sent.bytes).collect::<Vec<_>>(), [&sent[4].bytes]);
}

/// A call: many cameras, and a viewer with some tiles. Everything on one shard.
struct Call {
    world: World,
    cameras: BTreeMap<u32, (PublisherId, Source)>,
    viewer: SubscriberId,
}

const VIEWER: Peer = Peer(1_000);

impl Call {
    fn new(cameras: u32, tiles: u32) -> Self {
        let mut world = World::new();
        // Nothing is said about the line, so nothing bounds it.
        let extensions = rtp::Extensions::new().with(rtp::Extension::Mid, 1);
        let viewer = SubscriberConfig { extensions, own: Some(SourceId(1)), ..subscriber(1, VIEWER.0) };
        let viewer = world.shard.add_subscriber(viewer, world.now).unwrap();
        for tile in 0..tiles {
            let slot = Some(SlotKind::Tile);
            let config =
                SubscriptionConfig { shows: None, slot, ..video_subscription(FIRST, 5000 + 2 * tile) };
            world.shard.subscribe(viewer, config, world.now).unwrap();
        }
        let mut call = Self { world, cameras: BTreeMap::new(), viewer };
        (1..=cameras).for_each(|name| call.publish(camera(name)));
        call
    }

    fn publish(&mut self, config: PublisherConfig) {
        let name = config.source_id.0;
        let id = self.world.shard.add_publisher(config, self.world.now).unwrap();
        let mut source = Source::new(name, "0");
        (source.packets_per_frame, source.payload_len, source.keyframe_wanted) = (1, 100, false);
        self.cameras.insert(name, (id, source));
        self.world.settle();
    }

    fn want(&mut self, names: &[u32]) {
        let wants: Vec<Want> = names.iter().map(|name| want(*name)).collect();
        self.world.shard.set_wants(self.viewer, &wants, self.world.now);
        self.world.settle();
    }

    /// The names that the tiles show.
    fn shown(&self) -> Vec<Option<u32>> {
        let bindings = self.world.shard.bindings(self.viewer);
        bindings.map(|binding| binding.shows.map(|name| name.source.0)).collect()
    }

    fn missing(&self) -> Vec<(u32, WhyMissing)> {
        let missing = self.world.shard.missing(self.viewer).iter();
        missing.map(|missing| (missing.track.source.0, missing.why)).collect()
    }

    fn rebound(&mut self) -> usize {
        let events = std::mem::take(&mut self.world.out.events);
        events.iter().filter(|event| matches!(event, Event::Rebound { .. })).count()
    }
}

fn want(name: u32) -> Want {
    let track = track(SourceId(name), 0);
    Want { track, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false }
}

#[test]
fn slots_follow_who_comes_and_goes() {
    let mut call = Call::new(3, 2);
    call.want(&[7, 2, 3, 1]);
    assert_eq!(call.shown(), [Some(2), Some(3)]);
    assert_eq!(call.missing(), [(7, WhyMissing::Absent), (1, WhyMissing::Slots)]);
    assert_eq!(call.rebound(), 0, "who asked knows");
    call.publish(camera(7));
    assert_eq!((call.shown(), call.rebound()), (vec![Some(2), Some(7)], 1));
    let seven = call.cameras[&7].0;
    call.world.shard.publisher_lost(seven, call.world.now);
    call.world.settle();
    assert_eq!((call.shown(), call.rebound()), (vec![Some(2), Some(3)], 1), "others send");
    call.want(&[7, 2]);
    assert_eq!(call.shown(), [Some(2), Some(7)], "nobody else needs it, and it may come back");
    call.want(&[7, 2, 3, 1]);
    call.world.shard.remove_publisher(seven, call.world.now);
    call.world.settle();
    assert_eq!((call.shown(), call.missing()[0]), (vec![Some(2), Some(3)], (7, WhyMissing::Absent)));
    call.rebound();
    // A camera that is off gives its tile to one that sends, and gets it back.
    let two = call.cameras[&2].0;
    call.world.shard.set_gate(two, TrackIndex(0), Gate::Off, call.world.now);
    call.world.settle();
    assert_eq!((call.shown(), call.rebound()), (vec![Some(1), Some(3)], 1));
    call.world.shard.set_gate(two, TrackIndex(0), Gate::Open, call.world.now);
    call.world.settle();
    assert_eq!((call.shown(), call.rebound()), (vec![Some(2), Some(3)], 1));
    call.want(&[]);
    assert_eq!((call.shown(), call.missing()), (vec![None, None], vec![]));
    call.world.shard.check();
}

#[test]
fn nothing_is_bound_that_its_slot_cannot_show() {
    let mut call = Call::new(1, 2);
    let format = Format { codec: rtp::Codec::H264, ..video_format(VIDEO_PT, RTX_PT) };
    let h264 = TrackConfig { formats: vec![format], ..camera(2).tracks[0].clone() };
    call.publish(PublisherConfig { tracks: vec![h264], ..camera(2) });
    let sound = TrackConfig { csrc: Some(csrc(3)), ..audio_track("0") };
    call.publish(PublisherConfig { tracks: vec![sound], ..camera(3) });
    // Who is no source of a call only keeps the place of one.
    call.publish(PublisherConfig {
        tracks: vec![video_track("0", vec![EncodingConfig::default()])],
        ..camera(4)
    });
    call.want(&[4, 3, 2, 1]);
    assert_eq!(call.shown(), [Some(1), None]);
    let why = [(4, WhyMissing::Absent), (3, WhyMissing::Kind), (2, WhyMissing::Codec)];
    assert_eq!(call.missing(), why);
}

#[test]
fn the_sound_of_a_screen_does_not_go_back_to_who_shares_it() {
    let mut call = Call::new(0, 0);
    let slot = Some(SlotKind::ScreenAudio);
    let config = SubscriptionConfig { shows: None, slot, ..audio_subscription(FIRST, 0, 7000) };
    call.world.shard.subscribe(call.viewer, config, call.world.now).unwrap();
    for name in [1, 2] {
        let sound = TrackConfig { csrc: Some(csrc(name)), ..audio_track("0") };
        call.publish(PublisherConfig { tracks: vec![sound], ..camera(name) });
    }
    let wants = [1, 2].map(|name| Want { slot: SlotKind::ScreenAudio, ..want(name) });
    call.world.shard.set_wants(call.viewer, &wants, call.world.now);
    assert_eq!((call.shown(), call.missing()), (vec![Some(2)], vec![(1, WhyMissing::Kind)]));
}

#[test]
fn of_a_camera_that_rests_only_what_is_wanted_comes_back() {
    let mut call = Call::new(0, 1);
    let rids = ["q", "h", "f"];
    let track = TrackConfig { csrc: Some(csrc(2)), ..video_track("0", rids.map(rid).to_vec()) };
    let id = call.world.shard.add_publisher(publisher(1, 2, vec![track]), call.world.now).unwrap();
    let sizes = [(320, 180), (640, 360), (1280, 720)];
    let mut sources: Vec<Source> = (0..3)
        .map(|index| {
            let mut source = Source::new(20 + index as u32, "0").with_rid(rids[index]);
            (source.size, source.packets_per_frame) = (Some(sizes[index]), 1 << index);
            source
        })
        .collect();
    let mut on = [true; 3];
    let mut play = |call: &mut Call, on: &mut [bool; 3], frames: usize| {
        for _ in 0..frames {
            for (source, _) in sources.iter_mut().zip(on.iter()).filter(|(_, on)| **on) {
                call.world.send_frame(id, source);
            }
            for rtcp in call.world.out.take_rtcp(Peer(2)) {
                sources.iter_mut().for_each(|source| drop(source.handle_rtcp(&rtcp)));
            }
            call.world.advance(ms(33));
            for event in std::mem::take(&mut call.world.out.events) {
                if let Event::EncodingWanted { encoding, wanted, .. } = event {
                    on[usize::from(encoding.0)] = wanted;
                    // Browsers begin again with a keyframe.
                    sources[usize::from(encoding.0)].keyframe_wanted |= wanted;
                }
            }
        }
        call.world.out.take_rtp(VIEWER)
    };
    let at = |height| Want { height, ..want(2) };
    call.world.shard.set_wants(call.viewer, &[at(720)], call.world.now);
    assert!(!play(&mut call, &mut on, 100).is_empty());
    assert_eq!(on, [false, false, true]);
    call.world.shard.set_wants(call.viewer, &[], call.world.now);
    assert!(play(&mut call, &mut on, 100).is_empty());
    assert_eq!(on, [false; 3], "the lowest, too");
    for (height, expected) in
        [(180, [true, false, false]), (360, [false, true, false]), (180, [true, false, false])]
    {
        call.world.shard.set_wants(call.viewer, &[at(height)], call.world.now);
        let sent = play(&mut call, &mut on, 3);
        assert_eq!(on, expected);
        let first = RtpPacket::parse(&sent.first().expect("within 100 ms").bytes).unwrap();
        assert_eq!(first.payload()[4] & 1, 0, "it begins with a keyframe");
        let tags: Vec<u8> =
            sent.iter().map(|sent| RtpPacket::parse(&sent.bytes).unwrap().payload()[5]).collect();
        let wanted = 20 + expected.iter().position(|on| *on).unwrap() as u8;
        assert_eq!(tags, vec![wanted; tags.len()], "nothing of before, and of another encoding");
        assert!(
            tags.len() <= 6 << (wanted - 20),
            "two keyframes at most, and nothing that the ring has of before"
        );
        call.world.shard.set_wants(call.viewer, &[], call.world.now);
        play(&mut call, &mut on, 100);
        assert_eq!(on, [false; 3]);
    }
}

#[test]
fn slots_that_come_after_the_wants_are_bound_too() {
    let mut call = Call::new(2, 1);
    call.want(&[2, 1]);
    assert_eq!((call.shown(), call.missing()), (vec![Some(2)], vec![(1, WhyMissing::Slots)]));
    let slot = Some(SlotKind::Tile);
    let config = SubscriptionConfig { shows: None, slot, ..video_subscription(FIRST, 9000) };
    call.world.shard.subscribe(call.viewer, config, call.world.now).unwrap();
    call.world.settle();
    assert_eq!((call.shown(), call.missing(), call.rebound()), (vec![Some(2), Some(1)], vec![], 1));
}

#[test]
fn on_a_full_line_a_tile_that_was_just_bound_takes_nothing_new() {
    for rate in [5_000_000, 300_000] {
        let mut world = World::new();
        let viewer = world.shard.add_subscriber(subscriber(1, VIEWER.0), world.now).unwrap();
        let slot = Some(SlotKind::Tile);
        let config = SubscriptionConfig { shows: None, slot, ..video_subscription(FIRST, SSRC) };
        world.shard.subscribe(viewer, config, world.now).unwrap();
        let cameras = [1, 2].map(|name| world.shard.add_publisher(camera(name), world.now).unwrap());
        let mut sources = [1, 2].map(|name| Source::new(name, "0"));
        let mut call = Call { world, cameras: BTreeMap::new(), viewer };
        let (mut feedback, mut free) = (rtp::twcc::Recorder::new(call.world.now), call.world.now);
        let mut arrives = std::collections::VecDeque::new();
        // 650 kbit/s, and what comes is said every 50 ms.
        let mut play = |call: &mut Call, millis: u64, rate: u64| {
            for step in 0..millis {
                let now = call.world.now;
                for (id, source) in cameras.iter().zip(&mut sources).filter(|_| step % 33 == 0) {
                    call.world.send_frame(*id, source);
                    let peer = Peer(source.ssrc);
                    call.world.out.take_rtcp(peer).iter().for_each(|rtcp| drop(source.handle_rtcp(rtcp)));
                }
                for sent in call.world.out.take_rtp(VIEWER) {
                    let packet = RtpPacket::parse(&sent.bytes).unwrap();
                    let number = packet.extension(&viewer_extensions(), rtp::Extension::TransportCc).unwrap();
                    free = free.max(now)
                        + std::time::Duration::from_micros(sent.bytes.len() as u64 * 8_000_000 / rate);
                    arrives.push_back((free, u16::from_be_bytes(number.try_into().unwrap())));
                }
                while let Some((at, number)) = arrives.front().copied().filter(|(at, _)| *at <= now) {
                    feedback.record(number, at);
                    arrives.pop_front();
                }
                if step % 50 == 49 && feedback.is_pending() {
                    let mut bytes = Vec::new();
                    feedback.write(&mut bytes, 1, SSRC);
                    call.world.viewer_rtcp(viewer, &bytes);
                }
                call.world.advance(ms(1));
            }
        };
        call.want(&[1]);
        play(&mut call, 1_000, 5_000_000);
        play(&mut call, 700, rate);
        call.rebound();
        call.want(&[2]);
        if rate == 5_000_000 {
            assert_eq!((call.shown(), call.missing()), (vec![Some(2)], vec![]), "this line has room");
            continue;
        }
        assert_eq!((call.shown(), call.missing()), (vec![None], vec![(2, WhyMissing::Line)]));
        play(&mut call, 250, rate);
        assert_eq!((call.shown(), call.rebound()), (vec![None], 0));
        play(&mut call, 100, rate);
        assert_eq!(
            (call.shown(), call.missing(), call.rebound()),
            (vec![Some(2)], vec![], 1),
            "two seconds are over"
        );
    }
}

#[test]
fn the_longest_packet_that_a_line_takes_stays_one_datagram() {
    // Of Ethernet's 1,500 bytes 28 are headers of IPv4 and UDP, and 16 the tag of SRTP; the shells' datagrams have 1,500.
    const LONGEST: usize = 1_500 - 28 - 16;
    let mut world = World::new();
    let id = world.shard.add_publisher(camera(1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, PEER.0), world.now).unwrap();
    let slot = Some(SlotKind::Tile);
    world
        .shard
        .subscribe(viewer, SubscriptionConfig { slot, ..video_subscription(FIRST, SSRC) }, world.now)
        .unwrap();
    let mut source = Source::new(1, "0");
    let header = source.clone().frame(world.now)[0].len() - source.payload_len;
    source.payload_len = LONGEST - header;
    let packets = source.frame(world.now);
    assert_eq!(packets[0].len(), LONGEST);
    packets.iter().for_each(|packet| world.rtp(id, packet));
    world.advance(ms(500));
    let sent = world.out.take_rtp(PEER);
    assert_eq!(sent.len(), packets.len());
    assert!(sent.iter().all(|sent| sent.bytes.len() <= 1_500 - 16), "{}", sent[0].bytes.len());
}

#[test]
fn a_publisher_that_changes_to_what_a_receiver_does_not_decode_gives_its_slot_away() {
    const H264_PT: u8 = 98;
    let mut call = Call::new(1, 1);
    let h264 = Format { payload_type: H264_PT, rtx: None, codec: rtp::Codec::H264, ..video_format(0, 0) };
    let track = camera(2).tracks[0].clone();
    let track = TrackConfig { formats: vec![video_format(VIDEO_PT, RTX_PT), h264], ..track };
    call.publish(PublisherConfig { tracks: vec![track], ..camera(2) });
    call.want(&[2, 1]);
    let play = |call: &mut Call, payload_type: u8| {
        for _ in 0..60 {
            for (name, (id, source)) in &mut call.cameras {
                for mut packet in source.frame(call.world.now) {
                    if *name == 2 {
                        packet[1] = (packet[1] & 0x80) | payload_type;
                    }
                    call.world.rtp(*id, &packet);
                }
            }
            call.world.advance(ms(20));
        }
    };
    play(&mut call, VIDEO_PT);
    assert_eq!((call.shown(), call.missing()), (vec![Some(2)], vec![(1, WhyMissing::Slots)]));
    call.rebound();
    play(&mut call, H264_PT);
    assert_eq!((call.shown(), call.missing()), (vec![Some(1)], vec![(2, WhyMissing::Codec)]));
    assert_eq!(call.rebound(), 1);
    play(&mut call, VIDEO_PT);
    assert_eq!((call.shown(), call.rebound()), (vec![Some(2)], 1));
}
