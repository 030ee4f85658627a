//! A client and virtual time around one server. `World::exchange` answers `OpenRelay` as a machine with free
//! ports would, and insists that a request gives exactly one answer.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use contract::turn::TurnSecret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use stun::agent::TransactionId;
use stun::attributes::*;
use stun::error_code::ErrorCodeAttribute;
use stun::message::*;
use stun::xoraddr::XorMappedAddress;
use turn_proto::{
    CHANNEL_NUMBERS, ClientAddr, Command, Config, FiveTuple, Limits, PeerAddr, PeerPolicy, RelayId, Server,
    Shared, ToPeer, Transport,
};

pub(crate) const REALM: &str = "example.org";
pub(crate) const SECRET: &str = "north";
/// Unix time at the start.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const RELAY_IP: &str = "203.0.113.9";
pub(crate) const PEER: &str = "1.2.3.4:5000";

pub(crate) const ALLOCATE: Method = METHOD_ALLOCATE;
pub(crate) const REFRESH: Method = METHOD_REFRESH;
pub(crate) const PERMISSION: Method = METHOD_CREATE_PERMISSION;
pub(crate) const CHANNEL: Method = METHOD_CHANNEL_BIND;

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn tuple(client: &str) -> FiveTuple {
    FiveTuple {
        transport: Transport::Udp,
        client: ClientAddr(addr(client)),
        server: addr("203.0.113.9:3478"),
    }
}

pub(crate) fn config() -> Config {
    Config {
        realm: REALM.into(),
        secrets: vec![TurnSecret::new(SECRET.into())],
        users: Vec::new(),
        grace: Duration::from_secs(24 * 3600),
        relay_addresses: vec![RELAY_IP.parse().expect("ip")],
        relay_ports: 50_000..=50_099,
        channel_numbers: CHANNEL_NUMBERS,
        policy: PeerPolicy::default(),
        alternates: Vec::new(),
        alternates_tls: Vec::new(),
        alternate_domain: None,
        limits: Limits::default(),
    }
}

/// How a client signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256 with an MD5 key.
    Sha256,
    /// The same with a SHA-256 key and PASSWORD-ALGORITHM(S).
    Sha256Key,
}

pub(crate) struct Client {
    pub(crate) tuple: FiveTuple,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) realm: String,
    pub(crate) nonce: Vec<u8>,
    pub(crate) sign: Sign,
    next_id: u64,
}

impl Client {
    pub(crate) fn new(address: &str, user: &str, expiry: u64) -> Self {
        let credential = TurnSecret::new(SECRET.into()).credential(user, expiry);
        let tuple = tuple(address);
        let next_id = u64::from(tuple.client.0.port()) << 32;
        Self {
            tuple,
            username: credential.username,
            password: credential.password,
            realm: REALM.into(),
            nonce: Vec::new(),
            sign: Sign::Sha1,
            next_id,
        }
    }

    /// An unsigned request with a new transaction id.
    pub(crate) fn bare(&mut self, method: Method, attributes: &[(AttrType, Vec<u8>)]) -> Message {
        self.next_id += 1;
        let mut message = Message::new();
        message.typ = MessageType::new(method, CLASS_REQUEST);
        message.transaction_id.0[4..].copy_from_slice(&self.next_id.to_be_bytes());
        message.write_header();
        for (typ, value) in attributes {
            message.add(*typ, value);
        }
        message
    }

