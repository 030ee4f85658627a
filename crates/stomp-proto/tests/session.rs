//! The server session at its public face, and the client session against it.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use stomp_proto::client::{self, Client};
use stomp_proto::session::{
    self, Close, Config, Event, FRAME_TIMEOUT, MAX_ID_LEN, MAX_QUEUED_ANSWER_BYTES, MAX_QUEUED_ANSWERS,
    MAX_SUBSCRIPTIONS, Session,
};
use stomp_proto::{HeartBeat, Limits, Version};

fn session(now: Instant) -> Session {
    let config =
        Config { heart_beat: HeartBeat::DEFAULT, limits: Limits::CLIENT, server: "madang/test".into() };
    Session::new(config, now)
}

/// Feeds `bytes`, lets everyone in, and gives back the events other than CONNECT.
fn feed(session: &mut Session, bytes: &str, now: Instant) -> Vec<Event> {
    session.handle_bytes(bytes.as_bytes(), now);
    let mut events = Vec::new();
    while let Some(event) = session.poll_event() {
        match event {
            Event::Connect(_) => session.accept("s1", Limits::CLIENT, now),
            other => events.push(other),
        }
    }
    events
}

fn answers(session: &mut Session, now: Instant) -> String {
    let mut all = Vec::new();
    while let Some(bytes) = session.poll_transmit(now) {
        all.extend_from_slice(&bytes);
    }
    String::from_utf8(all).unwrap()
}

fn open(version: &str, now: Instant) -> Session {
    let mut session = session(now);
    feed(&mut session, &format!("CONNECT\naccept-version:{version}\n\n\0"), now);
    answers(&mut session, now);
    session
}

#[test]
fn the_best_version_is_agreed_and_connected_says_what_we_do() {
    let now = Instant::now();
    for (offer, version, beats) in [
        ("accept-version:1.2,1.1,1.0\n", Version::V1_2, true),
        ("accept-version:1.0,1.1\n", Version::V1_1, true),
        ("", Version::V1_0, false),
    ] {
        for command in ["CONNECT", "STOMP"] {
            let mut session = session(now);
            feed(&mut session, &format!("{command}\n{offer}\n\0"), now);
            assert_eq!(session.version(), Some(version));
            let connected = answers(&mut session, now);
            assert!(connected.starts_with(&format!("CONNECTED\nversion:{version}\nsession:s1\n")));
            assert_eq!(connected.contains("heart-beat:4000,4000\n"), beats, "{connected}");
        }
    }
}

#[test]
fn credentials_come_from_any_of_their_headers() {
    let now = Instant::now();
    for (header, token, passcode) in [
        ("Authorization:Bearer a.b.c", Some("a.b.c"), None),
        ("authorization:bearer a.b.c", Some("a.b.c"), None),
        ("token:a.b.c", Some("a.b.c"), None),
        ("passcode:x", None, Some("x")),
    ] {
        let mut session = session(now);
        session.handle_bytes(format!("CONNECT\naccept-version:1.2\n{header}\n\n\0").as_bytes(), now);
        let Some(Event::Connect(connect)) = session.poll_event() else { panic!("no CONNECT") };
        assert_eq!((connect.token.as_deref(), connect.passcode.as_deref()), (token, passcode));
        assert_eq!(session.poll_event(), None, "nothing happens before the decision");
    }
}

