//! Layers and encodings come and go; what a viewer gets can always be decoded, and its numbers have no seam.

mod common;
mod layered;

use std::collections::VecDeque;

use common::{Out, Rng, VIDEO_PT, VIEWER_RTX_PT, VIEWER_VIDEO_PT, Viewer, World, ms};
use layered::*;
use proptest::prelude::*;
use rtp::{Codec, Extension, Extensions, MediaKind};
use sfu_core::*;

const PEER: Peer = Peer(2);
const SSRC: u32 = 5000;
const RIDS: [&str; 3] = ["q", "h", "f"];

const fn mode(codec: Codec, spatial: u8, temporal: u8, key: bool, described: bool) -> Mode {
    Mode { codec, spatial, temporal, key, described }
}

/// Everything that browsers send, and some more.
const MODES: [Mode; 18] = [
    mode(Codec::Vp8, 1, 1, false, false),
    mode(Codec::Vp8, 1, 2, false, false),
    mode(Codec::Vp8, 1, 3, false, false),
    mode(Codec::Vp8, 1, 3, false, true),
    mode(Codec::Vp8, 1, 1, false, true),
    mode(Codec::Vp9, 1, 3, false, false),
    mode(Codec::Vp9, 1, 3, false, true),
    mode(Codec::Vp9, 3, 1, false, false),
    mode(Codec::Vp9, 3, 3, false, false),
    mode(Codec::Vp9, 3, 3, true, false),
    mode(Codec::Vp9, 3, 3, true, true),
    mode(Codec::H264, 1, 2, false, false),
    mode(Codec::H264, 1, 1, false, true),
    mode(Codec::H264, 1, 3, false, true),
    mode(Codec::Av1, 1, 1, false, false),
    mode(Codec::Av1, 1, 3, false, true),
    mode(Codec::Av1, 3, 3, false, true),
    mode(Codec::Av1, 3, 3, true, true),
];

/// A publisher of one track behind a network that reorders, repeats and loses, and one viewer.
struct Scene {
    world: World,
    publisher: PublisherId,
    viewer_id: SubscriberId,
    subscription: SubscriptionId,
    mode: Mode,
    truths: Truths,
    encoders: Vec<Encoder>,
    flows: Vec<bool>,
    /// Packets that were overtaken, with the packets that may still overtake them.
    held: Vec<(u64, Vec<u8>)>,
    rng: Rng,
    /// Of a thousand packets of the publisher.
    lost: u64,
    overtaken: u64,
    repeated: u64,
    viewer: Viewer,
}

impl Scene {
    fn new(mode: Mode, encodings: usize, seed: u64) -> Self {
        // Without transport-wide feedback nothing is known of its line, so that it gets what it asks for.
        let extensions = Extensions::new()
            .with(Extension::Mid, 1)
            .with(Extension::AbsSendTime, 2)
            .with(Extension::DependencyDescriptor, 7);
        Self::with_viewer(mode, encodings, seed, extensions)
    }

    fn with_viewer(mode: Mode, encodings: usize, seed: u64, viewer: Extensions) -> Self {
        let mut world = World::new();
        let truths = Truths::default();
        let rids = |index: usize| (encodings > 1).then(|| RIDS[index]);
        let config = TrackConfig {
            kind: MediaKind::Video,
            mid: "0".parse().unwrap(),
            formats: vec![format(mode.codec, VIDEO_PT, common::RTX_PT)],
            encodings: (0..encodings)
                .map(|index| EncodingConfig {
                    rid: rids(index).map(|r| r.parse().unwrap()),
                    ..Default::default()
                })
                .collect(),
            csrc: None,
        };
        let extensions = publisher_ids();
        let config = PublisherConfig { extensions, ..common::publisher(1, 1, vec![config]) };
        let publisher = world.shard.add_publisher(config, world.now).unwrap();
        let viewer = SubscriberConfig { extensions: viewer, ..common::subscriber(1, PEER.0) };
        let viewer_id = world.shard.add_subscriber(viewer, world.now).unwrap();
        let config = SubscriptionConfig {
            formats: vec![format(mode.codec, VIEWER_VIDEO_PT, VIEWER_RTX_PT)],
            ..common::video_subscription(common::FIRST, SSRC)
        };
        let subscription = world.shard.subscribe(viewer_id, config, world.now).unwrap();
        let encoders = (0..encodings).map(|index| {
            let mut encoder = Encoder::new(mode, index as u8, &truths);
            encoder.rid = rids(index);
            encoder.height = 180 << index;
            encoder.height = if encodings == 1 { 720 } else { encoder.height };
            encoder
        });
        Self {
            world,
            publisher,
            viewer_id,
            subscription,
            mode,
            encoders: encoders.collect(),
            truths,
            flows: vec![true; encodings],
            held: Vec::new(),
            rng: Rng(seed),
            lost: 0,
            overtaken: 0,
            repeated: 0,
            viewer: Viewer::default(),
        }
    }

