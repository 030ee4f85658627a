//! What clients may write, and what they are answered: real offers, and small ones that the RFCs allow.
//!
//! aiortc, GStreamer's webrtcbin and libdatachannel wrote theirs themselves; those of OBS, Pion and Safari are written
//! after what these send.

use std::collections::HashSet;

use rtp::{Extension, MediaKind, Mid};

use super::tests::{four_tracks, lines, local, track};
use super::*;

const AIORTC_PUBLISH: &str = include_str!("fixtures/aiortc_publish.sdp");
const AIORTC_PLAY: &str = include_str!("fixtures/aiortc_play.sdp");
const GSTREAMER_PUBLISH: &str = include_str!("fixtures/gstreamer_publish.sdp");
const GSTREAMER_PLAY: &str = include_str!("fixtures/gstreamer_play.sdp");
const LIBDATACHANNEL_PUBLISH: &str = include_str!("fixtures/libdatachannel_publish.sdp");
const LIBDATACHANNEL_PLAY: &str = include_str!("fixtures/libdatachannel_play.sdp");
const OBS_PUBLISH: &str = include_str!("fixtures/obs_publish.sdp");
const PION_PUBLISH: &str = include_str!("fixtures/pion_publish.sdp");
const SAFARI_PUBLISH: &str = include_str!("fixtures/safari_publish.sdp");

const SESSION: &str = "v=0\r\no=- 5228595038118931041 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const BUNDLE: &str = "a=group:BUNDLE 0 1\r\n";
const TRANSPORT: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:bPXJMM09aR8AiX1jdukzR6Y0\r\n\
    a=fingerprint:sha-256 DA:7B:57:DC:28:CE:04:4F:31:79:85:C4:31:67:EB:27:58:29:ED:77:2A:0D:24:AE:ED:AD:30:BC:BD:F1:9C:02\r\n\
    a=setup:actpass\r\na=rtcp-mux\r\n";
const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n";
const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n";
const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\n";
const VP8: &str = "a=rtpmap:96 VP8/90000\r\n";

/// An offer of sound and pictures; `video` is what the second m-line has in place of transport attributes.
fn two(session: &str, video: &str) -> String {
    format!("{SESSION}{session}{AUDIO}{TRANSPORT}a=mid:0\r\n{OPUS}{VIDEO}{video}a=mid:1\r\n{VP8}")
}

/// What holds for every answer, whatever was offered.
fn check(name: &str, offer: &str, answer: &str) {
    let parsed = Answer::parse(answer).unwrap_or_else(|error| panic!("{name}: {error}\n{answer}"));
    let words = |text: &str, count: usize| -> Vec<Vec<String>> {
        let m_lines = text.lines().filter(|line| line.starts_with("m="));
        m_lines
            .map(|line| {
                line.split(' ')
                    .enumerate()
                    .filter(|(i, _)| *i != 1)
                    .take(count)
                    .map(|(_, w)| w.into())
                    .collect()
            })
            .collect()
    };
    assert_eq!(words(offer, 2), words(answer, 2), "{name}: as many m-lines, of the same kinds and protocols");
    let sections = |text: &str| -> Vec<String> { text.split("\r\nm=").skip(1).map(str::to_owned).collect() };
    let offered = Offer::parse(offer).unwrap();
    let group: Vec<String> = lines(answer, "a=group:BUNDLE")
        .first()
        .map(|line| line.split(' ').skip(1).map(str::to_owned).collect())
        .unwrap_or_default();
    assert_eq!(group.is_empty(), !offered.bundled, "{name}: a group where one was offered");
    assert_eq!(lines(answer, "a=end-of-candidates").len(), 1, "{name}: one transport");
    let tagged = parsed.remote().unwrap();
    assert_eq!(
        tagged.candidates.len(),
        local().addresses.len(),
        "{name}: the first of the group has candidates"
    );
    for ((offered_text, answered_text), section) in
        sections(offer).iter().zip(sections(answer)).zip(&offered.media)
    {
        let values = |text: &str, key: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with(key)).map(|line| line.trim_end().to_owned()).collect()
        };
        assert_eq!(values(offered_text, "a=mid:"), values(&answered_text, "a=mid:"), "{name}");
        let rejected = answered_text.split(' ').nth(1) == Some("0");
        let mid = section.written_mid.clone();
        assert_eq!(mid.is_some_and(|mid| group.contains(&mid)), !rejected && offered.bundled, "{name}");
        if answered_text.contains("a=rtcp-rsize") {
            assert!(section.reduced_size, "{name}: reduced size was not offered");
        }
        let fbs: HashSet<String> = values(offered_text, "a=rtcp-fb:").into_iter().collect();
        for fb in values(&answered_text, "a=rtcp-fb:") {
            assert!(fbs.contains(&fb), "{name}: {fb} was not offered");
        }
    }
}

