//! Sender reports and capture times: on the server's clock, so that sound and picture meet and age is known.

mod common;

use std::time::Duration;

use common::*;
use rtp::rtcp::{Compound, ReportBlock, RtcpPacket, SenderInfo};
use rtp::{Extension, Header, HeaderWriter, RtpPacket};
use sfu_core::*;

/// Time of day in NTP: 1_700_000_000 of Unix time is the start of every world.
fn ntp(seconds: f64) -> u64 {
    (((1_700_000_000.0f64 + 2_208_988_800.0) as u64) << 32)
        .wrapping_add_signed((seconds * 4_294_967_296.0) as i64)
}

fn seconds(ntp_time: u64) -> f64 {
    (ntp_time as i64).wrapping_sub(ntp(0.0) as i64) as f64 / 4_294_967_296.0
}

struct Media {
    pt: u8,
    ssrc: u32,
    mid: &'static str,
    rate: f64,
    start: u32,
}

const AUDIO: Media = Media { pt: AUDIO_PT, ssrc: 1, mid: "a", rate: 48_000.0, start: 4_000_000_000 };
const VIDEO: Media = Media { pt: VIDEO_PT, ssrc: 2, mid: "v", rate: 90_000.0, start: 77 };
/// The publisher's clock is this much behind.
const BEHIND: f64 = 12.5;

impl Media {
    /// The timestamp of what is captured at `at` seconds on the server's clock.
    fn timestamp(&self, at: f64) -> u32 {
        self.start.wrapping_add((at * self.rate) as u32)
    }

    fn packet(&self, sequence: u16, at: f64) -> Vec<u8> {
        let (timestamp, ssrc) = (self.timestamp(at), self.ssrc);
        let mut writer = HeaderWriter::new();
        writer.start(
            &Header { marker: true, payload_type: self.pt, sequence, timestamp, ssrc, padded: false },
            false,
        );
        let ids = publisher_extensions();
        writer.element(ids.id(Extension::Mid).unwrap(), self.mid.as_bytes());
        writer.element(ids.id(Extension::VideoOrientation).unwrap(), &[1]);
        let capture = [ntp(at - BEHIND).to_be_bytes(), [0; 8]].concat();
        writer.element(ids.id(Extension::AbsCaptureTime).unwrap(), &capture);
        writer.finish();
        [writer.bytes(), &[0x10, 0, 0, 0]].concat()
    }

    fn report(&self, at: f64) -> Vec<u8> {
        let mut out = Vec::new();
        let info = SenderInfo { ntp: ntp(at - BEHIND), rtp: self.timestamp(at), packets: 1, octets: 1 };
        rtp::rtcp::write::sender_report(&mut out, self.ssrc, &info);
        out
    }
}

struct Scene {
    world: World,
    publisher: PublisherId,
    viewer: SubscriberId,
}

/// A second and a half of sound and picture that arrive `delay` late, with their reports.
fn scene(delay: Duration) -> Scene {
    let mut world = World::new();
    let tracks = vec![video_track("v", vec![EncodingConfig::default()]), audio_track("a")];
    let publisher = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    world.shard.subscribe(viewer, audio_subscription(FIRST, 1, 7000), world.now).unwrap();
    world.advance(delay);
    for i in 0..75 {
        let at = f64::from(i) * 0.02;
        if i == 10 || i == 30 {
            // A report that was held up for 300 ms on the way must not move the clock.
            world.shard.handle_publisher_rtcp(publisher, &AUDIO.report(at - 0.3), world.now, &mut world.out);
        }
        if i == 20 || i == 21 {
            let report = if i == 20 { AUDIO.report(at) } else { VIDEO.report(at) };
            world.shard.handle_publisher_rtcp(publisher, &report, world.now, &mut world.out);
        }
        world.rtp(publisher, &AUDIO.packet(i as u16, at));
        world.rtp(publisher, &VIDEO.packet(i as u16, at));
        world.advance(ms(20));
    }
    Scene { world, publisher, viewer }
}

/// The last sender report of each stream, by SSRC.
fn last_reports(rtcp: &[Vec<u8>]) -> std::collections::HashMap<u32, SenderInfo> {
    rtcp.iter()
        .flat_map(|bytes| Compound::new(bytes))
        .filter_map(|packet| match packet {
            RtcpPacket::SenderReport { ssrc, info, .. } => Some((ssrc, info)),
            _ => None,
        })
        .collect()
}

#[test]
fn sound_and_picture_of_one_moment_have_one_time() {
    let mut scene = scene(ms(30));
    scene.world.advance(ms(500));
    let rtcp = scene.world.out.take_rtcp(Peer(2));
    let reports = last_reports(&rtcp);
    let sent = scene.world.out.take_rtp(Peer(2));
    let mut checked = 0;
    for (ssrc, rate) in [(5000, 90_000.0), (7000, 48_000.0)] {
        let info = reports[&ssrc];
        for (index, packet) in sent
            .iter()
            .map(|sent| RtpPacket::parse(&sent.bytes).unwrap())
            .filter(|p| p.ssrc == ssrc)
            .enumerate()
        {
            let ticks = packet.timestamp.wrapping_sub(info.rtp) as i32;
            let captured = seconds(info.ntp) + f64::from(ticks) / rate;
            // The one-way delay of 30 ms cannot be known; everything else is exact, and equal for both.
            let expected = index as f64 * 0.02 + 0.03;
            assert!((captured - expected).abs() < 0.001, "{ssrc} {index}: {captured} for {expected}");
            checked += 1;
        }
    }
    assert_eq!(checked, 150);
    let octets = reports[&5000].octets;
    assert!(octets > 0 && octets.is_multiple_of(4), "{octets}");
}

