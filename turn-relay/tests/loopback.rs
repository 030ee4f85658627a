//! The running relay over real loopback, with a client that we did not write: the `turn` crate's.

mod common;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use common::*;
use contract::turn::{Credential, TurnSecret};
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use turn_relay::{Config, StartError, TurnRelay};
use webrtc_util::Conn;

async fn receive(conn: &impl Conn) -> (Vec<u8>, SocketAddr) {
    let mut buf = [0; 2048];
    let received = tokio::time::timeout(PATIENCE, conn.recv_from(&mut buf)).await.expect("arrives in time");
    let (length, from) = received.expect("receives");
    (buf[..length].to_vec(), from)
}

#[tokio::test]
async fn data_reaches_a_media_port_and_comes_back() {
    let peer = echo();
    let relay = Relay::start(&[peer]).await;
    let client = relay.client(credential("alice", 60)).await;
    let mapped = client.send_binding_request().await.expect("a Binding answer");
    assert_eq!(mapped.ip(), LOOPBACK);

    let conn = client.allocate().await.expect("an allocation");
    let relayed = conn.local_addr().expect("known");
    assert_eq!(relayed.ip(), LOOPBACK);
    assert!((RELAY_PORTS.first..=RELAY_PORTS.last).contains(&relayed.port()));
    // The first messages travel as Send and Data, later ones by channel once the client has bound one.
    for size in [1, 2, 3, 4, 500, 1200] {
        for round in 0..20u8 {
            let data = vec![round; size];
            conn.send_to(&data, peer).await.expect("sends");
            assert_eq!(receive(&conn).await, (data, peer));
        }
    }
    client.close().await.expect("closes");
    relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.metrics();
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_peer\"} 120\n"), "{metrics}");
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_client\"} 120\n"), "{metrics}");
    assert!(metrics.contains("turn_allocations_created_total 1\n"), "{metrics}");
    assert!(metrics.contains("turn_errors_total{code=\"401\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn two_clients_meet_relay_to_relay() {
    let relay = Relay::start(&[]).await;
    let (alice, bob) =
        (relay.client(credential("alice", 60)).await, relay.client(credential("bob", 60)).await);
    let (a, b) = (alice.allocate().await.expect("allocates"), bob.allocate().await.expect("allocates"));
    let (at_a, at_b) = (a.local_addr().expect("known"), b.local_addr().expect("known"));
    // Each opens the way for the other; what comes before that is dropped, so b speaks first.
    b.send_to(b"opens the way", at_a).await.expect("sends");
    a.send_to(b"hello", at_b).await.expect("sends");
    assert_eq!(receive(&b).await, (b"hello".to_vec(), at_a));
    b.send_to(b"and back", at_a).await.expect("sends");
    let mut back = receive(&a).await;
    if back.0 == b"opens the way" {
        // It crossed with the permission that lets it in.
        back = receive(&a).await;
    }
    assert_eq!(back, (b"and back".to_vec(), at_b));
}

#[tokio::test]
async fn wrong_and_expired_credentials_get_no_allocation() {
    let relay = Relay::start(&[]).await;
    let mut wrong = credential("alice", 60);
    wrong.password = TurnSecret::new("south".into()).password(&wrong.username);
    let static_user = Credential { username: "alice".into(), password: "secret".into() };
    for credential in [wrong, credential("alice", -1), static_user] {
        let client = relay.client(credential).await;
        let error = client.allocate().await.err().expect("no allocation");
        assert!(error.to_string().contains("401"), "{error}");
    }
    let good = relay.client(credential("alice", 60)).await;
    good.allocate().await.expect("the good one still gets in");
    relay.relay.drain(Duration::ZERO).await;
    assert!(relay.metrics().contains("turn_allocations_created_total 1\n"));
}

#[tokio::test]
async fn forbidden_peers_never_receive_a_packet() {
    let media = echo();
    let relay = Relay::start(&[media]).await;
    let victims: Vec<UdpSocket> = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"]
        .map(|at| {
            let socket = UdpSocket::bind(at).expect("a socket");
            socket.set_nonblocking(true).expect("an option");
            socket
        })
        .into();
    let client = relay.client(credential("alice", 60)).await;
    let conn = client.allocate().await.expect("an allocation");
    let mut permitted = 0;
    for victim in &victims {
        let at = victim.local_addr().expect("bound");
        for _ in 0..10 {
            // A permission is by address, so on an own address the client may believe that it sends.
            permitted += usize::from(conn.send_to(b"let me in", at).await.is_ok());
        }
    }
    let own_port = SocketAddr::new(LOOPBACK, relay.addr().port());
    let _ = conn.send_to(b"to the server itself", own_port).await;
    assert!(permitted >= 20, "otherwise nothing was tried");

    // One thread serves in order: when the echo is back, all of the above was decided.
    conn.send_to(b"barrier", media).await.expect("sends");
    assert_eq!(receive(&conn).await, (b"barrier".to_vec(), media));
    for victim in &victims {
        let error = victim.recv_from(&mut [0; 100]).expect_err("nothing arrived");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        // Nor does anything come from there.
        victim.send_to(b"knock", conn.local_addr().expect("known")).expect("sends");
    }
    conn.send_to(b"second", media).await.expect("sends");
    assert_eq!(receive(&conn).await, (b"second".to_vec(), media));
    relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.metrics();
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_peer\"} 2\n"), "{metrics}");
    assert!(!metrics.contains("turn_refused_peers_total{reason=\"own_port\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("turn_refused_peers_total{reason=\"loopback\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_drained_relay_ends_what_outlives_the_deadline_and_frees_its_port() {
    let relay = Relay::start(&[]).await;
    let address = relay.addr();
    let client = relay.client(credential("alice", 60)).await;
    let conn = client.allocate().await.expect("an allocation");
    let relayed = conn.local_addr().expect("known");
    assert_eq!(UdpSocket::bind(relayed).expect_err("held").kind(), ErrorKind::AddrInUse);
    relay.relay.drain(Duration::ZERO).await;
    UdpSocket::bind(relayed).expect("the relay port is free");
    UdpSocket::bind(address).expect("the client port is free");
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let taken = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
    let config = Config {
        listen: vec![taken.local_addr().expect("bound")],
        public_ips: vec![LOOPBACK],
        secret: Secret::new(SECRET.into()),
        ..Config::default()
    };
    let error = TurnRelay::start(config, &mut Registry::default()).await.expect_err("taken");
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains("`listen`"), "{error}");
}

#[tokio::test]
async fn settings_without_a_secret_do_not_start() {
    let config = Config { public_ips: vec![LOOPBACK], ..Config::default() };
    let error = TurnRelay::start(config, &mut Registry::default()).await.expect_err("no secret");
    assert!(error.to_string().contains("`secret`"), "{error}");
}
