//! Hostile clients against the running relay, over every transport: targets are real sockets, and what counts is how
//! many packets reached them.

mod common;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use common::raw::{Raw, Wire, socket};
use common::*;
use contract::turn::TurnSecret;
use stun::attributes::{ATTR_LIFETIME, ATTR_REQUESTED_TRANSPORT};
use stun::message::{CLASS_REQUEST, METHOD_ALLOCATE, METHOD_REFRESH};
use turn_relay::{Config, Transport};

/// A socket that must stay empty.
struct Target(UdpSocket);

impl Target {
    fn at(address: &str) -> Option<Self> {
        let socket = UdpSocket::bind(address).ok()?;
        socket.set_nonblocking(true).expect("an option");
        Some(Self(socket))
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    fn received(&self) -> usize {
        match self.0.recv_from(&mut [0; 2048]) {
            Ok(_) => 1 + self.received(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                0
            }
        }
    }
}

/// Ways to write a target, as itself and inside of IPv6.
fn spellings(at: SocketAddr) -> Vec<SocketAddr> {
    let IpAddr::V4(v4) = at.ip() else { return vec![at] };
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        v4.to_string(),
        format!("[::ffff:{v4}]"),
        format!("[::{v4}]"),
        format!("[64:ff9b::{v4}]"),
        format!("[64:ff9b:1::{v4}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:{high:x}:{low:x}::1]"),
    ]
    .map(|ip| format!("{ip}:{}", at.port()).parse().expect("an address"))
    .into()
}

async fn relay_on_everything(media: SocketAddr) -> Relay {
    let any = vec![SocketAddr::new(LOOPBACK, 0)];
    // One thread, so that what one client was answered comes after what another one had sent before.
    let config = Config { listen_tcp: any, threads: 1, ..config(vec![media.into()]) };
    // Even a careless operator opens nothing of this machine.
    let allow_private = vec!["0.0.0.0/0".parse().expect("a net"), "::/0".parse().expect("a net")];
    Relay::with(Config { allow_private, ..config }).await
}

fn wires(relay: &Relay) -> [Wire; 2] {
    let at = |transport| relay.relay.addresses(transport)[0];
    [Wire::udp(at(Transport::Udp)), Wire::tcp(at(Transport::Tcp))]
}

#[tokio::test]
async fn no_method_and_no_spelling_reaches_what_is_forbidden() {
    let media = echo();
    let relay = relay_on_everything(media).await;
    let wires = wires(&relay);
    // A database on loopback, on another loopback address, on IPv6, on every other address of this machine, and
    // one in the relay port range that no allocation has.
    let mut targets: Vec<Target> =
        ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"].iter().filter_map(|at| Target::at(at)).collect();
    let machine = if_addrs::get_if_addrs().expect("addresses");
    let others = machine.iter().map(|found| found.ip()).filter(|ip| ip.is_ipv4() && !ip.is_loopback());
    targets.extend(others.filter_map(|ip| Target::at(&format!("{ip}:0"))));
    let in_range =
        (RELAY_PORTS.first..RELAY_PORTS.last).find_map(|port| Target::at(&format!("127.0.0.1:{port}")));
    targets.push(in_range.expect("a free port"));
    let targets = tokio::task::spawn_blocking(move || {
        for wire in wires {
            let mut client = Raw::new(wire, credential("mallory", 60));
            let relayed = client.allocate();
            assert_eq!(client.bind(0x4001, media), 0);
            let mut number = 0x4002;
            for target in &targets {
                let mut ways = spellings(target.address());
                // Everything that this machine answers to.
                ways.push(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), target.address().port()));
                ways.push(SocketAddr::new(Ipv4Addr::BROADCAST.into(), target.address().port()));
                for at in ways {
                    client.permit(at);
                    assert_ne!(client.bind(number, at), 0, "{at}");
                    client.send_to(at, b"let me in", &[]);
                    client.channel(number, b"let me in");
                    number += 1;
                }
                // And from there to the client.
                let _ = target.0.send_to(b"let me out", relayed);
            }
            // What was sent before the echo was decided before it.
            client.channel(0x4001, b"barrier");
            let bytes = client.receive();
            assert_eq!(&bytes[4..11], b"barrier", "nothing else came");
        }
        targets
    })
    .await
    .expect("no panic");
    let received: usize = targets.iter().map(Target::received).sum();
    assert_eq!(received, 0, "packets that reached a target");
    relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.metrics();
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_peer\"} 2\n"), "{metrics}");
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_client\"} 2\n"), "{metrics}");
}

#[tokio::test]
async fn a_relayed_address_is_reachable_while_it_is_somebodys() {
    let media = echo();
    let relay = relay_on_everything(media).await;
    let [udp, tcp] = wires(&relay);
    tokio::task::spawn_blocking(move || {
        let (mut alice, mut bob) =
            (Raw::new(udp, credential("alice", 60)), Raw::new(tcp, credential("bob", 60)));
        let (of_alice, of_bob) = (alice.allocate(), bob.allocate());
        assert_eq!((alice.permit(of_bob), bob.permit(of_alice)), (0, 0));
        alice.send_to(of_bob, b"hello", &[]);
        assert_eq!(bob.data(), (of_alice, Some(b"hello".to_vec()), None));
        // Bob leaves, and somebody else binds the port.
        let zero = (ATTR_LIFETIME, vec![0; 4]);
        assert_eq!(common::raw::code(&bob.ask(METHOD_REFRESH, &[zero])), 0);
        let next = socket(&of_bob.to_string());
        next.set_nonblocking(true).expect("an option");
        alice.send_to(of_bob, b"hello?", &[]);
        assert_eq!(alice.bind(0x4002, of_bob), 403);
        assert_eq!(next.recv_from(&mut [0; 10]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn strangers_and_noise_get_no_socket_and_disturb_nobody() {
    let media = echo();
    let relay = relay_on_everything(media).await;
    let ([udp, tcp], at) = (wires(&relay), relay.addr());
    tokio::task::spawn_blocking(move || {
        let mut good = Raw::new(tcp, credential("alice", 60));
        good.allocate();
        assert_eq!(good.bind(0x4001, media), 0);
        let noise = socket("127.0.0.1:0");
        let mut stranger =
            Raw::new(udp, TurnSecret::new("south-of-the-border".into()).credential("x", u64::MAX));
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        for round in 0..500u32 {
            let mut bytes = Vec::new();
            for _ in 0..round % 90 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes.push((seed >> 56) as u8);
            }
            noise.send_to(&bytes, at).expect("sends");
            let udp = (ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0]);
            let request = stranger.message(METHOD_ALLOCATE, CLASS_REQUEST, &[udp]);
            stranger.wire.send(&request.raw);
            good.channel(0x4001, &round.to_be_bytes());
            assert_eq!(good.receive()[4..8], round.to_be_bytes(), "the other one does not wait");
        }
    })
    .await
    .expect("no panic");
    relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.metrics();
    assert!(metrics.contains("turn_allocations_created_total 1\n"), "{metrics}");
}