#[test]
fn the_capture_time_is_moved_to_the_clock_of_the_reports() {
    let mut scene = scene(ms(0));
    let id = viewer_extensions().id(Extension::AbsCaptureTime).unwrap();
    let sent = scene.world.out.take_rtp(Peer(2));
    let last = RtpPacket::parse(&sent.last().unwrap().bytes).unwrap();
    let value = last.elements().find(|(found, _)| *found == id).unwrap().1;
    let captured = u64::from_be_bytes(value[..8].try_into().unwrap());
    let offset = i64::from_be_bytes(value[8..].try_into().unwrap());
    assert!((seconds(captured) - (74.0 * 0.02 - BEHIND)).abs() < 1e-6, "as the publisher stamped it");
    let moved = seconds(captured.wrapping_add_signed(offset));
    assert!((moved - 74.0 * 0.02).abs() < 0.001, "{moved}");
    let orientation = viewer_extensions().id(Extension::VideoOrientation).unwrap();
    assert!(last.elements().any(|element| element == (orientation, &[1])));
}

#[test]
fn a_report_before_the_first_packet_of_its_stream_counts_as_of_when_it_came() {
    let mut world = World::new();
    let tracks = vec![video_track("v", vec![EncodingConfig::default()]), audio_track("a")];
    let publisher = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, audio_subscription(FIRST, 1, 7000), world.now).unwrap();
    world.shard.handle_publisher_rtcp(publisher, &AUDIO.report(0.0), world.now, &mut world.out);
    for i in 20..80 {
        world.advance(if i == 20 { ms(400) } else { ms(20) });
        world.rtp(publisher, &AUDIO.packet(i as u16, f64::from(i) * 0.02));
    }
    world.advance(ms(500));
    let info = last_reports(&world.out.take_rtcp(Peer(2)))[&7000];
    let sent = world.out.take_rtp(Peer(2));
    let first = RtpPacket::parse(&sent[0].bytes).unwrap();
    let ticks = first.timestamp.wrapping_sub(info.rtp) as i32;
    let captured = seconds(info.ntp) + f64::from(ticks) / 48_000.0;
    assert!((captured - 0.4).abs() < 0.001, "{captured}");
}

#[test]
fn without_a_report_of_the_publisher_none_is_made_up() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
    let viewer = world.shard.add_subscriber(subscriber(1, 2), world.now).unwrap();
    world.shard.subscribe(viewer, video_subscription(FIRST, 5000), world.now).unwrap();
    world.send_frame(publisher, &mut Source::new(1, "0"));
    world.advance(ms(3000));
    assert!(last_reports(&world.out.take_rtcp(Peer(2))).is_empty());
}

#[test]
fn the_reports_of_a_viewer_become_its_numbers() {
    let mut scene = scene(ms(0));
    let info = last_reports(&scene.world.out.take_rtcp(Peer(2)))[&5000];
    let sent_at = seconds(info.ntp);
    let now = (scene.world.now - scene.world.start).as_secs_f64();
    // The viewer got the report after 15 ms and answers so that the answer takes 15 ms too.
    let delay = ((now - sent_at - 0.03) * 65_536.0) as u32;
    let block = ReportBlock {
        ssrc: 5000,
        fraction_lost: 64,
        lost: 12,
        highest: 0,
        jitter: 900,
        last_report: (info.ntp >> 16) as u32,
        delay,
    };
    let mut out = Vec::new();
    rtp::rtcp::write::receiver_report(&mut out, 1, &[block]);
    rtp::rtcp::write::remb(&mut out, 1, 800_000, &[5000]);
    scene.world.viewer_rtcp(scene.viewer, &out);
    let stats = scene.world.shard.subscriber_stats(scene.viewer).unwrap();
    let round_trip = stats.round_trip.unwrap().as_secs_f64();
    assert!((round_trip - 0.03).abs() < 0.001, "{round_trip}");
    assert_eq!(stats.remb, Some(800_000));
    let video = stats.subscriptions[0];
    assert_eq!((video.fraction_lost, video.lost, video.jitter), (0.25, 12, ms(10)));
    assert!(scene.world.shard.publisher_stats(scene.publisher, scene.world.now).is_some());
}

#[test]
fn a_reference_time_is_answered() {
    let mut scene = scene(ms(0));
    scene.world.out.rtcp.clear();
    // XR with a receiver reference time block (RFC 3611, section 4.4).
    let mut xr = vec![0x80, 207, 0, 4, 0, 0, 0, 9, 4, 0, 0, 2];
    xr.extend(0x1122_3344_5566_7788u64.to_be_bytes());
    scene.world.viewer_rtcp(scene.viewer, &xr);
    scene.world.advance(ms(1000));
    let rtcp = scene.world.out.take_rtcp(Peer(2)).concat();
    let at = rtcp.windows(8).position(|w| w == [0, 0, 0, 9, 0x33, 0x44, 0x55, 0x66]).expect("a DLRR block");
    assert_eq!(rtcp[at - 4..at], [5, 0, 0, 3]);
    let delay = u32::from_be_bytes(rtcp[at + 8..at + 12].try_into().unwrap());
    assert!(delay <= 65_536);
}