    /// Plays pictures, 30 a second.
    fn play(&mut self, pictures: usize) {
        for _ in 0..pictures {
            let now = self.world.now;
            let flowing = self.encoders.iter_mut().zip(&self.flows).filter(|(_, flows)| **flows);
            let mut streams: Vec<_> =
                flowing.map(|(encoder, _)| VecDeque::from(encoder.picture(now))).collect();
            // The packets of the encodings leave between each other.
            let mut packets = Vec::new();
            while !streams.is_empty() {
                let which = self.rng.below(streams.len() as u64) as usize;
                packets.extend(streams[which].pop_front());
                streams.retain(|stream| !stream.is_empty());
            }
            self.cross(packets);
            for _ in 0..3 {
                self.world.advance(ms(11));
                self.answer();
            }
        }
    }

    /// The network of the publisher: what comes out goes in in batches of any size.
    fn cross(&mut self, packets: Vec<Vec<u8>>) {
        let mut through = Vec::new();
        for packet in packets {
            if self.rng.below(1000) < self.lost {
                continue;
            }
            if self.rng.below(1000) < self.repeated {
                through.push(packet.clone());
            }
            if self.rng.below(1000) < self.overtaken {
                self.held.push((1 + self.rng.below(6), packet));
            } else {
                through.push(packet);
                self.held.iter_mut().for_each(|(after, _)| *after -= 1);
                through.extend(self.held.extract_if(.., |(after, _)| *after == 0).map(|(_, packet)| packet));
            }
        }
        let mut rest = through.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at((1 + self.rng.below(9) as usize).min(rest.len()));
            rest = after;
            let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            self.world.rtp_batch(self.publisher, &batch);
        }
    }

    /// What is due between the three: retransmissions and keyframes both ways. These are never lost.
    fn answer(&mut self) {
        let mut again = Vec::new();
        for rtcp in self.world.out.take_rtcp(Peer(1)) {
            // One that has stopped still has what it sent last.
            for encoder in &mut self.encoders {
                again.extend(encoder.handle_rtcp(&rtcp));
            }
        }
        again.iter().for_each(|packet| self.world.rtp(self.publisher, packet));
        self.take();
        if let Some(nack) = self.viewer.nack(self.world.now, SSRC) {
            self.world.viewer_rtcp(self.viewer_id, &nack);
        }
        self.take();
    }

    fn take(&mut self) {
        for sent in self.world.out.take_rtp(PEER) {
            self.viewer.receive(&sent.bytes, SSRC);
        }
    }

    fn want(&mut self, encoding: WantedEncoding, max_temporal: Option<u8>) {
        self.world.shard.set_wanted(self.subscription, Wanted { encoding, max_temporal }, self.world.now);
        self.world.settle();
    }

    fn pause(&mut self, paused: bool) {
        self.world.shard.set_paused(self.subscription, paused, self.world.now);
        self.world.settle();
    }

    /// Lets the network come to rest.
    fn rest(&mut self) {
        (self.lost, self.overtaken, self.repeated) = (0, 0, 0);
        self.play(50);
        for _ in 0..20 {
            self.world.advance(ms(20));
            self.answer();
        }
    }

    fn decode(&self) -> Decoded {
        decode(self.mode, &self.viewer.packets, &self.truths)
    }

    /// The frames of the last `count` pictures that were decoded.
    fn latest(&self, count: usize) -> Vec<Truth> {
        let truths = self.truths.borrow();
        let frames: Vec<_> = self.decode().frames.iter().map(|&id| truths[id as usize].clone()).collect();
        let mut pictures: Vec<_> = frames.iter().map(|truth| truth.picture).collect();
        pictures.dedup();
        let recent = pictures.split_off(pictures.len().saturating_sub(count));
        frames.into_iter().filter(|truth| recent.contains(&truth.picture)).collect()
    }

    fn stats(&self) -> PublisherStats {
        self.world.shard.publisher_stats(self.publisher, self.world.now).unwrap()
    }
}

