//! Offers of a call: every m-line named as a slot of either kind, or as a source; answers that we can read ourselves.
#![no_main]

use rtp::MediaKind;
use transport::sdp::{
    Answer, Local, Offer, PublishOptions, Slot, SlotStream, Source, answer_publish, answer_slots,
};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(offer) = Offer::parse(text) else { return };
    let local = Local {
        session_id: 1,
        version: 1,
        ice: transport::IceCredentials { ufrag: "abcdefgh".into(), pwd: "0123456789abcdefghijklmn".into() },
        fingerprint: "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"
            .parse()
            .expect("it is one"),
        addresses: vec![([192, 0, 2, 1], 7000).into()],
        tcp_addresses: Vec::new(),
    };
    let mids: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("a=mid:")).collect();
    let slot = |(number, mid): (usize, &&str), kind| Slot {
        mid: (*mid).to_owned(),
        kind,
        stream: SlotStream {
            group: "stage".into(),
            id: format!("track-{number}"),
            ssrc: 1_000 + 2 * number as u32,
            rtx_ssrc: 1_001 + 2 * number as u32,
        },
    };
    for kinds in [[MediaKind::Audio; 2], [MediaKind::Video; 2], [MediaKind::Audio, MediaKind::Video]] {
        let named = mids.iter().enumerate().zip(kinds.into_iter().cycle());
        let slots: Vec<Slot> = named.map(|(at, kind)| slot(at, kind)).collect();
        for slots in [&slots[..], slots.get(..1).unwrap_or_default()] {
            if let Ok(answer) = answer_slots(&offer, &local, "cname", slots) {
                assert_eq!(answer.slots.len(), slots.len());
                Answer::parse(&answer.text).expect("our answers are answers");
            }
        }
    }
    let sources = [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio];
    let named = mids.iter().map(|mid| (*mid).to_owned()).zip(sources).collect();
    let options = PublishOptions { sources: Some(named), redundancy: true, ..PublishOptions::default() };
    if let Ok(answer) = answer_publish(&offer, &local, &options) {
        Answer::parse(&answer.text).expect("our answers are answers");
    }
});
