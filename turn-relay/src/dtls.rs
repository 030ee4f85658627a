//! Clients over DTLS: one association per client address, in front of the same state machine.
//!
//! The implementation keeps an object from the first ClientHello on, so forged addresses cost memory until its
//! cookie proves them; there is room for a bounded number of them, and the oldest makes room for the newest.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use dimpl::{Dtls, Output};
use slab::Slab;
use turn_proto::{FiveTuple, Header, MAX_MESSAGE};

use crate::admission::{Admission, Place};
use crate::relaying::Relaying;
use crate::tls::InUse;

/// Handshakes at a time. The oldest is forgotten for one more.
const MAX_HANDSHAKES: usize = 1_024;

/// How long an association may be without an allocation.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// Shortest time between two looks at an association that nothing was received for.
const MIN_TIMER: Duration = Duration::from_millis(1);

/// Longest DTLS datagram: a message, and what encryption adds.
const MAX_RECORD: usize = MAX_MESSAGE + 512;

/// A DTLS record header and a handshake header: the shortest ClientHello is longer.
const CLIENT_HELLO_TYPE_AT: usize = 13;

/// Where a ClientHello says which version it wants.
const CLIENT_VERSION_AT: usize = 25;

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
    /// Associations whose handshake has not ended, oldest first; may name some that have.
    handshakes: VecDeque<(usize, u64)>,
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
    is_connected: bool,
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
            handshakes: VecDeque::new(),
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
        while self.handshakes.len() >= MAX_HANDSHAKES {
            let (key, serial) = self.handshakes.pop_front()?;
            let half_open = |session: &&Session| session.serial == serial && !session.is_connected;
            if self.sessions.get(key).filter(half_open).is_some() {
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
            is_connected: false,
            timer: None,
            deadline: now + MAX_IDLE,
            _place: place,
        });
        self.by_client.insert(client, key);
        self.handshakes.push_back((key, self.serial));
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
                Output::Packet(packet) => out(&session.client, packet),
                Output::ApplicationData(message) => {
                    relaying.receive(message, session.client, now);
                }
                Output::Connected => session.is_connected = true,
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
    datagram.first() == Some(&22) && datagram.get(CLIENT_HELLO_TYPE_AT) == Some(&1)
}

/// A ClientHello of DTLS 1.0. Versions count down.
fn is_outdated(datagram: &[u8]) -> bool {
    is_client_hello(datagram)
        && datagram.get(CLIENT_VERSION_AT..).is_some_and(|at| at.starts_with(&[254, 255]))
}
