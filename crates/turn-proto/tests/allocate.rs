//! Allocate: answers, quotas, ports, reservations, families.

mod common;

use common::*;
use stun::attributes::*;
use turn_proto::{Config, Limits, Transport};

const ADDITIONAL: AttrType = AttrType(0x8000);
const ADDRESS_ERROR: AttrType = AttrType(0x8001);

fn even(reserve: bool) -> (AttrType, Vec<u8>) {
    (ATTR_EVEN_PORT, vec![if reserve { 0x80 } else { 0 }])
}

fn family(value: u8) -> (AttrType, Vec<u8>) {
    (ATTR_REQUESTED_ADDRESS_FAMILY, vec![value, 0, 0, 0])
}

fn dual() -> Config {
    let mut config = config();
    config.relay_addresses.push(ip("2400::9"));
    config
}

fn client(port: u16) -> Client {
    Client::new(&format!("198.51.100.1:{port}"), "alice", START + 3600)
}

#[test]
fn a_client_gets_an_address_of_the_range_and_a_lifetime() {
    let mut world = World::new();
    let mut client = client(4000);
    let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
    let relayed = address_of(&answer, ATTR_XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.ip(), ip(RELAY_IP));
    assert!((50_000..=50_099).contains(&relayed.port()));
    assert_eq!(address_of(&answer, ATTR_XORMAPPED_ADDRESS), addr("198.51.100.1:4000"));
    assert_eq!(lifetime_of(&answer), 600);
    assert!(client.verifies(&answer));
    assert_eq!(world.opened.len(), 1);
    assert_eq!(world.opened[0].1, relayed);
}

#[test]
fn lifetimes_are_between_ten_minutes_and_an_hour() {
    for (asked, granted) in
        [(0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (u32::MAX, 3600)]
    {
        let mut world = World::new();
        let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp(), lifetime(asked)]);
        assert_eq!(lifetime_of(&answer), granted, "asked for {asked}");
    }
}

#[test]
fn a_retransmitted_allocate_gets_the_same_bytes_and_another_one_437() {
    let mut world = World::new();
    let mut client = client(4000);
    world.challenge(&mut client);
    let request = client.request(ALLOCATE, &[udp()]);
    let first = world.answer(client.tuple, &request.raw);
    world.pass(2);
    let second = world.answer(client.tuple, &request.raw);
    assert_eq!(first.raw, second.raw);
    assert_eq!(world.opened.len(), 1);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 437);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn while_ports_are_opened_a_retransmission_is_ignored() {
    let mut world = World::new();
    let mut client = client(4000);
    world.challenge(&mut client);
    let request = client.request(ALLOCATE, &[udp()]);
    assert_eq!(world.server.handle_client(&request.raw, client.tuple, world.now), None);
    assert_eq!(world.server.handle_client(&request.raw, client.tuple, world.now), None);
    assert_eq!(world.settle().len(), 1, "one answer for both");
    assert_eq!(world.opened.len(), 1);
}

#[test]
fn the_transport_must_be_there_and_udp() {
    let mut world = World::new();
    let mut client = client(4000);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[])), 400);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, vec![17])])), 400);
    assert_eq!(
        code(&world.exchange(&mut client, ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, vec![6, 0, 0, 0])])),
        442
    );
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp(), (ATTR_LIFETIME, vec![1])])), 400);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn the_quota_is_by_user_name_and_comes_back() {
    let mut world = World::new();
    let mut clients: Vec<Client> = (0..12).map(|i| client(4000 + i)).collect();
    for client in &mut clients {
        world.pass(1);
        assert_eq!(code(&world.exchange(client, ALLOCATE, &[udp()])), 0);
    }
    let mut more = client(5000);
    assert_eq!(code(&world.exchange(&mut more, ALLOCATE, &[udp()])), 486);
    let mut bob = Client::new("198.51.100.1:5001", "bob", START + 3600);
    assert_eq!(code(&world.exchange(&mut bob, ALLOCATE, &[udp()])), 0);
    assert_eq!(code(&world.exchange(&mut clients[0], REFRESH, &[lifetime(0)])), 0);
    assert_eq!(code(&world.exchange(&mut more, ALLOCATE, &[udp()])), 0);
}

