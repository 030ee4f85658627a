//! The connections of a call: small and large offers, and what is refused.

use std::collections::HashSet;

use rtp::MediaKind;

use super::tests::{CHROMIUM_PLAY, FIREFOX_PLAY, lines, local};
use super::*;

const CHROMIUM_DATA: &str = include_str!("fixtures/chromium_play_sendrecv_data.sdp");
const FIREFOX_DATA: &str = include_str!("fixtures/firefox_play_sendrecv_data.sdp");
const CHROMIUM_FOUR: &str = include_str!("fixtures/chromium_publish_four.sdp");
const CHROMIUM_SIMULCAST: &str = include_str!("fixtures/chromium_publish_simulcast.sdp");
const FIREFOX_FOUR: &str = include_str!("fixtures/firefox_publish_four.sdp");

/// An offer with `video` and `audio` m-lines like those of a browser's, and its data channel.
fn receive_offer(browser: &str, with_data: &str, video: usize, audio: usize) -> String {
    let parts = |text: &str| -> Vec<String> {
        let text = text.replace("\r\n", "\n");
        let mut parts = text.split("\nm=").map(str::to_owned);
        let head = parts.next().unwrap();
        std::iter::once(head).chain(parts.map(|part| format!("m={part}"))).collect()
    };
    let lines = parts(browser);
    let of = |kind: &str| {
        // The last of its kind: the first has the candidates.
        lines.iter().rev().find(|part| part.starts_with(kind)).unwrap().trim_end().to_owned()
    };
    let data = parts(with_data).into_iter().find(|part| part.starts_with("m=application")).unwrap();
    let transport = |part: &str, from: &str| -> String {
        // The data channel is of the same transport as the rest.
        let own = |key: &str| from.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        let line = |line: &str| {
            let keys = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint"];
            let key = keys.iter().find(|key| line.starts_with(**key));
            key.and_then(|key| own(key)).unwrap_or_else(|| line.to_owned())
        };
        part.lines().filter(|line| !line.starts_with("a=candidate")).map(line).collect::<Vec<_>>().join("\n")
    };
    let kinds = std::iter::repeat_n("m=audio", audio).chain(std::iter::repeat_n("m=video", video));
    let mut media: Vec<String> = kinds.map(of).collect();
    media.push(transport(data.trim_end(), browser));
    let named = media.iter().enumerate().map(|(index, part)| {
        let line = |line: &str| match line {
            line if line.starts_with("a=mid:") => format!("a=mid:{index}"),
            line if line.starts_with("m=") => line.replacen(" 0 ", " 9 ", 1),
            line => line.to_owned(),
        };
        // What receives names SSRCs for its reports only: they would be named twice.
        let is_own = |line: &&str| *line != "a=bundle-only" && !line.starts_with("a=ssrc");
        part.lines().filter(is_own).map(line).collect::<Vec<_>>().join("\n")
    });
    let mids: Vec<String> = (0..media.len()).map(|index| index.to_string()).collect();
    let head = lines[0].lines().map(|line| match line.starts_with("a=group:BUNDLE") {
        true => format!("a=group:BUNDLE {}", mids.join(" ")),
        false => line.to_owned(),
    });
    let text: Vec<String> = head.chain(named).collect();
    format!("{}\n", text.join("\n")).replace('\n', "\r\n")
}

/// Slots for an offer of [`receive_offer`]: the first voice is in sync with the first picture.
fn slots(video: usize, audio: usize) -> Vec<Slot> {
    let slot = |index: usize| Slot {
        mid: index.to_string(),
        kind: if index < audio { MediaKind::Audio } else { MediaKind::Video },
        stream: SlotStream {
            group: if index == 0 || index == audio { "stage".into() } else { format!("slot-{index}") },
            id: format!("slot-{index}-track"),
            ssrc: 1_000 + 2 * index as u32,
            rtx_ssrc: 1_001 + 2 * index as u32,
        },
    };
    (0..video + audio).map(slot).collect()
}

fn answer(text: &str, slots: &[Slot]) -> Result<SlotsAnswer, SdpError> {
    answer_slots(&Offer::parse(text)?, &local(), "cname-of-the-connection", slots)
}

