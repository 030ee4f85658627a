//! Challenges, nonces, credentials and integrity.

mod common;

use std::time::Duration;

use common::*;
use contract::turn::TurnSecret;
use sha2::{Digest as _, Sha256};
use stun::attributes::*;
use stun::fingerprint::FINGERPRINT;
use stun::message::*;
use turn_proto::{CloseReason, Event, Reason, StaticUser};

fn reasons(world: &mut World) -> Vec<Reason> {
    let mut reasons = Vec::new();
    while let Some(event) = world.server.poll_event() {
        if let Event::Refused { refusal, .. } = event {
            reasons.push(refusal.reason);
        }
    }
    reasons
}

#[test]
fn binding_is_for_everyone_and_tells_the_address() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "x", START);
    let mut request = client.bare(METHOD_BINDING, &[]);
    let answer = world.answer(client.tuple, &request.raw);
    assert_eq!(answer.typ, BINDING_SUCCESS);
    assert_eq!(address_of(&answer, ATTR_XORMAPPED_ADDRESS), addr("198.51.100.1:4000"));
    assert_eq!(answer.attributes.0.len(), 1);

    FINGERPRINT.add_to(&mut request).expect("appends");
    let answer = world.answer(client.tuple, &request.raw);
    FINGERPRINT.check(&answer).expect("a fingerprint for a fingerprint");

    let unknown = client.bare(METHOD_BINDING, &[(AttrType(0x7001), vec![1])]);
    let answer = world.answer(client.tuple, &unknown.raw);
    assert_eq!(code(&answer), 420);
    assert_eq!(answer.get(ATTR_UNKNOWN_ATTRIBUTES).expect("names it"), [0x70, 0x01]);
}

#[test]
fn a_first_request_is_challenged_and_leaves_no_state() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    for method in [ALLOCATE, REFRESH, PERMISSION, CHANNEL] {
        let request = client.bare(method, &[udp()]);
        let answer = world.answer(client.tuple, &request.raw);
        assert_eq!(code(&answer), 401);
        assert_eq!(answer.get(ATTR_REALM).expect("realm"), REALM.as_bytes());
        assert!(answer.get(ATTR_NONCE).expect("nonce").starts_with(b"obMatJos2gAAA"));
        assert_eq!(answer.get(ATTR_PASSWORD_ALGORITHMS).expect("offer"), [0, 2, 0, 0, 0, 1, 0, 0]);
        assert!(!answer.contains(ATTR_MESSAGE_INTEGRITY));
    }
    assert_eq!((world.server.allocations(), world.server.poll_timeout()), (0, None));
}

#[test]
fn challenges_are_limited_by_client_and_by_address() {
    let mut world = World::new();
    let answers = |address: &str, world: &mut World| {
        let mut client = Client::new(address, "alice", START + 60);
        let request = client.bare(ALLOCATE, &[udp()]);
        (0..50).map(|_| world.input(client.tuple, &request.raw).len()).sum::<usize>()
    };
    assert_eq!(answers("198.51.100.1:4000", &mut world), 10);
    assert_eq!(answers("198.51.100.1:4000", &mut world), 0);
    assert_eq!(answers("198.51.100.1:4001", &mut world), 10, "somebody else behind the same NAT");
    assert_eq!(answers("198.51.100.2:4000", &mut world), 10);
    world.pass(1);
    assert_eq!(answers("198.51.100.1:4000", &mut world), 10);
    assert_eq!(world.server.stats().suppressed_challenges, 50 + 4 * 40);
    world.pass(1);
    let all: usize = (0..30).map(|n| answers(&format!("198.51.100.1:{}", 5000 + n), &mut world)).sum();
    assert_eq!(all, 200, "the address has its limit, too");
}

#[test]
fn stale_nonces_are_limited_too() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    client.nonce = b"made up".to_vec();
    let request = client.request(ALLOCATE, &[udp()]);
    let answers: Vec<_> = (0..50).flat_map(|_| world.input(client.tuple, &request.raw)).collect();
    assert_eq!(answers.len(), 10);
    assert!(answers.iter().all(|answer| code(answer) == 438));
}

