//! Redundant audio: passed as it is to who negotiated it, without what was sent before to others.

mod common;

use common::*;
use rtp::{Extension, Header, HeaderWriter, RtpPacket};
use sfu_core::*;

/// What the publisher sends redundant audio as; its blocks are of [`AUDIO_PT`].
const RED_PT: u8 = 63;
/// What those who take it call it, and its blocks.
const THEIR_RED_PT: u8 = 62;

fn redundant(payload_type: u8, of: u8) -> Format {
    Format { redundant: Some(of), ..audio_format(payload_type) }
}

/// A packet with `payload`.
fn packet(payload_type: u8, number: u16, payload: &[u8]) -> Vec<u8> {
    let mut writer = HeaderWriter::new();
    let timestamp = u32::from(number) * 960;
    let header = Header { marker: false, payload_type, sequence: number, timestamp, ssrc: 77, padded: false };
    writer.start(&header, false);
    writer.element(publisher_extensions().id(Extension::Mid).unwrap(), b"a");
    writer.finish();
    [writer.bytes(), payload].concat()
}

/// The sound of a packet, 40 bytes.
fn sound(number: u16) -> Vec<u8> {
    vec![number as u8; 40]
}

/// The sound of the packet before and of this one.
fn both(number: u16) -> Vec<u8> {
    let head = [0x80 | AUDIO_PT, 0x0f, 0, 40, AUDIO_PT];
    [head.to_vec(), sound(number.wrapping_sub(1)), sound(number)].concat()
}

/// A microphone, and four who hear it: one takes redundant audio with the same type of blocks, one with another, one
/// none; the last hears it in a voice slot.
struct Scene {
    world: World,
    publisher: PublisherId,
    subscribers: Vec<SubscriberId>,
}

const HEARERS: [Peer; 4] = [Peer(10), Peer(11), Peer(12), Peer(13)];

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let mut track = TrackConfig { csrc: Some(5), ..audio_track("a") };
        track.formats.insert(0, redundant(RED_PT, AUDIO_PT));
        let publisher = world.shard.add_publisher(publisher(1, 1, vec![track]), world.now).unwrap();
        world.shard.set_microphone(publisher, TrackIndex(0), true, world.now);
        let same = vec![audio_format(AUDIO_PT), redundant(THEIR_RED_PT, AUDIO_PT)];
        let other = vec![audio_format(109), redundant(THEIR_RED_PT, 109)];
        let none = vec![audio_format(VIEWER_AUDIO_PT)];
        let formats = [same.clone(), other, none, same];
        let subscribe = |(Peer(peer), formats)| {
            let subscriber = world.shard.add_subscriber(subscriber(1, peer), world.now).unwrap();
            let config = audio_subscription(FIRST, 0, 1_000 * peer);
            let config = if peer == 13 {
                SubscriptionConfig { shows: None, slot: Some(SlotKind::Voice), formats, ..config }
            } else {
                SubscriptionConfig { formats, ..config }
            };
            world.shard.subscribe(subscriber, config, world.now).unwrap();
            subscriber
        };
        let subscribers = HEARERS.into_iter().zip(formats).map(subscribe).collect();
        Self { world, publisher, subscribers }
    }

    /// Sends a packet. Returns what each got of it: payload type and payload.
    fn send(&mut self, bytes: &[u8]) -> Vec<Vec<(u8, Vec<u8>)>> {
        self.world.rtp(self.publisher, bytes);
        self.world.advance(ms(20));
        HEARERS
            .map(|peer| self.world.out.take_rtp(peer).iter().map(|sent| content(&sent.bytes)).collect())
            .to_vec()
    }
}

fn content(bytes: &[u8]) -> (u8, Vec<u8>) {
    let packet = RtpPacket::parse(bytes).unwrap();
    (packet.payload_type, packet.payload().to_vec())
}

