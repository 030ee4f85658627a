//! Real offers of Chromium 156 and Firefox ESR 153, hostile ones, and round trips.

use proptest::prelude::*;
use rtp::{Extension, Extensions, MediaKind, Rid};

use super::*;
use crate::{Fingerprint, IceCredentials};

pub(super) const CHROMIUM_PUBLISH: &str = include_str!("fixtures/chromium_publish_plain.sdp");
const CHROMIUM_PUBLISH_FOUR: &str = include_str!("fixtures/chromium_publish_four.sdp");
pub(super) const CHROMIUM_SIMULCAST: &str = include_str!("fixtures/chromium_publish_simulcast.sdp");
pub(super) const CHROMIUM_PLAY: &str = include_str!("fixtures/chromium_play_four.sdp");
const CHROMIUM_DATA: &str = include_str!("fixtures/chromium_play_sendrecv_data.sdp");
pub(super) const FIREFOX_PUBLISH: &str = include_str!("fixtures/firefox_publish_plain.sdp");
const FIREFOX_PUBLISH_FOUR: &str = include_str!("fixtures/firefox_publish_four.sdp");
pub(super) const FIREFOX_SIMULCAST: &str = include_str!("fixtures/firefox_publish_simulcast.sdp");
pub(super) const FIREFOX_PLAY: &str = include_str!("fixtures/firefox_play_four.sdp");
const FFMPEG_PUBLISH: &str = include_str!("fixtures/ffmpeg_publish.sdp");
const FIREFOX_DATA: &str = include_str!("fixtures/firefox_play_sendrecv_data.sdp");
const ALL: [&str; 10] = [
    CHROMIUM_PUBLISH,
    CHROMIUM_PUBLISH_FOUR,
    CHROMIUM_SIMULCAST,
    CHROMIUM_PLAY,
    CHROMIUM_DATA,
    FIREFOX_PUBLISH,
    FIREFOX_PUBLISH_FOUR,
    FIREFOX_SIMULCAST,
    FIREFOX_PLAY,
    FIREFOX_DATA,
];

pub(super) fn local() -> Local {
    Local {
        session_id: 4_611_686_018_427_387_904,
        version: 1,
        ice: IceCredentials { ufrag: "abcdefgh".into(), pwd: "0123456789abcdefghijklmn".into() },
        fingerprint: Fingerprint::of(b"a certificate"),
        addresses: vec!["203.0.113.1:7000".parse().unwrap(), "[2001:db8::1]:7000".parse().unwrap()],
        tcp_addresses: Vec::new(),
    }
}

pub(super) fn publish(text: &str) -> PublishAnswer {
    answer_publish(&Offer::parse(text).unwrap(), &local(), &PublishOptions::default()).unwrap()
}

pub(super) fn track(id: &str, source: Source, format: CodecFormat, ssrc: u32) -> PlayTrack {
    PlayTrack { id: id.into(), owner: "par_1".into(), source, format, ssrc, rtx_ssrc: ssrc + 1 }
}

pub(super) fn four_tracks(video: CodecFormat) -> Vec<PlayTrack> {
    vec![
        track("trk_mic", Source::Microphone, CodecFormat::Opus, 10),
        track("trk_cam", Source::Camera, video, 20),
        track("trk_screen", Source::Screen, video, 30),
        track("trk_sound", Source::ScreenAudio, CodecFormat::Opus, 40),
    ]
}

pub(super) fn play(text: &str, tracks: &[PlayTrack]) -> PlayAnswer {
    answer_play(&Offer::parse(text).unwrap(), &local(), tracks).unwrap()
}

pub(super) fn lines<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(prefix)).collect()
}

#[test]
fn real_offers_of_both_browsers_parse() {
    for text in ALL {
        let offer = Offer::parse(text).unwrap();
        assert!(offer.trickle);
        assert!(!offer.ice_lite);
        let media = offer.media.iter().filter(|section| section.kind.is_some());
        for section in media {
            assert!(!section.rejected);
            assert!(!section.codecs.is_empty());
            let remote = section.remote.as_ref().unwrap();
            assert_eq!(remote.setup, Setup::ActPass);
            assert_eq!(remote.fingerprint.hash_name(), "sha-256");
            assert!(section.extensions(true).id(Extension::Mid).is_some());
        }
    }
}

