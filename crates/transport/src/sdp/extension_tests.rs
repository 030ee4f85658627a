//! Header extensions in offers as browsers wrote them, and with other ids and in another order.

use rtp::Extension;

use super::tests::{
    CHROMIUM_PLAY, CHROMIUM_PUBLISH, CHROMIUM_SIMULCAST, FIREFOX_PLAY, FIREFOX_PUBLISH, FIREFOX_SIMULCAST,
    four_tracks, lines, local, play, publish,
};
use super::*;

const MIXED: &str = "a=extmap-allow-mixed\r\n";

/// What is agreed for the picture.
fn of_video(answer: &PublishAnswer) -> Vec<(Extension, u8)> {
    let video = answer.media.iter().find(|media| media.source == Source::Camera).expect("a camera");
    video.extensions.iter().collect()
}

/// The `a=extmap` lines of each m-line turned around.
fn reversed(text: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut held: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with("a=extmap:") {
            held.push(line);
        } else {
            out.extend(held.drain(..).rev());
            out.push(line);
        }
    }
    out.extend(held.drain(..).rev());
    out.concat()
}

#[test]
fn a_publisher_is_asked_for_every_extension_that_it_offers_and_we_know() {
    use Extension::*;
    let chromium = [
        (Mid, 4),
        (Rid, 10),
        (RepairedRid, 11),
        (AbsSendTime, 2),
        (VideoOrientation, 13),
        (TransportCc, 3),
        (PlayoutDelay, 5),
        (ColorSpace, 8),
        (VideoContentType, 6),
    ];
    assert_eq!(of_video(&publish(CHROMIUM_PUBLISH)), chromium);
    // What Firefox would only receive is not asked for.
    assert_eq!(of_video(&publish(FIREFOX_PUBLISH)), [(Mid, 3), (AbsSendTime, 4), (TransportCc, 7)]);
    let answer = publish(CHROMIUM_PUBLISH);
    for (extension, id) in chromium {
        assert_eq!(lines(&answer.text, &format!("a=extmap:{id} {}", extension.uri())).len(), {
            let sound = [Mid, AbsSendTime, TransportCc].contains(&extension);
            1 + usize::from(sound && answer.media[0].extensions.id(extension).is_some())
        });
    }
}

#[test]
fn a_viewer_gets_every_extension_but_those_of_simulcast() {
    use Extension::*;
    let answer = play(CHROMIUM_PLAY, &four_tracks(CodecFormat::Vp8));
    let agreed: Vec<_> = answer.extensions.iter().collect();
    let expected = [
        (Mid, 4),
        (AbsSendTime, 2),
        (AudioLevel, 1),
        (VideoOrientation, 13),
        (TransportCc, 3),
        (PlayoutDelay, 5),
        (ColorSpace, 8),
        (VideoContentType, 6),
    ];
    assert_eq!(agreed, expected);
    // Firefox offers the delay as one that it receives; the answer says that we send it.
    let answer = play(FIREFOX_PLAY, &four_tracks(CodecFormat::Vp8));
    assert!(answer.extensions.id(PlayoutDelay).is_some());
    let uri = PlayoutDelay.uri();
    let written: Vec<&str> = answer.text.lines().filter(|line| line.ends_with(uri)).collect();
    assert!(!written.is_empty() && written.iter().all(|line| line.contains("/sendonly ")), "{written:?}");
}

#[test]
fn the_order_of_the_lines_says_nothing() {
    for text in [CHROMIUM_PUBLISH, CHROMIUM_SIMULCAST, FIREFOX_SIMULCAST] {
        let turned = reversed(text);
        assert_ne!(turned, text);
        assert_eq!(publish(&turned).extensions, publish(text).extensions);
    }
    let tracks = four_tracks(CodecFormat::H264(H264Profile::ConstrainedBaseline));
    let turned = reversed(CHROMIUM_PLAY);
    assert_eq!(play(&turned, &tracks).extensions, play(CHROMIUM_PLAY, &tracks).extensions);
}