fn published(name: &str, offer: &str) -> PublishAnswer {
    let parsed = Offer::parse(offer).unwrap_or_else(|error| panic!("{name}: {error}"));
    let answer = answer_publish(&parsed, &local(), &PublishOptions::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    check(name, offer, &answer.text);
    answer
}

fn played(name: &str, offer: &str, tracks: &[PlayTrack]) -> PlayAnswer {
    let parsed = Offer::parse(offer).unwrap_or_else(|error| panic!("{name}: {error}"));
    let answer = answer_play(&parsed, &local(), tracks).unwrap_or_else(|error| panic!("{name}: {error}"));
    check(name, offer, &answer.text);
    answer
}

#[test]
fn publishers_of_all_kinds_are_answered() {
    use CodecFormat::{H264, Opus, Vp8};
    use H264Profile::{ConstrainedBaseline, ConstrainedHigh};
    for (name, offer, formats, ufrag, reduced_size) in [
        ("aiortc", AIORTC_PUBLISH, [Opus, Vp8], "GXt6", false),
        ("GStreamer", GSTREAMER_PUBLISH, [Opus, Vp8], "JA5rdzM3JD84M1BEuirFoQKqjMW0piNA", true),
        ("libdatachannel", LIBDATACHANNEL_PUBLISH, [Opus, H264(ConstrainedBaseline)], "/e1R", false),
        ("OBS", OBS_PUBLISH, [Opus, H264(ConstrainedBaseline)], "jBua", false),
        ("Pion", PION_PUBLISH, [Vp8, Opus], "rGkZWDnhuWvhzpTl", true),
        ("Safari", SAFARI_PUBLISH, [H264(ConstrainedHigh), Opus], "q4Zr", true),
    ] {
        let answer = published(name, offer);
        let agreed: HashSet<CodecFormat> = answer.media.iter().map(|media| media.codec.format).collect();
        assert_eq!(agreed, HashSet::from(formats), "{name}");
        assert_eq!(answer.remote.ice.ufrag, ufrag, "{name}");
        assert_eq!(answer.reduced_size, reduced_size, "{name}");
        assert_eq!(answer.text.contains("a=rtcp-rsize"), reduced_size, "{name}");
    }
}

#[test]
fn viewers_of_all_kinds_are_answered() {
    let h264 = CodecFormat::H264(H264Profile::ConstrainedBaseline);
    for (name, offer, video) in [
        ("aiortc", AIORTC_PLAY, CodecFormat::Vp8),
        ("aiortc", AIORTC_PLAY, h264),
        ("GStreamer", GSTREAMER_PLAY, CodecFormat::Vp8),
        ("libdatachannel", LIBDATACHANNEL_PLAY, h264),
    ] {
        let answer = played(name, offer, &four_tracks(video)[..2]);
        assert_eq!(answer.media.len(), 2, "{name}");
        assert!(answer.undecodable.is_empty(), "{name}");
    }
}

/// Each of these is an offer that a server which reads the RFCs to the letter accepts.
#[test]
fn what_the_rfcs_allow_is_accepted() {
    let bundle_only = "a=bundle-only\r\n";
    let plain = two(BUNDLE, TRANSPORT);
    let without = |line: &str| plain.replacen(line, "", 1);
    let session_level = |names: &[&str]| {
        let moved: Vec<&str> =
            TRANSPORT.split_inclusive("\r\n").filter(|line| names.iter().any(|n| line.contains(n))).collect();
        let text = moved.iter().fold(plain.clone(), |text, line| text.replace(line, ""));
        text.replacen(BUNDLE, &format!("{BUNDLE}{}", moved.concat()), 1)
    };
    for (name, text) in [
        (
            "all of the transport on the first m-line only (RFC 9143, 7.1.3)",
            two(BUNDLE, bundle_only).replace("m=video 9", "m=video 0"),
        ),
        ("the same after the first negotiation, without bundle-only", two(BUNDLE, "")),
        ("the transport on the second m-line, which the group names first", {
            let text = format!(
                "{SESSION}a=group:BUNDLE 1 0\r\n{AUDIO}a=mid:0\r\n{OPUS}{VIDEO}{TRANSPORT}a=mid:1\r\n{VP8}"
            );
            text.replace("m=audio 9", "m=audio 0").replace("a=mid:0", "a=bundle-only\r\na=mid:0")
        }),
        (
            "lip synchronisation before BUNDLE (RFC 5888)",
            two(&format!("a=group:LS 0 1\r\n{BUNDLE}"), TRANSPORT),
        ),
        ("group semantics in small letters", plain.replace("BUNDLE", "bundle")),
        ("one m-line without mid", format!("{SESSION}{VIDEO}{TRANSPORT}{VP8}")),
        ("one m-line with mid and without group", format!("{SESSION}{VIDEO}{TRANSPORT}a=mid:v\r\n{VP8}")),
        (
            "a rejected m-line without mid",
            format!("{plain}m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"),
        ),
        ("a rejected m-line of a kind that nobody knows", format!("{plain}m=image 0 udptl t38\r\n")),
        (
            "ssrc-group of semantics that nobody knows",
            format!("{plain}a=ssrc-group:DUP 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\n"),
        ),
        (
            "ssrc-group that makes no sense",
            format!("{plain}a=ssrc-group:FID 1\r\na=ssrc-group:FID x y\r\na=ssrc-group:\r\n"),
        ),
        ("credentials in the session part", session_level(&["ice-ufrag", "ice-pwd"])),
        ("certificate and role in the session part", session_level(&["fingerprint", "setup"])),
        (
            "all of it in the session part",
            session_level(&["ice-ufrag", "ice-pwd", "fingerprint", "setup", "rtcp-mux"]),
        ),
        ("no role: the answer chooses", plain.replace("a=setup:actpass\r\n", "")),
        (
            "a mid that fits no header extension",
            plain
                .replace("a=mid:1", "a=mid:the-camera-of-the-publisher")
                .replace("BUNDLE 0 1", "BUNDLE 0 the-camera-of-the-publisher"),
        ),
        (
            "a mid of ours that somebody has",
            format!(
                "{SESSION}a=group:BUNDLE 1 a-name-that-is-very-long\r\n{AUDIO}{TRANSPORT}a=mid:1\r\n{OPUS}{VIDEO}{TRANSPORT}a=mid:a-name-that-is-very-long\r\n{VP8}"
            ),
        ),
        ("white space at the ends of lines", plain.replace("\r\n", " \r\n")),
        ("line feeds alone", plain.replace("\r\n", "\n")),
        (
            "other case",
            plain
                .replace("setup:actpass", "setup:ActPass")
                .replace("sha-256", "SHA-256")
                .replace("VP8/", "vp8/")
                .replace("opus/", "OPUS/"),
        ),
        ("no line end at the end", plain.trim_end().to_owned()),
        (
            "bandwidth, title and connection in any order",
            plain
                .replace("a=mid:1\r\n", "a=mid:1\r\nb=AS:500\r\ni=camera\r\nc=IN IP6 ::\r\nb=X-nobody:1\r\n"),
        ),
        ("another profile of RTP", plain.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF")),
        ("rtcp-mux-only (RFC 8858)", plain.replace("a=rtcp-mux\r\n", "a=rtcp-mux-only\r\n")),
        ("no connection line", without("c=IN IP4 0.0.0.0\r\n")),
        (
            "simulcast that is received as well",
            plain.replacen(
                VP8,
                &format!("{VP8}a=rid:1 recv\r\na=rid:h send\r\na=simulcast:recv 1 send h\r\n"),
                1,
            ),
        ),
        (
            "a retransmission type without a codec",
            plain.replace("SAVPF 96", "SAVPF 96 97") + "a=rtpmap:97 rtx/90000\r\n",
        ),
    ] {
        let answer = published(name, &text.replace('\n', "\r\n").replace("\r\r", "\r"));
        let offer = Offer::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let answer_of_text = answer_publish(&offer, &local(), &PublishOptions::default()).unwrap();
        assert_eq!(answer.media, answer_of_text.media, "{name}");
        let pictures = answer.media.iter().filter(|media| media.kind == MediaKind::Video).count();
        assert_eq!(pictures, 1, "{name}");
        assert_eq!(answer.remote.ice.ufrag, "EsAw", "{name}");
        assert_eq!(answer.remote.setup, Setup::ActPass, "{name}");
        let mids: HashSet<&Mid> = offer.media.iter().map(|section| &section.mid).collect();
        assert_eq!(mids.len(), offer.media.len(), "{name}: every m-line has a name here");
        // And the same for a viewer.
        let viewer = text.replacen("a=rtcp-mux", "a=recvonly\r\na=rtcp-mux", usize::MAX);
        let viewer = viewer.replace("send h", "send x").replace('\n', "\r\n").replace("\r\r", "\r");
        let played = played(name, &viewer, &four_tracks(CodecFormat::Vp8)[..2]);
        assert!(
            played
                .media
                .iter()
                .any(|media| media.codecs.iter().any(|codec| codec.format == CodecFormat::Vp8)),
            "{name}"
        );
    }
}

#[test]
fn what_the_rfcs_do_not_allow_is_refused_in_words() {
    let plain = two(BUNDLE, TRANSPORT);
    for (name, text, error) in [
        ("nothing to inherit from", two("", ""), SdpError::Missing("rtcp-mux")),
        ("two transports", two("", TRANSPORT), SdpError::NotBundled("0".into())),
        (
            "two in use without names",
            plain.replace("a=mid:0\r\n", "").replace("a=mid:1\r\n", ""),
            SdpError::Missing("mid"),
        ),
        (
            "no certificate anywhere",
            plain.replace("a=fingerprint", "a=x"),
            SdpError::Missing("fingerprint:sha-256"),
        ),
        ("a mid that is none", plain.replace("a=mid:1", "a=mid:a b"), SdpError::Invalid { attribute: "mid" }),
        ("one name twice", plain.replace("a=mid:1", "a=mid:0"), SdpError::DuplicateMid("0".into())),
        (
            "a direction of simulcast that is none",
            plain.replacen(VP8, &format!("{VP8}a=rid:h send\r\na=simulcast:both h\r\n"), 1),
            SdpError::Invalid { attribute: "simulcast" },
        ),
    ] {
        assert_eq!(Offer::parse(&text), Err(error), "{name}");
    }
    let lite = Offer::parse(&plain.replacen(BUNDLE, &format!("{BUNDLE}a=ice-lite\r\n"), 1)).unwrap();
    assert_eq!(answer_publish(&lite, &local(), &PublishOptions::default()), Err(SdpError::BothLite));
    assert_eq!(answer_play(&lite, &local(), &[]), Err(SdpError::BothLite));
}

#[test]
fn bundle_only_outside_of_the_bundle_is_a_rejected_line() {
    let text = two("a=group:BUNDLE 0\r\n", "a=bundle-only\r\n").replace("m=video 9", "m=video 0");
    let answer = published("bundle-only", &text);
    assert_eq!(answer.media.len(), 1);
    assert_eq!(lines(&answer.text, "m=video"), ["m=video 0 UDP/TLS/RTP/SAVPF 96"]);
}

/// An answer that rejects the m-line which the bundle would take its transport from takes the next one's.
#[test]
fn the_transport_is_that_of_the_first_line_that_is_accepted() {
    let second = TRANSPORT.replace("EsAw", "Other");
    let silent = two(BUNDLE, &second).replacen("a=mid:0\r\n", "a=mid:0\r\na=recvonly\r\n", 1);
    let answer = published("transport", &silent);
    assert_eq!(answer.remote.ice.ufrag, "Other");
    assert_eq!(lines(&answer.text, "a=group"), ["a=group:BUNDLE 1"]);
    let first = published("transport", &two("a=group:BUNDLE 1 0\r\n", &second));
    assert_eq!(first.remote.ice.ufrag, "Other");
    assert_eq!(lines(&first.text, "a=group"), ["a=group:BUNDLE 1 0"]);
    let candidates_at = first.text.find("a=candidate").unwrap();
    assert!(first.text.find("m=video").unwrap() < candidates_at, "they belong to the first of the group");
}

#[test]
fn a_publisher_is_told_which_codecs_are_carried() {
    let refused = |text: &str| {
        let offer = Offer::parse(text).unwrap();
        answer_publish(&offer, &local(), &PublishOptions::default()).unwrap_err().to_string()
    };
    let plain = two(BUNDLE, TRANSPORT);
    for (map, words) in [
        ("a=rtpmap:96 H265/90000\r\n", "video as H265 only"),
        ("a=rtpmap:96 H264/90000\r\n", "video as H264 with packetization-mode 0 only"),
        (
            "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=f4001f\r\n",
            "video as H264 of another profile only",
        ),
        ("a=rtpmap:96 VP9/90000\r\na=fmtp:96 profile-id=2\r\n", "video as VP9 profile 2 only"),
        ("a=rtpmap:96 \u{1b}[31mX/90000\r\n", "video as [31mX only"),
        ("", "video as nothing with a name only"),
    ] {
        let text = refused(&plain.replace(VP8, map));
        assert!(text.contains(words) && text.contains("H.264 (packetization-mode 1), VP9"), "{text}");
    }
    let text = refused(&plain.replace(OPUS, "a=rtpmap:111 MPEG4-GENERIC/48000/2\r\n"));
    assert!(text.contains("audio as MPEG4-GENERIC only") && text.ends_with("offer Opus"), "{text}");
    // With one that is carried beside it, it is a matter of choice.
    let both =
        plain.replace("SAVPF 96", "SAVPF 97 96").replace(VP8, &format!("a=rtpmap:97 H265/90000\r\n{VP8}"));
    assert_eq!(published("choice", &both).media[1].codec.format, CodecFormat::Vp8);
    // Who sends no pictures may say what it likes about them.
    let receives = plain.replace(VP8, "a=rtpmap:96 H265/90000\r\na=recvonly\r\n");
    assert_eq!(published("receives", &receives).media.len(), 1);
}

#[test]
fn a_viewer_without_a_codec_for_the_picture_is_found_out() {
    let tracks = &four_tracks(CodecFormat::Vp8)[..2];
    let receive = two(BUNDLE, TRANSPORT).replace("a=rtcp-mux", "a=recvonly\r\na=rtcp-mux");
    // None of the codecs that there are, whatever is published now or later.
    for map in ["a=rtpmap:96 H265/90000\r\n", "a=rtpmap:96 H264/90000\r\n"] {
        let offer = Offer::parse(&receive.replace(VP8, map)).unwrap();
        let error = answer_play(&offer, &local(), &tracks[..1]).unwrap_err();
        assert!(matches!(error, SdpError::NotCarried { kind: "video", .. }), "{map}");
    }
    // One that is not the publisher's. The m-line is kept for a screen that nobody shares yet, which shows nothing.
    let vp9 = receive.replace(VP8, "a=rtpmap:96 VP9/90000\r\n");
    let spare = track("trk_screen", Source::Screen, CodecFormat::Vp9, 30);
    let answer = played("VP9", &vp9, &[tracks, &[spare]].concat());
    assert_eq!(answer.media.len(), 2);
    let refusal = answer.refusal(tracks).expect("the camera cannot be seen");
    assert_eq!((refusal.track, refusal.format), (1, CodecFormat::Vp8));
    // Who does not want a picture misses none.
    let sound = format!("{SESSION}{AUDIO}{TRANSPORT}a=recvonly\r\n{OPUS}");
    let answer = played("sound", &sound, tracks);
    assert_eq!(answer.refusal(tracks), None);
    assert_eq!(answer.media.len(), 1);
}

#[test]
fn a_long_name_is_in_no_packet() {
    let answer = published("libdatachannel", LIBDATACHANNEL_PUBLISH);
    assert_eq!(lines(&answer.text, "a=mid:video"), ["a=mid:video-stream-of-the-camera"]);
    let extension = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=mid:video";
    let answer = published("extension", &LIBDATACHANNEL_PUBLISH.replace("a=mid:video", extension));
    assert_eq!(answer.extensions.id(Extension::Mid), None);
    let answer = published(
        "extension",
        &AIORTC_PUBLISH.replace("a=mid:1", "a=mid:one").replace("BUNDLE 0 1", "BUNDLE 0 one"),
    );
    assert_eq!(answer.extensions.id(Extension::Mid), Some(1));
}