#[test]
fn codecs_come_with_profile_feedback_and_retransmission() {
    let offer = Offer::parse(CHROMIUM_PUBLISH).unwrap();
    let video: Vec<(u8, CodecFormat, Option<u8>)> =
        offer.media[1].codecs.iter().map(|codec| (codec.payload_type, codec.format, codec.rtx)).collect();
    // packetization-mode 0, VP9 profile 2, red and ulpfec are not there.
    assert_eq!(
        video,
        [
            (96, CodecFormat::Vp8, Some(97)),
            (102, CodecFormat::H264(H264Profile::Baseline), Some(103)),
            (108, CodecFormat::H264(H264Profile::ConstrainedBaseline), Some(109)),
            (116, CodecFormat::H264(H264Profile::Main), Some(117)),
            (45, CodecFormat::Av1, Some(46)),
            (98, CodecFormat::Vp9, Some(99)),
        ]
    );
    assert_eq!(offer.media[1].codecs[0].feedback, Feedback::VIDEO);
    let audio = &offer.media[0].codecs;
    assert_eq!(audio.len(), 1);
    assert_eq!((audio[0].payload_type, audio[0].fmtp.as_str()), (111, "minptime=10;useinbandfec=1"));
    assert_eq!(audio[0].feedback, Feedback { transport_cc: true, ..Feedback::default() });
}

#[test]
fn declared_ssrcs_are_paired_with_their_retransmission() {
    let offer = Offer::parse(CHROMIUM_PUBLISH).unwrap();
    assert_eq!(offer.media[0].ssrcs.len(), 1);
    assert_eq!(offer.media[0].ssrcs[0].rtx, None);
    assert_eq!(offer.media[1].ssrcs.len(), 1);
    assert!(offer.media[1].ssrcs[0].rtx.is_some());
}

#[test]
fn a_publish_answer_takes_the_publishers_first_codec_on_each_line() {
    let answer = publish(CHROMIUM_PUBLISH_FOUR);
    let sources: Vec<Source> = answer.media.iter().map(|media| media.source).collect();
    assert_eq!(sources, [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio]);
    assert_eq!(answer.media[1].codec.format, CodecFormat::Vp8);
    assert_eq!(answer.media[1].codec.rtx, Some(97));
    assert_eq!(
        lines(&answer.text, "m="),
        [
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        ]
    );
    assert_eq!(lines(&answer.text, "a=group"), ["a=group:BUNDLE 0 1 2 3"]);
    assert_eq!(lines(&answer.text, "a=setup"), ["a=setup:passive"; 4]);
    assert_eq!(lines(&answer.text, "a=recvonly").len(), 4);
    assert_eq!(
        lines(&answer.text, "a=candidate"),
        [
            "a=candidate:1 1 udp 2130706431 203.0.113.1 7000 typ host",
            "a=candidate:2 1 udp 2130706175 2001:db8::1 7000 typ host",
        ]
    );
    assert_eq!(lines(&answer.text, "a=ice-lite").len(), 1);
    assert_eq!(lines(&answer.text, "a=end-of-candidates").len(), 1);
    assert_eq!(lines(&answer.text, "a=fmtp:96"), ["a=fmtp:96 x-google-start-bitrate=2000"; 2]);
    assert_eq!(
        lines(&answer.text, "a=content"),
        ["a=content:main", "a=content:main", "a=content:slides", "a=content:slides",]
    );
    assert!(answer.text.split("\r\n").all(|line| !line.contains('\n')));
}

#[test]
fn the_publishers_order_rules_and_content_names_the_source() {
    let mut text = CHROMIUM_PUBLISH.replacen("a=mid:0\r\n", "a=mid:0\r\na=content:slides\r\n", 1);
    text = text.replacen("a=mid:1\r\n", "a=mid:1\r\na=content:slides\r\n", 1);
    text = text.replacen("SAVPF 96 97 102 103", "SAVPF 108 109 96 97 102 103", 1);
    let answer = publish(&text);
    assert_eq!(answer.media[0].source, Source::ScreenAudio);
    assert_eq!(answer.media[1].source, Source::Screen);
    assert_eq!(answer.media[1].codec.format, CodecFormat::H264(H264Profile::ConstrainedBaseline));
    let fmtp =
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=2000";
    assert_eq!(answer.media[1].codec.fmtp, fmtp);
    assert_eq!(answer.media[0].codec.fmtp, "minptime=10;useinbandfec=1;stereo=1");
}

