//! Refresh, permissions, channels and data, with their lifetimes.

mod common;

use common::*;
use proptest::prelude::*;
use stun::attributes::*;
use stun::message::*;
use turn_proto::{Config, Icmp, Limits, OwnPorts, PeerAddr, PeerRefusal, Transport};

fn data_of(message: &Message) -> (std::net::SocketAddr, Vec<u8>) {
    assert_eq!(message.typ, MessageType::new(METHOD_DATA, CLASS_INDICATION));
    (address_of(message, ATTR_XOR_PEER_ADDRESS), message.get(ATTR_DATA).expect("DATA"))
}

#[test]
fn without_an_allocation_requests_get_437_and_data_gets_silence() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[])), 437);
    assert_eq!(world.permit(&mut client, PEER), 437);
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 437);
    assert_eq!(world.send(&client, PEER, b"x"), None);
    assert_eq!(world.channel_data(&client, 0x4000, b"x"), None);
    assert_eq!(world.server.stats().dropped_from_client, 2);
}

#[test]
fn another_user_gets_441_and_changes_nothing() {
    let mut world = World::new();
    let (_, relayed) = world.allocated("198.51.100.1:4000");
    let mut mallory = Client::new("198.51.100.1:4000", "mallory", START + 3600);
    let answer = world.exchange(&mut mallory, REFRESH, &[lifetime(0)]);
    assert_eq!(code(&answer), 441);
    assert!(mallory.verifies(&answer));
    assert_eq!(world.permit(&mut mallory, PEER), 441);
    assert_eq!(world.bind(&mut mallory, 0x4000, PEER), 441);
    assert_eq!(world.server.allocations(), 1);
    let relay = world.relay(relayed);
    assert_eq!(world.peer_sends(relay, PEER, b"x"), None);
}

#[test]
fn refresh_moves_the_end_and_zero_deletes() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    world.pass(599);
    let answer = world.exchange(&mut client, REFRESH, &[lifetime(1000)]);
    assert_eq!((code(&answer), lifetime_of(&answer)), (0, 1000));
    world.pass(999);
    assert_eq!(world.server.allocations(), 1);
    let answer = world.exchange(&mut client, REFRESH, &[lifetime(0)]);
    assert_eq!((code(&answer), lifetime_of(&answer)), (0, 0));
    assert_eq!((world.closed.as_slice(), world.server.poll_timeout()), (&[relay][..], None));
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[])), 437);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 0, "the 5-tuple is free again");
}

#[test]
fn an_allocation_that_is_not_refreshed_ends_on_the_second() {
    let mut world = World::new();
    let (_, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    assert_eq!(world.server.poll_timeout(), Some(world.now + turn_proto::DEFAULT_LIFETIME));
    world.pass(599);
    assert_eq!(world.settle(), []);
    assert_eq!(world.closed, []);
    world.pass(1);
    assert_eq!(world.settle(), []);
    assert_eq!(world.closed, [relay]);
    assert_eq!(world.peer_sends(relay, PEER, b"late"), None);
}

#[test]
fn data_needs_a_permission_both_ways_and_the_port_does_not_matter() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    assert_eq!(world.send(&client, PEER, b"x"), None);
    assert_eq!(world.peer_sends(relay, PEER, b"x"), None);
    assert_eq!(world.permit(&mut client, "1.2.3.4:1"), 0);

    let to = world.send(&client, PEER, b"hello").expect("permitted");
    assert_eq!(to.relay, relay);
    for data in [&b""[..], b"a", b"four", b"hello"] {
        let (to, bytes) = world.peer_sends(relay, PEER, data).expect("permitted");
        assert_eq!(to, client.tuple);
        assert_eq!(data_of(&parse(&bytes)), (addr(PEER), data.to_vec()));
    }
    assert_eq!(world.send(&client, "1.2.3.5:5000", b"x"), None);
    assert_eq!(world.peer_sends(relay, "1.2.3.5:5000", b"x"), None);
    let stats = world.server.stats();
    assert_eq!((stats.to_peer_packets, stats.to_peer_bytes), (1, 5));
    assert_eq!((stats.to_client_packets, stats.to_client_bytes), (4, 10));
    assert_eq!((stats.dropped_from_client, stats.dropped_from_peer), (2, 2));
}

