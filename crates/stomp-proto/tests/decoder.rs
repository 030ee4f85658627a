//! The decoder at its public face: a table of the specification's rules, and the property that the way bytes
//! are split makes no difference.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use stomp_proto::{Command, DecodeError, Decoder, Frame, Item, Limits, Version};

/// Everything that comes out of `pieces`, and how it ended.
fn decode(version: Option<Version>, pieces: &[&[u8]]) -> (Vec<Item>, Option<DecodeError>) {
    let mut decoder = Decoder::new(Limits { body: 64, headers: 4, header_line: 40, head: 100 });
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let mut items = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_item() {
                // How many come as one depends on the pieces.
                Ok(Some(Item::HeartBeat)) if items.last() == Some(&Item::HeartBeat) => {}
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fn frames(version: Version, bytes: &[u8]) -> Vec<Frame> {
    let (items, error) = decode(Some(version), &[bytes]);
    assert_eq!(error, None, "{:?}", String::from_utf8_lossy(bytes));
    items
        .into_iter()
        .filter_map(|item| match item {
            Item::Frame(frame) => Some(frame),
            Item::HeartBeat => None,
        })
        .collect()
}

fn error(version: Version, bytes: &[u8]) -> Option<DecodeError> {
    decode(Some(version), &[bytes]).1
}

#[test]
fn line_ends_are_lf_or_crlf() {
    let want = Frame::new(Command::Send).header("destination", "/a").with_body("x");
    for bytes in [&b"SEND\ndestination:/a\n\nx\0"[..], b"SEND\r\ndestination:/a\r\n\r\nx\0"] {
        assert_eq!(frames(Version::V1_2, bytes), std::slice::from_ref(&want));
    }
    assert_eq!(decode(None, &[b"SEND\r\ndestination:/a\n\r\nx\0"]).0, [Item::Frame(want)]);
    // 1.1 has LF only: a CR belongs to the value.
    let values = frames(Version::V1_1, b"SEND\na:b\r\n\n\0");
    assert_eq!(values[0].headers.get("a"), Some("b\r"));
}

#[test]
fn line_ends_between_frames_are_heart_beats() {
    let (items, _) = decode(None, &[b"\n\r\nBEGIN\ntransaction:1\n\n\0\n"]);
    let beats = items.iter().filter(|item| **item == Item::HeartBeat).count();
    assert_eq!((items.len(), beats), (3, 2));
    let mut decoder = Decoder::new(Limits::CLIENT);
    decoder.feed(&b"\n\r\n".repeat(40_000));
    assert_eq!(decoder.next_item(), Ok(Some(Item::HeartBeat)));
    assert_eq!(decoder.next_item(), Ok(None), "a flood is one step");
}

#[test]
fn a_content_length_is_exact_and_covers_nul() {
    let got = frames(Version::V1_2, b"SEND\ncontent-length:3\n\n\0a\0\0SEND\n\nb\0");
    assert_eq!(got.iter().map(|frame| &frame.body[..]).collect::<Vec<_>>(), [&b"\0a\0"[..], b"b"]);
    assert_eq!(error(Version::V1_2, b"SEND\ncontent-length:1\n\nab\0"), Some(DecodeError::MissingNul));
    for bad in ["", "-1", "+1", "1 ", "x", "1.0"] {
        let bytes = format!("SEND\ncontent-length:{bad}\n\na\0");
        assert_eq!(error(Version::V1_2, bytes.as_bytes()), Some(DecodeError::BadContentLength), "{bad:?}");
    }
}

#[test]
fn escapes_are_those_of_the_version_and_not_in_connect() {
    let value = |version, bytes: &[u8]| frames(version, bytes)[0].headers.get("a").map(str::to_owned);
    assert_eq!(value(Version::V1_2, b"SEND\na:\\r\\n\\c\\\\\n\n\0").as_deref(), Some("\r\n:\\"));
    assert_eq!(value(Version::V1_1, b"SEND\na:\\n\\c\\\\\n\n\0").as_deref(), Some("\n:\\"));
    assert_eq!(value(Version::V1_0, b"SEND\na: \\n \n\n\0").as_deref(), Some("\\n"));
    assert_eq!(value(Version::V1_2, b"CONNECT\na:\\n\\x:b\n\n\0").as_deref(), Some("\\n\\x:b"));
    assert_eq!(value(Version::V1_2, b"STOMP\na:\\n\n\n\0").as_deref(), Some("\\n"));
    assert_eq!(value(Version::V1_2, b"SEND\na: b \n\n\0").as_deref(), Some(" b "));
    for bad in [&b"SEND\na:\\t\n\n\0"[..], b"SEND\na:\\\n\n\0", b"SEND\n\\x:a\n\n\0"] {
        assert_eq!(error(Version::V1_2, bad), Some(DecodeError::UndefinedEscape(Command::Send)));
    }
    assert_eq!(error(Version::V1_1, b"SEND\na:\\r\n\n\0"), Some(DecodeError::UndefinedEscape(Command::Send)));
}

#[test]
fn the_first_of_repeated_headers_counts() {
    let got = frames(Version::V1_2, b"SEND\na:1\na:2\ncontent-length:1\ncontent-length:9\n\nx\0");
    assert_eq!((got[0].headers.get("a"), &got[0].body[..]), (Some("1"), &b"x"[..]));
}

#[test]
fn limits_and_malformed_bytes_are_errors() {
    let long = "x".repeat(41);
    let table: Vec<(Vec<u8>, DecodeError)> = vec![
        (b"HELLO\n".into(), DecodeError::UnknownCommand("HELLO".into())),
        (b"send\n".into(), DecodeError::UnknownCommand("send".into())),
        (b"\0".into(), DecodeError::NulInHead),
        (vec![b'A'; 100], DecodeError::UnknownCommand("A".repeat(32))),
        (b"\rSEND\n".into(), DecodeError::UnknownCommand("\rSEND".into())),
        (b"SEND\n\0".into(), DecodeError::NulInHead),
        (b"SEND\na:b\0".into(), DecodeError::NulInHead),
        (b"SEND\nab\n".into(), DecodeError::MalformedHeader(Command::Send)),
        (b"SEND\n:b\n".into(), DecodeError::MalformedHeader(Command::Send)),
        (b"SEND\na:b\rc\n".into(), DecodeError::MalformedHeader(Command::Send)),
        (b"SEND\na:\xff\n".into(), DecodeError::HeaderNotUtf8(Command::Send)),
        (format!("SEND\n{long}:\n").into(), DecodeError::HeaderTooLong(40)),
        (format!("SEND\n{long}{long}").into(), DecodeError::HeaderTooLong(40)),
        (b"SEND\na:\nb:\nc:\nd:\ne:\n".into(), DecodeError::TooManyHeaders(4)),
        (
            format!("SEND\n{}", format!("a:{}\n", "x".repeat(32)).repeat(3)).into(),
            DecodeError::HeadTooLong(100),
        ),
        (b"SEND\ncontent-length:65\n\n".into(), DecodeError::BodyTooLarge(64)),
        (b"SEND\ncontent-length:99999999999999999999\n\n".into(), DecodeError::BodyTooLarge(64)),
        (format!("SEND\n\n{long}{long}").into(), DecodeError::BodyTooLarge(64)),
        (b"BEGIN\n\nx\0".into(), DecodeError::UnexpectedBody(Command::Begin)),
        (b"BEGIN\ncontent-length:1\n\nx\0".into(), DecodeError::UnexpectedBody(Command::Begin)),
    ];
    for (bytes, want) in table {
        assert_eq!(error(Version::V1_2, &bytes), Some(want), "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = Decoder::new(Limits::CLIENT);
    decoder.feed(b"HELLO\n");
    let first = decoder.next_item();
    decoder.feed(b"SEND\n\n\0");
    assert!(first.is_err());
    assert_eq!(decoder.next_item(), first);
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let command = prop_oneof![
        Just(Command::Send),
        Just(Command::Subscribe),
        Just(Command::Message),
        Just(Command::Error),
        Just(Command::Connect),
    ];
    // Connect cannot express the special characters in names and values.
    let special = "[a-z:\\\\\r\n ]{1,6}";
    let header = ("[a-z]{1,6}", prop_oneof!["[a-zé]{0,8}".boxed(), special.boxed()]);
    let body = proptest::collection::vec(any::<u8>(), 0..64);
    (command, proptest::collection::vec(header, 0..3), body).prop_map(|(command, headers, body)| {
        let mut frame = Frame::new(command);
        for (name, value) in headers {
            let value = if command.is_escaped() { value } else { value.replace(['\r', '\n'], "") };
            frame.headers.push(name, value);
        }
        if command.has_body() { frame.with_body(body) } else { frame }
    })
}

/// Bytes cut at `cuts`, each a share of the whole.
fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(12), ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_however_it_is_split(
        frames in proptest::collection::vec(any_frame(), 1..5),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(Version::V1_2)).collect();
        let (items, error) = decode(Some(Version::V1_2), &split(&bytes, &cuts));
        prop_assert_eq!(error, None);
        prop_assert_eq!(items.len(), frames.len());
        for (item, want) in items.iter().zip(&frames) {
            let Item::Frame(got) = item else { panic!("a heart-beat came out of nothing") };
            let headers: Vec<_> = got.headers.iter().filter(|(name, _)| *name != "content-length").collect();
            prop_assert_eq!(got.command, want.command);
            prop_assert_eq!(headers, want.headers.iter().collect::<Vec<_>>());
            prop_assert_eq!(&got.body, &want.body);
        }
    }

    #[test]
    fn any_bytes_give_the_same_in_any_split(
        bytes in proptest::collection::vec(prop_oneof![
            Just(b"SEND\n".to_vec()), Just(b"CONNECT\r\n".to_vec()), Just(b"content-length:3\n".to_vec()),
            Just(b"\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"\0".to_vec()), Just(b"a:b\\c\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..20), Just(vec![b'y'; 50]),
        ], 0..12).prop_map(|pieces| pieces.concat()),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        version in prop_oneof![Just(None), Just(Some(Version::V1_0)), Just(Some(Version::V1_1)),
            Just(Some(Version::V1_2))],
    ) {
        prop_assert_eq!(decode(version, &[&bytes]), decode(version, &split(&bytes, &cuts)));
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode(version, &[&bytes]), decode(version, &singles));
    }
}