#[test]
fn simulcast_is_mirrored() {
    for text in [CHROMIUM_SIMULCAST, FIREFOX_SIMULCAST] {
        let answer = publish(text);
        let rids: Vec<&str> = answer.media[1].rids.iter().map(Rid::as_str).collect();
        assert_eq!(rids, ["h", "m", "l"]);
        assert!(answer.media[1].ssrcs.is_empty());
        assert_eq!(lines(&answer.text, "a=rid"), ["a=rid:h recv", "a=rid:m recv", "a=rid:l recv"]);
        assert_eq!(lines(&answer.text, "a=simulcast"), ["a=simulcast:recv h;m;l"]);
    }
}

#[test]
fn sound_is_repeated_where_that_is_offered_and_then_always_the_same_bytes() {
    let section = |text: &str| {
        let answer = publish(text);
        let audio = answer.media.into_iter().find(|media| media.kind == MediaKind::Audio).unwrap();
        (audio.codec.feedback, audio.extensions)
    };
    let (feedback, extensions) = section(CHROMIUM_PUBLISH);
    assert!(!feedback.nack && feedback.transport_cc, "browsers do not offer it by themselves");
    assert!(extensions.id(Extension::TransportCc).is_some());
    let offered = CHROMIUM_PUBLISH.replace("a=rtcp-fb:111 ", "a=rtcp-fb:111 nack\r\na=rtcp-fb:111 ");
    let (feedback, extensions) = section(&offered);
    assert!(feedback.nack && !feedback.transport_cc);
    assert_eq!(extensions.id(Extension::TransportCc), None);
    assert_eq!(extensions.id(Extension::AbsSendTime), None);
    assert!(extensions.id(Extension::Mid).is_some() && extensions.id(Extension::AudioLevel).is_some());
    let text = publish(&offered).text;
    assert!(text.contains("a=rtcp-fb:111 nack\r\n"), "{text}");
    let video = publish(&offered).media.into_iter().find(|media| media.kind == MediaKind::Video).unwrap();
    assert!(video.extensions.id(Extension::TransportCc).is_some(), "pictures have a retransmission stream");
}

#[test]
fn who_only_listens_is_called() {
    for (offered, ours) in
        [("actpass", "a=setup:passive"), ("active", "a=setup:passive"), ("passive", "a=setup:active")]
    {
        let setup = format!("a=setup:{offered}");
        let answer = publish(&CHROMIUM_PUBLISH.replace("a=setup:actpass", &setup));
        assert_eq!(lines(&answer.text, "a=setup"), [ours; 2], "publish, {offered}");
        let offer = Offer::parse(&CHROMIUM_PLAY.replace("a=setup:actpass", &setup)).unwrap();
        let answer = answer_play(&offer, &local(), &[]).unwrap();
        assert_eq!(lines(&answer.text, "a=setup"), [ours; 4], "play, {offered}");
    }
}

/// The muxer offers no feedback but `nack`, no header extension, and to be the DTLS server.
#[test]
fn the_whip_muxer_of_ffmpeg_is_understood() {
    let answer = publish(FFMPEG_PUBLISH);
    assert_eq!(lines(&answer.text, "a=setup"), ["a=setup:active"; 2]);
    let [audio, video] = &answer.media[..] else { panic!("{answer:?}") };
    assert_eq!((audio.codec.format, audio.codec.payload_type), (CodecFormat::Opus, 111));
    assert_eq!((video.codec.format.name(), video.codec.payload_type), ("H264", 106));
    assert_eq!(video.codec.rtx, Some(105));
    assert_eq!(audio.ssrcs, [SsrcPair { media: 1_099_487_228, rtx: None }]);
    assert_eq!(video.ssrcs, [SsrcPair { media: 1_099_487_229, rtx: Some(1_099_487_230) }]);
    assert_eq!(answer.extensions.iter().count(), 0);
}

#[test]
fn a_viewer_gets_every_track_with_owner_source_and_ssrc() {
    for text in [CHROMIUM_PLAY, FIREFOX_PLAY] {
        let tracks = four_tracks(CodecFormat::Vp8);
        let answer = play(text, &tracks);
        assert!(answer.undecodable.is_empty());
        let assigned: Vec<(usize, usize)> =
            answer.media.iter().map(|media| (media.index, media.track)).collect();
        assert_eq!(assigned, [(0, 0), (1, 1), (2, 2), (3, 3)]);
        assert_eq!(
            lines(&answer.text, "a=msid:"),
            [
                "a=msid:par_1 trk_mic",
                "a=msid:par_1 trk_cam",
                "a=msid:par_1 trk_screen",
                "a=msid:par_1 trk_sound",
            ]
        );
        assert_eq!(lines(&answer.text, "a=ssrc-group"), ["a=ssrc-group:FID 20 21", "a=ssrc-group:FID 30 31"]);
        assert_eq!(lines(&answer.text, "a=sendonly").len(), 4);
        assert_eq!(
            lines(&answer.text, "a=ssrc:20"),
            ["a=ssrc:20 cname:par_1", "a=ssrc:20 msid:par_1 trk_cam"]
        );
        assert_eq!(answer.media[1].codecs[0].format, CodecFormat::Vp8);
        assert_eq!(answer.media[0].rtx_ssrc, None);
    }
}