#[test]
fn a_send_that_is_not_understood_is_dropped() {
    let mut world = World::new();
    let (mut client, _) = world.allocated("198.51.100.1:4000");
    assert_eq!(world.permit(&mut client, PEER), 0);
    let mut message = parse(&send_indication(PEER, b"x"));
    message.add(AttrType(0x7001), &[]);
    world.silence(client.tuple, &message.raw);
    let mut message = parse(&send_indication(PEER, b"x"));
    message.add(AttrType(0xC001), &[]);
    assert!(world.server.handle_client(&message.raw, client.tuple, world.now).is_some());
}

#[test]
fn all_peers_are_judged_before_one_is_permitted() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    for (bad, expected) in [("127.0.0.1:1", 403), ("10.0.0.1:1", 403), ("[2400::1]:1", 443)] {
        let peers = vec![world.peer_attribute(PEER), world.peer_attribute(bad)];
        let answer = world.exchange_with_peer(&mut client, PERMISSION, peers);
        assert_eq!(code(&answer), expected, "{bad}");
        assert_eq!(world.peer_sends(relay, PEER, b"x"), None, "{bad}");
    }
    let answer = world.exchange(&mut client, PERMISSION, &[(ATTR_XOR_PEER_ADDRESS, vec![0, 1, 0])]);
    assert_eq!(code(&answer), 400);
    assert_eq!(code(&world.exchange(&mut client, PERMISSION, &[])), 400);
    let peers = vec![world.peer_attribute(PEER), world.peer_attribute("1.2.3.5:1")];
    assert_eq!(code(&world.exchange_with_peer(&mut client, PERMISSION, peers)), 0);
    assert!(world.peer_sends(relay, PEER, b"x").is_some());
    assert!(world.peer_sends(relay, "1.2.3.5:9", b"x").is_some());
}

#[test]
fn a_permission_lasts_300_seconds_and_is_refreshed_by_another() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    assert_eq!(world.permit(&mut client, PEER), 0);
    world.pass(299);
    assert!(world.peer_sends(relay, PEER, b"x").is_some());
    assert_eq!(world.permit(&mut client, PEER), 0);
    world.pass(299);
    assert!(world.send(&client, PEER, b"x").is_some());
    world.pass(1);
    assert_eq!(world.peer_sends(relay, PEER, b"x"), None);
    assert_eq!(world.send(&client, PEER, b"x"), None);
}

#[test]
fn a_channel_carries_data_both_ways_and_installs_a_permission() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let relay = world.relay(relayed);
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0);
    let to = world.channel_data(&client, 0x4000, b"hello").expect("bound");
    assert_eq!((to.relay, to.peer.0), (relay, addr(PEER)));
    let (to, bytes) = world.peer_sends(relay, PEER, b"reply").expect("permitted");
    assert_eq!(to, client.tuple);
    assert_eq!(bytes, b"\x40\x00\x00\x05reply", "no padding over UDP");
    let (_, bytes) = world.peer_sends(relay, "1.2.3.4:5001", b"x").expect("the permission is by address");
    assert_eq!(data_of(&parse(&bytes)), (addr("1.2.3.4:5001"), b"x".to_vec()));
    assert_eq!(world.channel_data(&client, 0x4001, b"x"), None);
}

#[test]
fn over_a_stream_channel_data_is_padded() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 60);
    client.tuple.transport = Transport::Tcp;
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp()])), 0);
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0);
    let relay = world.opened[0].0;
    let (_, bytes) = world.peer_sends(relay, PEER, b"reply").expect("permitted");
    assert_eq!(bytes, b"\x40\x00\x00\x05reply\0\0\0");
}

