//! Clients over DTLS: one association per client address, in front of the same state machine.
//!
//! The implementation keeps an object from the first ClientHello on (6 KB), so forged addresses cost memory until its
//! cookie proves them; there is room for a bounded number of them, and the oldest makes room for the newest. A client
//! whose cookie came back makes room for nobody: a flood delays it, and does not end it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use dimpl::{Dtls, Output};
use slab::Slab;
use turn_proto::{FiveTuple, Header, MAX_MESSAGE};

use crate::admission::{Admission, Place};
use crate::relaying::Relaying;
use crate::tls::InUse;

/// Handshakes of clients that have not proved their address yet. The oldest is forgotten for one more.
const MAX_UNPROVEN: usize = 1_024;

/// How long an association may be without an allocation.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// Shortest time between two looks at an association that nothing was received for.
const MIN_TIMER: Duration = Duration::from_millis(1);

/// Longest DTLS datagram: a message, and what encryption adds.
const MAX_RECORD: usize = MAX_MESSAGE + 512;

/// Where a handshake message says what it is: behind the record header.
const HANDSHAKE_TYPE_AT: usize = 13;

/// Where a ClientHello says which version it wants.
const CLIENT_VERSION_AT: usize = 25;

/// Where a ServerHello has its random.
const SERVER_RANDOM_AT: usize = 27;

/// The random of a HelloRetryRequest begins like this (RFC 8446, section 4.1.3).
const RETRY_RANDOM: [u8; 8] = [0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11];

/// The alert that a client of DTLS 1.0 gets, which would otherwise wait for an answer for ever. It is shorter than
/// any ClientHello, and nothing is kept for it.
///
/// ```text
/// alert | DTLS 1.0 | epoch 0, sequence 0 | length 2 | fatal | protocol_version
/// ```
const PROTOCOL_VERSION: [u8; 15] = [21, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 70];

/// The DTLS associations of one thread.
pub(crate) struct Sessions {
    sessions: Slab<Session>,
    by_client: HashMap<FiveTuple, usize>,
    /// Associations whose cookie has not come back, oldest first; may name some where it has.
    unproven: VecDeque<(usize, u64)>,
    timers: BTreeSet<(Instant, usize)>,
    serial: u64,
    admission: Admission,
    certificate: InUse,
    buffer: Box<[u8]>,
}

struct Session {
    serial: u64,
    client: FiveTuple,
    dtls: Dtls,
    /// The cookie has come back from the client's address.
    is_proven: bool,
    /// Its entry in the timers.
    timer: Option<Instant>,
    /// When it must have an allocation.
    deadline: Instant,
    _place: Place,
}

/// Where encrypted datagrams go.
pub(crate) type Sink<'a> = dyn FnMut(&FiveTuple, &[u8]) + 'a;

impl Sessions {
    pub(crate) fn new(admission: Admission, certificate: InUse) -> Self {
        Self {
            sessions: Slab::new(),
            by_client: HashMap::new(),
            unproven: VecDeque::new(),
            timers: BTreeSet::new(),
            serial: 0,
            admission,
            certificate,
            buffer: vec![0; MAX_RECORD].into_boxed_slice(),
        }
    }

    /// A datagram from a client.
    pub(crate) fn receive(
        &mut self,
        datagram: &[u8],
        client: FiveTuple,
        now: Instant,
        relaying: &mut Relaying,
        out: &mut Sink<'_>,
    ) {
        let key = match self.by_client.get(&client) {
            Some(key) => *key,
            None if is_outdated(datagram) => return out(&client, &PROTOCOL_VERSION),
            None => match self.create(datagram, client, now, relaying) {
                Some(key) => key,
                None => return,
            },
        };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let result = session.dtls.handle_timeout(now).and_then(|()| session.dtls.handle_packet(datagram));
        self.settle(key, result.is_err(), now, relaying, out);
    }

    /// Encrypts a payload of a peer for a client.
    pub(crate) fn send_data(
        &mut self,
        client: &FiveTuple,
        header: &Header,
        payload: &[u8],
        now: Instant,
        relaying: &mut Relaying,
        out: &mut Sink<'_>,
    ) {
        let mut message = std::mem::take(&mut self.buffer);
        if let Some(message) = header.write_message(payload, &mut message).and_then(|n| message.get(..n)) {
            // The buffer is taken for the message, so what is polled below needs another one.
            self.send_with(client, message, now, relaying, out);
        }
        self.buffer = message;
    }

    /// Encrypts an answer for a client.
    pub(crate) fn send_answer(
        &mut self,
        client: &FiveTuple,
        message: &[u8],
        now: Instant,
        relaying: &mut Relaying,
        out: &mut Sink<'_>,
    ) {
        self.send_with(client, message, now, relaying, out);
    }