    /// A signed request with a new transaction id.
    pub(crate) fn request(&mut self, method: Method, attributes: &[(AttrType, Vec<u8>)]) -> Message {
        let mut message = self.bare(method, attributes);
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_REALM, self.realm.as_bytes());
        message.add(ATTR_NONCE, &self.nonce);
        if self.sign == Sign::Sha256Key {
            message.add(ATTR_PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
            message.add(ATTR_PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
        }
        self.append_integrity(&mut message);
        message
    }

    pub(crate) fn append_integrity(&self, message: &mut Message) {
        let (typ, size) = self.integrity();
        let mac = self.mac(&message.raw, size);
        message.add(typ, &mac);
    }

    /// Is this response signed with our key, in our way?
    pub(crate) fn verifies(&self, response: &Message) -> bool {
        let (typ, size) = self.integrity();
        let Ok(mac) = response.get(typ) else { return false };
        let before = response.raw.len() - size - 4;
        mac == self.mac(&response.raw[..before], size)
    }

    fn integrity(&self) -> (AttrType, usize) {
        match self.sign {
            Sign::Sha1 => (ATTR_MESSAGE_INTEGRITY, 20),
            Sign::Sha256 | Sign::Sha256Key => (ATTR_MESSAGE_INTEGRITY_SHA256, 32),
        }
    }

    fn mac(&self, before: &[u8], size: usize) -> Vec<u8> {
        let text = format!("{}:{}:{}", self.username, self.realm, self.password);
        let key = match self.sign {
            Sign::Sha1 | Sign::Sha256 => Md5::digest(text).to_vec(),
            Sign::Sha256Key => Sha256::digest(text).to_vec(),
        };
        let mut covered = before.to_vec();
        let length = (before.len() - 20 + 4 + size) as u16;
        covered[2..4].copy_from_slice(&length.to_be_bytes());
        if size == 20 {
            let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("any length");
            mac.update(&covered);
            mac.finalize().into_bytes().to_vec()
        } else {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
            mac.update(&covered);
            mac.finalize().into_bytes().to_vec()
        }
    }
}

pub(crate) struct World {
    pub(crate) server: Server<StdRng>,
    pub(crate) now: Instant,
    pub(crate) opened: Vec<(RelayId, SocketAddr)>,
    pub(crate) closed: Vec<RelayId>,
    /// Sockets that wait for the client of a reservation.
    pub(crate) parked: Vec<SocketAddr>,
    /// Connections without an allocation.
    pub(crate) idle: Vec<FiveTuple>,
    /// Ports that other programs hold.
    pub(crate) taken: Vec<u16>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = Instant::now();
        let server = Server::new(config, StdRng::seed_from_u64(7), now, START).expect("valid settings");
        Self::around(server, now)
    }

    /// Two threads of one relay.
    pub(crate) fn pair(config: Config) -> [Self; 2] {
        let now = Instant::now();
        let shared = Shared::new(&config, &mut StdRng::seed_from_u64(6), now).expect("valid settings");
        [7, 8].map(|seed| {
            let rng = StdRng::seed_from_u64(seed);
            let server = Server::with_shared(config.clone(), &shared, rng, now, START);
            Self::around(server.expect("valid settings"), now)
        })
    }

    fn around(server: Server<StdRng>, now: Instant) -> Self {
        let (opened, closed, taken) = (Vec::new(), Vec::new(), Vec::new());
        Self { server, now, opened, closed, taken, parked: Vec::new(), idle: Vec::new() }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.server.handle_timeout(self.now);
    }

