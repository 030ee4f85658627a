//! Clients over UDP, TCP, TLS and DTLS, through real sockets.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::raw::{Raw, Wire, socket};
use common::*;
use rustls::pki_types::CertificateDer;
use stun::attributes::ATTR_DONT_FRAGMENT;
use turn_relay::{Certificate, Config, Transport};

/// A relay that listens on everything, its certificate, and the folder that holds it.
struct Everything {
    relay: Relay,
    root: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

impl Everything {
    async fn start(media: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = certificate(&folder, "first");
        let any = vec![SocketAddr::new(LOOPBACK, 0)];
        let relay = Relay::with(Config {
            listen_tcp: any.clone(),
            listen_tls: any.clone(),
            listen_dtls: any,
            tls_cert: Some(folder.path().join("first.crt")),
            tls_key: Some(folder.path().join("first.key")),
            threads: 2,
            ..config(media.iter().map(|at| (*at).into()).collect())
        });
        Self { relay: relay.await, root, folder }
    }

    fn at(&self, transport: Transport) -> SocketAddr {
        self.relay.relay.addresses(transport)[0]
    }

    fn wires(&self) -> [Wire; 3] {
        [
            Wire::udp(self.at(Transport::Udp)),
            Wire::tcp(self.at(Transport::Tcp)),
            Wire::tls(self.at(Transport::Tls), &self.root),
        ]
    }
}

#[tokio::test]
async fn data_of_every_length_passes_both_ways_over_every_transport() {
    let peer = echo();
    let relay = Everything::start(&[peer]).await;
    let wires = relay.wires();
    tokio::task::spawn_blocking(move || {
        for wire in wires {
            let mut client = Raw::new(wire, credential("alice", 60));
            client.allocate();
            assert_eq!(client.permit(peer), 0);
            for length in [0, 1, 2, 3, 4, 5, 1000, 1400, 2000] {
                let data = vec![length as u8; length];
                client.send_to(peer, &data, &[]);
                assert_eq!(client.data(), (peer, Some(data), None), "{length} bytes in indications");
            }
            assert_eq!(client.bind(0x4001, peer), 0);
            for length in [0, 1, 2, 3, 4, 5, 1000, 1400, 2000] {
                let data = vec![length as u8; length];
                client.channel(0x4001, &data);
                let message = client.receive();
                assert_eq!(message[..4], [0x40, 1, (length >> 8) as u8, length as u8]);
                assert_eq!(message[4..4 + length], data, "{length} bytes by channel");
            }
        }
    })
    .await
    .expect("no panic");
    relay.relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.relay.metrics();
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_peer\"} 54\n"), "{metrics}");
    assert!(metrics.contains("turn_relayed_packets_total{direction=\"to_client\"} 54\n"), "{metrics}");
}