#[test]
fn high_ids_are_agreed_on_where_the_two_byte_form_is_understood() {
    let high = CHROMIUM_PUBLISH.replace("a=extmap:4 urn", "a=extmap:40 urn");
    let answer = publish(&high);
    assert_eq!(answer.extensions.id(Extension::Mid), Some(40));
    assert_eq!(
        lines(&answer.text, "a=extmap:40 urn:ietf:params:rtp-hdrext:sdes:mid").len(),
        answer.media.len()
    );
    assert_eq!(publish(&high.replace(MIXED, "")).extensions.id(Extension::Mid), None);

    let high = CHROMIUM_PLAY.replace("a=extmap:3 http", "a=extmap:255 http");
    let tracks = four_tracks(CodecFormat::Vp8);
    assert_eq!(play(&high, &tracks).extensions.id(Extension::TransportCc), Some(255));
    let answer = play(&high.replace(MIXED, ""), &tracks);
    assert_eq!(answer.extensions.id(Extension::TransportCc), None);
    assert!(!answer.text.contains("transport-cc"), "nor the feedback that would need it");

    for reserved in ["a=extmap:15 urn", "a=extmap:0 urn", "a=extmap:4096 urn"] {
        let text = CHROMIUM_PUBLISH.replace("a=extmap:4 urn", reserved);
        assert_eq!(publish(&text).extensions.id(Extension::Mid), None, "{reserved}");
    }
}

#[test]
fn what_may_be_long_needs_the_two_byte_form() {
    let tracks = four_tracks(CodecFormat::Vp8);
    let plain = CHROMIUM_PLAY.replace(MIXED, "");
    assert_eq!(play(&plain, &tracks).extensions.id(Extension::ColorSpace), None, "28 bytes with HDR");
    assert_eq!(play(&plain, &tracks).extensions.id(Extension::PlayoutDelay), Some(5));
}

#[test]
fn every_extension_can_be_agreed_on() {
    for extension in Extension::ALL {
        let uri = extension.uri();
        // In the place of one that we do not know.
        let line = format!("a=extmap:14 {uri}\r\n");
        let text: String = CHROMIUM_PUBLISH
            .split_inclusive('\n')
            .filter(|line| !line.trim_end().ends_with(uri))
            .map(|kept| if kept.starts_with("a=extmap:14 ") { line.as_str() } else { kept })
            .collect();
        assert!(of_video(&publish(&text)).contains(&(extension, 14)), "{extension:?}");
    }
}

#[test]
fn an_extension_with_a_direction_counts_one_way() {
    // Firefox: `a=extmap:9/sendonly ...rtp-stream-id`.
    let offer = Offer::parse(FIREFOX_SIMULCAST).unwrap();
    let video = &offer.media[1];
    assert_eq!(video.extensions(true).id(Extension::Rid), Some(9));
    assert_eq!(video.extensions(true).id(Extension::RepairedRid), Some(10));
    assert_eq!(video.extensions(false).id(Extension::Rid), None);
    let answer = publish(FIREFOX_SIMULCAST).text;
    assert!(answer.contains("a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"));
}

#[test]
fn extensions_and_transport_feedback_can_be_left_out() {
    let offer = Offer::parse(CHROMIUM_SIMULCAST).unwrap();
    let options = PublishOptions {
        extensions: vec![Extension::Mid, Extension::Rid],
        start_bitrate_kbps: None,
        ..PublishOptions::default()
    };
    let answer = answer_publish(&offer, &local(), &options).unwrap();
    assert!(!answer.text.contains("transport-cc"));
    assert!(!answer.text.contains("x-google"));
    assert_eq!(answer.extensions.iter().collect::<Vec<_>>(), [(Extension::Mid, 4), (Extension::Rid, 10)]);
    assert_eq!(answer.extensions.extension(10), Some(Extension::Rid));
}

#[test]
fn the_dependency_descriptor_needs_long_header_extensions() {
    let uri = Extension::DependencyDescriptor.uri();
    for text in [CHROMIUM_SIMULCAST, FIREFOX_SIMULCAST] {
        let answer = publish(text);
        assert!(answer.extensions.id(Extension::DependencyDescriptor).is_some());
        assert_eq!(lines(&answer.text, "a=extmap-allow-mixed").len(), 1);
        let answer = publish(&text.replace("a=extmap-allow-mixed\r\n", ""));
        assert_eq!(answer.extensions.id(Extension::DependencyDescriptor), None);
        assert!(lines(&answer.text, "a=extmap-allow-mixed").is_empty() && !answer.text.contains(uri));
    }
    // Chromium's viewers get it when their page asks for it, in every codec.
    let asked = CHROMIUM_PLAY.replace("http://www.webrtc.org/experiments/rtp-hdrext/playout-delay", uri);
    let short = asked.replace("a=extmap-allow-mixed\r\n", "");
    let baseline = CodecFormat::H264(H264Profile::ConstrainedBaseline);
    for format in [CodecFormat::Vp8, CodecFormat::Vp9, baseline, CodecFormat::Av1] {
        let tracks = four_tracks(format);
        let id = |text: &str| play(text, &tracks).extensions.id(Extension::DependencyDescriptor);
        assert!(id(&asked).is_some(), "{format:?}");
        assert_eq!((id(&short), id(CHROMIUM_PLAY)), (None, None), "{format:?}");
    }
}
