//! What a subscriber says of its line is not believed to be true, only to be harmless.

mod common;

use std::time::{Duration, Instant};

use common::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtp::rtcp::{self, Compound, RtcpPacket};
use rtp::twcc::{Feedback, Recorder};
use rtp::{Extension, Extensions};
use sfu_core::cc::{Controller, MAX_BITRATE, MIN_BITRATE};
use sfu_core::*;

/// A transport-wide feedback packet around `body`: base, count, reference time, chunks and deltas.
fn feedback(body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 99, 0, 0, 0x13, 0x88];
    packet.extend_from_slice(body);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    packet
}

fn viewer() -> (World, PublisherId, SubscriberId, Source) {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    (world, publisher, viewer, Source::new(1000, "0"))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        // Runs of up to 8,191, and vectors of both kinds.
        any::<u16>(),
        Just(0x1fff),
        Just(0x3fff),
        Just(0xffff),
        0x8000u16..,
    ];
    let head = (0u16..400, prop_oneof![0u16..100, any::<u16>()], any::<u32>());
    let deltas = prop::collection::vec(any::<u8>(), 0..300);
    (head, prop::collection::vec(chunk, 0..40), deltas).prop_map(|((base, count, time), chunks, deltas)| {
        let mut body = Vec::new();
        body.extend_from_slice(&base.to_be_bytes());
        body.extend_from_slice(&count.to_be_bytes());
        body.extend_from_slice(&time.to_be_bytes());
        chunks.iter().for_each(|chunk| body.extend_from_slice(&chunk.to_be_bytes()));
        body.extend(deltas);
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_feedback_does_harm(
        inputs in prop::collection::vec(
            (prop_oneof![body(), prop::collection::vec(any::<u8>(), 0..64)], any::<u64>(), any::<u8>(), 0u64..200),
            1..40,
        )
    ) {
        let (mut world, publisher, viewer, mut source) = viewer();
        let mut sent = 0;
        for (body, remb, lost, pause) in &inputs {
            world.send_frame(publisher, &mut source);
            world.viewer_rtcp(viewer, &feedback(body));
            let mut rtcp = Vec::new();
            let block = rtcp::ReportBlock { ssrc: 5000, fraction_lost: *lost, lost: 1, ..Default::default() };
            rtcp::write::receiver_report(&mut rtcp, 99, &[block]);
            if lost % 3 == 0 {
                rtcp::write::remb(&mut rtcp, 99, *remb, &[5000]);
            }
            world.viewer_rtcp(viewer, &rtcp);
            world.advance(ms(*pause));
            sent += world.out.take_rtp(Peer(2)).iter().map(|sent| sent.bytes.len()).sum::<usize>();
        }
        let bandwidth = world.shard.subscriber_stats(viewer).unwrap().bandwidth;
        let least = (MIN_BITRATE * 0.9) as u64;
        let known = bandwidth.is_none_or(|bits| (least..=MAX_BITRATE as u64).contains(&bits));
        prop_assert!(known, "{bandwidth:?}");
        // Frames of 3 packets, keyframes of 9; whatever is said, padding is a small part of it.
        prop_assert!(sent <= inputs.len() * 9 * 1_000 + 20_000, "{sent} bytes");
    }
}

/// A client that only reports (neither transport-wide feedback nor retransmission) and whose reports say that
/// everything was lost: its picture is held, and comes back when they say that nothing is.
#[test]
fn one_bad_report_does_not_hold_a_picture_for_good() {
    let mut world = World::new();
    let tracks = vec![video_track("0", vec![EncodingConfig::default()]), audio_track("1")];
    let publisher = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
    let extensions = Extensions::new().with(Extension::Mid, 1);
    let config = SubscriberConfig { extensions, ..subscriber(1, 2) };
    let viewer = world.shard.add_subscriber(config, world.now).unwrap();
    let picture = SubscriptionConfig { rtx_ssrc: None, ..video_subscription(FIRST, 5000) };
    world.shard.subscribe(viewer, picture, world.now).unwrap();
    world.shard.subscribe(viewer, audio_subscription(FIRST, 1, 6000), world.now).unwrap();
    let mut source = Source::new(1000, "0");
    let mut number = 0;
    // One second, at whose end come the reports; returns the packets of the picture in it.
    let mut second = |world: &mut World, fraction_lost: u8, lost: i32| {
        for _ in 0..25 {
            world.send_frame(publisher, &mut source);
            for _ in 0..2 {
                number += 1;
                world.rtp(publisher, &sound_packet("1", number));
                world.advance(ms(20));
            }
            world.out.take_rtcp(Peer(1)).iter().for_each(|rtcp| drop(source.handle_rtcp(rtcp)));
        }
        let sent = world.out.take_rtp(Peer(2));
        let of_picture =
            sent.iter().filter(|sent| rtp::RtpPacket::parse(&sent.bytes).unwrap().ssrc == 5000).count();
        let picture = rtcp::ReportBlock { ssrc: 5000, fraction_lost, lost, ..Default::default() };
        let sound = rtcp::ReportBlock { ssrc: 6000, ..Default::default() };
        let blocks = if of_picture > 0 { vec![picture, sound] } else { vec![sound] };
        let mut report = Vec::new();
        rtcp::write::receiver_report(&mut report, 99, &blocks);
        world.viewer_rtcp(viewer, &report);
        of_picture
    };
    for _ in 0..3 {
        assert!(second(&mut world, 0, 0) >= 75);
    }
    // What is said to be lost although nothing is missing.
    second(&mut world, 250, 0);
    assert!(second(&mut world, 0, 0) >= 75);
    second(&mut world, 250, 1_000);
    second(&mut world, 0, 1_000);
    let held = (0..60).take_while(|_| second(&mut world, 0, 1_000) < 60).count();
    assert!((1..30).contains(&held), "single pictures for {held} s");
    assert!((0..5).all(|_| second(&mut world, 0, 1_000) >= 75), "it stays");
}

#[test]
fn a_feedback_of_a_few_bytes_costs_little() {
    // 65,535 statuses in nine chunks: most of them are not read.
    let mut body = vec![0, 1, 0xff, 0xff, 0, 0, 0, 0];
    (0..9).for_each(|_| body.extend_from_slice(&0x1fffu16.to_be_bytes()));
    let mut statuses = 0;
    Feedback::parse(&body).unwrap().for_each(|_, _| statuses += 1);
    assert!(statuses <= 4096, "{statuses}");
}

/// Sends a stream through `controller` and answers with `answer`.
fn run(controller: &mut Controller, start: Instant, mut answer: impl FnMut(u16, Instant) -> Vec<Vec<u8>>) {
    for packet in 0..2_000u32 {
        let now = start + Duration::from_millis(4) * packet;
        let number = controller.number();
        controller.on_sent(1_000, now);
        for bytes in answer(number, now) {
            for packet in Compound::new(&bytes) {
                let RtcpPacket::TransportFeedback { body } = packet else { continue };
                controller.on_feedback(&Feedback::parse(body).unwrap(), None, now);
            }
        }
    }
}

#[test]
fn feedback_that_comes_twice_or_out_of_order_changes_nothing() {
    let start = Instant::now();
    let targets = [1, 3].map(|copies| {
        let mut controller = Controller::new(start);
        let (mut recorder, mut held) = (Recorder::new(start), Vec::new());
        run(&mut controller, start, |number, now| {
            recorder.record(number, now + ms(20));
            if number % 16 != 0 {
                return Vec::new();
            }
            let mut bytes = Vec::new();
            recorder.write(&mut bytes, 99, 1);
            // With copies, the one before comes again after the new one.
            let mut answers = vec![bytes.clone(); copies];
            answers.append(&mut held);
            if copies > 1 {
                held.push(bytes);
            }
            answers
        });
        assert!(controller.memory() <= 18 << 10);
        controller.target(start + Duration::from_secs(8)).unwrap()
    });
    // A copy that comes late looks like a clock that goes back a little; the rate is the same within a step.
    assert!(targets[0].abs_diff(targets[1]) < targets[0] / 20, "{targets:?}");
    assert!(targets[0] > 1_500_000, "{targets:?}");
}

#[test]
fn history_is_bounded_when_nobody_answers() {
    let start = Instant::now();
    let mut controller = Controller::new(start);
    for packet in 0..200_000u32 {
        controller.on_sent(1_200, start + Duration::from_micros(50) * packet);
    }
    assert!(controller.memory() <= 18 << 10, "{}", controller.memory());
    assert_eq!(controller.target(start + Duration::from_secs(10)), None, "nothing is known");
}