#[tokio::test]
async fn a_stream_may_be_cut_anywhere() {
    let peer = echo();
    let relay = Everything::start(&[peer]).await;
    let [_, tcp, tls] = relay.wires();
    tokio::task::spawn_blocking(move || {
        for wire in [tcp, tls] {
            let mut client = Raw::new(wire, credential("alice", 60));
            client.allocate();
            assert_eq!(client.bind(0x4001, peer), 0);
            let mut stream = Vec::new();
            for round in 0..20u8 {
                stream.extend([0x40, 1, 0, 5, round, 1, 2, 3, 4, 0, 0, 0]);
            }
            for piece in stream.chunks(7) {
                client.wire.send(piece);
            }
            for round in 0..20u8 {
                assert_eq!(client.receive(), [0x40, 1, 0, 5, round, 1, 2, 3, 4, 0, 0, 0]);
            }
        }
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn what_is_no_stun_is_disconnected_and_a_disconnected_client_frees_its_port() {
    let relay = Everything::start(&[]).await;
    let (tcp, tls) = (relay.at(Transport::Tcp), relay.at(Transport::Tls));
    tokio::task::spawn_blocking(move || {
        // A message that no client without an allocation needs, noise, and noise where TLS is spoken.
        let long = [&[0, 1, 0x20, 0][..], &0x2112_A442u32.to_be_bytes()].concat();
        for (at, bytes) in [(tcp, &b"\xFF\xFF\xFF\xFF"[..]), (tcp, &long), (tls, b"GET / HTTP/1.1\r\n\r\n")] {
            let mut stream = TcpStream::connect(at).expect("connects");
            stream.set_read_timeout(Some(PATIENCE)).expect("an option");
            stream.write_all(bytes).expect("sends");
            let mut rest = Vec::new();
            // TLS says goodbye with an alert; nothing else is said.
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() < 10, "{rest:?}");
        }
        let stream = TcpStream::connect(tcp).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        let wire = Wire::Stream(Box::new(stream.try_clone().expect("a handle")), Vec::new());
        let mut client = Raw::new(wire, credential("alice", 60));
        let relayed = client.allocate();
        std::net::UdpSocket::bind(relayed).expect_err("held");
        stream.shutdown(Shutdown::Write).expect("closes");
        assert_eq!(client.wire.receive(), None, "the relay closes too");
        // The relay port goes with it, a moment later.
        let end = Instant::now() + PATIENCE;
        while std::net::UdpSocket::bind(relayed).is_err() {
            assert!(Instant::now() < end, "the relay port is still held");
            std::thread::yield_now();
        }
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_data_and_others_do_not_wait() {
    let peer = socket("127.0.0.1:0");
    let at = peer.local_addr().expect("bound");
    let relay = Everything::start(&[at]).await;
    let [udp, tcp, _] = relay.wires();
    tokio::task::spawn_blocking(move || {
        let mut slow = Raw::new(tcp, credential("slow", 60));
        let relayed = slow.allocate();
        assert_eq!(slow.bind(0x4001, at), 0);
        let mut fast = Raw::new(udp, credential("fast", 60));
        let to_fast = fast.allocate();
        assert_eq!(fast.permit(at), 0);
        // More than the kernel's buffers and the relay's take: 64 MB, in steps that the other client confirms.
        let data = vec![7; 8_000];
        for round in 0..1_000u32 {
            for _ in 0..8 {
                peer.send_to(&data, relayed).expect("sends");
            }
            peer.send_to(&round.to_be_bytes(), to_fast).expect("sends");
            assert_eq!(fast.data().1, Some(round.to_be_bytes().to_vec()), "the other one does not wait");
        }
        // What was kept is whole messages, far less than was sent; then the connection works as before.
        slow.send_to(at, b"still here", &[]);
        let mut buf = [0; 100];
        let (length, from) = peer.recv_from(&mut buf).expect("relayed");
        assert_eq!((&buf[..length], from), (&b"still here"[..], relayed));
        let mut kept = 0;
        assert_eq!(slow.permit(at), 0);
        for message in &slow.inbox {
            assert_eq!((message.len(), &message[..4]), (8_004, &[0x40, 1, 0x1F, 0x40][..]));
            kept += 1;
        }
        assert!((10..8_000).contains(&kept), "{kept} of 8000 kept");
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn icmp_errors_come_back_and_a_datagram_may_ask_not_to_be_fragmented() {
    let peer = echo();
    let nobody = socket("127.0.0.1:0").local_addr().expect("bound");
    let relay = Everything::start(&[peer, nobody]).await;
    let wires = relay.wires();
    tokio::task::spawn_blocking(move || {
        for wire in wires {
            let mut client = Raw::new(wire, credential("alice", 60));
            client.allocate();
            assert_eq!(client.permit(peer), 0);
            client.send_to(nobody, b"anybody?", &[]);
            let unreachable = Some(vec![0, 0, 3 << 1, 3, 0, 0, 0, 0]);
            assert_eq!(client.data(), (nobody, None, unreachable));
            client.send_to(peer, b"whole", &[(ATTR_DONT_FRAGMENT, vec![])]);
            assert_eq!(client.data().1, Some(b"whole".to_vec()));
        }
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn a_new_certificate_is_used_from_the_next_connection_on() {
    let peer = echo();
    let relay = Everything::start(&[peer]).await;
    let (at, old) = (relay.at(Transport::Tls), relay.root.clone());
    let mut first = Raw::new(Wire::tls(at, &old), credential("alice", 60));
    let mut first = tokio::task::spawn_blocking(move || {
        first.allocate();
        first
    })
    .await
    .expect("no panic");
    let new = certificate(&relay.folder, "second");
    let file = |end: &str| relay.folder.path().join(format!("second.{end}"));
    relay.relay.relay.set_certificate(Certificate::from_files(&file("crt"), &file("key")).expect("good"));
    tokio::task::spawn_blocking(move || {
        let mut second = Raw::new(Wire::tls(at, &new), credential("bob", 60));
        second.allocate();
        assert_eq!(first.permit(peer), 0, "a connection that lives goes on");
        let refused = std::panic::catch_unwind(|| {
            let mut third = Raw::new(Wire::tls(at, &old), credential("carol", 60));
            third.allocate();
        });
        assert!(refused.is_err(), "the old certificate is not shown any more");
    })
    .await
    .expect("no panic");
    let error = Certificate::from_files(&file("key"), &file("crt")).expect_err("swapped");
    assert!(error.to_string().contains("tls_cert") || error.to_string().contains("tls_key"), "{error}");
}