#[test]
fn a_source_has_its_own_quota_whatever_credentials_it_collects() {
    let limits = Limits { allocations_per_source: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..config() });
    let guest = |world: &mut World, address: &str, user: &str| {
        let mut client = Client::new(address, user, START + 3600);
        let code = code(&world.exchange(&mut client, ALLOCATE, &[udp()]));
        (client, code)
    };
    let (mut first, _) = guest(&mut world, "198.51.100.1:4000", "a");
    assert_eq!(guest(&mut world, "198.51.100.1:4001", "b").1, 0);
    assert_eq!(guest(&mut world, "198.51.100.1:4002", "c").1, 486);
    assert_eq!(guest(&mut world, "198.51.100.2:4002", "d").1, 0);
    assert_eq!(code(&world.exchange(&mut first, REFRESH, &[lifetime(0)])), 0);
    assert_eq!(guest(&mut world, "198.51.100.1:4003", "c").1, 0);
}

#[test]
fn when_ports_or_sockets_run_out_it_is_508_until_one_is_free() {
    for limits in [Limits { relay_sockets: 3, ..Limits::default() }, Limits::default()] {
        let ports = if limits == Limits::default() { 50_000..=50_002 } else { 50_000..=50_099 };
        let mut world = World::with(Config { relay_ports: ports, limits, ..config() });
        let mut clients: Vec<Client> = (0..4).map(|i| client(4000 + i)).collect();
        let codes: Vec<u16> =
            clients.iter_mut().map(|client| code(&world.exchange(client, ALLOCATE, &[udp()]))).collect();
        assert_eq!(codes, [0, 0, 0, 508]);
        world.exchange(&mut clients[1], REFRESH, &[lifetime(0)]);
        assert_eq!(code(&world.exchange(&mut clients[3], ALLOCATE, &[udp()])), 0);
    }
}

#[test]
fn ports_that_other_programs_hold_are_passed_over() {
    let mut world = World::with(Config { relay_ports: 50_000..=50_003, ..config() });
    world.taken = vec![50_000, 50_001, 50_003];
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp()]);
    assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port(), 50_002);
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp()])), 508);
    world.taken.clear();
    // Nothing leaked: the other three ports are still to be had.
    for port in 4002..4005 {
        assert_eq!(code(&world.exchange(&mut client(port), ALLOCATE, &[udp()])), 0);
    }
}

#[test]
fn an_even_port_is_even() {
    for seed in 0..10 {
        let mut world = World::new();
        let answer = world.exchange(&mut client(4000 + seed), ALLOCATE, &[udp(), even(false)]);
        assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port() % 2, 0);
        assert!(!answer.contains(ATTR_RESERVATION_TOKEN));
    }
}

#[test]
fn a_reservation_holds_the_next_port_for_thirty_seconds() {
    let mut world = World::new();
    let mut first = client(4000);
    let answer = world.exchange(&mut first, ALLOCATE, &[udp(), even(true)]);
    let even_port = address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port();
    let token = (ATTR_RESERVATION_TOKEN, answer.get(ATTR_RESERVATION_TOKEN).expect("a token"));
    assert_eq!((even_port % 2, token.1.len(), world.opened.len()), (0, 8, 1));
    assert_eq!(world.parked.iter().map(|at| at.port()).collect::<Vec<_>>(), [even_port + 1]);

    world.pass(29);
    let mut thief = Client::new("198.51.100.2:4000", "mallory", START + 3600);
    assert_eq!(code(&world.exchange(&mut thief, ALLOCATE, &[udp(), token.clone()])), 508);
    let mut second = client(4001);
    for other in [even(false), family(1)] {
        let answer = world.exchange(&mut second, ALLOCATE, &[udp(), token.clone(), other]);
        assert_eq!(code(&answer), 400);
    }
    assert_eq!(
        code(&world.exchange(&mut second, ALLOCATE, &[udp(), (ATTR_RESERVATION_TOKEN, vec![1])])),
        400
    );
    let answer = world.exchange(&mut second, ALLOCATE, &[udp(), token.clone()]);
    assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port(), even_port + 1);
    assert_eq!((world.opened.len(), world.parked.len()), (2, 0), "the very socket that was held");
    assert_eq!(code(&world.exchange(&mut client(4002), ALLOCATE, &[udp(), token])), 508, "used once");

    world.pass(100);
    assert_eq!(world.server.allocations(), 2, "the reservation's end is not the allocation's");
}