fn only(rid: &str) -> WantedEncoding {
    WantedEncoding::Rid(rid.parse().unwrap())
}

#[test]
fn each_temporal_layer_can_be_chosen_and_left() {
    for mode in MODES.into_iter().filter(|mode| mode.temporal > 1) {
        let mut scene = Scene::new(mode, 1, 1);
        scene.play(40);
        let top = mode.temporal - 1;
        for most in [0, top, top - 1, top, 0, top] {
            scene.want(WantedEncoding::Auto, Some(most));
            scene.play(45);
            let highest = scene.latest(8).iter().map(|truth| truth.temporal).max();
            assert_eq!(
                highest,
                Some(most),
                "{mode:?} {:?}",
                scene.world.shard.subscription_stats(scene.subscription).unwrap()
            );
            let stats = scene.world.shard.subscription_stats(scene.subscription).unwrap();
            assert_eq!(stats.temporal, Some(most), "{mode:?}");
        }
        let decoded = scene.decode();
        assert_eq!((decoded.cut, decoded.fillers), (0, 0), "{mode:?}");
    }
}

#[test]
fn each_spatial_layer_can_be_chosen_and_left() {
    for mode in MODES.into_iter().filter(|mode| mode.spatial > 1) {
        let mut scene = Scene::new(mode, 1, 1);
        scene.play(40);
        for (height, spatial) in [(180, 0), (720, 2), (360, 1), (180, 0), (360, 1), (4000, 2), (90, 0)] {
            scene.want(WantedEncoding::MaxHeight(height), None);
            scene.play(40);
            let highest = scene.latest(8).iter().map(|truth| truth.spatial).max();
            assert_eq!(highest, Some(spatial), "{mode:?} at {height}");
        }
        assert_eq!(scene.decode().cut, 0, "{mode:?}");
        let stats = scene.stats().tracks[0].encodings[0];
        assert_eq!((stats.width, stats.height), (Some(1280), Some(720)));
    }
}

#[test]
fn without_the_descriptor_av1_is_its_lowest_spatial_layer() {
    for mode in MODES.into_iter().filter(|mode| mode.codec == Codec::Av1 && mode.spatial > 1) {
        let mut scene = Scene::with_viewer(mode, 1, 1, Extensions::new().with(Extension::Mid, 1));
        // The viewer was there first: nothing is known of the layers before the first picture.
        scene.play(42);
        for height in [720, 90] {
            scene.want(WantedEncoding::MaxHeight(height), None);
            scene.play(40);
        }
        let truths = scene.truths.borrow();
        let sent = scene.viewer.packets.values();
        let sent: Vec<_> = sent.map(|packet| &truths[frame_of(mode.codec, packet) as usize]).collect();
        assert!(sent.iter().all(|truth| truth.spatial == 0), "{mode:?}");
        let pictures: std::collections::BTreeSet<u64> = sent.iter().map(|truth| truth.picture).collect();
        assert_eq!(pictures.len(), 122, "{mode:?}");
    }
}

#[test]
fn each_encoding_can_be_chosen_within_a_second() {
    for mode in MODES {
        let mut scene = Scene::new(mode, 3, 1);
        scene.play(40);
        for rid in [0, 2, 1, 0, 1, 2] {
            scene.want(only(RIDS[rid]), None);
            scene.play(30);
            let last = scene.latest(1);
            assert_eq!(last.last().map(|truth| usize::from(truth.encoding)), Some(rid), "{mode:?}");
        }
        assert_eq!(scene.decode().cut, 0, "a picture was left in its middle: {mode:?}");
    }
}