#[test]
fn a_viewer_keeps_payload_types_for_a_publisher_who_changes_codec() {
    let answer = play(CHROMIUM_PLAY, &four_tracks(CodecFormat::Vp8));
    let camera = &answer.media[1];
    let names: Vec<&str> = camera.codecs.iter().map(|codec| codec.format.name()).collect();
    assert_eq!(names, ["VP8", "H264", "VP9", "AV1"]);
    let main = camera.codec(CodecFormat::H264(H264Profile::Main)).unwrap();
    assert!(main.format.decodes(CodecFormat::H264(H264Profile::ConstrainedBaseline)).is_some());
}

#[test]
fn a_codec_that_the_viewer_lacks_is_told_apart_from_a_missing_line() {
    // Firefox on Debian has no H.264.
    let tracks = four_tracks(CodecFormat::H264(H264Profile::ConstrainedBaseline));
    let answer = play(FIREFOX_PLAY, &tracks);
    assert_eq!(answer.media.len(), 2);
    assert_eq!(answer.refusal(&tracks).map(|track| (track.track, track.format.name())), Some((1, "H264")));
    assert_eq!(lines(&answer.text, "a=inactive").len(), 2);
    assert_eq!(lines(&answer.text, "a=group"), ["a=group:BUNDLE 0 1 2 3"]);

    let five =
        [four_tracks(CodecFormat::Vp8), vec![track("trk_x", Source::Camera, CodecFormat::Vp8, 50)]].concat();
    let answer = play(CHROMIUM_PLAY, &five);
    assert_eq!(
        answer.undecodable,
        [Undecodable { track: 4, format: CodecFormat::Vp8, reason: UndecodableReason::NoMediaSection }]
    );
    assert_eq!(answer.refusal(&five), None);
}

#[test]
fn lines_without_a_track_stay() {
    let answer = play(CHROMIUM_PLAY, &four_tracks(CodecFormat::Vp9)[..2]);
    assert_eq!(answer.media.len(), 2);
    assert_eq!(lines(&answer.text, "a=inactive").len(), 2);
    assert_eq!(lines(&answer.text, "m=").len(), 4);
}

#[test]
fn reference_times_are_answered_to_who_watches_and_offers_them() {
    let offers = |offer: &str| offer.replace(" nack\r\n", " nack\r\na=rtcp-fb:96 rrtr\r\n");
    let line = "a=rtcp-fb:96 rrtr\r\n";
    let tracks = four_tracks(CodecFormat::Vp8);
    assert!(!play(CHROMIUM_PLAY, &tracks).text.contains("rrtr"));
    assert!(play(&offers(CHROMIUM_PLAY), &tracks).text.contains(line));
    assert!(
        !publish(&offers(CHROMIUM_PUBLISH)).text.contains("rrtr"),
        "we know our round trip to a publisher"
    );
}

#[test]
fn both_kinds_of_bandwidth_feedback_are_taken_where_they_are_offered() {
    for answer in [publish(CHROMIUM_PUBLISH).text, play(CHROMIUM_PLAY, &four_tracks(CodecFormat::Vp8)).text] {
        let first_video = answer.split("m=video").nth(1).unwrap();
        for value in [" goog-remb", " transport-cc", " ccm fir", " nack", " nack pli"] {
            let line = |line: &&str| line.starts_with("a=rtcp-fb:") && line.ends_with(value);
            assert!(first_video.lines().any(|l| line(&l)), "{value}");
        }
    }
    let without = publish(&CHROMIUM_PUBLISH.replace("goog-remb", "goog-other"));
    assert!(!without.media.iter().any(|media| media.codec.feedback.remb));
    assert!(!without.text.contains("goog-"));
}