#[test]
fn a_frame_that_cannot_be_honoured_is_an_error_and_the_end() {
    let table = [
        ("SEND\ndestination:/a\n\n\0", "", "the first frame must be CONNECT", Close::Protocol),
        ("CONNECT\naccept-version:2.0\n\n\0", "", "supported protocol versions", Close::Protocol),
        ("CONNECT\naccept-version:1.2\nheart-beat:x\n\n\0", "", "heart-beat must be", Close::Protocol),
        ("", "CONNECT\naccept-version:1.2\n\n\0", "already connected", Close::Protocol),
        ("", "MESSAGE\n\n\0", "MESSAGE is not a frame of clients", Close::Protocol),
        ("", "HELLO\n\n\0", "unknown command", Close::Protocol),
        ("", "SEND\n\nx\0", "SEND needs the header destination", Close::Protocol),
        ("", "SUBSCRIBE\nid:1\n\n\0", "needs the header destination", Close::Protocol),
        ("", "SUBSCRIBE\ndestination:/a\n\n\0", "needs the header id", Close::Protocol),
        ("", "SUBSCRIBE\nid:1\ndestination:/a\nack:no\n\n\0", "ack must be", Close::Protocol),
        ("", "UNSUBSCRIBE\nid:9\n\n\0", "there is no subscription", Close::Protocol),
        ("", "UNSUBSCRIBE\ndestination:/a\n\n\0", "needs the header id", Close::Protocol),
        ("", "ACK\n\n\0", "ACK needs the header id", Close::Protocol),
        ("", "NACK\nid:7\n\n\0", "no message with this id", Close::Protocol),
        ("", "COMMIT\ntransaction:t\n\n\0", "there is no open transaction", Close::Protocol),
        ("", "ABORT\ntransaction:t\n\n\0", "there is no open transaction", Close::Protocol),
        ("", "BEGIN\n\n\0", "BEGIN needs the header transaction", Close::Protocol),
        ("", "SEND\ndestination:/a\ntransaction:t\n\n\0", "no open transaction", Close::Protocol),
        ("", "SEND\ncontent-length:65537\n\n", "a body of more than 65536 bytes", Close::TooLarge),
    ];
    for (first, later, message, close) in table {
        let now = Instant::now();
        let mut session = if first.is_empty() { open("1.2", now) } else { session(now) };
        let events = feed(&mut session, &format!("{first}{later}SEND\ndestination:/b\n\nlate\0"), now);
        assert_eq!(events, [], "{first}{later}");
        let error = answers(&mut session, now);
        assert!(error.starts_with("ERROR\nmessage:") && error.contains(message), "{error}");
        assert_eq!(session.closed(), Some(close), "{first}{later}");
        assert!(!session.wants_bytes());
    }
}

#[test]
fn any_frame_may_ask_for_a_receipt_and_an_error_names_it() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    let frames = "SUBSCRIBE\nid:a\ndestination:/a\nreceipt:1\n\n\0\
                  SEND\ndestination:/a\nreceipt:2\n\n\0\
                  BEGIN\ntransaction:t\nreceipt:3\n\n\0\
                  SEND\ndestination:/a\ntransaction:t\nreceipt:4\n\n\0\
                  ABORT\ntransaction:t\nreceipt:5\n\n\0\
                  UNSUBSCRIBE\nid:a\nreceipt:6\n\n\0";
    assert_eq!(feed(&mut session, frames, now).len(), 3);
    let want: String = (1..=6).map(|n| format!("RECEIPT\nreceipt-id:{n}\n\n\0")).collect();
    assert_eq!(answers(&mut session, now), want);
    feed(&mut session, "UNSUBSCRIBE\nid:a\nreceipt:x\\cy\n\n\0", now);
    assert!(answers(&mut session, now).contains("\nreceipt-id:x\\cy\n"));
}

#[test]
fn a_caller_that_fails_an_event_takes_its_receipt() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    session.handle_bytes(b"SEND\ndestination:/a\nreceipt:7\n\n\0SEND\ndestination:/b\n\n\0", now);
    assert!(session.poll_event().is_some());
    session.fail(Close::Policy, "not yours");
    assert_eq!(session.poll_event(), None);
    let error = answers(&mut session, now);
    assert!(error.contains("message:not yours") && error.contains("receipt-id:7"), "{error}");
    assert!(!error.contains("RECEIPT"));
}

#[test]
fn disconnect_answers_its_receipt_and_ends() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    let events = feed(&mut session, "DISCONNECT\nreceipt:9\n\n\0SEND\ndestination:/a\n\n\0", now);
    assert_eq!(events, []);
    assert_eq!(answers(&mut session, now), "RECEIPT\nreceipt-id:9\n\n\0");
    assert_eq!(session.closed(), Some(Close::Goodbye));
}

