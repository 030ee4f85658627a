//! A client and a server joined by a seeded network on virtual time: it loses, repeats, delays and
//! reorders, and the clock jumps to the next thing due.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

#[path = "data_tests.rs"]
mod data;

use crate::binding::{Class, IntegrityKey, Role, Writer};
use crate::{
    AddressPair, ClientConfig, CloseReason, Event, IceCredentials, Identity, Protocol, Received, Refusal,
    SRTP_OVERHEAD, ServerConfig, SrtpError, Transport, classify,
};

const CLIENT: usize = 0;
const SERVER: usize = 1;

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.into(), pwd: format!("{name}-password-of-22-characters") }
}

/// How long each copy of a datagram travels that a peer sends, told its number and the time since the
/// start; no copy, it is lost.
type Fate = Box<dyn FnMut(u64, usize, Duration) -> Vec<Duration>>;

/// Two peers and the wires between them.
struct Net {
    peers: [Transport; 2],
    addresses: [SocketAddr; 2],
    /// The client's address as the server sees it: that of its router.
    seen: SocketAddr,
    /// Datagrams under way by arrival and number: receiver, source, bytes.
    wire: BTreeMap<(Instant, u64), (usize, SocketAddr, Vec<u8>)>,
    fate: Fate,
    sent: u64,
    started: Instant,
    now: Instant,
    events: [Vec<Event>; 2],
    media: [Vec<Vec<u8>>; 2],
}

const DELAY: Duration = Duration::from_millis(10);

fn perfect() -> Fate {
    Box::new(|_, _, _| vec![DELAY])
}

/// Loses a share, repeats one in twenty, and delays by up to 60 ms, which reorders.
fn lossy(seed: u64, loss: f64) -> Fate {
    let mut rng = StdRng::seed_from_u64(seed);
    Box::new(move |_, _, _| {
        let mut delay = || DELAY + Duration::from_micros(rng.random_range(0..50_000));
        let (first, second) = (delay(), delay());
        let copies = if rng.random_bool(loss) {
            0
        } else if rng.random_bool(0.05) {
            2
        } else {
            1
        };
        [first, second].into_iter().take(copies).collect()
    })
}

impl Net {
    fn new(fate: Fate) -> Self {
        Self::with_identities(Identity::with_seed(1), Identity::with_seed(2), fate, |_, _| {})
    }

    fn with_identities(
        client: Identity,
        server: Identity,
        fate: Fate,
        adjust: impl FnOnce(&mut ClientConfig, &mut ServerConfig),
    ) -> Self {
        let now = Instant::now();
        let addresses = [address(1000), address(2000)];
        let mut server_config = ServerConfig {
            identity: server.clone(),
            local: credentials("server"),
            remote: credentials("client"),
            remote_fingerprint: client.fingerprint().clone(),
            dtls_client: false,
        };
        let mut client_config = ClientConfig {
            identity: client,
            local: credentials("client"),
            remote: credentials("server"),
            remote_fingerprint: server.fingerprint().clone(),
            dtls_client: true,
            local_address: addresses[CLIENT],
            remote_candidates: vec![addresses[SERVER]],
        };
        adjust(&mut client_config, &mut server_config);
        let peers = [Transport::client(client_config, [7; 32], now), Transport::server(server_config, now)];
        let mut net = Self {
            peers,
            addresses,
            seen: addresses[CLIENT],
            wire: BTreeMap::new(),
            fate,
            sent: 0,
            started: now,
            now,
            events: [vec![], vec![]],
            media: [vec![], vec![]],
        };
        net.peers[CLIENT].handle_timeout(now);
        net.drain();
        net
    }