#[test]
fn each_slot_has_streams_of_its_own_and_one_clock() {
    for (name, browser, data) in
        [("chromium", CHROMIUM_PLAY, CHROMIUM_DATA), ("firefox", FIREFOX_PLAY, FIREFOX_DATA)]
    {
        // A phone, a desktop, and more than anybody needs; with voices and the sound of a screen.
        for (video, audio) in [(1, 1), (8, 4), (15, 5), (20, 4)] {
            let text = receive_offer(browser, data, video, audio);
            assert!(text.len() < MAX_SDP_LEN, "{name} {video}+{audio}: {}", text.len());
            let slots = slots(video, audio);
            let answer = answer(&text, &slots).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            assert!(answer.text.len() < 48 * 1024, "{}", answer.text.len());
            assert!(answer.data.is_some() && answer.text.contains("webrtc-datachannel"));
            assert_eq!(answer.slots.len(), slots.len());
            let parsed = Answer::parse(&answer.text).unwrap();
            assert_eq!(parsed.media.len(), slots.len() + 1);
            let mut ssrcs = HashSet::new();
            for (slot, agreed) in slots.iter().zip(&answer.slots) {
                assert_eq!((agreed.mid.as_str(), agreed.ssrc), (slot.mid.as_str(), slot.stream.ssrc));
                let section = &parsed.media[agreed.index];
                assert_eq!(section.direction, Direction::SendOnly);
                let msid = section.msid.clone().unwrap();
                assert_eq!(msid.stream, slot.stream.group);
                assert_eq!(msid.track.as_deref(), Some(slot.stream.id.as_str()));
                assert!(ssrcs.insert(agreed.ssrc) && agreed.rtx_ssrc.is_none_or(|rtx| ssrcs.insert(rtx)));
                let video = slot.kind == MediaKind::Video;
                assert_eq!(agreed.rtx_ssrc.is_some(), video, "{name}");
                let first = if video { CodecFormat::Vp8 } else { CodecFormat::Opus };
                assert_eq!(agreed.codecs[0].format, first);
                let names: Vec<&str> = agreed.codecs.iter().map(|codec| codec.format.name()).collect();
                assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "one of each codec");
            }
            let cnames: HashSet<String> = lines(&answer.text, "a=ssrc:")
                .into_iter()
                .filter_map(|line| Some(line.split_once("cname:")?.1.to_owned()))
                .collect();
            assert_eq!(cnames, HashSet::from(["cname-of-the-connection".to_owned()]));
            assert!(answer.extensions.id(rtp::Extension::Mid).is_some());
        }
    }
}

#[test]
fn what_is_not_named_is_rejected_and_what_is_not_there_refused() {
    let text = receive_offer(CHROMIUM_PLAY, CHROMIUM_DATA, 3, 2);
    let all = slots(3, 2);
    let some = answer(&text, &all[1..4]).unwrap();
    let parsed = Answer::parse(&some.text).unwrap();
    let rejected: Vec<bool> = parsed.media.iter().map(|section| section.rejected).collect();
    assert_eq!(rejected, [true, false, false, false, true, false]);
    assert!(some.text.contains("a=group:BUNDLE 1 2 3 5"), "{}", some.text);
    let refused = |slots: &[Slot]| answer(&text, slots).unwrap_err();
    let no_such = |mid: &str, kind| SdpError::NoSuchMedia { mid: mid.into(), does: "receive", kind };
    assert_eq!(refused(&[]), SdpError::NoUsableMedia);
    assert_eq!(refused(&[all[2].clone(), all[2].clone()]), no_such("2", "video"), "named twice");
    let other = |mid: &str, kind| Slot { mid: mid.into(), kind, ..all[0].clone() };
    assert_eq!(refused(&[other("2", MediaKind::Audio)]), no_such("2", "audio"), "of the other kind");
    assert_eq!(refused(&[other("5", MediaKind::Video)]), no_such("5", "video"), "a data channel");
    assert_eq!(refused(&[other("9", MediaKind::Video)]), no_such("9", "video"));
    assert_eq!(refused(&[other("", MediaKind::Video)]), no_such("", "video"));
    let sends = CHROMIUM_FOUR.replace("a=sendrecv", "a=sendonly");
    let offer = Offer::parse(&sends).unwrap();
    let error = answer_slots(&offer, &local(), "c", &[other("1", MediaKind::Video)]).unwrap_err();
    assert_eq!(error, no_such("1", "video"), "it does not receive");
}

