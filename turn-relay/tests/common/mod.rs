//! A running relay on loopback and what tests need around it.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod raw;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use contract::turn::{Credential, TurnSecret};
use prometheus_client::registry::Registry;
use service_kit::config::Secret;
use turn::client::{Client, ClientConfig};
use turn_relay::{Config, MediaPorts, PortRange, TurnRelay};

pub(crate) const SECRET: &str = "north-of-the-river";
pub(crate) const REALM: &str = "example.org";
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Above the ports that Linux gives to sockets bound to port 0, so that no test socket lies in it by chance.
pub(crate) const RELAY_PORTS: PortRange = PortRange { first: 61_000, last: 65_535 };

/// Only an upper bound for what should take milliseconds: a test that hangs must end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Relay {
    pub(crate) relay: TurnRelay,
    pub(crate) registry: Registry,
}

/// Settings that fit loopback.
pub(crate) fn config(media: Vec<MediaPorts>) -> Config {
    Config {
        listen: vec![SocketAddr::new(LOOPBACK, 0)],
        public_ips: vec![LOOPBACK],
        relay_ports: RELAY_PORTS,
        realm: REALM.into(),
        secret: Secret::new(SECRET.into()),
        media,
        ..Config::default()
    }
}

impl Relay {
    pub(crate) async fn start(media: &[SocketAddr]) -> Self {
        let one = |at: &SocketAddr| MediaPorts {
            ip: at.ip(),
            ports: PortRange { first: at.port(), last: at.port() },
        };
        Self::with_media(media.iter().map(one).collect()).await
    }

    pub(crate) async fn with_media(media: Vec<MediaPorts>) -> Self {
        Self::with(config(media)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let mut registry = Registry::default();
        let relay = TurnRelay::start(config, &mut registry).await.expect("starts");
        Self { relay, registry }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.relay.listen_addrs()[0]
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encodes");
        text
    }

    pub(crate) async fn client(&self, credential: Credential) -> Client {
        let conn = tokio::net::UdpSocket::bind((LOOPBACK, 0)).await.expect("a socket");
        let client = Client::new(ClientConfig {
            stun_serv_addr: self.addr().to_string(),
            turn_serv_addr: self.addr().to_string(),
            username: credential.username,
            password: credential.password,
            realm: String::new(),
            software: String::new(),
            rto_in_ms: 0,
            conn: Arc::new(conn),
            vnet: None,
        })
        .await
        .expect("a client");
        client.listen().await.expect("listens");
        client
    }
}

pub(crate) fn credential(user: &str, seconds: i64) -> Credential {
    let expiry = service_kit::unix_now().saturating_add_signed(seconds);
    TurnSecret::new(SECRET.into()).credential(user, expiry)
}

/// A peer that sends everything back, on a thread that ends with the process.
pub(crate) fn echo() -> SocketAddr {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buf) {
            let _ = socket.send_to(&buf[..length], from);
        }
    });
    address
}

/// A self-signed certificate for this machine, as `name.crt` and `name.key` in a folder.
pub(crate) fn certificate(
    folder: &tempfile::TempDir,
    name: &str,
) -> rustls::pki_types::CertificateDer<'static> {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).expect("made");
    let at = |end: &str| folder.path().join(format!("{name}.{end}"));
    std::fs::write(at("crt"), made.cert.pem()).expect("written");
    std::fs::write(at("key"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}
