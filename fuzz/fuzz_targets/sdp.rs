//! Offers, answers to them that we can read ourselves, and trickled fragments.
#![no_main]

use transport::sdp::{
    Answer, Candidate, CodecFormat, Fragment, Local, Offer, PlayTrack, PublishOptions, Source, answer_play,
    answer_publish,
};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Candidate::parse(text);
    if let Ok(fragment) = Fragment::parse(text) {
        assert!(Fragment::parse(&fragment.to_text()).is_ok());
    }
    let _ = Answer::parse(text);
    let Ok(offer) = Offer::parse(text) else { return };
    let local = Local {
        session_id: 1,
        version: 1,
        ice: transport::IceCredentials { ufrag: "abcdefgh".into(), pwd: "0123456789abcdefghijklmn".into() },
        fingerprint: "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"
            .parse()
            .expect("it is one"),
        addresses: vec![([192, 0, 2, 1], 7000).into()],
        tcp_addresses: vec![([192, 0, 2, 1], 7000).into()],
    };
    if let Ok(answer) = answer_publish(&offer, &local, &PublishOptions::default()) {
        Answer::parse(&answer.text).expect("our answers are answers");
    }
    let track = |source, format, ssrc| PlayTrack {
        id: "track".into(),
        owner: "owner".into(),
        source,
        format,
        ssrc,
        rtx_ssrc: ssrc + 1,
    };
    let tracks =
        [track(Source::Microphone, CodecFormat::Opus, 10), track(Source::Camera, CodecFormat::Vp8, 20)];
    if let Ok(answer) = answer_play(&offer, &local, &tracks) {
        Answer::parse(&answer.text).expect("our answers are answers");
    }
});