#[test]
fn connect_has_ten_seconds() {
    let now = Instant::now();
    let mut session = session(now);
    feed(&mut session, "\n\n", now);
    let deadline = session.poll_timeout().unwrap();
    assert_eq!(deadline, now + Duration::from_secs(10));
    session.handle_timeout(deadline);
    assert!(answers(&mut session, deadline).contains("no CONNECT"));
    assert_eq!(session.closed(), Some(Close::Policy));
}

#[test]
fn heart_beats_go_both_ways_and_their_loss_ends_the_session() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut session = session(now);
    feed(&mut session, "CONNECT\naccept-version:1.2\nheart-beat:1000,5000\n\n\0", now);
    answers(&mut session, now);
    assert_eq!(session.poll_timeout(), Some(now + 5 * second));
    session.handle_timeout(now + 5 * second);
    assert_eq!(answers(&mut session, now + 5 * second), "\n");
    session.handle_bytes(b"\n", now + 7 * second);
    session.handle_timeout(now + 14 * second);
    assert_eq!(session.closed(), None);
    session.handle_timeout(now + 15 * second);
    assert_eq!(session.closed(), Some(Close::Silent));
}

#[test]
fn subscriptions_are_unique_and_bounded() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    let subscribe = |id: usize| format!("SUBSCRIBE\nid:{id}\ndestination:/a\n\n\0");
    for id in 0..MAX_SUBSCRIPTIONS {
        assert_eq!(feed(&mut session, &subscribe(id), now).len(), 1);
    }
    feed(&mut session, &subscribe(MAX_SUBSCRIPTIONS), now);
    assert!(answers(&mut session, now).contains("at most 100 subscriptions"));
    let mut session = open("1.2", now);
    feed(&mut session, &(subscribe(1) + &subscribe(1)), now);
    assert_eq!(session.closed(), Some(Close::Protocol));
}

#[test]
fn a_message_carries_what_its_version_and_ack_mode_need() {
    let now = Instant::now();
    for (version, ack, want) in [
        ("1.2", "auto", "message-id:1\nsubscription:a\ncontent-length:2\n"),
        ("1.2", "client", "message-id:1\nsubscription:a\nack:1\n"),
        ("1.1", "client", "message-id:1\nsubscription:a\ncontent-length:2\n"),
    ] {
        let mut session = open(version, now);
        let frame = format!("SUBSCRIBE\nid:a\ndestination:/a\nack:{ack}\n\n\0");
        let events = feed(&mut session, &frame, now);
        let [Event::Subscribe { key, destination }] = events.as_slice() else { panic!("{events:?}") };
        let headers = Default::default();
        let bytes = session.message(*key, destination, &headers, b"hi", now).unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.starts_with("MESSAGE\ndestination:/a\n") && text.ends_with("\n\nhi\0"), "{text}");
        assert!(text.contains(want), "{text}");
        let ack =
            if version == "1.2" { "ACK\nid:1\n\n\0" } else { "ACK\nsubscription:a\nmessage-id:1\n\n\0" };
        feed(&mut session, ack, now);
        assert_eq!(session.closed(), None);
        feed(&mut session, "UNSUBSCRIBE\nid:a\n\n\0", now);
        assert_eq!(session.message(*key, destination, &headers, b"late", now), None);
    }
}

#[test]
fn version_1_0_needs_no_id() {
    let now = Instant::now();
    let mut session = open("1.0", now);
    let events = feed(&mut session, "SUBSCRIBE\ndestination:/a\n\n\0", now);
    let [Event::Subscribe { key, .. }] = events.as_slice() else { panic!("{events:?}") };
    let bytes = session.message(*key, "/a", &Default::default(), b"", now).unwrap();
    assert_eq!(&bytes[..], b"MESSAGE\ndestination:/a\nmessage-id:1\ncontent-length:0\n\n\0");
    assert_eq!(feed(&mut session, "UNSUBSCRIBE\ndestination:/a\n\n\0", now).len(), 1);
}