#[test]
fn data_channels_are_answered_with_ours() {
    for text in [CHROMIUM_DATA, FIREFOX_DATA] {
        let answer = play(text, &four_tracks(CodecFormat::Vp8)[..2]);
        assert_eq!(answer.media.len(), 2);
        assert_eq!(
            lines(&answer.text, "m=application"),
            ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel"]
        );
        assert_eq!(answer.data, Some(crate::DataParameters::default()));
        let offer = Offer::parse(text).unwrap();
        let mid = &offer.data_section().unwrap().1.mid;
        assert!(lines(&answer.text, "a=group")[0].split(' ').any(|word| word == mid.as_str()));
        assert_eq!(lines(&answer.text, "a=sctp-port"), ["a=sctp-port:5000"]);
        assert_eq!(lines(&answer.text, "a=max-message-size"), ["a=max-message-size:16384"]);
        let parsed = Answer::parse(&answer.text).unwrap();
        assert_eq!(parsed.data_section().unwrap().1.data, answer.data);
    }
    // What is no data channel of RFC 8841, or is not in use, is rejected as before.
    for (from, to) in [
        ("webrtc-datachannel", "5000"),
        ("UDP/DTLS/SCTP", "DTLS/SCTP"),
        ("application 39737", "application 0"),
    ] {
        let answer = play(&CHROMIUM_DATA.replace(from, to), &four_tracks(CodecFormat::Vp8)[..2]);
        assert_eq!(answer.data, None, "{to}");
        assert!(lines(&answer.text, "m=application")[0].starts_with("m=application 0 "), "{to}");
        assert!(lines(&answer.text, "a=sctp-port").is_empty(), "{to}");
    }
    for (from, to, attribute) in [
        ("a=sctp-port:5000", "a=sctp-port:0", "sctp-port"),
        ("a=sctp-port:5000", "a=sctp-port:x", "sctp-port"),
        ("a=max-message-size:262144", "a=max-message-size:-1", "max-message-size"),
    ] {
        let text = CHROMIUM_DATA.replace(from, to);
        assert_eq!(Offer::parse(&text), Err(SdpError::Invalid { attribute }), "{to}");
    }
    assert!(Offer::parse(&CHROMIUM_DATA.replace("a=sctp-port:5000\r\n", "")).is_err());
    assert_eq!(play(CHROMIUM_PLAY, &four_tracks(CodecFormat::Vp8)).data, None);
}

#[test]
fn a_viewer_may_ask_for_a_source() {
    let text = CHROMIUM_PLAY.replacen("a=mid:1\r\n", "a=mid:1\r\na=content:slides\r\n", 1);
    let answer = play(&text, &four_tracks(CodecFormat::Vp8));
    let assigned: Vec<(usize, usize)> = answer.media.iter().map(|media| (media.index, media.track)).collect();
    assert_eq!(assigned, [(0, 0), (1, 2), (2, 1), (3, 3)]);
}

#[test]
fn h264_profiles_are_matched_by_what_a_decoder_needs() {
    use H264Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, High, Main};
    for (text, profile) in [
        ("42001f", Baseline),
        ("42e01f", ConstrainedBaseline),
        ("42E034", ConstrainedBaseline),
        ("4d001f", Main),
        ("4d801f", ConstrainedBaseline),
        ("640c1f", ConstrainedHigh),
        ("64001f", High),
    ] {
        assert_eq!(H264Profile::parse(text), Some(profile), "{text}");
    }
    for bad in ["", "42", "42001", "42001g", "+2001f", "f4001f", "42001f0"] {
        assert_eq!(H264Profile::parse(bad), None, "{bad}");
    }
    let decodes = |decoder, stream| CodecFormat::H264(decoder).decodes(CodecFormat::H264(stream));
    assert_eq!(decodes(Main, Main), Some(0));
    assert!(decodes(High, ConstrainedBaseline).is_some());
    assert!(decodes(ConstrainedHigh, High).is_some());
    assert_eq!(decodes(ConstrainedBaseline, Main), None);
    assert_eq!(decodes(Main, High), None);
    assert_eq!(CodecFormat::Vp8.decodes(CodecFormat::Vp9), None);
}