    /// A client has no allocation any more: its association ends unless it makes another one.
    pub(crate) fn idle(&mut self, client: &FiveTuple, now: Instant) {
        if let Some(key) = self.by_client.get(client).copied()
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.deadline = now + MAX_IDLE;
            self.set_timer(key, now + MAX_IDLE);
        }
    }

    /// Retransmits, and ends what had its time.
    pub(crate) fn handle_timeout(&mut self, now: Instant, relaying: &mut Relaying, out: &mut Sink<'_>) {
        while let Some((at, key)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            let Some(session) = self.sessions.get_mut(key) else { continue };
            session.timer = None;
            let idle = now >= session.deadline && !relaying.has_allocation(&session.client);
            let result = session.dtls.handle_timeout(now);
            self.settle(key, idle || result.is_err(), now, relaying, out);
        }
    }

    /// When [`Sessions::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn create(
        &mut self,
        datagram: &[u8],
        client: FiveTuple,
        now: Instant,
        relaying: &mut Relaying,
    ) -> Option<usize> {
        if !is_client_hello(datagram) {
            return None;
        }
        while self.unproven.len() >= MAX_UNPROVEN {
            let (key, serial) = self.unproven.pop_front()?;
            let unproven = |session: &&Session| session.serial == serial && !session.is_proven;
            if self.sessions.get(key).filter(unproven).is_some() {
                self.close(key, relaying);
            }
        }
        let place = self.admission.admit(client.client.0.ip())?;
        let certificate = self.certificate.get()?;
        self.serial += 1;
        let key = self.sessions.insert(Session {
            serial: self.serial,
            client,
            dtls: Dtls::new_auto(certificate.dtls, certificate.leaf, now),
            is_proven: false,
            timer: None,
            deadline: now + MAX_IDLE,
            _place: place,
        });
        self.by_client.insert(client, key);
        self.unproven.push_back((key, self.serial));
        Some(key)
    }

    fn send_with(
        &mut self,
        client: &FiveTuple,
        message: &[u8],
        now: Instant,
        relaying: &mut Relaying,
        out: &mut Sink<'_>,
    ) {
        let Some(key) = self.by_client.get(client).copied() else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let sent =
            session.dtls.handle_timeout(now).and_then(|()| session.dtls.send_application_data(message));
        self.settle(key, sent.is_err(), now, relaying, out);
    }

    /// Takes what the association has to say. Every error is final for it.
    fn settle(
        &mut self,
        key: usize,
        failed: bool,
        now: Instant,
        relaying: &mut Relaying,
        out: &mut Sink<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut spare = [0; 2048];
        let mut large = Vec::new();
        let mut next = None;
        let mut ended = failed;
        loop {
            let room = large.len();
            // The long buffer is in use while its owner is being sent; records of usual length fit the other.
            let buffer = match (self.buffer.is_empty(), large.is_empty()) {
                (false, _) => &mut *self.buffer,
                (true, false) => &mut large[..],
                (true, true) => &mut spare[..],
            };
            match session.dtls.poll_output(buffer) {
                Output::Packet(packet) => {
                    // Whatever is said beyond asking for the cookie is said to who has brought it.
                    session.is_proven |= !asks_for_cookie(packet);
                    out(&session.client, packet);
                }
                Output::ApplicationData(message) => {
                    relaying.receive(message, session.client, now);
                }
                Output::CloseNotify => ended = true,
                Output::BufferTooSmall { needed } if needed <= MAX_RECORD && room < needed => {
                    large.resize(needed, 0);
                }
                Output::BufferTooSmall { .. } => {
                    ended = true;
                    break;
                }
                Output::Timeout(at) => {
                    next = Some(at);
                    break;
                }
                _ => {}
            }
        }
        relaying.flush();
        if ended {
            return self.close(key, relaying);
        }
        let deadline = if relaying.has_allocation(&session.client) { None } else { Some(session.deadline) };
        if let Some(at) = [next, deadline].into_iter().flatten().min() {
            // Never at once again, whatever it asks for.
            self.set_timer(key, at.max(now + MIN_TIMER));
        }
    }

    fn set_timer(&mut self, key: usize, at: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.timer != Some(at) {
            if let Some(old) = session.timer.replace(at) {
                self.timers.remove(&(old, key));
            }
            self.timers.insert((at, key));
        }
    }

    fn close(&mut self, key: usize, relaying: &mut Relaying) {
        if let Some(session) = self.sessions.try_remove(key) {
            if let Some(at) = session.timer {
                self.timers.remove(&(at, key));
            }
            self.by_client.remove(&session.client);
            relaying.disconnected(&session.client);
        }
    }
}

/// A handshake record (22) that begins with a ClientHello (1).
fn is_client_hello(datagram: &[u8]) -> bool {
    datagram.first() == Some(&22) && datagram.get(HANDSHAKE_TYPE_AT) == Some(&1)
}

