//! The running relay with coturn's load tool. In a process of its own: for a moment a forked child holds every
//! socket of its parent, and tests beside it that look for freed ports would see them held.

mod common;

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use service_kit::config::Secret;
use turn_relay::{Config, MediaPorts, PortRange, Transport};

/// coturn's load tool; a message lost or an error printed fails the test. It leaves allocations behind, which count
/// for its user: each run is another one.
async fn uclient(relay: &Relay, user: &str, over: Transport, arguments: &[&str]) {
    let credential = credential(user, 600);
    let port = relay.relay.addresses(over)[0].port().to_string();
    let output = tokio::process::Command::new("turnutils_uclient")
        .args(["-u", &credential.username, "-w", &credential.password, "-p", &port])
        .args(["-n", "20", "-l", "400"])
        .args(arguments)
        .arg("127.0.0.1")
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PATIENCE, output).await.expect("ends in time") {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("turnutils_uclient is missing: install the Debian package `coturn`")
        }
        output => output.expect("runs"),
    };
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Total lost packets 0 "), "{text}");
    // The tool rolls dice for a TLS version, and is refused with the outdated ones until it has a good one.
    let secure = matches!(over, Transport::Tls | Transport::Dtls);
    assert!(secure || !text.contains("error"), "{text}");
}

/// The number of live allocations, as the relay tells it.
fn allocations(relay: &Relay) -> u32 {
    let metrics = relay.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix("turn_allocations "));
    line.and_then(|count| count.parse().ok()).expect("the gauge")
}

/// The secret changes and the relay begins to drain while the tool's messages are under way.
#[tokio::test]
async fn coturns_client_loses_nothing_while_the_secret_rotates_and_the_relay_drains() {
    let peer = echo();
    let ports = PortRange { first: peer.port(), last: peer.port() + 1 };
    let config = config(vec![MediaPorts { ip: LOOPBACK, ports }]);
    let relay = Relay::with(config.clone()).await;
    let to = peer.port().to_string();
    let load = ["-c", "-m", "2", "-e", "127.0.0.1", "-r", &to];
    let is_draining = Cell::new(false);
    let change = async {
        // The tool makes two for each of its clients before it sends anything.
        while allocations(&relay) < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let rotated = Config {
            secret: Secret::new("south-of-the-river".into()),
            secret_previous: config.secret.clone(),
            ..config.clone()
        };
        relay.relay.reload(&rotated).expect("valid");
        is_draining.set(true);
        // Longer than the tool needs: it must end by itself.
        relay.relay.drain(PATIENCE * 2).await;
    };
    tokio::select! {
        () = uclient(&relay, "load", Transport::Udp, &load) => {}
        // The tool has ended its allocations, and is about to end.
        () = async { change.await; std::future::pending().await } => {}
    }
    assert!(is_draining.get(), "before the tool was done");
}

#[tokio::test]
async fn coturns_client_loses_nothing() {
    let peer = echo();
    // The tool insists on a channel to the port above its peer's as well.
    let ports = PortRange { first: peer.port(), last: peer.port() + 1 };
    let media = vec![MediaPorts { ip: LOOPBACK, ports }];
    let folder = tempfile::tempdir().expect("a folder");
    certificate(&folder, "relay");
    let any = vec![SocketAddr::new(LOOPBACK, 0)];
    let relay = Relay::with(Config {
        listen_tcp: any.clone(),
        listen_tls: any.clone(),
        listen_dtls: any,
        tls_cert: Some(folder.path().join("relay.crt")),
        tls_key: Some(folder.path().join("relay.key")),
        ..config(media)
    })
    .await;
    let to = peer.port().to_string();
    let peer = ["-c", "-m", "4", "-e", "127.0.0.1", "-r", &to];
    // Channels, then Send and Data indications, to a peer; then clients with each other, with EVEN-PORT pairs.
    uclient(&relay, "channels", Transport::Udp, &peer).await;
    uclient(&relay, "indications", Transport::Udp, &[&["-s"], &peer[..]].concat()).await;
    uclient(&relay, "pairs", Transport::Udp, &["-y", "-m", "2"]).await;
    uclient(&relay, "tcp", Transport::Tcp, &[&["-t"], &peer[..]].concat()).await;
    uclient(&relay, "tls", Transport::Tls, &[&["-t", "-S"], &peer[..]].concat()).await;
    uclient(&relay, "dtls", Transport::Dtls, &[&["-S"], &peer[..]].concat()).await;
    // The tool leaves allocations behind; the relay ends them when it stops.
    relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.metrics();
    assert!(metrics.contains("turn_allocations 0\n"), "{metrics}");
    assert!(metrics.contains("reason=\"send_failed\"} 0\n"), "{metrics}");
}