#[test]
fn our_answers_are_read_by_our_client() {
    let offer = client_offer();
    let text = offer.to_sdp();
    let parsed = Offer::parse(&text).unwrap();
    let answer = answer_publish(&parsed, &local(), &PublishOptions::default()).unwrap();
    assert_eq!(answer.media[0].ssrcs, [SsrcPair { media: 1, rtx: None }]);
    assert_eq!(answer.media[1].ssrcs, [SsrcPair { media: 2, rtx: Some(3) }]);
    let negotiated = offer.negotiate(&Answer::parse(&answer.text).unwrap()).unwrap();
    assert!(negotiated.dtls_client);
    assert_eq!(negotiated.remote.ice, local().ice);
    assert_eq!(negotiated.remote.fingerprint, local().fingerprint);
    assert_eq!(negotiated.remote.candidates[0].udp_address(), Some("203.0.113.1:7000".parse().unwrap()));
    assert_eq!(negotiated.remote.candidates[1].udp_address(), Some("[2001:db8::1]:7000".parse().unwrap()));
    assert_eq!(negotiated.media[1].direction, Direction::SendOnly);
    assert_eq!(negotiated.media[1].codecs, offer.media[1].codecs);
    assert_eq!(negotiated.media[1].extensions, offer.media[1].extensions);
    assert_eq!(negotiated.data, None);
}

#[test]
fn a_client_agrees_on_data_channels() {
    for position in 0..3 {
        let mut offer = client_offer();
        offer.media.insert(position, ClientMedia::data_channels("data".parse().unwrap()));
        let parsed = Offer::parse(&offer.to_sdp()).unwrap();
        let published = answer_publish(&parsed, &local(), &PublishOptions::default()).unwrap();
        assert_eq!(published.data, Some(crate::DataParameters::default()));
        let negotiated = offer.negotiate(&Answer::parse(&published.text).unwrap()).unwrap();
        assert_eq!(negotiated.data, published.data);
        assert_eq!(lines(&published.text, "a=candidate").len(), 2);
        // A server that knows nothing of them rejects the line.
        let without = published.text.replace("m=application 9", "m=application 0");
        let negotiated = offer.negotiate(&Answer::parse(&without).unwrap()).unwrap();
        assert_eq!(negotiated.data, None);
    }
}

#[test]
fn a_client_reads_what_it_is_sent() {
    let mut offer = client_offer();
    for media in &mut offer.media {
        media.direction = Direction::RecvOnly;
        media.ssrc = None;
        media.msid = None;
        media.source = None;
    }
    let answer = play(&offer.to_sdp(), &four_tracks(CodecFormat::Vp9)[..2]);
    let negotiated = offer.negotiate(&Answer::parse(&answer.text).unwrap()).unwrap();
    assert_eq!(negotiated.media[1].direction, Direction::RecvOnly);
    assert_eq!(negotiated.media[1].ssrcs, [SsrcPair { media: 20, rtx: Some(21) }]);
    assert_eq!(negotiated.media[1].content, Some(Source::Camera));
    let msid = Msid { stream: "par_1".into(), track: Some("trk_cam".into()) };
    assert_eq!(negotiated.media[1].msid, Some(msid));
}

#[test]
fn an_answer_to_another_offer_is_refused() {
    let offer = client_offer();
    let other = publish(CHROMIUM_PUBLISH_FOUR);
    let answer = Answer::parse(&other.text).unwrap();
    assert!(matches!(offer.negotiate(&answer), Err(SdpError::Mismatch(_))));
    assert!(matches!(Answer::parse(CHROMIUM_PLAY), Err(SdpError::Invalid { attribute: "setup" })));
}

fn client_offer() -> ClientOffer {
    let mut extensions = Extensions::default();
    assert!(extensions.insert(Extension::Mid, 1));
    assert!(extensions.insert(Extension::AbsCaptureTime, 2));
    let codec = |payload_type, format, feedback, rtx| PayloadFormat {
        payload_type,
        format,
        fmtp: String::new(),
        feedback,
        rtx,
    };
    let media = |mid: &str, kind, source, codec, ssrc| ClientMedia {
        mid: mid.parse().unwrap(),
        kind: Some(kind),
        direction: Direction::SendOnly,
        source: Some(source),
        codecs: vec![codec],
        extensions,
        msid: Some(Msid { stream: "stream".into(), track: Some(format!("track{mid}")) }),
        ssrc: Some(ssrc),
        rids: vec![],
    };
    let opus = codec(111, CodecFormat::Opus, Feedback::default(), None);
    let vp9 = codec(98, CodecFormat::Vp9, Feedback { transport_cc: false, ..Feedback::VIDEO }, Some(99));
    ClientOffer {
        local: Local { addresses: vec![], ..local() },
        media: vec![
            media("0", MediaKind::Audio, Source::Microphone, opus, SsrcPair { media: 1, rtx: None }),
            media("1", MediaKind::Video, Source::Camera, vp9, SsrcPair { media: 2, rtx: Some(3) }),
        ],
    }
}