#[test]
fn a_transaction_happens_at_commit_and_whole_or_not_at_all() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    let frames = "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:u\n\n\0\
                  SEND\ndestination:/a\ntransaction:t\n\n1\0\
                  SEND\ndestination:/b\ntransaction:u\n\n2\0\
                  SEND\ndestination:/c\ntransaction:t\nx:y\n\n3\0";
    assert_eq!(feed(&mut session, frames, now), []);
    let events = feed(&mut session, "ABORT\ntransaction:u\n\n\0COMMIT\ntransaction:t\n\n\0", now);
    let [Event::Send(messages)] = events.as_slice() else { panic!("{events:?}") };
    let got: Vec<_> =
        messages.iter().map(|message| (message.destination.as_str(), &message.body[..])).collect();
    assert_eq!(got, [("/a", &b"1"[..]), ("/c", b"3")]);
    assert_eq!(messages[1].headers.get("x"), Some("y"));
    assert_eq!(messages[1].headers.get("transaction"), None);
}

#[test]
fn open_transactions_are_bounded() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    for id in 0..17 {
        feed(&mut session, &format!("BEGIN\ntransaction:{id}\n\n\0"), now);
    }
    assert_eq!(session.closed(), Some(Close::Policy));
    let mut session = open("1.2", now);
    feed(&mut session, "BEGIN\ntransaction:t\n\n\0", now);
    let body = "x".repeat(60_000);
    let sent = (0..100)
        .take_while(|_| {
            feed(&mut session, &format!("SEND\ndestination:/a\ntransaction:t\n\n{body}\0"), now);
            session.closed().is_none()
        })
        .count();
    assert_eq!((sent, session.closed()), (2, Some(Close::Policy)));
}

#[test]
fn a_client_that_does_not_read_its_receipts_is_not_heard() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    let frames = "SEND\ndestination:/a\nreceipt:1\n\n\0".repeat(1_000);
    let first = feed(&mut session, &frames, now).len();
    assert!(first <= MAX_QUEUED_ANSWERS && !session.wants_bytes());
    let mut all = first;
    while !answers(&mut session, now).is_empty() {
        all += feed(&mut session, "", now).len();
    }
    assert_eq!(all, 1_000);
}

#[test]
fn a_frame_that_does_not_end_is_not_waited_for() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let hello = "CONNECT\naccept-version:1.2\n\n\0";
    let mut session = session(start);
    feed(&mut session, hello, start);
    answers(&mut session, start);
    assert_eq!(session.poll_timeout(), None, "no heart-beats are agreed");
    // Bytes that trickle in are no new frame, and what is whole in between starts the next one's time.
    feed(&mut session, "SEND\ndestination:/a\n\nx\0SEND\n", start + second);
    let deadline = start + second + FRAME_TIMEOUT;
    assert_eq!(session.poll_timeout(), Some(deadline));
    feed(&mut session, "destination:/a\n", start + 20 * second);
    assert_eq!(session.poll_timeout(), Some(deadline));
    session.handle_timeout(deadline - second);
    assert_eq!(session.closed(), None);
    assert_eq!(feed(&mut session, "\nx\0\n", deadline - second).len(), 1);
    assert_eq!(session.poll_timeout(), None);
    feed(&mut session, "SEND\n", deadline);
    // What we do not read cannot end.
    session.excuse_silence(deadline + 5 * second);
    session.handle_timeout(deadline + FRAME_TIMEOUT);
    assert_eq!(session.closed(), None);
    session.handle_timeout(deadline + 5 * second + FRAME_TIMEOUT);
    assert_eq!(session.closed(), Some(Close::Policy));
}

#[test]
fn who_has_not_connected_makes_the_server_hold_little() {
    let now = Instant::now();
    let config =
        Config { heart_beat: HeartBeat::DEFAULT, limits: Limits::OPENING, server: "madang/test".into() };
    let mut session = Session::new(config, now);
    session.handle_bytes(b"SEND\ndestination:/a\ncontent-length:1025\n\n", now);
    assert_eq!((session.poll_event(), session.closed()), (None, Some(Close::TooLarge)));
}