    fn drain(&mut self) {
        for from in [CLIENT, SERVER] {
            while let Some(transmit) = self.peers[from].poll_transmit() {
                assert_eq!(transmit.from_local, self.addresses[from]);
                if transmit.to == self.outside(1 - from) {
                    self.send(from, transmit.bytes);
                }
            }
            while let Some(event) = self.peers[from].poll_event() {
                // Said again with each check.
                let is_again = matches!(event, Event::Validated(_)) && self.events[from].contains(&event);
                if !is_again {
                    self.events[from].push(event);
                }
            }
        }
    }

    fn outside(&self, peer: usize) -> SocketAddr {
        if peer == CLIENT { self.seen } else { self.addresses[peer] }
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        self.sent += 1;
        for delay in (self.fate)(self.sent, from, self.now - self.started) {
            let order = self.sent * 2 + u64::from(self.wire.contains_key(&(self.now + delay, self.sent * 2)));
            self.wire.insert((self.now + delay, order), (1 - from, self.outside(from), bytes.clone()));
        }
    }

    /// Jumps to the next arrival or deadline. `false` when nothing is left, or only after `until`.
    fn step(&mut self, until: Instant) -> bool {
        let arrival = self.wire.keys().next().map(|(at, _)| *at);
        let deadlines = self.peers.iter().filter_map(Transport::poll_timeout);
        let Some(next) = deadlines.chain(arrival).min() else { return false };
        if next > until {
            self.now = until;
            return false;
        }
        self.now = self.now.max(next);
        if let Some((&key, _)) = self.wire.iter().next()
            && key.0 <= self.now
        {
            let (to, source, mut bytes) = self.wire.remove(&key).expect("just seen");
            let local = self.addresses[to];
            match self.peers[to].handle_datagram(source, local, &mut bytes, self.now) {
                Received::Rtp(packet) | Received::Rtcp(packet) => self.media[to].push(packet.to_vec()),
                Received::Nothing | Received::Refused(_) => {}
            }
        } else {
            self.peers.iter_mut().for_each(|peer| peer.handle_timeout(self.now));
        }
        self.drain();
        true
    }

    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 100_000, "the peers do not come to rest");
        }
        self.now = until;
    }

    /// Runs until both are connected; returns how long it took.
    fn connect(&mut self) -> Duration {
        let until = self.now + Duration::from_secs(15);
        while !self.peers.iter().all(Transport::is_connected) {
            assert!(self.step(until), "not connected: {:?}", self.events);
        }
        self.now.duration_since(self.started)
    }

    fn send_media(&mut self, from: usize, sequence: u16) -> Vec<u8> {
        let plain = rtp(sequence);
        let mut buffer = [plain.as_slice(), &[0; SRTP_OVERHEAD]].concat();
        let len = self.peers[from].protect_rtp(&mut buffer, plain.len()).unwrap();
        buffer.truncate(len);
        self.send(from, buffer);
        plain
    }

    fn closed(&self, peer: usize) -> Option<&CloseReason> {
        self.events[peer].iter().find_map(|event| match event {
            Event::Closed(reason) => Some(reason),
            _ => None,
        })
    }
}

fn rtp(sequence: u16) -> Vec<u8> {
    [&[0x80, 96][..], &sequence.to_be_bytes(), &[0, 0, 0, 1, 0, 0, 0, 7], b"payload"].concat()
}

#[test]
fn peers_connect_with_the_strongest_profile_and_exchange_media() {
    let mut net = Net::new(perfect());
    let took = net.connect();
    // One check, then the handshake of DTLS 1.2 without a cookie: two and a half round trips, and the
    // last flight still under way to the client.
    assert!(took <= DELAY * 7, "{took:?}");
    let profile = crate::srtp::Profile::AeadAes256Gcm;
    for peer in [CLIENT, SERVER] {
        let other = net.addresses[1 - peer];
        assert_eq!(net.events[peer][0], Event::Validated(other));
        assert!(matches!(net.events[peer][1], Event::AddressChanged(pair) if pair.remote == other));
        assert_eq!(net.events[peer][2..], [Event::Connected(profile)]);
    }
    let (up, down) = (net.send_media(CLIENT, 1), net.send_media(SERVER, 2));
    let mut report = [&[0x80, 201, 0, 1, 0, 0, 0, 7][..], &[0; SRTP_OVERHEAD]].concat();
    let len = net.peers[SERVER].protect_rtcp(&mut report, 8).unwrap();
    report.truncate(len);
    net.send(SERVER, report);
    net.run(Duration::from_secs(1));
    assert_eq!(net.media[SERVER], [up]);
    assert_eq!(net.media[CLIENT], [down, vec![0x80, 201, 0, 1, 0, 0, 0, 7]]);
}