#[test]
fn a_channel_number_stands_for_one_peer_and_a_peer_for_one_number() {
    let mut world = World::new();
    let (mut client, _) = world.allocated("198.51.100.1:4000");
    for number in [0x0000, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF] {
        assert_eq!(world.bind(&mut client, number, PEER), 400, "{number:#06x}");
    }
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0);
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0, "a refresh");
    assert_eq!(world.bind(&mut client, 0x4000, "1.2.3.4:5001"), 400);
    assert_eq!(world.bind(&mut client, 0x4001, PEER), 400);
    assert_eq!(world.bind(&mut client, 0x4FFF, "1.2.3.4:5001"), 0);
    assert_eq!(code(&world.exchange(&mut client, CHANNEL, &[channel(0x4002)])), 400);
    let peer = vec![world.peer_attribute("1.2.3.4:5002")];
    assert_eq!(code(&world.exchange_with_peer(&mut client, CHANNEL, peer)), 400);
    assert_eq!(world.bind(&mut client, 0x4003, "[2400::1]:1"), 443);
}

#[test]
fn legacy_channel_numbers_are_a_setting() {
    let mut world = World::with(Config { channel_numbers: turn_proto::LEGACY_CHANNEL_NUMBERS, ..config() });
    let (mut client, _) = world.allocated("198.51.100.1:4000");
    assert_eq!(world.bind(&mut client, 0x7FFF, PEER), 0);
    assert!(world.channel_data(&client, 0x7FFF, b"x").is_some());
    assert_eq!(world.bind(&mut client, 0x8000, "1.2.3.5:1"), 400);
}

#[test]
fn a_channel_lasts_600_seconds_and_its_permission_300() {
    let mut world = World::new();
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 7200);
    let answer = world.exchange(&mut client, ALLOCATE, &[udp(), lifetime(3600)]);
    let relay = world.relay(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS));
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0);
    world.pass(300);
    assert_eq!(world.peer_sends(relay, PEER, b"x"), None, "the permission comes before the channel");
    assert!(world.channel_data(&client, 0x4000, b"x").is_some());
    assert_eq!(world.bind(&mut client, 0x4000, PEER), 0);
    assert!(world.peer_sends(relay, PEER, b"x").is_some(), "a refreshed channel refreshes the permission");
    world.pass(299);
    assert_eq!(world.permit(&mut client, PEER), 0);
    world.pass(300);
    assert!(world.channel_data(&client, 0x4000, b"x").is_some());
    world.pass(1);
    assert_eq!(world.channel_data(&client, 0x4000, b"x"), None);
    assert_eq!(world.bind(&mut client, 0x4001, PEER), 0, "the peer is free for another number");
    assert_eq!(world.bind(&mut client, 0x4000, "1.2.3.4:5001"), 0, "and the number for another peer");
}

#[test]
fn permissions_and_channels_are_capped_and_what_lapsed_makes_room() {
    let limits = Limits { permissions: 3, channels: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..config() });
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 7200);
    world.exchange(&mut client, ALLOCATE, &[udp(), lifetime(3600)]);
    assert_eq!(world.bind(&mut client, 0x4000, "1.1.1.1:1"), 0);
    assert_eq!(world.bind(&mut client, 0x4001, "1.1.1.1:2"), 0);
    assert_eq!(world.bind(&mut client, 0x4002, "1.1.1.1:3"), 508);
    assert_eq!(world.bind(&mut client, 0x4001, "1.1.1.1:2"), 0, "a refresh needs no room");
    let peers = ["1.1.1.2:1", "1.1.1.3:1", "1.1.1.4:1"].map(|peer| world.peer_attribute(peer));
    assert_eq!(code(&world.exchange_with_peer(&mut client, PERMISSION, peers.to_vec())), 508);
    assert_eq!(world.send(&client, "1.1.1.2:1", b"x"), None, "all or nothing");
    assert_eq!(world.permit(&mut client, "1.1.1.2:1"), 0);
    assert_eq!(world.permit(&mut client, "1.1.1.3:1"), 0);
    assert_eq!(world.permit(&mut client, "1.1.1.4:1"), 508);
    assert_eq!(world.permit(&mut client, "1.1.1.1:9"), 0);
    world.pass(600);
    assert_eq!(world.permit(&mut client, "1.1.1.4:1"), 0);
    assert_eq!(world.bind(&mut client, 0x4002, "1.1.1.1:3"), 0);
}