#[test]
fn every_signature_that_rfc_8489_offers_is_accepted_and_answered_in_kind() {
    for sign in [Sign::Sha1, Sign::Sha256, Sign::Sha256Key] {
        let mut world = World::new();
        let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
        client.sign = sign;
        let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), 0, "{sign:?}");
        assert!(client.verifies(&answer), "{sign:?}");
        let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), 437);
        assert!(client.verifies(&answer), "errors after authentication are signed too: {sign:?}");
    }
}

#[test]
fn an_offer_of_algorithms_that_was_tampered_with_is_refused() {
    for (list, one) in [
        (Some(vec![0, 1, 0, 0]), Some(vec![0, 1, 0, 0])),
        (None, Some(vec![0, 1, 0, 0])),
        (Some(vec![0, 2, 0, 0, 0, 1, 0, 0]), None),
        (Some(vec![0, 2, 0, 0, 0, 1, 0, 0]), Some(vec![0, 9, 0, 0])),
    ] {
        let mut world = World::new();
        let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
        world.challenge(&mut client);
        let mut attributes = vec![udp()];
        attributes.extend(list.map(|list| (ATTR_PASSWORD_ALGORITHMS, list)));
        attributes.extend(one.map(|one| (ATTR_PASSWORD_ALGORITHM, one)));
        assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &attributes)), 400);
    }
}

#[test]
fn unknown_users_wrong_passwords_and_expired_ones_look_alike() {
    let mut world = World::new();
    type Spoil = fn(&mut Client);
    let variants: [(&str, Spoil); 6] = [
        ("password", |c| c.password = "nonsense".into()),
        ("no expiry", |c| c.username = "alice".into()),
        ("not a number", |c| c.username = "soon:alice".into()),
        ("expired", |c| *c = Client::new("198.51.100.1:4000", "alice", START - 1)),
        ("expires now", |c| *c = Client::new("198.51.100.1:4000", "alice", START)),
        ("realm", |c| c.realm = "elsewhere".into()),
    ];
    let mut shapes = Vec::new();
    for (name, spoil) in variants {
        let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
        spoil(&mut client);
        world.pass(1);
        world.challenge(&mut client);
        let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), 401, "{name}");
        assert!(answer.contains(ATTR_NONCE) && answer.contains(ATTR_REALM), "{name}");
        let shape: Vec<_> = answer.attributes.0.iter().map(|a| (a.typ.value(), a.length)).collect();
        shapes.push(shape);
    }
    shapes.dedup();
    assert_eq!(shapes.len(), 1, "nothing tells them apart");
    assert_eq!(world.server.allocations(), 0);
    let told: Vec<_> = reasons(&mut world).into_iter().filter(|r| *r != Reason::NoCredentials).collect();
    assert_eq!(
        told,
        [
            Reason::WrongPassword,
            Reason::MalformedUsername,
            Reason::MalformedUsername,
            Reason::ExpiredCredential,
            Reason::ExpiredCredential,
            Reason::OtherRealm
        ],
        "the operator's log does tell them apart"
    );
}

#[test]
fn a_user_hash_cannot_name_anybody() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    world.challenge(&mut client);
    let mut request = client.bare(ALLOCATE, &[udp(), (ATTR_USER_HASH, vec![7; 32])]);
    request.add(ATTR_REALM, REALM.as_bytes());
    request.add(ATTR_NONCE, &client.nonce.clone());
    client.append_integrity(&mut request);
    assert_eq!(code(&world.answer(client.tuple, &request.raw)), 401);
    assert_eq!(reasons(&mut world).last(), Some(&Reason::UserHash));
}

fn user(name: &str, password: &str) -> StaticUser {
    StaticUser { name: name.into(), password: password.into() }
}

