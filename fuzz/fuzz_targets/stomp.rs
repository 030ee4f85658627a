//! STOMP from a client: however it is cut, the frames are the same, and a session takes whatever comes. The first byte
//! says how it is cut.
#![no_main]

use std::time::{Duration, Instant};

use stomp_proto::session::{Config, Event, Session};
use stomp_proto::{DecodeError, Decoder, HeartBeat, Item, Limits};

fn items(data: &[u8], step: usize) -> (Vec<Item>, Option<DecodeError>) {
    let (mut decoder, mut items) = (Decoder::new(Limits::CLIENT), Vec::new());
    for part in data.chunks(step) {
        decoder.feed(part);
        loop {
            match decoder.next_item() {
                // How many come as one depends on the parts.
                Ok(Some(Item::HeartBeat)) if items.last() == Some(&Item::HeartBeat) => {}
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fn session(data: &[u8], step: usize) {
    let mut now = Instant::now();
    let heart_beat = HeartBeat::DEFAULT;
    let mut session = Session::new(Config { heart_beat, limits: Limits::OPENING, server: "fuzz".into() }, now);
    for part in data.chunks(step) {
        now += Duration::from_millis(100);
        session.handle_timeout(now);
        session.handle_bytes(part, now);
        while let Some(event) = session.poll_event() {
            match event {
                Event::Connect(_) => session.accept("s", Limits::CLIENT, now),
                Event::Subscribe { key, destination } => {
                    session.answer(key, &destination, &Default::default(), b"x", now);
                }
                Event::Unsubscribe { .. } | Event::Send(_) => {}
            }
        }
        while session.poll_transmit(now).is_some() {}
        assert!(session.closed().is_none() || !session.wants_bytes());
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    let step = usize::from(*step) + 1;
    assert_eq!(items(stream, step), items(stream, 1));
    session(stream, step);
});