/// Each edit of a good offer, and what is said about it.
#[test]
fn what_is_wrong_with_an_offer_is_said() {
    let edit = |from: &str, to: &str| {
        assert!(CHROMIUM_PUBLISH.contains(from), "{from}");
        Offer::parse(&CHROMIUM_PUBLISH.replace(from, to)).map(|_| ())
    };
    let cut = |line: &str| {
        let kept = CHROMIUM_PUBLISH.lines().filter(|l| !l.starts_with(line)).map(|l| format!("{l}\r\n"));
        Offer::parse(&kept.collect::<String>()).map(|_| ())
    };
    for (text, words) in [
        ("", "this is not SDP: the text is empty"),
        ("\r\n", "this is not SDP: the text is empty"),
        ("hello", "this is not SDP: `hello` was not expected there"),
        ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n", "this is not SDP: it ends too early"),
    ] {
        assert_eq!(Offer::parse(text).unwrap_err().to_string(), words, "{text:?}");
    }
    assert_eq!(cut("a=ice-ufrag"), Err(SdpError::Missing("ice-ufrag")));
    assert_eq!(cut("a=ice-pwd"), Err(SdpError::Missing("ice-pwd")));
    assert_eq!(cut("a=fingerprint"), Err(SdpError::Missing("fingerprint:sha-256")));
    assert_eq!(
        edit("a=fingerprint:sha-256", "a=fingerprint:sha-1"),
        Err(SdpError::Missing("fingerprint:sha-256"))
    );
    assert_eq!(cut("a=rtcp-mux"), Err(SdpError::Missing("rtcp-mux")));
    assert_eq!(cut("a=mid"), Err(SdpError::Missing("mid")));
    assert_eq!(edit("a=mid:1", "a=mid:0"), Err(SdpError::DuplicateMid("0".parse().unwrap())));
    assert_eq!(cut("a=group"), Err(SdpError::NotBundled("0".parse().unwrap())));
    assert_eq!(edit("BUNDLE 0 1", "BUNDLE 0"), Err(SdpError::NotBundled("1".parse().unwrap())));
    assert_eq!(edit("a=setup:actpass", "a=setup:both"), Err(SdpError::Invalid { attribute: "setup" }));
    assert_eq!(edit("a=mid:1", "a=mid:one two"), Err(SdpError::Invalid { attribute: "mid" }));
    assert_eq!(
        edit("a=extmap:1 urn", "a=extmap:4 urn"),
        Err(SdpError::ExtensionConflict(4)),
        "audio level and mid on one id"
    );
    assert_eq!(Offer::parse("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"), Err(SdpError::NoMedia));
    assert!(matches!(Offer::parse("hello"), Err(SdpError::Syntax(_))));
    assert!(matches!(Offer::parse(""), Err(SdpError::NoMedia | SdpError::Syntax(_))));
}

#[test]
fn limits_hold() {
    let long = format!("{CHROMIUM_PUBLISH}{}", "a=x\r\n".repeat(MAX_SDP_LEN / 5));
    assert_eq!(Offer::parse(&long), Err(SdpError::TooLong(long.len())));
    let too_many = |what, limit| Err::<(), _>(SdpError::TooMany { what, limit });
    let added = |after: &str, more: String| {
        Offer::parse(&CHROMIUM_SIMULCAST.replacen(after, &format!("{after}{more}"), 1)).map(|_| ())
    };
    let sections = "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:x\r\n".repeat(MAX_MEDIA);
    assert_eq!(added("a=simulcast:send h;m;l\r\n", sections), too_many("media sections", MAX_MEDIA));
    let extensions = "a=extmap:13 urn:x\r\n".repeat(MAX_EXTENSIONS);
    assert_eq!(added("a=mid:1\r\n", extensions), too_many("header extensions", MAX_EXTENSIONS));
    let rids = "a=rid:x send\r\n".repeat(2 * MAX_ENCODINGS);
    assert_eq!(added("a=mid:1\r\n", rids), too_many("encodings", 2 * MAX_ENCODINGS));
    assert_eq!(
        added("a=mid:1\r\n", "a=x\r\n".repeat(MAX_ATTRIBUTES)),
        too_many("attributes", MAX_ATTRIBUTES)
    );
    let ssrcs: String = (0..9).map(|n| format!("a=ssrc:{n} cname:x\r\n")).collect();
    assert_eq!(added("a=mid:0\r\n", ssrcs), too_many("encodings", MAX_ENCODINGS));
    let candidates = "a=candidate:1 1 udp 1 203.0.113.9 5 typ host\r\n".repeat(100);
    let offer =
        Offer::parse(&CHROMIUM_PUBLISH.replacen("a=mid:0\r\n", &format!("a=mid:0\r\n{candidates}"), 1));
    assert_eq!(offer.unwrap().media[0].remote.as_ref().unwrap().candidates.len(), MAX_CANDIDATES);
}