#[test]
fn a_static_user_has_a_password_that_does_not_expire() {
    let mut world = World::with(turn_proto::Config { users: vec![user("carol", "secret")], ..config() });
    let mut carol = Client::new("198.51.100.1:4000", "x", START);
    (carol.username, carol.password) = ("carol".into(), "secret".into());
    for sign in [Sign::Sha1, Sign::Sha256, Sign::Sha256Key] {
        carol.sign = sign;
        let answer = world.exchange(&mut carol, ALLOCATE, &[udp(), lifetime(3600)]);
        assert_eq!((code(&answer), lifetime_of(&answer)), (0, 3600));
        assert!(carol.verifies(&answer));
        assert_eq!(code(&world.exchange(&mut carol, REFRESH, &[lifetime(0)])), 0);
    }
    carol.password = "wrong".into();
    assert_eq!(code(&world.exchange(&mut carol, ALLOCATE, &[udp()])), 401);
    let mut alice = Client::new("198.51.100.2:4000", "alice", START + 60);
    assert_eq!(code(&world.exchange(&mut alice, ALLOCATE, &[udp()])), 0, "beside them, time-limited ones");
}

#[test]
fn a_removed_user_and_a_changed_password_end_allocations_at_once() {
    let users = vec![user("carol", "a"), user("dave", "b"), user("erin", "c")];
    let mut world = World::with(turn_proto::Config { users: users.clone(), ..config() });
    let mut clients: Vec<Client> = users
        .iter()
        .enumerate()
        .map(|(i, user)| {
            let mut client = Client::new(&format!("198.51.100.1:{}", 4000 + i), "x", START);
            (client.username, client.password) = (user.name.clone(), user.password.clone());
            assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 0);
            client
        })
        .collect();
    let secrets = config().secrets;
    world.server.set_credentials(secrets, vec![user("carol", "a"), user("dave", "new")]);
    assert_eq!((world.settle(), world.server.allocations()), (vec![], 1));
    let codes: Vec<u16> = clients.iter_mut().map(|c| code(&world.exchange(c, REFRESH, &[]))).collect();
    assert_eq!(codes, [0, 401, 401]);
}

#[test]
fn a_user_hash_names_a_static_user() {
    for secrets in [config().secrets, vec![]] {
        let only_static = secrets.is_empty();
        let users = vec![user("carol", "secret")];
        let mut world = World::with(turn_proto::Config { users, secrets, ..config() });
        let mut carol = Client::new("198.51.100.1:4000", "x", START);
        (carol.username, carol.password) = ("carol".into(), "secret".into());
        world.challenge(&mut carol);
        // Bit 1 asks clients to hide their names: only where that can work.
        assert!(carol.nonce.starts_with(if only_static { b"obMatJos2wAAA" } else { b"obMatJos2gAAA" }));
        let hash = Sha256::digest(format!("carol:{REALM}")).to_vec();
        let mut request = carol.bare(ALLOCATE, &[udp(), (ATTR_USER_HASH, hash)]);
        request.add(ATTR_REALM, REALM.as_bytes());
        request.add(ATTR_NONCE, &carol.nonce.clone());
        carol.append_integrity(&mut request);
        let answer = world.answer(carol.tuple, &request.raw);
        assert_eq!(code(&answer), 0);
        assert!(carol.verifies(&answer));
        assert_eq!(code(&world.exchange(&mut carol, REFRESH, &[])), 0, "by name it is the same user");
    }
}

#[test]
fn integrity_without_its_companions_is_a_bad_request() {
    for missing in [ATTR_USERNAME, ATTR_REALM, ATTR_NONCE] {
        let mut world = World::new();
        let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
        world.challenge(&mut client);
        let mut request = client.bare(ALLOCATE, &[udp()]);
        for (typ, value) in [
            (ATTR_USERNAME, client.username.as_bytes()),
            (ATTR_REALM, REALM.as_bytes()),
            (ATTR_NONCE, &client.nonce),
        ] {
            if typ != missing {
                request.add(typ, value);
            }
        }
        client.append_integrity(&mut request);
        let answer = world.answer(client.tuple, &request.raw);
        assert_eq!(code(&answer), 400);
        assert!(!answer.contains(ATTR_NONCE));
    }
}