#[test]
fn forbidden_peers_are_refused_by_every_method() {
    let forbidden = [
        "127.0.0.1:80",
        "0.0.0.0:80",
        "169.254.169.254:80",
        "10.0.0.1:80",
        "192.168.0.1:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[::ffff:1.2.3.4]:80",
        "[2002:7f00:1::]:80",
        "[64:ff9b::7f00:1]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "[fe80::1]:80",
        "[fd00::1]:80",
        "[ff02::1]:80",
    ];
    let mut config = config();
    config.relay_addresses.push(ip("2400::9"));
    let mut world = World::with(config);
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 3600);
    let both = (AttrType(0x8000), vec![2, 0, 0, 0]);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp(), both])), 0);
    for peer in forbidden {
        let expected = if peer.starts_with("[::ffff") { 443 } else { 403 };
        assert_eq!(world.permit(&mut client, peer), expected, "{peer}");
        assert_eq!(world.bind(&mut client, 0x4000, peer), expected, "{peer}");
        assert_eq!(world.send(&client, peer, b"x"), None, "{peer}");
        assert_eq!(world.channel_data(&client, 0x4000, b"x"), None, "{peer}");
        for (relay, _) in world.opened.clone() {
            assert_eq!(world.peer_sends(relay, peer, b"x"), None, "{peer}");
        }
    }
    assert_eq!(world.server.stats().to_peer_packets, 0);
    assert!(world.server.stats().refused_peers[PeerRefusal::Loopback.index()] > 0);
}

#[test]
fn of_own_addresses_only_media_and_relay_ports_are_reached() {
    let mut config = config();
    let own = |ports| OwnPorts { ip: ip("127.0.0.1"), ports };
    config.relay_addresses = vec![ip("127.0.0.1")];
    config.policy.own = vec![own(9000..=9001)];
    let mut world = World::with(config);
    let mut client = Client::new("127.0.0.1:4000", "alice", START + 3600);
    let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
    let relay = world.relay(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS));
    assert_eq!(world.permit(&mut client, "127.0.0.1:5432"), 0, "a permission is by address");
    let mut other = Client::new("127.0.0.1:4001", "bob", START + 3600);
    let answer_to_other = world.exchange(&mut other, ALLOCATE, &[udp()]);
    let relayed = address_of(&answer_to_other, ATTR_XOR_RELAYED_ADDRESS).to_string();
    for open in ["127.0.0.1:9000", "127.0.0.1:9001", &relayed] {
        assert!(world.send(&client, open, b"x").is_some(), "{open}");
        assert!(world.peer_sends(relay, open, b"x").is_some(), "{open}");
    }
    for closed in ["127.0.0.1:5432", "127.0.0.1:8080", "127.0.0.1:3478", "127.0.0.1:9002", "127.0.0.1:0"] {
        assert_eq!(world.send(&client, closed, b"x"), None, "{closed}");
        assert_eq!(world.peer_sends(relay, closed, b"x"), None, "{closed}");
        assert_eq!(world.bind(&mut client, 0x4000, closed), 403, "{closed}");
    }
    assert_eq!(world.bind(&mut client, 0x4000, "127.0.0.1:9000"), 0);
    assert_eq!(world.permit(&mut client, "127.0.0.2:9000"), 403);
    assert_eq!(world.server.stats().refused_peers[PeerRefusal::OwnPort.index()], 12);
    assert_eq!(world.server.stats().refused_peers[PeerRefusal::Reserved.index()], 3, "port 0");
    // The relayed address of somebody is reachable as long as it is somebody's.
    assert_eq!(code(&world.exchange(&mut other, REFRESH, &[lifetime(0)])), 0);
    assert_eq!(world.send(&client, &relayed, b"x"), None);
    assert_eq!(world.bind(&mut client, 0x4001, &relayed), 403);
    for port in 50_000..=50_099u16 {
        let at = format!("127.0.0.1:{port}");
        let own = address_of(&answer, ATTR_XOR_RELAYED_ADDRESS).port();
        assert_eq!(world.send(&client, &at, b"x").is_some(), port == own, "{at}");
    }
}

