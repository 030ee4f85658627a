//! Every way to write a forbidden address x every method that could reach it, and what comes back from there. What
//! counts is what would leave: nothing.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use common::*;
use proptest::prelude::*;
use stun::attributes::*;
use turn_proto::{Config, Limits, OwnPorts, PeerPolicy};

/// IPv4 addresses that no client may reach.
const FORBIDDEN: [&str; 24] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    // On the deny list, though public.
    "9.9.9.9",
    // An address of the service itself.
    "203.0.113.9",
];

/// IPv6 addresses that are forbidden whatever they hold.
const FORBIDDEN_V6: [&str; 12] = [
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
];

/// Ports of the service itself that are nobody's business, and port 0.
const PORTS: [u16; 7] = [0, 80, 443, 3478, 5432, 8080, 9090];

/// Every way to write an IPv4 address, as itself and inside of IPv6.
fn spellings(v4: Ipv4Addr) -> Vec<IpAddr> {
    let low = u128::from(v4.to_bits());
    let hidden = u128::from(!v4.to_bits());
    let v6 = [
        // v4-mapped, v4-compatible, v4-translated (SIIT).
        (0xFFFF << 32) | low,
        low,
        (0xFFFF_0000 << 32) | low,
        // NAT64: well-known prefix, and the local one of RFC 8215.
        (0x0064_FF9B << 96) | low,
        (0x0064_FF9B_0001 << 80) | low,
        // 6to4, with nothing and with something behind.
        (0x2002 << 112) | (low << 80),
        (0x2002 << 112) | (low << 80) | 0xFFFF_0000_0000_0001,
        // Teredo: as server, and as client with its bits turned over.
        (0x2001_0000 << 96) | (low << 64),
        (0x2001_0000 << 96) | (0x0102_0304 << 64) | hidden,
        // ISATAP, global and local.
        (0x2400 << 112) | (0x5EFE << 32) | low,
        (0x2400 << 112) | (0x0200_5EFE << 32) | low,
        (0xFE80 << 112) | (0x5EFE << 32) | low,
    ];
    std::iter::once(v4.into()).chain(v6.map(|bits| Ipv6Addr::from_bits(bits).into())).collect()
}

fn config_of_both_families() -> Config {
    let mut config = config();
    config.relay_addresses.push(ip("2400::9"));
    // What is tried here is not how often.
    config.limits =
        Limits { challenges_per_second: u16::MAX, challenges_per_source: u16::MAX, ..Limits::default() };
    config.policy = PeerPolicy { deny: vec!["9.9.9.9/32".parse().expect("a net")], ..PeerPolicy::default() };
    config
}

/// A client with a relayed address of each family, and a permission and a channel that are good.
fn attacker(config: Config) -> (World, Client) {
    let mut world = World::with(config);
    let mut client = Client::new("198.51.100.77:4000", "mallory", START + 3600);
    let both = (AttrType(0x8000), vec![2, 0, 0, 0]);
    assert_eq!(code(&world.exchange(&mut client, ALLOCATE, &[udp(), both])), 0);
    assert_eq!(world.permit(&mut client, PEER), 0);
    assert_eq!(world.bind(&mut client, 0x4001, PEER), 0);
    assert!(world.channel_data(&client, 0x4001, b"x").is_some(), "what is allowed passes");
    (world, client)
}

/// Tries everything to reach `target`, and counts what would have left or come in.
fn assault(world: &mut World, client: &mut Client, target: SocketAddr) -> usize {
    let target = target.to_string();
    let mut passed = 0;
    // Alone, and hidden behind a good one.
    world.permit(client, &target);
    let peers = vec![world.peer_attribute(PEER), world.peer_attribute(&target)];
    world.exchange_with_peer(client, PERMISSION, peers);
    passed += usize::from(world.send(client, &target, b"x").is_some());
    // A number of its own, and the number of a good channel.
    for number in [0x4000, 0x4001] {
        world.bind(client, number, &target);
    }
    passed += usize::from(world.channel_data(client, 0x4000, b"x").is_some());
    let good = world.channel_data(client, 0x4001, b"x").expect("still bound to the good peer");
    passed += usize::from(good.peer.0.to_string() == target);
    passed += usize::from(world.send(client, &target, b"x").is_some());
    for (relay, _) in world.opened.clone() {
        passed += usize::from(world.peer_sends(relay, &target, b"x").is_some());
    }
    passed
}

#[test]
fn no_spelling_of_a_forbidden_address_is_reached_by_any_method() {
    let (mut world, mut client) = attacker(config_of_both_families());
    let v4 = FORBIDDEN.iter().flat_map(|text| spellings(text.parse().expect("an address")));
    let v6 = FORBIDDEN_V6.iter().map(|text| ip(text));
    let mut tried = 0;
    for target in v4.chain(v6) {
        for port in [0, 53, 5432, 50_050, 65_535] {
            let target = SocketAddr::new(target, port);
            assert_eq!(assault(&mut world, &mut client, target), 0, "{target}");
            tried += 1;
        }
    }
    assert_eq!(tried, (24 * 13 + 12) * 5);
}

