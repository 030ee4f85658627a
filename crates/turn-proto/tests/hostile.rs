//! Packets that somebody with patience would try: lengths that lie, attributes twice or in the wrong place, guesses.

mod common;

use common::*;
use stun::attributes::*;
use stun::fingerprint::FINGERPRINT;
use stun::message::{METHOD_BINDING, Setter as _};
use turn_proto::Transport;

fn client(port: u16) -> Client {
    Client::new(&format!("198.51.100.1:{port}"), "alice", START + 3600)
}

#[test]
fn lengths_that_lie_are_noise_whatever_the_transport() {
    let mut world = World::new();
    let mut client = client(4000);
    world.challenge(&mut client);
    let good = client.request(ALLOCATE, &[udp()]).raw;
    let with = |at: usize, value: u16| {
        let mut raw = good.clone();
        raw[at..at + 2].copy_from_slice(&value.to_be_bytes());
        raw
    };
    let length = (good.len() - 20) as u16;
    let mut lies: Vec<Vec<u8>> = [0, 1, 2, 3, length - 4, length - 1, length + 1, length + 4, 0xFFFC, 0xFFFF]
        .map(|it| with(2, it))
        .into();
    // The first attribute begins at 20: it ends behind the message, or in the middle of the next.
    lies.extend([length, length - 3, 0xFFFF, 0xFFFC].map(|it| with(22, it)));
    lies.extend([0, 1, 4, 19, 20, good.len() - 1].map(|end| good[..end].to_vec()));
    lies.push([&good[..], &[0; 4]].concat());
    for transport in Transport::ALL {
        let tuple = turn_proto::FiveTuple { transport, ..client.tuple };
        for lie in &lies {
            world.silence(tuple, lie);
        }
    }
    assert_eq!(code(&world.answer(client.tuple, &good)), 0, "the truth is still good");
}

#[test]
fn of_an_attribute_that_is_there_twice_the_first_counts() {
    let mut world = World::new();
    let mut alice = client(4000);
    let tcp = (ATTR_REQUESTED_TRANSPORT, vec![6, 0, 0, 0]);
    assert_eq!(code(&world.exchange(&mut alice, ALLOCATE, &[tcp.clone(), udp()])), 442);
    let answer = world.exchange(&mut alice, ALLOCATE, &[udp(), tcp, lifetime(1200), lifetime(3600)]);
    assert_eq!((code(&answer), lifetime_of(&answer)), (0, 1200));
    let relay = world.relay(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS));
    let peers = [PEER, "5.6.7.8:9"].map(|peer| world.peer_attribute(peer));
    let attributes = [&[channel(0x4000), channel(0x4001)][..], &peers].concat();
    assert_eq!(code(&world.exchange_with_peer(&mut alice, CHANNEL, attributes)), 0);
    assert!(world.channel_data(&alice, 0x4000, b"to the first").is_some());
    assert_eq!(world.channel_data(&alice, 0x4001, b"to nobody"), None);
    assert!(world.peer_sends(relay, PEER, b"from the first").is_some());
    assert_eq!(world.peer_sends(relay, "5.6.7.8:9", b"not permitted"), None);
}

#[test]
fn a_fingerprint_is_the_last_attribute_or_the_message_is_noise() {
    let mut world = World::new();
    let mut client = client(4000);
    let mut request = client.bare(METHOD_BINDING, &[]);
    FINGERPRINT.add_to(&mut request).expect("added");
    assert_eq!(code(&world.answer(client.tuple, &request.raw)), 0);
    let mut twice = request.clone();
    FINGERPRINT.add_to(&mut twice).expect("added");
    world.silence(client.tuple, &twice.raw);
    request.add(ATTR_LIFETIME, &[0; 4]);
    world.silence(client.tuple, &request.raw);
    let mut wrong = client.bare(METHOD_BINDING, &[]);
    wrong.add(ATTR_FINGERPRINT, &[1, 2, 3, 4]);
    world.silence(client.tuple, &wrong.raw);
}