#[test]
fn what_nobody_wants_is_given_up_and_comes_back_without_a_stall() {
    let mut scene = Scene::new(MODES[2], 3, 1);
    scene.play(40);
    let said = |out: &mut Out| -> Vec<(u8, bool)> {
        let events = std::mem::take(&mut out.events);
        let wanted = events.into_iter().filter_map(|event| match event {
            Event::EncodingWanted { encoding, wanted, .. } => Some((encoding.0, wanted)),
            _ => None,
        });
        wanted.collect()
    };
    scene.want(only("h"), None);
    scene.play(55);
    assert_eq!(said(&mut scene.world.out), [], "not within two seconds of its last use");
    scene.play(30);
    assert_eq!(said(&mut scene.world.out), [(2, false)], "the lowest is always wanted");
    assert!(!scene.stats().tracks[0].encodings[2].wanted);
    scene.flows[2] = false;
    scene.play(100);
    // It is wanted again: at once. Until its keyframe the other one goes on.
    let before = scene.decode().frames.len();
    scene.want(WantedEncoding::Auto, None);
    assert_eq!(said(&mut scene.world.out), [(2, true)]);
    scene.play(12);
    assert!(scene.decode().frames.len() >= before + 11, "no stall");
    assert_eq!(scene.latest(1)[0].encoding, 1);
    scene.flows[2] = true;
    scene.encoders[2].keyframe_wanted = true;
    scene.play(15);
    assert_eq!(scene.latest(1)[0].encoding, 2);
    // Nobody at all: only the lowest is kept.
    scene.pause(true);
    scene.play(90);
    assert_eq!(said(&mut scene.world.out), [(1, false), (2, false)]);
    scene.pause(false);
    assert_eq!(said(&mut scene.world.out), [(2, true)]);
}

#[test]
fn what_never_flowed_is_waited_for_by_who_would_take_it() {
    let wanted =
        |scene: &Scene| scene.stats().tracks[0].encodings.iter().map(|e| e.wanted).collect::<Vec<_>>();
    let mut scene = Scene::new(MODES[0], 3, 1);
    scene.flows[2] = false;
    scene.play(120);
    assert_eq!(
        wanted(&scene),
        [true; 3],
        "it may be on its way: the browser has not found the bandwidth yet"
    );
    scene.flows[2] = true;
    // These pictures do not say how large they are: it has to be measured.
    scene.play(45);
    assert_eq!(scene.latest(1)[0].encoding, 2);
    let mut scene = Scene::new(MODES[0], 3, 1);
    scene.flows[2] = false;
    scene.want(only("h"), None);
    scene.play(120);
    assert_eq!(wanted(&scene), [true, true, false]);
    scene.want(WantedEncoding::Auto, None);
    assert_eq!(wanted(&scene), [true; 3]);
}

#[test]
fn who_joins_while_the_best_is_off_begins_with_what_there_is() {
    let mut scene = Scene::new(MODES[0], 3, 1);
    scene.pause(true);
    scene.play(40);
    assert!(scene.viewer.packets.is_empty());
    scene.play(60);
    (scene.flows[1], scene.flows[2]) = (false, false);
    scene.play(30);
    scene.pause(false);
    scene.play(10);
    assert_eq!(scene.latest(1)[0].encoding, 0);
    assert!(scene.latest(20).len() >= 8);
}

#[test]
fn another_shard_says_what_it_wants() {
    let mut scene = Scene::new(MODES[0], 3, 1);
    scene.world.shard.set_pulled(scene.publisher, true);
    scene.pause(true);
    scene.play(120);
    let wanted =
        |scene: &Scene| scene.stats().tracks[0].encodings.iter().map(|e| e.wanted).collect::<Vec<_>>();
    assert_eq!(wanted(&scene), [true; 3], "until it has said anything it wants everything");
    let all = |scene: &mut Scene, shard, wants: [bool; 3]| {
        for (index, wants) in wants.into_iter().enumerate() {
            let (id, now) = (scene.publisher, scene.world.now);
            let encoding = EncodingIndex(index as u8);
            scene.world.shard.set_encoding_wanted(id, TrackIndex(0), encoding, shard, wants, now);
        }
    };
    all(&mut scene, 1, [false, false, true]);
    all(&mut scene, 2, [false, true, false]);
    scene.play(90);
    assert_eq!(wanted(&scene), [true, true, true]);
    all(&mut scene, 2, [false; 3]);
    scene.play(90);
    assert_eq!(wanted(&scene), [true, false, true]);
}