/// A publisher that only listens (`setup:passive`, as some encoders offer) is called by the server.
#[test]
fn the_side_that_the_sdp_names_opens_the_handshake() {
    let names = || (Identity::with_seed(1), Identity::with_seed(2));
    for fate in [perfect(), lossy(7, 0.2)] {
        let (client, server) = names();
        let mut net = Net::with_identities(client, server, fate, |client, server| {
            client.dtls_client = false;
            server.dtls_client = true;
        });
        net.connect();
        net.fate = perfect();
        let (up, down) = (net.send_media(CLIENT, 1), net.send_media(SERVER, 2));
        net.run(Duration::from_secs(1));
        assert_eq!((&net.media[SERVER], &net.media[CLIENT]), (&vec![up], &vec![down]));
    }
    // The fingerprint is looked at in this role, too.
    let (client, server) = names();
    let mut net = Net::with_identities(client, server, perfect(), |client, server| {
        client.dtls_client = false;
        server.dtls_client = true;
        server.remote_fingerprint = Identity::with_seed(3).fingerprint().clone();
    });
    net.run(Duration::from_secs(5));
    assert_eq!(net.closed(SERVER), Some(&CloseReason::FingerprintMismatch));
    assert!(!net.peers[CLIENT].is_connected());
}

#[test]
fn every_single_loss_recovers() {
    let datagrams = {
        let mut net = Net::new(perfect());
        net.connect();
        net.sent
    };
    assert!(datagrams >= 8, "{datagrams}");
    for lost in 1..=datagrams {
        let mut net =
            Net::new(Box::new(move |number, _, _| if number == lost { vec![] } else { vec![DELAY] }));
        let took = net.connect();
        assert!(took < Duration::from_millis(600), "datagram {lost}: {took:?}");
    }
}

#[test]
fn losing_everything_one_way_for_three_seconds_recovers() {
    for deaf in [CLIENT, SERVER] {
        let mut net = Net::new(Box::new(move |_, from, elapsed| {
            let is_lost = from != deaf && elapsed < Duration::from_secs(3);
            if is_lost { vec![] } else { vec![DELAY] }
        }));
        let took = net.connect();
        assert!(took > Duration::from_secs(3) && took < Duration::from_secs(6), "{took:?}");
    }
}