#[test]
fn a_nonce_belongs_to_one_address_and_one_hour() {
    let mut world = World::new();
    let (mut client, _) = world.allocated("198.51.100.1:4000");
    for other in ["198.51.100.1:4001", "198.51.100.2:4000"] {
        let mut thief = Client::new(other, "alice", START + 3600);
        thief.nonce = client.nonce.clone();
        let answer = world.exchange(&mut thief, ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), 438, "{other}");
        assert_eq!(answer.get(ATTR_REALM).expect("realm"), REALM.as_bytes());
        assert_ne!(answer.get(ATTR_NONCE).expect("a fresh one"), client.nonce);
    }
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[lifetime(3600)])), 0);
    world.pass(3599);
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[lifetime(3600)])), 0);
    world.pass(1);
    let answer = world.exchange(&mut client, REFRESH, &[lifetime(3600)]);
    assert_eq!(code(&answer), 438);
    client.nonce = answer.get(ATTR_NONCE).expect("a fresh one");
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[lifetime(3600)])), 0);
}

#[test]
fn every_changed_byte_of_a_nonce_makes_it_stale() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    world.challenge(&mut client);
    let good = client.nonce.clone();
    for at in 0..good.len() {
        if at % 5 == 0 {
            world.pass(1);
        }
        client.nonce = good.clone();
        client.nonce[at] ^= 1;
        let request = client.request(ALLOCATE, &[udp()]);
        assert_eq!(code(&world.answer(client.tuple, &request.raw)), 438, "byte {at}");
    }
    client.nonce = good;
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 0);
}

#[test]
fn what_follows_the_integrity_attribute_is_not_there() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    world.challenge(&mut client);
    let mut request = client.request(ALLOCATE, &[udp()]);
    request.add(ATTR_LIFETIME, &3600u32.to_be_bytes());
    request.add(AttrType(0x7001), &[1]);
    let answer = world.answer(client.tuple, &request.raw);
    assert_eq!((code(&answer), lifetime_of(&answer)), (0, 600));

    let mut other = Client::new("198.51.100.1:4001", "alice", START + 60);
    world.challenge(&mut other);
    let mut request = other.bare(ALLOCATE, &[]);
    for (typ, value) in [(ATTR_USERNAME, other.username.as_bytes()), (ATTR_REALM, REALM.as_bytes())] {
        request.add(typ, value);
    }
    request.add(ATTR_NONCE, &other.nonce.clone());
    other.append_integrity(&mut request);
    let (typ, value) = udp();
    request.add(typ, &value);
    assert_eq!(code(&world.answer(other.tuple, &request.raw)), 400, "REQUESTED-TRANSPORT came too late");
}

#[test]
fn unknown_attributes_are_named_after_authentication() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    world.challenge(&mut client);
    let attributes =
        [udp(), (AttrType(0x7000), vec![]), (AttrType(0x7001), vec![1]), (AttrType(0xC001), vec![])];
    let request = client.bare(ALLOCATE, &attributes);
    assert_eq!(code(&world.answer(client.tuple, &request.raw)), 401);
    let answer = world.exchange(&mut client, ALLOCATE, &attributes);
    assert_eq!(code(&answer), 420);
    assert_eq!(answer.get(ATTR_UNKNOWN_ATTRIBUTES).expect("named"), [0x70, 0x00, 0x70, 0x01]);
    assert!(client.verifies(&answer));
}