#[test]
fn an_unused_reservation_ends() {
    let mut world = World::new();
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp(), even(true)]);
    let token = (ATTR_RESERVATION_TOKEN, answer.get(ATTR_RESERVATION_TOKEN).expect("a token"));
    assert_eq!(world.parked.len(), 1);
    world.pass(30);
    assert_eq!((world.settle(), world.opened.len(), world.parked.len()), (vec![], 1, 0));
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp(), token])), 508);
}

#[test]
fn a_pair_whose_second_port_is_taken_is_tried_elsewhere_and_nothing_leaks() {
    let mut world = World::with(Config { relay_ports: 50_000..=50_003, ..config() });
    world.taken = vec![50_001];
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp(), even(true)]);
    assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port(), 50_002);
    world.taken = vec![50_000];
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp(), even(true)])), 508);
    world.taken.clear();
    assert_eq!(code(&world.exchange(&mut client(4002), ALLOCATE, &[udp(), even(true)])), 0);
    assert_eq!((world.opened.len(), world.parked.len()), (2, 2));
}

#[test]
fn a_reservation_counts_in_the_quota() {
    let limits = Limits { allocations_per_user: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..config() });
    assert_eq!(code(&world.exchange(&mut client(4000), ALLOCATE, &[udp(), even(true)])), 0);
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp()])), 486);
    world.pass(30);
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp()])), 0);
}

#[test]
fn a_new_second_is_no_new_quota() {
    let limits = Limits { allocations_per_user: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..config() });
    let at =
        |port: u16, user: &str, expiry| Client::new(&format!("198.51.100.1:{port}"), user, START + expiry);
    let allocate =
        |world: &mut World, mut client: Client| code(&world.exchange(&mut client, ALLOCATE, &[udp()]));
    assert_eq!(allocate(&mut world, at(4000, "alice", 60)), 0);
    assert_eq!(allocate(&mut world, at(4001, "alice", 61)), 0);
    assert_eq!(allocate(&mut world, at(4002, "alice", 62)), 486, "the same user with another expiry");
    assert_eq!(allocate(&mut world, at(4003, "bob", 60)), 0);
    // What ends gives its place back, under whichever name it was taken.
    let mut first = at(4000, "alice", 60);
    assert_eq!(code(&world.exchange(&mut first, REFRESH, &[lifetime(0)])), 0);
    assert_eq!(allocate(&mut world, at(4002, "alice", 62)), 0);
}

#[test]
fn a_family_that_the_server_has_not_is_440() {
    let mut world = World::new();
    assert_eq!(code(&world.exchange(&mut client(4000), ALLOCATE, &[udp(), family(2)])), 440);
    assert_eq!(code(&world.exchange(&mut client(4000), ALLOCATE, &[udp(), family(9)])), 440);
    assert_eq!(code(&world.exchange(&mut client(4000), ALLOCATE, &[udp(), family(1)])), 0);
}