#[test]
fn answers_that_wait_are_bounded_in_bytes() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    feed(&mut session, "SUBSCRIBE\nid:1\ndestination:/a\n\n\0", now);
    let Event::Subscribe { key, .. } = feed(&mut session, "SUBSCRIBE\nid:2\ndestination:/b\n\n\0", now)[0]
    else {
        panic!("no subscription")
    };
    session.handle_bytes("SEND\ndestination:/a\n\n\0".repeat(100).as_bytes(), now);
    let body = vec![b'x'; 1_024];
    let mut waiting = 0;
    let mut drain = |session: &mut Session| {
        while let Some(Event::Send(_)) = session.poll_event() {
            session.answer(key, "/b", &[("a", "b")].into_iter().collect(), &body, now);
            waiting += 1;
        }
        waiting
    };
    assert!(drain(&mut session) <= MAX_QUEUED_ANSWER_BYTES / 1_024 && !session.wants_bytes());
    while !answers(&mut session, now).is_empty() {
        drain(&mut session);
    }
    assert_eq!((drain(&mut session), session.wants_bytes()), (100, true));
}

#[test]
fn what_a_client_names_is_short() {
    let now = Instant::now();
    let name = "x".repeat(MAX_ID_LEN);
    for (frame, version) in [
        ("SUBSCRIBE\ndestination:/a\nid:", "1.2"),
        ("SUBSCRIBE\ndestination:", "1.0"),
        ("BEGIN\ntransaction:", "1.2"),
        ("SEND\ndestination:/a\nreceipt:", "1.2"),
    ] {
        let mut session = open(version, now);
        feed(&mut session, &format!("{frame}{name}\n\n\0"), now);
        assert_eq!(session.closed(), None, "{frame}");
        answers(&mut session, now);
        feed(&mut session, &format!("{frame}{name}y\n\n\0"), now);
        assert_eq!(session.closed(), Some(Close::Policy), "{frame}");
        assert!(answers(&mut session, now).len() < MAX_ID_LEN, "it is not repeated");
    }
}

#[test]
fn no_header_goes_on_that_a_reader_may_take_for_the_servers() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    let headers = "subscription:1\ncontent-length :9\n message-id:1\nDestination:/b\n\u{feff}ack:1\nack\\r:1\n\
                   a\u{a0}b:1\nmine:1\ncontent-type:text/plain\n";
    let events = feed(&mut session, &format!("SEND\ndestination:/a\n{headers}\nx\0"), now);
    let [Event::Send(messages)] = &events[..] else { panic!("{events:?}") };
    let names: Vec<&str> = messages[0].headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["mine", "content-type"]);
}

/// Carries bytes both ways until both are silent.
fn carry(client: &mut Client, server: &mut Session, now: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let mut moved = false;
        while let Some(bytes) = client.poll_transmit(now) {
            moved = true;
            events.extend(feed(server, std::str::from_utf8(&bytes).unwrap(), now));
        }
        while let Some(bytes) = server.poll_transmit(now) {
            moved = true;
            client.handle_bytes(&bytes, now);
        }
        if !moved {
            return events;
        }
    }
}

