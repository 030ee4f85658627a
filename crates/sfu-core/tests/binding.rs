//! Which encoding an SSRC is: by SDP, by header extensions, by payload type; and never by anything later.

mod common;

use common::*;
use rtp::{Extension, Header, HeaderWriter};
use sfu_core::*;

fn packet(ssrc: u32, pt: u8, elements: &[(Extension, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut writer = HeaderWriter::new();
    let header = Header { marker: false, payload_type: pt, sequence: 1, timestamp: 0, ssrc, padded: false };
    writer.start(&header, false);
    for (extension, value) in elements {
        writer.element(publisher_extensions().id(*extension).unwrap(), value);
    }
    writer.finish();
    [writer.bytes(), payload].concat()
}

const FRAME: &[u8] = &[0x10, 0, 1, 2, 3];

fn two_videos() -> (World, PublisherId) {
    let tracks = vec![
        video_track("cam", vec![rid("q"), rid("h"), rid("f")]),
        video_track("scr", vec![EncodingConfig::default()]),
        audio_track("mic"),
    ];
    let mut world = World::new();
    let id = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
    (world, id)
}

fn bound(world: &World, id: PublisherId) -> Vec<Vec<Option<u32>>> {
    let stats = world.shard.publisher_stats(id, world.now).unwrap();
    stats.tracks.iter().map(|track| track.encodings.iter().map(|e| e.ssrc).collect()).collect()
}

#[test]
fn mid_and_rid_name_the_encoding() {
    let (mut world, id) = two_videos();
    for (ssrc, mid, rid) in [(10, "cam", Some("f")), (11, "cam", Some("q")), (20, "scr", None)] {
        let rid = rid.map(|rid: &str| (Extension::Rid, rid.as_bytes()));
        let elements: Vec<_> = std::iter::once((Extension::Mid, mid.as_bytes())).chain(rid).collect();
        world.rtp(id, &packet(ssrc, VIDEO_PT, &elements, FRAME));
    }
    // Only one track has this payload type: no mid is needed.
    world.rtp(id, &packet(30, AUDIO_PT, &[], FRAME));
    assert_eq!(bound(&world, id), [vec![Some(11), None, Some(10)], vec![Some(20)], vec![Some(30)]]);
}

#[test]
fn what_names_nothing_is_dropped() {
    let (mut world, id) = two_videos();
    let cases: [&[(Extension, &[u8])]; 6] = [
        &[],
        &[(Extension::Mid, b"cam")],
        &[(Extension::Mid, b"cam"), (Extension::Rid, b"x")],
        &[(Extension::Mid, b"other")],
        &[(Extension::Mid, b"mic")],
        &[(Extension::Rid, b"q")],
    ];
    for (elements, ssrc) in cases.into_iter().zip(10..) {
        world.rtp(id, &packet(ssrc, VIDEO_PT, elements, FRAME));
    }
    world.rtp(id, &packet(40, 77, &[(Extension::Mid, b"scr")], FRAME));
    assert!(bound(&world, id).iter().flatten().all(Option::is_none));
    assert!(world.out.events.is_empty());
}

#[test]
fn an_ssrc_stays_what_it_was_first() {
    let (mut world, id) = two_videos();
    world.rtp(id, &packet(10, VIDEO_PT, &[(Extension::Mid, b"scr")], FRAME));
    world.rtp(id, &packet(10, VIDEO_PT, &[(Extension::Mid, b"cam"), (Extension::Rid, b"q")], FRAME));
    assert_eq!(bound(&world, id)[..2], [vec![None; 3], vec![Some(10)]]);
    // Another SSRC does not take the encoding over while it flows, but does when it is silent.
    world.rtp(id, &packet(11, VIDEO_PT, &[(Extension::Mid, b"scr")], FRAME));
    assert_eq!(bound(&world, id)[1], [Some(10)]);
    world.advance(ms(600));
    world.rtp(id, &packet(11, VIDEO_PT, &[(Extension::Mid, b"scr")], FRAME));
    assert_eq!(bound(&world, id)[1], [Some(11)]);
}

#[test]
fn the_ssrcs_of_the_sdp_need_no_extension() {
    let encoding = EncodingConfig { rid: None, ssrc: Some(10), rtx_ssrc: Some(11) };
    let tracks = vec![video_track("a", vec![encoding]), video_track("b", vec![EncodingConfig::default()])];
    let mut world = World::new();
    let id = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
    world.rtp(id, &packet(10, VIDEO_PT, &[], FRAME));
    let mut later = packet(10, VIDEO_PT, &[], FRAME);
    later[3] = 3;
    world.rtp(id, &later);
    world.rtp(id, &packet(11, RTX_PT, &[], &[&[0, 2], FRAME].concat()));
    let stats = world.shard.publisher_stats(id, world.now).unwrap().tracks[0].encodings[0];
    assert_eq!((stats.packets, stats.recovered), (3, 1));
}

#[test]
fn retransmissions_are_bound_by_repaired_rid() {
    let (mut world, id) = two_videos();
    let named = |extension, sequence: u8, ssrc, pt, payload: &[u8]| {
        let mut bytes = packet(ssrc, pt, &[(Extension::Mid, b"cam"), (extension, b"h")], payload);
        bytes[3] = sequence;
        bytes
    };
    world.rtp(id, &named(Extension::Rid, 1, 10, VIDEO_PT, FRAME));
    world.rtp(id, &named(Extension::Rid, 3, 10, VIDEO_PT, FRAME));
    world.rtp(id, &named(Extension::RepairedRid, 9, 99, RTX_PT, &[&[0, 2], FRAME].concat()));
    // A probe: a retransmission that carries nothing.
    world.rtp(id, &named(Extension::RepairedRid, 10, 99, RTX_PT, &[]));
    // The retransmission of a packet that came.
    world.rtp(id, &named(Extension::RepairedRid, 11, 99, RTX_PT, &[&[0, 3], FRAME].concat()));
    let stats = world.shard.publisher_stats(id, world.now).unwrap().tracks[0].encodings[1];
    assert_eq!((stats.packets, stats.recovered, stats.lost), (3, 1, 0));
}

#[test]
fn however_often_ssrcs_change_the_last_ones_are_bound() {
    let (mut world, id) = two_videos();
    let named = |extension, sequence: u16, ssrc, pt, payload: &[u8]| {
        let mut bytes = packet(ssrc, pt, &[(Extension::Mid, b"cam"), (extension, b"h")], payload);
        bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
        bytes
    };
    world.rtp(id, &named(Extension::Rid, 1, 10, VIDEO_PT, FRAME));
    for ssrc in 1_000..4_000 {
        world.rtp(id, &named(Extension::RepairedRid, 9, ssrc, RTX_PT, &[&[0, 1], FRAME].concat()));
    }
    // A retransmission in the last of them counts, and so does another encoding that begins now.
    world.rtp(id, &named(Extension::Rid, 3, 10, VIDEO_PT, FRAME));
    world.rtp(id, &named(Extension::RepairedRid, 10, 3_999, RTX_PT, &[&[0, 2], FRAME].concat()));
    let encoding = |world: &World| world.shard.publisher_stats(id, world.now).unwrap().tracks[0].encodings[1];
    assert_eq!((encoding(&world).packets, encoding(&world).recovered), (3, 1));
    world.rtp(id, &packet(20, VIDEO_PT, &[(Extension::Mid, b"scr")], FRAME));
    assert_eq!(bound(&world, id)[1], [Some(20)]);
    // The encoding changes its own SSRC.
    world.advance(ms(600));
    world.rtp(id, &named(Extension::Rid, 700, 5_000, VIDEO_PT, FRAME));
    assert_eq!((bound(&world, id)[0][1], encoding(&world).packets), (Some(5_000), 4));
}