#[test]
fn random_loss_recovers() {
    let mut slowest = Duration::ZERO;
    for seed in 0..100 {
        let mut net = Net::new(lossy(seed, 0.2));
        slowest = slowest.max(net.connect());
        for sequence in 0..100 {
            net.send_media(CLIENT, sequence);
        }
        net.run(Duration::from_secs(120));
        assert!(net.peers.iter().all(Transport::is_connected), "seed {seed}: {:?}", net.events);
        let media = &net.media[SERVER];
        assert!(media.len() > 50 && media.len() <= 100, "seed {seed}: {}", media.len());
    }
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

#[test]
fn sessions_live_without_media_and_end_when_checks_do() {
    let mut net = Net::new(perfect());
    net.connect();
    net.run(Duration::from_secs(600));
    assert!(net.peers.iter().all(Transport::is_connected));
    net.fate = Box::new(|_, _, _| vec![]);
    net.run(Duration::from_secs(16));
    for peer in [CLIENT, SERVER] {
        assert_eq!(net.closed(peer), Some(&CloseReason::ConsentLost));
        assert_eq!(net.peers[peer].poll_timeout(), None);
        assert_eq!(net.peers[peer].remote_address(), None);
        assert!(!net.peers[peer].is_connected());
    }
}

#[test]
fn a_session_that_never_starts_is_freed() {
    let mut net = Net::new(Box::new(|_, _, _| vec![]));
    net.run(Duration::from_secs(16));
    assert_eq!(net.closed(CLIENT), Some(&CloseReason::IceTimeout));
    assert_eq!(net.closed(SERVER), Some(&CloseReason::IceTimeout));
}

#[test]
fn a_peer_that_checks_but_never_shakes_hands_is_freed() {
    let mut net = Net::new(perfect());
    let until = net.now + Duration::from_secs(60);
    for step in 0.. {
        assert!(step < 10_000, "the peers do not come to rest");
        // Only STUN passes.
        net.wire.retain(|_, (_, _, bytes)| classify(bytes) == crate::DatagramKind::Stun);
        if !net.step(until) {
            break;
        }
    }
    for peer in [CLIENT, SERVER] {
        assert_eq!(net.closed(peer), Some(&CloseReason::HandshakeTimeout));
    }
}

#[test]
fn closing_tells_the_peer() {
    for closing in [CLIENT, SERVER] {
        let mut net = Net::new(perfect());
        net.connect();
        net.run(Duration::from_secs(1));
        net.peers[closing].close(net.now);
        net.drain();
        net.run(Duration::from_secs(1));
        assert_eq!(net.closed(closing), Some(&CloseReason::Local));
        assert_eq!(net.closed(1 - closing), Some(&CloseReason::PeerClosed));
        assert_eq!(net.peers[closing].protect_rtp(&mut [0; 64], 20), Err(SrtpError::NoKeys));
    }
}

#[test]
fn another_certificate_than_promised_is_refused() {
    let server = Identity::with_seed(2);
    let stranger = Identity::with_seed(3);
    let promised = stranger.fingerprint().clone();
    let mut net = Net::with_identities(Identity::with_seed(1), server, perfect(), |config, _| {
        config.remote_fingerprint = promised;
    });
    net.run(Duration::from_secs(5));
    assert_eq!(net.closed(CLIENT), Some(&CloseReason::FingerprintMismatch));
    assert!(!net.peers[SERVER].is_connected());

    let client = Identity::with_seed(1);
    let mut net = Net::with_identities(client, Identity::with_seed(2), perfect(), |config, _| {
        config.identity = stranger;
    });
    net.run(Duration::from_secs(5));
    assert_eq!(net.closed(SERVER), Some(&CloseReason::FingerprintMismatch));
    assert!(!net.peers[CLIENT].is_connected());
}

#[test]
fn unvalidated_addresses_are_refused_whatever_they_send() {
    let mut net = Net::new(perfect());
    net.connect();
    let stranger = address(6666);
    let local = net.addresses[SERVER];
    let plain = rtp(9);
    let mut media = [plain.as_slice(), &[0; SRTP_OVERHEAD]].concat();
    let len = net.peers[CLIENT].protect_rtp(&mut media, plain.len()).unwrap();
    let hello = [&[22, 254, 253][..], &[0; 40]].concat();
    for mut datagram in [media[..len].to_vec(), hello, vec![0x80, 200, 0, 1, 0, 0, 0, 7]] {
        let received = net.peers[SERVER].handle_datagram(stranger, local, &mut datagram, net.now);
        assert_eq!(received, Received::Refused(Refusal::Unvalidated));
    }
    assert_eq!(net.peers[SERVER].counters().unvalidated, 3);
    // The same bytes from the validated address are fine: it was the address.
    let from = net.addresses[CLIENT];
    let received = net.peers[SERVER].handle_datagram(from, local, &mut media[..len], net.now);
    assert_eq!(received, Received::Rtp(&mut plain.clone()));
    assert!(net.peers[SERVER].poll_transmit().is_none());
}

#[test]
fn unauthenticated_checks_validate_nothing() {
    let mut net = Net::new(perfect());
    net.connect();
    let selected = net.peers[SERVER].remote_address();
    let wrong = IntegrityKey::new("not the password, whatever it is");
    for key in [Some(&wrong), None] {
        let mut check = Writer::new(Class::Request, [5; 12])
            .username("server:client")
            .priority(1)
            .use_candidate()
            .role(Role::Controlling(1))
            .finish(key);
        let received =
            net.peers[SERVER].handle_datagram(address(6666), net.addresses[SERVER], &mut check, net.now);
        assert_eq!(received, Received::Refused(Refusal::Unauthenticated));
        let response = net.peers[SERVER].poll_transmit().expect("an error response");
        assert!(response.bytes.len() <= check.len());
        assert_eq!(net.peers[SERVER].poll_event(), None);
    }
    assert_eq!(net.peers[SERVER].remote_address(), selected);
}

#[test]
fn forged_media_is_counted_and_ends_nothing() {
    let mut net = Net::new(perfect());
    net.connect();
    for _ in 0..1000 {
        let mut forged = [rtp(3), vec![0xEE; 20]].concat();
        let received = net.peers[SERVER].handle_datagram(
            net.addresses[CLIENT],
            net.addresses[SERVER],
            &mut forged,
            net.now,
        );
        assert_eq!(received, Received::Refused(Refusal::Srtp(SrtpError::Authentication)));
    }
    assert_eq!(net.peers[SERVER].counters().srtp_unauthenticated, 1000);
    net.send_media(CLIENT, 3);
    net.run(Duration::from_secs(1));
    assert_eq!(net.media[SERVER].len(), 1);
}

#[test]
fn forged_handshakes_do_not_end_a_call() {
    let mut net = Net::new(perfect());
    net.connect();
    net.run(Duration::from_secs(1));
    let mut rng = StdRng::seed_from_u64(5);
    for round in 0..3000u32 {
        let mut record = vec![0; 13 + 12 + rng.random_range(0..60)];
        rng.fill(&mut record[..]);
        // A record header that passes for epoch 0 or 1 of any type; half are whole handshakes.
        record[0] = 20 + (round % 5) as u8;
        record[1..3].copy_from_slice(&[254, 253]);
        record[3..5].copy_from_slice(&[0, (round % 2) as u8]);
        let len = (record.len() - 13) as u16;
        record[11..13].copy_from_slice(&len.to_be_bytes());
        if round % 4 < 2 {
            record[13] = [1, 11, 16, 20, 2][(round % 5) as usize];
            record[14..17].copy_from_slice(&[0, 0, (len - 12) as u8]);
            record[17..19].copy_from_slice(&[0, (round % 9) as u8]);
            record[19..22].copy_from_slice(&[0; 3]);
            record[22..25].copy_from_slice(&[0, 0, (len - 12) as u8]);
        }
        for to in [CLIENT, SERVER] {
            let (from, local) = (net.addresses[1 - to], net.addresses[to]);
            net.peers[to].handle_datagram(from, local, &mut record.clone(), net.now);
        }
        net.drain();
    }
    assert!(net.closed(CLIENT).is_none() && net.closed(SERVER).is_none(), "{:?}", net.events);
    net.send_media(CLIENT, 1);
    net.run(Duration::from_secs(60));
    assert_eq!(net.media[SERVER].len(), 1);
}

#[test]
fn a_client_that_moves_is_followed() {
    let mut net = Net::new(perfect());
    net.connect();
    net.addresses[CLIENT] = address(1001);
    let old = address(1000);
    // The client's socket has another address for the server from here on, as behind a NAT.
    let until = net.now + Duration::from_secs(20);
    while net.peers[SERVER].remote_address().is_none_or(|pair| pair.remote == old) {
        let arrival = net.wire.keys().next().map(|(at, _)| *at);
        let deadline = net.peers[CLIENT].poll_timeout();
        net.now = [arrival, deadline].into_iter().flatten().min().unwrap().max(net.now);
        assert!(net.now < until);
        net.peers[CLIENT].handle_timeout(net.now);
        while let Some(transmit) = net.peers[CLIENT].poll_transmit() {
            let mut bytes = transmit.bytes;
            net.peers[SERVER].handle_datagram(address(1001), address(2000), &mut bytes, net.now);
        }
        let path = AddressPair { protocol: Protocol::Udp, local: address(2000), remote: address(1001) };
        if net.peers[SERVER].is_validated(path) {
            assert_eq!(net.peers[SERVER].remote_address().unwrap().remote, old, "checks alone move nothing");
            let mut packet = sealed(&mut net.peers[CLIENT], &rtp(1));
            let received =
                net.peers[SERVER].handle_datagram(address(1001), address(2000), &mut packet, net.now);
            assert!(matches!(received, Received::Rtp(_)));
        }
        while let Some(transmit) = net.peers[SERVER].poll_transmit() {
            let mut bytes = transmit.bytes;
            net.peers[CLIENT].handle_datagram(address(2000), old, &mut bytes, net.now);
        }
    }
    assert_eq!(net.peers[SERVER].remote_address().unwrap().remote, address(1001));
    assert_eq!(net.peers[SERVER].poll_event(), Some(Event::Validated(address(1001))));
    assert!(net.peers[SERVER].has_events());
    assert!(matches!(net.peers[SERVER].poll_event(), Some(Event::AddressChanged(_))));
    assert!(net.peers[SERVER].holds(address(1001), net.now));
}

fn sealed(peer: &mut Transport, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; SRTP_OVERHEAD]].concat();
    let len = peer.protect_rtp(&mut buffer, plain.len()).unwrap();
    buffer.truncate(len);
    buffer
}