#[test]
fn our_client_and_our_server_understand_each_other() {
    let now = Instant::now();
    let mut server = session(now);
    let mut client = Client::new(client::Config::default(), now);
    let subscription = client.subscribe("/queue/sfu/nod_1").unwrap();
    let receipt = client.send_with_receipt("/app/-/sfu/nod_1/viewers", "application/json", "{}").unwrap();
    let events = carry(&mut client, &mut server, now);
    let [Event::Subscribe { key, .. }, Event::Send(sent)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(sent[0].headers.get("content-type"), Some("application/json"));
    let bytes = server.message(*key, "/queue/sfu/nod_1", &Default::default(), b"a\0b", now).unwrap();
    client.handle_bytes(&bytes, now);
    client.disconnect().unwrap();
    carry(&mut client, &mut server, now);
    let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
    assert_eq!(events[0], client::Event::Connected { version: Version::V1_2 });
    assert_eq!(events[1], client::Event::Receipt(receipt));
    let client::Event::Message(message) = &events[2] else { panic!("{events:?}") };
    assert_eq!((message.subscription, &message.body[..]), (subscription, &b"a\0b"[..]));
    assert_eq!(events[3], client::Event::Closed(client::Reason::Disconnected));
    assert_eq!(server.closed(), Some(session::Close::Goodbye));
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_frames_panics_and_nothing_follows_the_end(
        pieces in proptest::collection::vec(prop_oneof![
            Just("CONNECT\naccept-version:1.2\nheart-beat:1,1\n\n\0".to_owned()),
            Just("CONNECT\n\n\0".to_owned()),
            Just("SUBSCRIBE\nid:a\ndestination:/a\nack:client\nreceipt:1\n\n\0".to_owned()),
            Just("UNSUBSCRIBE\nid:a\n\n\0".to_owned()),
            Just("SEND\ndestination:/a\n\nx\0".to_owned()),
            Just("SEND\ndestination:/a\ntransaction:t\n\nx\0".to_owned()),
            Just("BEGIN\ntransaction:t\n\n\0".to_owned()),
            Just("COMMIT\ntransaction:t\n\n\0".to_owned()),
            Just("ABORT\ntransaction:t\n\n\0".to_owned()),
            Just("ACK\nid:1\n\n\0".to_owned()),
            Just("DISCONNECT\nreceipt:2\n\n\0".to_owned()),
            ".{0,30}",
        ], 0..20),
    ) {
        let now = Instant::now();
        let mut session = session(now);
        for (step, piece) in pieces.iter().enumerate() {
            let over = session.closed().is_some();
            let at = now + Duration::from_millis(step as u64);
            let events = feed(&mut session, piece, at);
            prop_assert!(!over || events.is_empty());
            session.handle_timeout(at);
            for event in events {
                if let Event::Subscribe { key, destination } = event {
                    session.message(key, &destination, &Default::default(), b"m", at);
                }
            }
        }
        let answers = answers(&mut session, now);
        prop_assert!(answers.matches("ERROR\n").count() <= 1);
    }
}

#[test]
fn an_answer_goes_to_its_subscription_before_the_receipt() {
    let now = Instant::now();
    let mut session = open("1.2", now);
    session.handle_bytes(
        b"SUBSCRIBE\nid:r\ndestination:/user/queue/replies\n\n\0SEND\ndestination:/app/a\nreceipt:1\n\n\0",
        now,
    );
    let Some(Event::Subscribe { key, .. }) = session.poll_event() else { panic!("no SUBSCRIBE") };
    assert!(matches!(session.poll_event(), Some(Event::Send(_))));
    session.answer(key, "/user/queue/replies", &Default::default(), b"no", now);
    assert_eq!(session.poll_event(), None);
    let all = answers(&mut session, now);
    let (message, receipt) = all.split_once("RECEIPT\nreceipt-id:1\n").unwrap();
    assert!(message.starts_with("MESSAGE\ndestination:/user/queue/replies\nmessage-id:1\nsubscription:r\n"));
    assert!(message.ends_with("\n\nno\0") && receipt == "\n\0", "{all}");
    feed(&mut session, "UNSUBSCRIBE\nid:r\n\n\0", now);
    session.answer(key, "/user/queue/replies", &Default::default(), b"no", now);
    assert_eq!(answers(&mut session, now), "", "nobody reads it any more");
}

#[test]
fn silence_that_the_caller_chose_is_excused() {
    let now = Instant::now();
    let later = now + Duration::from_secs(9);
    for (excused, closed) in [(false, Some(Close::Silent)), (true, None)] {
        let mut session = session(now);
        feed(&mut session, "CONNECT\naccept-version:1.2\nheart-beat:4000,4000\n\n\0", now);
        if excused {
            session.excuse_silence(later);
        }
        session.handle_timeout(later);
        assert_eq!(session.closed(), closed);
    }
}