#[test]
fn an_offer_without_a_codec_of_ours_has_no_answer() {
    let offer = Offer::parse(&CHROMIUM_PUBLISH.replace("a=rtpmap", "a=other")).unwrap();
    let answer = answer_publish(&offer, &local(), &PublishOptions::default());
    let offered = "G722, PCMU, PCMA".to_owned();
    assert_eq!(answer, Err(SdpError::NotCarried { kind: "audio", offered, carried: "Opus" }));
    let viewer = Offer::parse(CHROMIUM_PLAY).unwrap();
    assert_eq!(answer_publish(&viewer, &local(), &PublishOptions::default()), Err(SdpError::NoUsableMedia));
    let publisher = Offer::parse(CHROMIUM_PUBLISH).unwrap();
    assert_eq!(answer_play(&publisher, &local(), &[]), Err(SdpError::NoUsableMedia));
}

#[test]
fn fragments_carry_candidates_and_restarts() {
    let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
                a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
                a=candidate:x 1 udp\r\na=end-of-candidates\r\n";
    let fragment = Fragment::parse(text).unwrap();
    assert!(!fragment.restarts("EsAw"));
    assert!(fragment.restarts("other"));
    assert_eq!(fragment.media.len(), 1);
    assert_eq!(fragment.media[0].candidates.len(), 1);
    assert_eq!(fragment.media[0].candidates[0].udp_address(), Some("192.0.2.1:61764".parse().unwrap()));
    assert!(fragment.media[0].end_of_candidates);
    assert_eq!(Fragment::parse(&fragment.to_text()), Ok(fragment));

    let answer = Fragment::restart_answer(&local(), &"0".parse().unwrap());
    let parsed = Fragment::parse(&answer).unwrap();
    assert_eq!(parsed.ice, Some(local().ice));
    assert_eq!(parsed.media[0].candidates.len(), 2);
}

#[test]
fn what_is_wrong_with_a_fragment_is_said() {
    for (text, error) in [
        ("a=ice-ufrag:EsAw\r\n", SdpError::Missing("ice-pwd")),
        ("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", SdpError::Missing("ice-ufrag")),
        ("m=audio 9 RTP/AVP 0\r\n", SdpError::Missing("mid")),
        (
            "a=ice-ufrag:E\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
            SdpError::Invalid { attribute: "ice-ufrag" },
        ),
    ] {
        assert_eq!(Fragment::parse(text), Err(error), "{text:?}");
    }
    for text in ["", "hello", "{}", "a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n", "a=mid:0\r\n"] {
        assert!(matches!(Fragment::parse(text), Err(SdpError::Syntax(_))), "{text:?}");
    }
    let line = "a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n";
    let many = format!("m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{}", line.repeat(MAX_CANDIDATES + 1));
    assert_eq!(Fragment::parse(&many), Err(SdpError::TooMany { what: "candidates", limit: MAX_CANDIDATES }));
}

/// Everything that may be done with a text of unknown origin.
fn exercise(text: &str) {
    let _ = Fragment::parse(text);
    let _ = Answer::parse(text);
    let Ok(offer) = Offer::parse(text) else { return };
    if let Ok(answer) = answer_publish(&offer, &local(), &PublishOptions::default()) {
        Answer::parse(&answer.text).expect("our own answer parses");
    }
    if let Ok(answer) = answer_play(&offer, &local(), &four_tracks(CodecFormat::Vp8)) {
        Answer::parse(&answer.text).expect("our own answer parses");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn damaged_offers_never_panic(
        which in 0..ALL.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, "[ -~\\r\\n]{0,12}"), 1..6),
    ) {
        let mut bytes = ALL[which].as_bytes().to_vec();
        for (at, removed, inserted) in edits {
            let start = at.index(bytes.len());
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, inserted.into_bytes());
        }
        exercise(&String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn shuffled_lines_never_panic(
        which in 0..ALL.len(),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
    ) {
        let mut lines: Vec<&str> = ALL[which].lines().collect();
        for (from, to) in moves {
            let (from, to) = (from.index(lines.len()), to.index(lines.len()));
            lines.swap(from, to);
        }
        exercise(&(lines.join("\r\n") + "\r\n"));
    }
}