#[test]
fn of_the_service_itself_only_named_ports_are_reached() {
    let mut config = config_of_both_families();
    let own = |text: &str, ports| OwnPorts { ip: ip(text), ports };
    #[expect(clippy::reversed_empty_ranges, reason = "a range of no port")]
    let listens = own("1.2.3.9", 1..=0);
    config.policy.own = vec![own(RELAY_IP, 9000..=9001), own("1.2.3.8", 9000..=9000), listens];
    config.policy.allow_private = vec!["0.0.0.0/0".parse().expect("a net")];
    let (mut world, mut client) = attacker(config);
    for text in [RELAY_IP, "1.2.3.8", "1.2.3.9"] {
        for spelling in spellings(text.parse().expect("an address")) {
            for port in PORTS {
                let target = SocketAddr::new(spelling, port);
                assert_eq!(assault(&mut world, &mut client, target), 0, "{target}");
            }
        }
    }
    assert!(assault(&mut world, &mut client, addr("203.0.113.9:9000")) > 0, "the media port is open");
}

#[test]
fn a_second_allocation_is_no_way_around() {
    let (mut world, mut first) = attacker(config_of_both_families());
    let mut second = Client::new("198.51.100.78:4000", "trent", START + 3600);
    let answer = world.exchange(&mut second, ALLOCATE, &[udp()]);
    let relayed = address_of(&answer, ATTR_XOR_RELAYED_ADDRESS);
    // Relay to relay is open; what comes out there goes to its client and nowhere else.
    assert_eq!(world.permit(&mut first, &relayed.to_string()), 0);
    let to = world.send(&first, &relayed.to_string(), b"x").expect("relay to relay");
    assert_eq!(to.peer.0, relayed);
    // Nor does a message inside the payload do anything on the other side: it is data from a peer.
    let inner = send_indication("127.0.0.1:5432", b"x");
    let from = world.opened[0].1.to_string();
    assert_eq!(world.permit(&mut second, &from), 0);
    let relay = world.relay(relayed);
    let (to, _) = world.peer_sends(relay, &from, &inner).expect("permitted");
    assert_eq!(to, second.tuple);
    // Whose allocation is gone has no address that is reachable, whoever binds it next.
    assert_eq!(code(&world.exchange(&mut second, REFRESH, &[lifetime(0)])), 0);
    assert_eq!(assault(&mut world, &mut first, relayed), 0);
}

#[test]
fn a_policy_that_closes_closes_for_live_permissions_too() {
    let (mut world, client) = attacker(config_of_both_families());
    let relay = world.opened[0].0;
    assert!(world.send(&client, PEER, b"x").is_some());
    let deny = vec!["1.2.3.0/24".parse().expect("a net")];
    world.server.set_policy(PeerPolicy { deny, ..PeerPolicy::default() });
    assert_eq!(world.send(&client, PEER, b"x"), None);
    assert_eq!(world.channel_data(&client, 0x4001, b"x"), None);
    assert_eq!(world.peer_sends(relay, PEER, b"x"), None);
}

#[test]
fn another_transport_or_port_of_the_same_client_is_another_client() {
    let (mut world, client) = attacker(config_of_both_families());
    for transport in turn_proto::Transport::ALL {
        for port in [4000, 4001] {
            let mut other = Client::new(&format!("198.51.100.77:{port}"), "mallory", START + 3600);
            other.tuple.transport = transport;
            let same = other.tuple == client.tuple;
            assert_eq!(world.send(&other, PEER, b"x").is_some(), same);
            assert_eq!(world.channel_data(&other, 0x4001, b"x").is_some(), same);
            // A nonce is not good elsewhere either.
            other.nonce = client.nonce.clone();
            let answer = world.exchange(&mut other, REFRESH, &[]);
            assert_eq!(code(&answer), if same { 0 } else { 438 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Authenticated hostility: any attributes under a good signature. No panic, and nothing to forbidden addresses.
    #[test]
    fn signed_nonsense_reaches_nobody_forbidden(
        requests in proptest::collection::vec(
            (0..4usize, proptest::collection::vec((0..20usize, proptest::collection::vec(any::<u8>(), 0..24)), 0..6)),
            1..12,
        ),
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..12),
    ) {
        const TYPES: [u16; 20] = [
            0x0006, 0x000C, 0x000D, 0x0012, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x001A,
            0x001D, 0x001E, 0x0022, 0x8000, 0x8002, 0x8023, 0x7001,
        ];
        let mut config = config_of_both_families();
        config.limits.allocations_per_user = 3;
        let mut world = World::with(config);
        let mut client = Client::new("198.51.100.77:4000", "mallory", START + 3600);
        world.challenge(&mut client);
        for (method, attributes) in requests {
            let method = [ALLOCATE, REFRESH, PERMISSION, CHANNEL][method];
            let attributes: Vec<_> = attributes.into_iter().map(|(typ, value)| (AttrType(TYPES[typ]), value)).collect();
            let request = client.request(method, &attributes);
            let _ = world.server.handle_client(&request.raw, client.tuple, world.now);
            world.settle();
        }
        for mut message in data {
            // Plausible headers, so that more than the first check is met.
            if let [first, second, ..] = &mut message[..] {
                (*first, *second) = if *second % 2 == 0 { (0x40, 0) } else { (0, 0x16) };
            }
            if let Some(to) = world.server.handle_client(&message, client.tuple, world.now) {
                let IpAddr::V4(ip) = to.peer.0.ip() else { continue };
                prop_assert!(!ip.is_private() && !ip.is_loopback() && !ip.is_link_local() && !ip.is_multicast());
            }
        }
        prop_assert!(world.server.allocations() <= 3);
    }
}