/// A viewer need not send anything but checks: where media is to move to, it is asked whether it is there.
#[test]
fn a_client_that_moves_and_only_listens_is_followed() {
    let mut net = Net::new(perfect());
    net.connect();
    net.seen = address(1001);
    net.run(Duration::from_secs(7));
    assert_eq!(net.peers[SERVER].remote_address().unwrap().remote, address(1001));
    let down = net.send_media(SERVER, 1);
    net.run(Duration::from_secs(1));
    assert_eq!(net.media[CLIENT], [down]);
}

/// Whoever has a session can send its checks with the address of somebody else as their source.
#[test]
fn a_check_with_a_borrowed_address_moves_nothing() {
    let mut net = Net::new(perfect());
    net.connect();
    for port in 3000..3100 {
        let mut check = Writer::new(Class::Request, [9; 12])
            .username("server:client")
            .role(Role::Controlling(1))
            .use_candidate()
            .finish(Some(&IntegrityKey::new(&credentials("server").pwd)));
        net.peers[SERVER].handle_datagram(address(port), address(2000), &mut check, net.now);
        assert_eq!(net.peers[SERVER].remote_address().unwrap().remote, address(1000));
        assert!(!net.peers[SERVER].holds(address(port), net.now));
        assert!(net.peers[SERVER].holds(address(1000), net.now));
    }
    net.drain();
    assert!(
        !net.events[SERVER]
            .iter()
            .any(|event| matches!(event, Event::AddressChanged(pair) if pair.remote != address(1000)))
    );
    let down = net.send_media(SERVER, 1);
    net.run(Duration::from_secs(1));
    assert_eq!(net.media[CLIENT], [down], "the peer still gets what is sent");
}