#[test]
fn a_send_may_ask_for_the_df_bit() {
    let mut world = World::new();
    let (mut client, _) = world.allocated("198.51.100.1:4000");
    assert_eq!(world.permit(&mut client, PEER), 0);
    assert!(!world.send(&client, PEER, b"x").expect("permitted").dont_fragment);
    let mut message = parse(&send_indication(PEER, b"x"));
    message.add(ATTR_DONT_FRAGMENT, &[]);
    let to = world.server.handle_client(&message.raw, client.tuple, world.now).expect("permitted");
    assert!(to.dont_fragment);
}

#[test]
fn icmp_errors_reach_the_client_that_has_a_permission() {
    let icmp = |kind, code, mtu| Icmp { kind, code, mtu };
    let mut config = config();
    config.relay_addresses.push(ip("2400::9"));
    let mut world = World::with(config);
    let mut client = Client::new("198.51.100.1:4000", "alice", START + 3600);
    let both = (AttrType(0x8000), vec![2, 0, 0, 0]);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp(), both])), 0);
    let peers = [(PEER, world.opened[0].0), ("[2400::1]:5000", world.opened[1].0)];
    let tell = |world: &mut World, peer: &str, relay, icmp| {
        world.server.handle_icmp(relay, PeerAddr(addr(peer)), icmp, world.now);
        world.settle()
    };
    for (peer, relay) in peers {
        assert_eq!(tell(&mut world, peer, relay, icmp(3, 3, 0)), [], "no permission");
        assert_eq!(world.permit(&mut client, peer), 0);
    }
    for (at, kind, told) in [
        (0, 3, true),
        (0, 11, true),
        (0, 0, false),
        (0, 5, false),
        (1, 1, true),
        (1, 2, true),
        (1, 3, true),
        (1, 4, false),
        (1, 128, false),
    ] {
        let (peer, relay) = peers[at];
        let sent = tell(&mut world, peer, relay, icmp(kind, 4, 1280));
        assert_eq!(sent.len(), usize::from(told), "{peer} type {kind}");
        for (to, bytes) in sent {
            let message = parse(&bytes);
            assert_eq!((to, message.typ), (client.tuple, MessageType::new(METHOD_DATA, CLASS_INDICATION)));
            assert_eq!(address_of(&message, ATTR_XOR_PEER_ADDRESS), addr(peer));
            let value = message.get(AttrType(0x8004)).expect("ICMP");
            assert_eq!(value, [0, 0, kind << 1, 4, 0, 0, 5, 0], "7 bits of type, 9 of code, the MTU");
            assert!(!message.contains(ATTR_DATA));
        }
    }
    world.pass(300);
    assert_eq!(tell(&mut world, PEER, peers[0].1, icmp(3, 3, 0)), [], "the permission has lapsed");
}

#[test]
fn an_old_socket_of_a_reused_slot_reaches_nobody() {
    let mut world = World::new();
    let (mut client, relayed) = world.allocated("198.51.100.1:4000");
    let old = world.relay(relayed);
    assert_eq!(code(&world.exchange(&mut client, REFRESH, &[lifetime(0)])), 0);
    let (mut other, relayed) = world.allocated("198.51.100.2:4000");
    let new = world.relay(relayed);
    assert_eq!(world.permit(&mut other, PEER), 0);
    assert_eq!(old.slot(), new.slot());
    assert_eq!(world.peer_sends(old, PEER, b"x"), None);
    assert!(world.peer_sends(new, PEER, b"x").is_some());
}