/// A HelloVerifyRequest (3) of DTLS 1.2, or a HelloRetryRequest of DTLS 1.3: a ServerHello (2) with a random of its own.
fn asks_for_cookie(datagram: &[u8]) -> bool {
    if datagram.first() != Some(&22) {
        return false;
    }
    match datagram.get(HANDSHAKE_TYPE_AT) {
        Some(3) => true,
        Some(2) => datagram.get(SERVER_RANDOM_AT..).is_some_and(|at| at.starts_with(&RETRY_RANDOM)),
        _ => false,
    }
}

/// A ClientHello of DTLS 1.0. Versions count down.
fn is_outdated(datagram: &[u8]) -> bool {
    is_client_hello(datagram)
        && datagram.get(CLIENT_VERSION_AT..).is_some_and(|at| at.starts_with(&[254, 255]))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use mio::Poll;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use turn_proto::{ClientAddr, Transport};

    use super::*;
    use crate::relaying::Parked;
    use crate::{Certificate, Config, Limits};

    struct World {
        sessions: Sessions,
        relaying: Relaying,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let limits = Limits { connections_per_source: 1, ..Limits::default() };
            let config = Config {
                public_ips: vec![[127, 0, 0, 1].into()],
                secret: service_kit::config::Secret::new("north-of-the-river".into()),
                ..Config::default()
            };
            let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("made");
            let key = made.signing_key.serialize_der();
            let certificate = InUse::default();
            let key = rustls_pki_types::PrivateKeyDer::try_from(key).expect("a key");
            certificate.set(Certificate::new(vec![made.cert.der().clone()], key).expect("valid"));
            let now = Instant::now();
            let server = turn_proto::Server::new(config.proto(), StdRng::seed_from_u64(4), now, 0);
            let registry = Poll::new().and_then(|poll| poll.registry().try_clone()).expect("a handle");
            let relaying = Relaying::new(server.expect("valid"), registry, HashMap::new(), Parked::default());
            Self { sessions: Sessions::new(Admission::new(&limits), certificate), relaying, now }
        }

        /// Hands a datagram in and returns what is answered.
        fn receive(&mut self, from: FiveTuple, datagram: &[u8]) -> Vec<Vec<u8>> {
            let mut answers = Vec::new();
            let mut out = |to: &FiveTuple, data: &[u8]| {
                assert_eq!(*to, from);
                answers.push(data.to_vec());
            };
            self.sessions.receive(datagram, from, self.now, &mut self.relaying, &mut out);
            answers
        }
    }

    fn client(index: u32) -> FiveTuple {
        let [_, a, b, c] = index.to_be_bytes();
        FiveTuple {
            transport: Transport::Dtls,
            client: ClientAddr(SocketAddr::from(([10, a, b, c], 4000))),
            server: SocketAddr::from(([203, 0, 113, 9], 5349)),
        }
    }

    /// What the client says now, and whether it is connected.
    fn said(engine: &mut Dtls) -> (Vec<Vec<u8>>, bool) {
        let (mut packets, mut connected) = (Vec::new(), false);
        let mut buffer = [0; 4096];
        loop {
            match engine.poll_output(&mut buffer) {
                Output::Packet(packet) => packets.push(packet.to_vec()),
                Output::Connected => connected = true,
                Output::Timeout(_) => return (packets, connected),
                _ => {}
            }
        }
    }

    #[test]
    fn a_flood_of_hellos_ends_no_handshake_whose_cookie_came_back() {
        for new in [Dtls::new_12, Dtls::new_13] {
            let mut world = World::new();
            let own = dimpl::certificate::generate_self_signed_certificate().expect("made");
            let config = Arc::new(dimpl::Config::builder().build().expect("valid"));
            let mut engine = new(config, own, world.now);
            engine.set_active(true);
            engine.handle_timeout(world.now).expect("begins");
            let (hello, _) = said(&mut engine);
            // Two flights each: the cookie is asked for, and comes back.
            let mut flight = hello.clone();
            let mut answers = Vec::new();
            for _ in 0..2 {
                answers = flight.iter().flat_map(|packet| world.receive(client(0), packet)).collect();
                flight.clear();
                if answers.iter().all(|answer| asks_for_cookie(answer)) {
                    answers.iter().for_each(|answer| engine.handle_packet(answer).expect("understood"));
                    flight = said(&mut engine).0;
                }
            }
            for forged in 0..2 * MAX_UNPROVEN as u32 {
                assert!(!world.receive(client(1 + forged), &hello[0]).is_empty(), "is asked for its cookie");
            }
            assert_eq!(world.sessions.sessions.len(), MAX_UNPROVEN + 1, "the others are forgotten");
            // Where the client's handshake went on, it ends well.
            let mut connected = false;
            for _ in 0..8 {
                answers.iter().for_each(|answer| engine.handle_packet(answer).expect("understood"));
                let (packets, done) = said(&mut engine);
                connected |= done;
                answers = packets.iter().flat_map(|packet| world.receive(client(0), packet)).collect();
            }
            assert!(connected);
        }
    }
}