#[test]
fn an_ice_restart_keeps_media_and_changes_credentials() {
    let mut net = Net::new(perfect());
    net.connect();
    let (local, remote) = (credentials("server2"), credentials("client2"));
    net.peers[SERVER].restart_ice(&local, &remote, net.now);
    // The answer takes its time; meanwhile both go on with what they had.
    net.run(Duration::from_secs(30));
    assert!(net.peers.iter().all(Transport::is_connected));
    net.peers[CLIENT].restart_ice(&remote, &local, net.now);
    net.peers[CLIENT].handle_timeout(net.now);
    net.drain();
    let up = net.send_media(CLIENT, 1);
    net.run(Duration::from_secs(120));
    assert_eq!(net.media[SERVER], [up]);
    assert!(net.peers.iter().all(Transport::is_connected));
    let mut old = Writer::new(Class::Request, [5; 12])
        .username("server:client")
        .finish(Some(&IntegrityKey::new(&credentials("server").pwd)));
    let received = net.peers[SERVER].handle_datagram(address(1000), address(2000), &mut old, net.now);
    assert_eq!(received, Received::Refused(Refusal::Unauthenticated));
}

#[test]
fn the_second_candidate_is_taken_when_the_first_is_dead() {
    let dead = address(9);
    let mut net =
        Net::with_identities(Identity::with_seed(1), Identity::with_seed(2), perfect(), |config, _| {
            config.remote_candidates.insert(0, dead);
            config.remote_candidates.push("[::1]:2000".parse().unwrap());
        });
    assert!(net.connect() < Duration::from_secs(1));
    assert_eq!(net.peers[CLIENT].remote_address().unwrap().remote, address(2000));
}