    /// Carries out all commands and returns the messages to clients.
    pub(crate) fn settle(&mut self) -> Vec<(FiveTuple, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::Send { to, message } => sent.push((to, message)),
                Command::OpenRelay { relay, address } => {
                    let free = !self.taken.contains(&address.port());
                    if free {
                        self.opened.push((relay, address));
                    }
                    self.server.relay_opened(relay, free, self.now);
                }
                Command::CloseRelay { relay } => {
                    let open = self.opened.iter().position(|(id, _)| *id == relay).expect("was open");
                    self.opened.remove(open);
                    self.closed.push(relay);
                }
                Command::ParkRelay { relay, address } => {
                    let open = self.opened.iter().position(|it| *it == (relay, address)).expect("was open");
                    self.opened.remove(open);
                    self.parked.push(address);
                }
                Command::UnparkRelay { relay, address } => {
                    let parked = self.parked.iter().position(|at| *at == address);
                    if let Some(parked) = parked {
                        self.parked.remove(parked);
                        self.opened.push((relay, address));
                    }
                    self.server.relay_opened(relay, parked.is_some(), self.now);
                }
                Command::CloseParked { address } => {
                    let parked = self.parked.iter().position(|at| *at == address).expect("was parked");
                    self.parked.remove(parked);
                }
                Command::Idle { client } => self.idle.push(client),
            }
        }
        sent
    }

    /// Hands in a control message and returns the answers.
    pub(crate) fn input(&mut self, from: FiveTuple, bytes: &[u8]) -> Vec<Message> {
        assert_eq!(self.server.handle_client(bytes, from, self.now), None, "nothing to relay");
        let sent = self.settle();
        sent.into_iter()
            .map(|(to, bytes)| {
                assert_eq!(to, from, "the answer goes to whoever asked");
                parse(&bytes)
            })
            .collect()
    }

    /// Exactly one answer.
    pub(crate) fn answer(&mut self, from: FiveTuple, bytes: &[u8]) -> Message {
        let mut answers = self.input(from, bytes);
        assert_eq!(answers.len(), 1, "exactly one answer");
        answers.remove(0)
    }

    /// Exactly no answer, and nothing else.
    pub(crate) fn silence(&mut self, from: FiveTuple, bytes: &[u8]) {
        assert_eq!(self.server.handle_client(bytes, from, self.now), None);
        assert_eq!(self.server.poll_command(), None);
    }

    /// Signs and sends; fetches a nonce first where there is none.
    pub(crate) fn exchange(
        &mut self,
        client: &mut Client,
        method: Method,
        attributes: &[(AttrType, Vec<u8>)],
    ) -> Message {
        if client.nonce.is_empty() {
            self.challenge(client);
        }
        let request = client.request(method, attributes);
        let answer = self.answer(client.tuple, &request.raw);
        assert_eq!(answer.transaction_id, request.transaction_id);
        answer
    }

    pub(crate) fn challenge(&mut self, client: &mut Client) {
        let request = client.bare(ALLOCATE, &[udp()]);
        let answer = self.answer(client.tuple, &request.raw);
        assert_eq!(code(&answer), 401);
        client.nonce = answer.get(ATTR_NONCE).expect("a nonce");
    }

    /// A client with an allocation.
    pub(crate) fn allocated(&mut self, address: &str) -> (Client, SocketAddr) {
        let mut client = Client::new(address, "alice", START + 3600);
        let answer = self.exchange(&mut client, ALLOCATE, &[udp()]);
        assert_eq!(code(&answer), 0);
        (client, address_of(&answer, ATTR_XOR_RELAYED_ADDRESS))
    }

    pub(crate) fn permit(&mut self, client: &mut Client, peer: &str) -> u16 {
        let peer = self.peer_attribute(peer);
        code(&self.exchange_with_peer(client, PERMISSION, vec![peer]))
    }

    pub(crate) fn bind(&mut self, client: &mut Client, number: u16, peer: &str) -> u16 {
        let peer = self.peer_attribute(peer);
        code(&self.exchange_with_peer(client, CHANNEL, vec![channel(number), peer]))
    }

    /// XOR-PEER-ADDRESS values depend on the transaction id, so addresses are put in afterwards.
    pub(crate) fn exchange_with_peer(
        &mut self,
        client: &mut Client,
        method: Method,
        attributes: Vec<(AttrType, Vec<u8>)>,
    ) -> Message {
        let mut id = TransactionId::default();
        id.0[4..].copy_from_slice(&(client.next_id + 1).to_be_bytes());
        let attributes: Vec<_> = attributes
            .into_iter()
            .map(|(typ, value)| match typ {
                ATTR_XOR_PEER_ADDRESS => {
                    (typ, xor(addr(std::str::from_utf8(&value).expect("address as text")), id))
                }
                _ => (typ, value),
            })
            .collect();
        self.exchange(client, method, &attributes)
    }

    /// A placeholder that `exchange_with_peer` turns into the attribute.
    pub(crate) fn peer_attribute(&self, peer: &str) -> (AttrType, Vec<u8>) {
        (ATTR_XOR_PEER_ADDRESS, peer.as_bytes().to_vec())
    }

    pub(crate) fn relay(&self, address: SocketAddr) -> RelayId {
        self.opened.iter().find(|(_, at)| *at == address).expect("an open relay socket").0
    }

    /// A Send indication.
    pub(crate) fn send(&mut self, client: &Client, peer: &str, data: &[u8]) -> Option<ToPeer> {
        let bytes = send_indication(peer, data);
        let to = self.server.handle_client(&bytes, client.tuple, self.now);
        assert_eq!(self.server.poll_command(), None, "an indication has no answer");
        if let Some(to) = &to {
            assert_eq!(&bytes[to.payload.clone()], data);
            assert_eq!(to.peer, PeerAddr(addr(peer)));
        }
        to
    }

    /// ChannelData.
    pub(crate) fn channel_data(&mut self, client: &Client, number: u16, data: &[u8]) -> Option<ToPeer> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        let to = self.server.handle_client(&bytes, client.tuple, self.now);
        assert_eq!(self.server.poll_command(), None, "ChannelData has no answer");
        if let Some(to) = &to {
            assert_eq!(&bytes[to.payload.clone()], data);
        }
        to
    }

    /// What the client gets when a peer sends `data` to a relayed address.
    pub(crate) fn peer_sends(
        &mut self,
        relay: RelayId,
        peer: &str,
        data: &[u8],
    ) -> Option<(FiveTuple, Vec<u8>)> {
        let to = self.server.handle_peer(data.len(), relay, PeerAddr(addr(peer)), self.now)?;
        assert_eq!(self.server.poll_command(), None);
        let mut out = vec![0xEE; 2000];
        let length = to.header.write_message(data, &mut out).expect("room");
        out.truncate(length);
        Some((to.to, out))
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Message {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).expect("a STUN message");
    assert_eq!(message.raw.len(), 20 + message.length as usize);
    message
}