fn call(sources: &[(&str, Source)]) -> PublishOptions {
    let sources = sources.iter().map(|(mid, source)| ((*mid).to_owned(), *source)).collect();
    PublishOptions {
        sources: Some(sources),
        picture_codecs: vec![CodecFormat::Vp8],
        data_channels: false,
        ..PublishOptions::default()
    }
}

#[test]
fn a_call_names_what_it_publishes() {
    let named =
        [("0", Source::ScreenAudio), ("1", Source::Screen), ("2", Source::Camera), ("3", Source::Microphone)];
    for text in [CHROMIUM_FOUR, FIREFOX_FOUR] {
        let offer = Offer::parse(text).unwrap();
        let answer = answer_publish(&offer, &local(), &call(&named)).unwrap();
        let sources: Vec<(&str, Source)> =
            answer.media.iter().map(|media| (media.mid.as_str(), media.source)).collect();
        assert_eq!(sources, named);
        let pictures = answer.media.iter().filter(|media| media.kind == MediaKind::Video);
        assert!(
            pictures.clone().count() == 2 && pictures.clone().all(|m| m.codec.format == CodecFormat::Vp8)
        );
        let some = answer_publish(&offer, &local(), &call(&named[2..])).unwrap();
        let parsed = Answer::parse(&some.text).unwrap();
        let rejected: Vec<bool> = parsed.media.iter().map(|section| section.rejected).collect();
        assert_eq!(rejected, [true, true, false, false]);
    }
    let simulcast = Offer::parse(CHROMIUM_SIMULCAST).unwrap();
    let answer = answer_publish(&simulcast, &local(), &call(&[("1", Source::Camera)])).unwrap();
    assert_eq!(answer.media[0].rids.len(), 3);
}

#[test]
fn a_publisher_may_be_told_to_change_between_the_codecs_that_are_named() {
    let baseline = CodecFormat::H264(H264Profile::ConstrainedBaseline);
    let options = PublishOptions {
        picture_codecs: vec![CodecFormat::Vp8, baseline],
        ..call(&[("1", Source::Camera), ("0", Source::Microphone)])
    };
    for (text, others) in [(CHROMIUM_SIMULCAST, 1), (FIREFOX_FOUR, 0)] {
        let offer = Offer::parse(text).unwrap();
        let sources = if others == 0 {
            vec![("2".to_owned(), Source::Camera)]
        } else {
            options.sources.clone().unwrap()
        };
        let options = PublishOptions { sources: Some(sources), ..options.clone() };
        let answer = answer_publish(&offer, &local(), &options).unwrap();
        let camera = answer.media.iter().find(|media| media.source == Source::Camera).unwrap();
        assert_eq!((camera.codec.format, camera.others.len()), (CodecFormat::Vp8, others));
        assert!(camera.others.iter().all(|codec| codec.format == baseline && codec.rtx.is_some()));
        assert!(answer.media.iter().all(|media| media.kind == MediaKind::Video || media.others.is_empty()));
        // The first is what browsers send.
        let types: Vec<String> =
            [&camera.codec].into_iter().chain(&camera.others).map(|c| c.payload_type.to_string()).collect();
        let line = answer.text.lines().find(|line| line.starts_with("m=video 9")).unwrap();
        let after: Vec<&str> = line.split(' ').skip(3).collect();
        assert_eq!(after.first().copied(), Some(types[0].as_str()), "{line}");
        assert!(types.iter().all(|number| after.contains(&number.as_str())), "{line}");
        for agreed in &camera.others {
            assert!(answer.text.contains(&format!("a=rtpmap:{} H264/90000", agreed.payload_type)));
        }
    }
}

#[test]
fn pictures_are_in_another_codec_only_where_vp8_is_not_offered() {
    let without: String = CHROMIUM_FOUR.replace(" VP8/90000", " VP7/90000");
    let offer = Offer::parse(&without).unwrap();
    let answer = answer_publish(&offer, &local(), &call(&[("1", Source::Camera)])).unwrap();
    assert!(matches!(answer.media[0].codec.format, CodecFormat::H264(_)));
}