/// What a client and time may do.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Refresh(u32),
    Permit(usize),
    Bind(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..400u64).prop_map(Step::Pass),
        (1..4000u32).prop_map(Step::Refresh),
        (0..3usize).prop_map(Step::Permit),
        (0..3usize).prop_map(Step::Bind),
    ]
}

proptest! {
    /// Lifetimes of allocation, permissions and channels against the plainest model: three tables of ends.
    #[test]
    fn lifetimes_follow_the_model(steps in proptest::collection::vec(step(), 1..40)) {
        const PEERS: [&str; 3] = ["1.1.1.1:1000", "1.1.1.2:1000", "1.1.1.3:1000"];
        let limits = Limits { challenges_per_second: 1000, challenges_per_source: 1000, ..Limits::default() };
        let mut world = World::with(Config { limits, ..config() });
        let mut client = Client::new("198.51.100.1:4000", "alice", START + 1_000_000);
        let answer = world.exchange(&mut client, ALLOCATE, &[udp()]);
        let relay = world.relay(address_of(&answer, ATTR_XOR_RELAYED_ADDRESS));
        let (mut clock, mut end) = (0u64, Some(600u64));
        let (mut permitted, mut bound) = ([0u64; 3], [0u64; 3]);
        for step in steps {
            // A client renews its nonce when it must; that is not under test here.
            client.nonce.clear();
            match step {
                Step::Pass(seconds) => {
                    world.pass(seconds);
                    clock += seconds;
                    end = end.filter(|end| clock < *end);
                    prop_assert_eq!(world.settle(), vec![]);
                }
                Step::Refresh(asked) => {
                    let answer = world.exchange(&mut client, REFRESH, &[lifetime(asked)]);
                    prop_assert_eq!(code(&answer), if end.is_some() { 0 } else { 437 });
                    end = end.map(|_| clock + u64::from(asked.clamp(600, 3600)));
                }
                Step::Permit(i) => {
                    let answer = world.permit(&mut client, PEERS[i]);
                    prop_assert_eq!(answer, if end.is_some() { 0 } else { 437 });
                    permitted[i] = clock + 300;
                }
                Step::Bind(i) => {
                    let answer = world.bind(&mut client, 0x4000 + i as u16, PEERS[i]);
                    prop_assert_eq!(answer, if end.is_some() { 0 } else { 437 });
                    (permitted[i], bound[i]) = (clock + 300, clock + 600);
                }
            }
            prop_assert_eq!(world.server.allocations(), usize::from(end.is_some()));
            for (i, peer) in PEERS.iter().enumerate() {
                let may_come = end.is_some() && clock < permitted[i];
                let by_channel = end.is_some() && clock < bound[i];
                let came = world.peer_sends(relay, peer, b"data");
                prop_assert_eq!(came.is_some(), may_come);
                if let Some((_, bytes)) = came {
                    prop_assert_eq!(bytes[0] == 0x40, by_channel);
                }
                prop_assert_eq!(world.send(&client, peer, b"data").is_some(), may_come);
                let number = 0x4000 + i as u16;
                prop_assert_eq!(world.channel_data(&client, number, b"data").is_some(), by_channel);
            }
        }
    }

    /// Hostile bytes: no panic, no relaying, no state.
    #[test]
    fn noise_changes_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..120), header: bool) {
        let mut world = World::new();
        let mut bytes = bytes;
        if header && bytes.len() >= 20 {
            // Plausible enough to be read attribute by attribute.
            let length = ((bytes.len() - 20) & !3) as u16;
            bytes.truncate(20 + usize::from(length));
            bytes[0] &= 0x01;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&0x2112_A442u32.to_be_bytes());
        }
        let client = Client::new("198.51.100.1:4000", "alice", START);
        prop_assert_eq!(world.server.handle_client(&bytes, client.tuple, world.now), None);
        prop_assert!(world.settle().len() <= 1);
        prop_assert_eq!((world.server.allocations(), world.opened.len()), (0, 0));
    }
}