#[test]
fn media_before_the_keys_is_dropped_quietly() {
    let mut net = Net::new(perfect());
    while net.peers[SERVER].remote_address().is_none() {
        assert!(net.step(net.now + Duration::from_secs(1)));
    }
    let mut early = rtp(1);
    let received = net.peers[SERVER].handle_datagram(address(1000), address(2000), &mut early, net.now);
    assert_eq!(received, Received::Refused(Refusal::Srtp(SrtpError::NoKeys)));
    assert_eq!(net.peers[SERVER].counters().before_keys, 1);
    net.connect();
}

#[test]
fn the_sending_keys_can_be_kept_elsewhere() {
    let mut net = Net::new(perfect());
    net.connect();
    let mut sender = net.peers[SERVER].take_srtp_sender().unwrap();
    let plain = rtp(1);
    let mut buffer = [plain.as_slice(), &[0; SRTP_OVERHEAD]].concat();
    let len = sender.protect_rtp(&mut buffer, plain.len()).unwrap();
    net.send(SERVER, buffer[..len].to_vec());
    net.run(Duration::from_secs(1));
    assert_eq!(net.media[CLIENT], [plain]);
    assert_eq!(net.peers[SERVER].protect_rtp(&mut [0; 64], 20), Err(SrtpError::NoKeys));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Datagrams of any kind, from the peer's address and from others, before and after connecting.
    #[test]
    fn any_datagrams_are_harmless(
        datagrams in prop::collection::vec(
            (any::<bool>(), prop_oneof![0u8..4, 20u8..26, 0x80u8..0xC0], prop::collection::vec(any::<u8>(), 0..80)),
            0..40),
        connected in any::<bool>(),
    ) {
        let mut net = Net::new(perfect());
        if connected {
            net.connect();
        }
        for (is_known, first, mut bytes) in datagrams {
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            for to in [CLIENT, SERVER] {
                let from = if is_known { net.addresses[1 - to] } else { address(6666) };
                let local = net.addresses[to];
                let mut datagram = bytes.clone();
                let received = net.peers[to].handle_datagram(from, local, &mut datagram, net.now);
                prop_assert!(!matches!(received, Received::Rtp(_) | Received::Rtcp(_)));
            }
            net.drain();
        }
        if connected {
            prop_assert!(net.peers.iter().all(Transport::is_connected));
        }
    }
}