/// The error code; 0 for a success.
pub(crate) fn code(message: &Message) -> u16 {
    match message.typ.class {
        CLASS_SUCCESS_RESPONSE => 0,
        CLASS_ERROR_RESPONSE => {
            let mut error = ErrorCodeAttribute::default();
            error.get_from(message).expect("ERROR-CODE");
            error.code.0
        }
        other => panic!("not a response: {other}"),
    }
}

pub(crate) fn lifetime_of(message: &Message) -> u32 {
    u32::from_be_bytes(message.get(ATTR_LIFETIME).expect("LIFETIME").try_into().expect("4 bytes"))
}

pub(crate) fn address_of(message: &Message, typ: AttrType) -> SocketAddr {
    let mut address = XorMappedAddress::default();
    address.get_from_as(message, typ).expect("an address");
    SocketAddr::new(address.ip, address.port)
}

pub(crate) fn udp() -> (AttrType, Vec<u8>) {
    (ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0])
}

pub(crate) fn lifetime(seconds: u32) -> (AttrType, Vec<u8>) {
    (ATTR_LIFETIME, seconds.to_be_bytes().to_vec())
}

pub(crate) fn channel(number: u16) -> (AttrType, Vec<u8>) {
    let [a, b] = number.to_be_bytes();
    (ATTR_CHANNEL_NUMBER, vec![a, b, 0, 0])
}

pub(crate) fn xor(address: SocketAddr, id: TransactionId) -> Vec<u8> {
    let mut message = Message::new();
    message.transaction_id = id;
    let xor = XorMappedAddress { ip: address.ip(), port: address.port() };
    xor.add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS).expect("fits");
    message.get(ATTR_XOR_PEER_ADDRESS).expect("was added")
}

pub(crate) fn send_indication(peer: &str, data: &[u8]) -> Vec<u8> {
    let mut message = Message::new();
    message.typ = MessageType::new(METHOD_SEND, CLASS_INDICATION);
    message.transaction_id.0 = [9; 12];
    message.write_header();
    message.add(ATTR_XOR_PEER_ADDRESS, &xor(addr(peer), message.transaction_id));
    message.add(ATTR_DATA, data);
    message.raw
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