/// What each gets of the packet with this number.
fn expected(number: u16) -> Vec<Vec<(u8, Vec<u8>)>> {
    let whole = (THEIR_RED_PT, both(number));
    let [other, none] = [109, VIEWER_AUDIO_PT].map(|payload_type| (payload_type, sound(number)));
    [whole.clone(), other, none, whole].map(|one| vec![one]).to_vec()
}

#[test]
fn who_takes_it_gets_it_as_it_came_and_others_the_sound_of_now() {
    let mut scene = Scene::new();
    for number in 0..50 {
        assert_eq!(scene.send(&packet(RED_PT, number, &both(number))), expected(number));
    }
    for (subscriber, bytes) in scene.subscribers.iter().zip([125, 80, 80, 125]) {
        let stats = scene.world.shard.subscriber_stats(*subscriber).unwrap();
        // A header, its extensions (the name of the m-line at first, a time), and for the slot who it is.
        let header = stats.subscriptions[0].bytes as f64 / 50.0 - (f64::from(bytes) - 40.0);
        assert!((12.0..40.0).contains(&header), "{header}");
    }
}

#[test]
fn a_publisher_may_change_between_both_in_the_middle_of_a_word() {
    let mut scene = Scene::new();
    let mut last: Option<(u16, u32)> = None;
    for number in 0..60u16 {
        let is_red = number / 7 % 2 == 0;
        let bytes = if is_red {
            packet(RED_PT, number, &both(number))
        } else {
            packet(AUDIO_PT, number, &sound(number))
        };
        scene.world.rtp(scene.publisher, &bytes);
        scene.world.advance(ms(20));
        for peer in HEARERS {
            let sent = scene.world.out.take_rtp(peer);
            assert_eq!(sent.len(), 1, "{number} for {peer:?}");
            let packet = RtpPacket::parse(&sent[0].bytes).unwrap();
            assert!(packet.payload().ends_with(&sound(number)));
            if peer == HEARERS[0] {
                if let Some((sequence, timestamp)) = last {
                    assert_eq!(packet.sequence, sequence.wrapping_add(1));
                    assert_eq!(packet.timestamp, timestamp.wrapping_add(960));
                }
                last = Some((packet.sequence, packet.timestamp));
            }
        }
    }
}

#[test]
fn what_cannot_be_read_goes_to_nobody_and_leaves_no_hole() {
    let whole = both(1);
    let mut too_long = whole.clone();
    too_long[3] = 0xff;
    let nested = [&[RED_PT][..], &whole].concat();
    let many = vec![vec![0x80 | AUDIO_PT, 0, 0, 0]; 40].concat();
    let headers = vec![0x80 | AUDIO_PT; 1_400];
    let [empty, no_primary, cut] = [vec![], vec![AUDIO_PT], whole[..40].to_vec()];
    for bad in [too_long, nested, many, headers, empty, no_primary, cut, vec![0x80], vec![40, 1, 2]] {
        let mut scene = Scene::new();
        assert_eq!(scene.send(&packet(RED_PT, 1, &both(1))), expected(1));
        assert_eq!(scene.send(&packet(RED_PT, 2, &bad)), vec![Vec::<(u8, Vec<u8>)>::new(); 4], "{bad:02x?}");
        assert_eq!(scene.send(&packet(RED_PT, 3, &both(3))), expected(3));
        scene.world.shard.check();
    }
    // The most that fits a packet, and nothing but the sound of now.
    let [high, low] = 1_000u16.to_be_bytes();
    let large = [vec![0x80 | AUDIO_PT, 0x0f, high, low, AUDIO_PT], vec![9; 1_000], sound(1)].concat();
    let alone = [vec![AUDIO_PT], sound(1)].concat();
    for payload in [large, alone] {
        let got = Scene::new().send(&packet(RED_PT, 1, &payload));
        assert_eq!(got[0], [(THEIR_RED_PT, payload.clone())]);
        assert_eq!(got[1..3], expected(1)[1..3]);
    }
}