#[test]
fn who_did_not_ask_for_the_descriptor_gets_short_extensions() {
    let mode = mode(Codec::Av1, 3, 3, false, true);
    let mut scene = Scene::new(mode, 1, 1);
    let config = SubscriberConfig {
        extensions: Extensions::new().with(Extension::Mid, 1).with(Extension::AbsSendTime, 2),
        ..common::subscriber(1, 3)
    };
    let viewer = scene.world.shard.add_subscriber(config, scene.world.now).unwrap();
    let config = SubscriptionConfig {
        formats: vec![format(mode.codec, VIEWER_VIDEO_PT, VIEWER_RTX_PT)],
        ..common::video_subscription(common::FIRST, 7000)
    };
    scene.world.shard.subscribe(viewer, config, scene.world.now).unwrap();
    scene.play(5);
    let profiles = |sent: Vec<common::Sent>| -> Vec<[u8; 2]> {
        sent.iter().map(|sent| sent.bytes[12..14].try_into().unwrap()).collect()
    };
    let short = profiles(scene.world.out.take_rtp(Peer(3)));
    assert!(short.len() == 12 && short.iter().all(|profile| *profile == [0xbe, 0xde]));
    let long = scene.viewer.packets.values().filter(|bytes| bytes[12..14] == [0x10, 0x00]);
    assert!(long.count() > 0, "a structure needs the long form");
}

/// What happens between two moments of a random life.
#[derive(Debug, Clone)]
enum Step {
    Want(u8, Option<u8>),
    Pause(bool),
    Flow(u8, bool),
    Keyframe(u8),
    Network(u64, u64, u64),
    Play(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..8, prop::option::of(0u8..4)).prop_map(|(what, most)| Step::Want(what, most)),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (1u8..3, any::<bool>()).prop_map(|(which, flows)| Step::Flow(which, flows)),
        1 => (0u8..3).prop_map(Step::Keyframe),
        1 => (0u64..60, 0u64..150, 0u64..100).prop_map(|(l, o, r)| Step::Network(l, o, r)),
        6 => (1usize..25).prop_map(Step::Play),
    ];
    prop::collection::vec(step, 5..50)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        rng_seed: proptest::test_runner::RngSeed::Fixed(23),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_it_can_be_decoded_and_has_no_seam(
        which in 0..MODES.len(),
        simulcast in any::<bool>(),
        seed in any::<u64>(),
        steps in steps(),
    ) {
        let mode = MODES[which];
        let mut scene = Scene::new(mode, if simulcast { 3 } else { 1 }, seed);
        let mut cuts = 0;
        for step in steps {
            match step {
                Step::Want(what, most) => {
                    let encoding = match what {
                        0..3 => only(RIDS[usize::from(what)]),
                        3 => WantedEncoding::MaxHeight(180),
                        4 => WantedEncoding::MaxHeight(400),
                        _ => WantedEncoding::Auto,
                    };
                    scene.want(encoding, most);
                }
                Step::Pause(paused) => {
                    cuts += 1;
                    scene.pause(paused);
                }
                Step::Flow(which, flows) => {
                    if let Some(flow) = scene.flows.get_mut(usize::from(which)) {
                        cuts += 1;
                        *flow = flows;
                        if let (true, Some(encoder)) = (flows, scene.encoders.get_mut(usize::from(which))) {
                            encoder.keyframe_wanted = true;
                        }
                    }
                }
                Step::Keyframe(which) => {
                    if let Some(encoder) = scene.encoders.get_mut(usize::from(which)) {
                        encoder.keyframe_wanted = true;
                    }
                }
                Step::Network(lost, overtaken, repeated) => {
                    (scene.lost, scene.overtaken, scene.repeated) = (lost, overtaken, repeated);
                }
                Step::Play(pictures) => scene.play(pictures),
            }
        }
        scene.flows.fill(true);
        scene.pause(false);
        scene.want(WantedEncoding::Auto, None);
        scene.rest();
        prop_assert_eq!(scene.viewer.missing(), vec![0u64; 0]);
        let decoded = scene.decode();
        prop_assert!(decoded.cut <= cuts, "{} pictures were left in their middle", decoded.cut);
        // In the end it has the best there is.
        let last = scene.latest(8);
        let best = last.iter().map(|t| (t.spatial, t.temporal, usize::from(t.encoding))).max();
        let encodings = scene.flows.len();
        prop_assert_eq!(best, Some((mode.spatial - 1, mode.temporal - 1, encodings - 1)));
    }
}
