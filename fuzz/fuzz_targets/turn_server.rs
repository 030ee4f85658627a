//! A TURN server and a client that has a password and no manners: raw messages, signed requests with any attributes,
//! data and errors from peers, and time. Nothing panics, quotas hold, and nothing leaves for a forbidden address.
#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use contract::turn::TurnSecret;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME, AttrType};
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_REQUEST, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Message,
    MessageType, Setter as _,
};
use turn_proto::{
    ClientAddr, Command, Config, FiveTuple, Icmp, LEGACY_CHANNEL_NUMBERS, Limits, PeerAddr, PeerPolicy,
    RelayId, Server, ToPeer, Transport,
};

const REALM: &str = "example.org";
const MAX_ALLOCATIONS: usize = 2;

struct World {
    server: Server<StdRng>,
    now: Instant,
    client: FiveTuple,
    nonce: Vec<u8>,
    relays: Vec<RelayId>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let limits = Limits {
            allocations_per_user: MAX_ALLOCATIONS,
            challenges_per_second: u16::MAX,
            challenges_per_source: u16::MAX,
            ..Limits::default()
        };
        let config = Config {
            realm: REALM.to_owned(),
            secrets: vec![TurnSecret::new("north".to_owned())],
            users: Vec::new(),
            grace: Duration::ZERO,
            relay_addresses: ["203.0.113.9", "2400::9"].map(|ip| ip.parse().expect("an address")).into(),
            relay_ports: 50_000..=50_009,
            channel_numbers: LEGACY_CHANNEL_NUMBERS,
            policy: PeerPolicy::default(),
            alternates: Vec::new(),
            alternates_tls: Vec::new(),
            alternate_domain: None,
            limits,
        };
        let server = Server::new(config, StdRng::seed_from_u64(1), now, 0).expect("valid settings");
        let client = FiveTuple {
            transport: Transport::Tcp,
            client: ClientAddr(SocketAddr::from(([198, 51, 100, 1], 4000))),
            server: SocketAddr::from(([203, 0, 113, 9], 3478)),
        };
        Self { server, now, client, nonce: Vec::new(), relays: Vec::new() }
    }

    fn client(&mut self, bytes: &[u8]) {
        let sent = self.server.handle_client(bytes, self.client, self.now);
        if let Some(ToPeer { peer, payload, .. }) = sent {
            assert!(bytes.get(payload).is_some(), "the payload lies in the message");
            if let IpAddr::V4(ip) = peer.0.ip() {
                assert!(!ip.is_private() && !ip.is_loopback() && !ip.is_link_local() && !ip.is_multicast());
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::Send { message, .. } => {
                    let mut parsed = Message::new();
                    parsed.unmarshal_binary(&message).expect("what is sent is a STUN message");
                    if let Ok(nonce) = parsed.get(ATTR_NONCE) {
                        self.nonce = nonce;
                    }
                }
                Command::OpenRelay { relay, address } => {
                    // Every third port is somebody else's.
                    let opened = address.port() % 3 != 0;
                    if opened {
                        self.relays.push(relay);
                    }
                    self.server.relay_opened(relay, opened, self.now);
                }
                Command::UnparkRelay { relay, .. } => {
                    self.relays.push(relay);
                    self.server.relay_opened(relay, true, self.now);
                }
                Command::CloseRelay { relay } | Command::ParkRelay { relay, .. } => {
                    self.relays.retain(|open| *open != relay);
                }
                Command::CloseParked { .. } | Command::Idle { .. } => {}
            }
        }
        assert!(self.server.allocations() <= MAX_ALLOCATIONS);
    }

    /// A request with these bytes as attributes (type, length, value; lengths are made to fit), signed.
    fn signed(&mut self, method: u8, mut attributes: &[u8]) {
        let methods = [METHOD_ALLOCATE, METHOD_REFRESH, METHOD_CREATE_PERMISSION, METHOD_CHANNEL_BIND];
        let mut message = Message::new();
        message.typ = MessageType::new(methods[usize::from(method) % 4], CLASS_REQUEST);
        message.write_header();
        while let [high, low, length, rest @ ..] = attributes {
            let length = usize::from(*length).min(rest.len());
            message.add(AttrType(u16::from_be_bytes([*high & 0x80, *low])), &rest[..length]);
            attributes = &rest[length..];
        }
        let credential = TurnSecret::new("north".to_owned()).credential("mallory", 1_000_000);
        message.add(ATTR_USERNAME, credential.username.as_bytes());
        message.add(ATTR_REALM, REALM.as_bytes());
        message.add(ATTR_NONCE, &self.nonce.clone());
        let integrity = MessageIntegrity::new_long_term_integrity(
            credential.username,
            REALM.to_owned(),
            credential.password,
        );
        if integrity.add_to(&mut message).is_ok() {
            self.client(&message.raw);
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    // A nonce, and an allocation to begin with.
    world.signed(0, &[0, 0x19, 4, 17, 0, 0, 0]);
    world.signed(0, &[0, 0x19, 4, 17, 0, 0, 0]);
    let mut rest = data;
    while let [kind, length, behind @ ..] = rest {
        let (bytes, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        match kind % 8 {
            0 | 1 => world.client(bytes),
            2..=4 => world.signed(kind / 8, bytes),
            5 => {
                let at = SocketAddr::from(([1, 2, 3, kind / 8], u16::from(*length)));
                if let Some(relay) = world.relays.first() {
                    let _ = world.server.handle_peer(bytes.len(), *relay, PeerAddr(at), world.now);
                    let icmp = Icmp { kind: 3, code: *length, mtu: 0 };
                    world.server.handle_icmp(*relay, PeerAddr(at), icmp, world.now);
                }
                world.settle();
            }
            6 => {
                world.now += Duration::from_secs(u64::from(*length) * 4);
                world.server.handle_timeout(world.now);
                world.settle();
            }
            _ => {
                let client = world.client;
                world.server.disconnected(&client);
                world.settle();
            }
        }
    }
});