#[test]
fn sources_that_an_offer_does_not_send_are_refused() {
    let offer = Offer::parse(CHROMIUM_FOUR).unwrap();
    let refused = |sources: &[(&str, Source)]| answer_publish(&offer, &local(), &call(sources)).unwrap_err();
    let no_such = |mid: &str, kind| SdpError::NoSuchMedia { mid: mid.into(), does: "send", kind };
    assert_eq!(refused(&[]), SdpError::NoUsableMedia);
    assert_eq!(refused(&[("1", Source::Microphone)]), no_such("1", "audio"), "of the other kind");
    assert_eq!(refused(&[("9", Source::Camera)]), no_such("9", "video"));
    assert_eq!(refused(&[("1", Source::Camera), ("2", Source::Camera)]), no_such("2", "video"), "twice");
    assert_eq!(refused(&[("1", Source::Camera), ("1", Source::Screen)]), no_such("1", "video"), "twice");
    let receives = Offer::parse(CHROMIUM_PLAY).unwrap();
    let error = answer_publish(&receives, &local(), &call(&[("1", Source::Camera)])).unwrap_err();
    assert_eq!(error, no_such("1", "video"), "it does not send");
    let data = Offer::parse(CHROMIUM_DATA).unwrap();
    let answer = answer_publish(&data, &local(), &call(&[("1", Source::Camera)])).unwrap();
    assert!(
        answer.data.is_none() && !answer.text.contains("webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice")
    );
}

#[test]
fn redundant_audio_is_agreed_on_where_both_have_it() {
    let publish = |text: &str, redundancy| {
        let options = PublishOptions { redundancy, ..PublishOptions::default() };
        answer_publish(&Offer::parse(text).unwrap(), &local(), &options).unwrap()
    };
    let answer_of = |text: &str, redundancy| {
        let answer = publish(text, redundancy);
        let audio = answer.text.lines().find(|line| line.starts_with("m=audio 9")).unwrap().to_owned();
        let agreed: Vec<Option<u8>> = answer
            .media
            .iter()
            .map(|media| media.redundancy.as_ref().and_then(PayloadFormat::redundant))
            .collect();
        (audio.split(' ').skip(3).collect::<Vec<_>>().join(" "), agreed, answer.text)
    };
    let (formats, agreed, text) = answer_of(CHROMIUM_FOUR, true);
    assert_eq!(
        (formats.as_str(), agreed),
        ("63 111", vec![Some(111), None, None, None]),
        "of the microphone alone"
    );
    for line in ["a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=rtpmap:111 opus/48000/2"] {
        assert_eq!(text.matches(line).count(), if line.contains("opus") { 2 } else { 1 }, "{line}");
    }
    assert_eq!(answer_of(CHROMIUM_FOUR, false).0, "111", "not where nobody asks for it");
    assert!(answer_of(FIREFOX_FOUR, true).1.iter().all(Option::is_none), "it has none");
    for (of, found) in
        [("111/111", true), ("111", true), ("111/111/111", true), ("0/5", false), ("112/112", false)]
    {
        let other = CHROMIUM_FOUR.replace("111/111", of);
        assert_eq!(answer_of(&other, true).1[0].is_some(), found, "{of}");
    }
    // Slots: sound goes out as it came.
    let chromium = receive_offer(CHROMIUM_PLAY, CHROMIUM_DATA, 2, 2);
    let answered = answer(&chromium, &slots(2, 2)).unwrap();
    for slot in &answered.slots[..2] {
        let types: Vec<(u8, Option<u8>)> =
            slot.codecs.iter().map(|codec| (codec.payload_type, codec.redundant())).collect();
        assert_eq!(types, [(111, None), (63, Some(111))]);
    }
    assert!(
        answered.slots[2..].iter().all(|slot| slot.codecs.iter().all(|codec| codec.redundant().is_none()))
    );
    assert_eq!(answered.text.matches("a=fmtp:63 111/111").count(), 2);
    let firefox = receive_offer(FIREFOX_PLAY, FIREFOX_DATA, 1, 1);
    assert!(!answer(&firefox, &slots(1, 1)).unwrap().text.contains("red/"));
}