#[test]
fn what_is_no_request_gets_no_answer() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    let mut cases: Vec<Vec<u8>> =
        vec![vec![], vec![0], vec![0; 20], vec![0xFF; 100], b"GET / HTTP/1.1".to_vec()];
    for class in [CLASS_INDICATION, CLASS_SUCCESS_RESPONSE, CLASS_ERROR_RESPONSE] {
        for method in [METHOD_BINDING, ALLOCATE, REFRESH, PERMISSION, CHANNEL, METHOD_DATA] {
            let mut message = client.bare(method, &[udp()]);
            message.set_type(MessageType::new(method, class));
            cases.push(message.raw);
        }
    }
    for method in [METHOD_CONNECT, METHOD_CONNECTION_BIND, METHOD_SEND] {
        cases.push(client.bare(method, &[]).raw);
    }
    let mut trailing = client.bare(ALLOCATE, &[udp()]).raw;
    trailing.push(0);
    cases.push(trailing);
    let mut long = client.bare(METHOD_BINDING, &[]);
    (0..2000).for_each(|_| long.add(AttrType(0xC001), &[]));
    cases.push(long.raw);
    for case in &cases {
        world.silence(client.tuple, case);
    }
    assert_eq!(world.server.poll_event(), None);
}

#[test]
fn an_expired_credential_lives_on_in_its_allocation_through_the_grace() {
    let mut world = World::with(turn_proto::Config { grace: Duration::from_secs(1000), ..config() });
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 100);
    let answer = world.exchange(&mut client, ALLOCATE, &[udp(), lifetime(3600)]);
    assert_eq!(lifetime_of(&answer), 1100, "no promise beyond expiry and grace");
    world.pass(500);
    let answer = world.exchange(&mut client, REFRESH, &[lifetime(3600)]);
    assert_eq!((code(&answer), lifetime_of(&answer)), (0, 600));
    let mut fresh = Client::new("198.51.100.1:4001", "alice", START + 100);
    assert_eq!(code(&world.exchange(&mut fresh, ALLOCATE, &[udp()])), 401, "nothing new");
    assert_eq!(world.permit(&mut client, PEER), 0);
    world.pass(599);
    assert_eq!(world.server.allocations(), 1);
    world.pass(1);
    assert_eq!((world.server.allocations(), world.settle().len()), (0, 0));
    assert_eq!(world.closed.len(), 1);
}

#[test]
fn without_grace_an_allocation_ends_at_expiry() {
    let mut world = World::with(turn_proto::Config { grace: Duration::ZERO, ..config() });
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 100);
    let answer = world.exchange(&mut client, ALLOCATE, &[udp(), lifetime(3600)]);
    assert_eq!(lifetime_of(&answer), 100);
    world.pass(100);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn two_secrets_are_good_and_a_removed_one_ends_its_allocations_at_once() {
    let (north, south) = (TurnSecret::new(SECRET.into()), TurnSecret::new("south".into()));
    let mut world =
        World::with(turn_proto::Config { secrets: vec![south.clone(), north.clone()], ..config() });
    let (mut old, old_address) = world.allocated("198.51.100.1:4000");
    let mut new = Client::new("198.51.100.2:4000", "bob", START + 3600);
    new.password = south.password(&new.username);
    assert_eq!(code(&world.exchange(&mut new, ALLOCATE, &[udp()])), 0);
    let relay = world.relay(old_address);

    world.server.set_credentials(vec![south, TurnSecret::new("west".into())], vec![]);
    assert_eq!(world.settle(), []);
    assert_eq!(world.closed, [relay]);
    assert_eq!(world.server.allocations(), 1);
    assert_eq!(code(&world.exchange(&mut old, REFRESH, &[])), 401);
    assert_eq!(code(&world.exchange(&mut new, REFRESH, &[])), 0);
    let mut closed = std::iter::from_fn(|| world.server.poll_event());
    assert!(closed.any(|e| matches!(e, Event::Closed { reason: CloseReason::SecretRemoved, .. })));
}

#[test]
fn a_wall_clock_that_is_set_right_moves_expiry() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 100);
    world.challenge(&mut client);
    world.server.set_wall_clock(world.now, START + 200);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 401);
    world.server.set_wall_clock(world.now, START);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 0);
}