#[test]
fn integrity_that_is_cut_short_or_contradicts_itself_is_no_proof() {
    let mut world = World::new();
    for sign in [Sign::Sha1, Sign::Sha256] {
        let mut client = client(4000);
        client.sign = sign;
        world.challenge(&mut client);
        let whole = client.request(ALLOCATE, &[udp()]).raw;
        let size = if sign == Sign::Sha1 { 20 } else { 32 };
        for kept in [0, 4, 16] {
            let mut raw = whole[..whole.len() - size + kept].to_vec();
            let at = raw.len() - kept - 2;
            raw[at..at + 2].copy_from_slice(&(kept as u16).to_be_bytes());
            let length = (raw.len() - 20) as u16;
            raw[2..4].copy_from_slice(&length.to_be_bytes());
            assert_eq!(code(&world.answer(client.tuple, &raw)), 401, "{kept} bytes of {size}");
        }
    }
    let mut client = client(4001);
    world.challenge(&mut client);
    // The stronger one decides; the weaker beside it is right.
    let mut request = client.request(ALLOCATE, &[udp()]);
    request.add(ATTR_MESSAGE_INTEGRITY_SHA256, &[7; 32]);
    assert_eq!(code(&world.answer(client.tuple, &request.raw)), 401);
    // What is behind the first of its kind is not there.
    let mut request = client.request(ALLOCATE, &[udp()]);
    request.add(ATTR_MESSAGE_INTEGRITY, &[7; 20]);
    assert_eq!(code(&world.answer(client.tuple, &request.raw)), 0);
}

#[test]
fn a_refresh_of_a_family_that_nobody_knows_is_443_and_deletes_nothing() {
    let mut world = World::new();
    let (mut client, _) = world.allocated("198.51.100.1:4000");
    for family in [0, 2, 3, 255] {
        let family = (ATTR_REQUESTED_ADDRESS_FAMILY, vec![family, 0, 0, 0]);
        assert_eq!(code(&world.exchange(&mut client, REFRESH, &[lifetime(0), family])), 443);
    }
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn of_a_thousand_unknown_attributes_some_are_named_and_strangers_get_ten_such_answers_a_second() {
    let mut world = World::new();
    let mut client = client(4000);
    let many: Vec<_> = (0..1000).map(|i| (AttrType(0x4000 + i), vec![])).collect();
    for _ in 0..10 {
        let request = client.bare(METHOD_BINDING, &many);
        let answer = world.answer(client.tuple, &request.raw);
        assert_eq!(code(&answer), 420);
        assert_eq!(answer.get(ATTR_UNKNOWN_ATTRIBUTES).expect("which").len(), 2 * 32);
    }
    let request = client.bare(METHOD_BINDING, &many);
    world.silence(client.tuple, &request.raw);
    let request = client.bare(METHOD_BINDING, &[]);
    assert_eq!(code(&world.answer(client.tuple, &request.raw)), 0, "what is no longer is not limited");
}

#[test]
fn a_reservation_token_cannot_be_guessed_or_stolen() {
    let mut world = World::new();
    let even = (ATTR_EVEN_PORT, vec![0x80]);
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp(), even]);
    let token = answer.get(ATTR_RESERVATION_TOKEN).expect("a token");
    let mut mallory = Client::new("198.51.100.2:4000", "mallory", START + 3600);
    for bit in 0..64 {
        let mut guess = token.clone();
        guess[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            code(&world.exchange(&mut mallory, ALLOCATE, &[udp(), (ATTR_RESERVATION_TOKEN, guess)])),
            508
        );
    }
    let stolen = (ATTR_RESERVATION_TOKEN, token);
    assert_eq!(
        code(&world.exchange(&mut mallory, ALLOCATE, &[udp(), stolen.clone()])),
        508,
        "another user's"
    );
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp(), stolen])), 0, "still its owner's");
    assert_eq!(code(&world.exchange(&mut mallory, ALLOCATE, &[udp()])), 0, "failed guesses hold nothing");
}

#[test]
fn a_channel_number_that_lapsed_may_stand_for_another_peer_and_then_not_for_the_first() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    let other = "5.6.7.8:5000";
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0);
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[lifetime(3600)])), 0);
    world.pass(599);
    assert_eq!(world.bind(&mut client, 0x4000, other), 400);
    world.pass(1);
    assert_eq!(world.channel_data(&client, 0x4000, b"too late"), None);
    assert_eq!(world.bind(&mut client, 0x4000, other), 0);
    let to = world.channel_data(&client, 0x4000, b"hello").expect("goes out");
    assert_eq!(to.peer.0, addr(other));
    assert_eq!(world.peer_sends(relay, PEER, b"no permission any more"), None);
    assert_eq!(world.permit(&mut client, PEER), 0);
    let (_, indication) = world.peer_sends(relay, PEER, b"as an indication").expect("comes in");
    assert_eq!(indication[..2], [0, 0x17]);
}