#[test]
fn ipv6_relay_addresses_and_both_at_once() {
    let mut world = World::with(dual());
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp(), family(2)]);
    assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).ip(), ip("2400::9"));

    let additional = (ADDITIONAL, vec![2, 0, 0, 0]);
    let mut both = client(4001);
    let answer = world.exchange(&mut both, ALLOCATE, &[udp(), additional.clone()]);
    let relayed = answer.attributes.0.iter().filter(|a| a.typ == ATTR_XOR_RELAYED_ADDRESS).count();
    assert_eq!((relayed, world.server.allocations()), (2, 2));

    // One family ends, the other lives.
    let answer = world.exchange(&mut both, REFRESH, &[family(2), lifetime(0)]);
    assert_eq!((code(&answer), lifetime_of(&answer), world.opened.len()), (0, 0, 2));
    assert_eq!(code(&world.exchange(&mut both, REFRESH, &[family(2)])), 443);
    assert_eq!(code(&world.exchange(&mut both, REFRESH, &[family(1)])), 0);

    for wrong in [
        vec![udp(), additional.clone(), family(1)],
        vec![udp(), additional, even(true)],
        vec![udp(), (ADDITIONAL, vec![1, 0, 0, 0])],
    ] {
        assert_eq!(code(&world.exchange(&mut client(4002), ALLOCATE, &wrong)), 400);
    }
}

#[test]
fn of_two_families_one_may_fail() {
    let mut world = World::new();
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp(), (ADDITIONAL, vec![2, 0, 0, 0])]);
    assert_eq!(code(&answer), 0);
    let error = answer.get(ADDRESS_ERROR).expect("ADDRESS-ERROR-CODE");
    assert_eq!(&error[..4], [2, 0, 4, 40]);
    assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).ip(), ip(RELAY_IP));
}

#[test]
fn a_client_of_this_machine_gets_a_loopback_address_and_no_other_does() {
    let mut config = config();
    config.relay_addresses = vec![ip("127.0.0.1"), ip(RELAY_IP)];
    let mut world = World::with(config);
    for port in 4000..4008 {
        let answer = world.exchange(&mut client(port), ALLOCATE, &[udp()]);
        assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).ip(), ip(RELAY_IP));
        let mut local = Client::new(&format!("127.0.0.1:{port}"), "local", START + 3600);
        let answer = world.exchange(&mut local, ALLOCATE, &[udp()]);
        assert_eq!(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).ip(), ip("127.0.0.1"));
    }
}

#[test]
fn a_draining_server_takes_nothing_new_and_keeps_what_lives() {
    let mut world = World::new();
    let (mut old, _) = world.allocated("198.51.100.1:4000");
    world.server.set_draining(true);
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp()])), 508);
    assert_eq!(code(&world.exchange(&mut old, REFRESH, &[])), 0);
    assert_eq!(world.permit(&mut old, PEER), 0);
    world.server.set_draining(false);
    assert_eq!(code(&world.exchange(&mut client(4001), ALLOCATE, &[udp()])), 0);
}

#[test]
fn a_draining_server_names_its_alternate_of_the_same_family_and_port() {
    let alternates = vec![addr("192.0.2.33:3478"), addr("[2001:db8::33]:3479")];
    let mut world = World::with(Config { alternates, ..config() });
    world.server.set_draining(true);
    let answer = world.exchange(&mut client(4000), ALLOCATE, &[udp()]);
    assert_eq!(code(&answer), 300);
    assert!(client(4000).verifies(&answer), "an unsigned 300 could be anybody's");
    assert_eq!(answer.get(ATTR_ALTERNATE_SERVER).expect("where"), [0, 1, 0x0D, 0x96, 192, 0, 2, 33]);
    let mut v6 = Client::new("[2400::1]:4000", "alice", START + 60);
    let answer = world.exchange(&mut v6, ALLOCATE, &[udp()]);
    assert_eq!(answer.get(ATTR_ALTERNATE_SERVER).expect("where")[..4], [0, 2, 0x0D, 0x97]);
    let mut tls = client(4001);
    tls.tuple.transport = Transport::Tls;
    assert_eq!(code(&world.exchange(&mut tls, ALLOCATE, &[udp()])), 508, "TLS has another port");
}

#[test]
fn clients_of_tls_and_dtls_are_sent_to_their_own_alternate_and_told_its_name() {
    let (alternates, alternates_tls) = (vec![addr("192.0.2.33:3478")], vec![addr("192.0.2.33:5349")]);
    let alternate_domain = Some("turn2.example.org".to_owned());
    let mut world = World::with(Config { alternates, alternates_tls, alternate_domain, ..config() });
    world.server.set_draining(true);
    for (transport, port, domain) in [
        (Transport::Udp, 3478u16, None),
        (Transport::Tcp, 3478, None),
        (Transport::Tls, 5349, Some(&b"turn2.example.org"[..])),
        (Transport::Dtls, 5349, Some(b"turn2.example.org")),
    ] {
        let mut client = client(4000);
        client.tuple.transport = transport;
        let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), 300, "{transport:?}");
        assert_eq!(answer.get(ATTR_ALTERNATE_SERVER).expect("where")[2..4], port.to_be_bytes());
        assert_eq!(answer.get(AttrType(0x8003)).ok().as_deref(), domain, "{transport:?}");
    }
}

#[test]
fn a_reservation_is_good_at_another_thread_and_only_once() {
    let [mut here, mut there] = World::pair(config());
    let answer = here.exchange(&mut client(4000), ALLOCATE, &[udp(), even(true)]);
    let token = (ATTR_RESERVATION_TOKEN, answer.get(ATTR_RESERVATION_TOKEN).expect("a token"));
    // The shell keeps parked sockets in one place.
    there.parked = std::mem::take(&mut here.parked);
    let second = there.exchange(&mut client(4001), ALLOCATE, &[udp(), token.clone()]);
    let relayed = address_of(&second, ATTR_XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.port(), address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port() + 1);
    assert_eq!(code(&here.exchange(&mut client(4002), ALLOCATE, &[udp(), token])), 508, "used once");
    here.pass(30);
    assert_eq!((here.settle(), here.closed.len()), (vec![], 0), "its time is over, and it is somebody's");
    assert_eq!(there.server.allocations(), 1);
}

#[test]
fn quotas_and_ports_are_those_of_all_threads() {
    let limits = Limits { allocations_per_user: 3, ..Limits::default() };
    let mut worlds = World::pair(Config { limits, relay_ports: 50_000..=50_004, ..config() });
    let mut ports = std::collections::HashSet::new();
    let mut codes = Vec::new();
    for i in 0..4u16 {
        let answer = worlds[usize::from(i) % 2].exchange(&mut client(4000 + i), ALLOCATE, &[udp()]);
        codes.push(code(&answer));
        if code(&answer) == 0 {
            assert!(ports.insert(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS)));
        }
    }
    assert_eq!(codes, [0, 0, 0, 486]);
    let bob = |i: u16, world: &mut World| {
        let mut client = Client::new(&format!("198.51.100.3:{i}"), "bob", START + 3600);
        code(&world.exchange(&mut client, ALLOCATE, &[udp()]))
    };
    assert_eq!([bob(1, &mut worlds[0]), bob(2, &mut worlds[1]), bob(3, &mut worlds[0])], [0, 0, 508]);
    worlds[0].pass(600);
    worlds[0].settle();
    assert_eq!(bob(4, &mut worlds[1]), 0, "a port that one thread gave back is free for the other");
}

#[test]
fn the_end_of_a_connection_is_the_end_of_its_allocation() {
    let mut world = World::new();
    for transport in [Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let mut client = client(4000);
        client.tuple.transport = transport;
        assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 0);
        assert!(world.server.has_allocation(&client.tuple));
        world.server.disconnected(&client.tuple);
        assert_eq!((world.settle(), world.opened.len()), (vec![], 0));
        assert!(!world.server.has_allocation(&client.tuple));
        assert_eq!(world.idle.pop(), Some(client.tuple));
    }
    let mut udp_client = client(4000);
    assert_eq!(code(&world.exchange(&mut udp_client, ALLOCATE, &[udp()])), 0);
    assert_eq!(code(&world.exchange(&mut udp_client, REFRESH, &[lifetime(0)])), 0);
    assert_eq!(world.idle, [], "UDP has no connection");
}

#[test]
fn dont_fragment_is_understood() {
    let mut world = World::new();
    assert_eq!(code(&world.exchange(&mut client(4000), ALLOCATE, &[udp(), (ATTR_DONT_FRAGMENT, vec![])])), 0);
}
