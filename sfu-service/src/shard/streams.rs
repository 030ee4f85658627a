//! What comes over TCP: frames of connections, each of one session.

use std::io::{ErrorKind, Read as _};
use std::time::Instant;

use transport::{AddressPair, DatagramKind};

use super::tcp::{READ_ROUNDS, READ_SIZE};
use super::thread::ShardThread;
use crate::metrics::ShardCounters;

impl ShardThread {
    /// Takes new connections and what the others have; `true` if there may be more.
    pub(super) fn receive_tcp(&mut self, now: Instant) -> bool {
        if self.io.tcp.is_idle() {
            return false;
        }
        self.io.tcp.accept(now);
        for _ in 0..self.io.tcp.readable.len() {
            let Some(id) = self.io.tcp.readable.pop_front() else { break };
            self.read_connection(id, now);
        }
        self.forward(now);
        self.io.flush();
        while let Some(id) = self.io.tcp.broken.pop() {
            // Its number may have gone to another one since.
            if self.io.tcp.connections.get(id).is_some_and(|connection| connection.is_broken) {
                self.close_connection(id, now);
            }
        }
        self.io.tcp.accepting || !self.io.tcp.readable.is_empty()
    }

    fn read_connection(&mut self, id: usize, now: Instant) {
        let mut scratch = std::mem::take(&mut self.io.tcp.scratch);
        scratch.resize(READ_SIZE, 0);
        let mut goes_on = true;
        for _ in 0..READ_ROUNDS {
            let Some(connection) = self.io.tcp.connections.get_mut(id) else { break };
            connection.is_queued = false;
            match connection.stream.read(&mut scratch) {
                Ok(0) => goes_on = false,
                Ok(len) => {
                    let bytes = scratch.get_mut(..len).unwrap_or_default();
                    goes_on = self.frames(id, bytes, now);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => goes_on = false,
            }
            // Left while there may be more: its turn comes again.
            match self.io.tcp.connections.get_mut(id) {
                Some(connection) if goes_on => connection.is_queued = true,
                _ => break,
            }
        }
        self.io.tcp.scratch = scratch;
        if !goes_on {
            return self.close_connection(id, now);
        }
        if self.io.tcp.connections.get(id).is_some_and(|connection| connection.is_queued) {
            self.io.tcp.readable.push_back(id);
        }
    }

    /// Takes the frames of a connection; `false` if it has to be closed.
    fn frames(&mut self, id: usize, bytes: &mut [u8], now: Instant) -> bool {
        let Some(connection) = self.io.tcp.connections.get_mut(id) else { return false };
        let path = connection.path;
        let mut deframer = std::mem::take(&mut connection.deframer);
        let taken = deframer.push(bytes, |frame| self.frame(id, path, frame, now));
        if let Some(connection) = self.io.tcp.connections.get_mut(id) {
            connection.deframer = deframer;
        }
        taken.is_ok()
    }

    fn frame(&mut self, id: usize, path: AddressPair, frame: &mut [u8], now: Instant) {
        let Some(known) = self.io.tcp.connections.get(id).map(|connection| connection.slot) else { return };
        let slot = match transport::classify(frame) {
            DatagramKind::Stun => {
                let name = transport::peek_binding_username(frame).map(|(local, _)| local);
                name.and_then(|ufrag| self.by_ufrag.get(ufrag)).copied()
            }
            DatagramKind::Other => None,
            DatagramKind::Dtls | DatagramKind::Rtp | DatagramKind::Rtcp => known,
        };
        // A connection belongs to one session for good.
        let Some(slot) = slot.filter(|slot| known.is_none_or(|known| known == *slot)) else {
            return ShardCounters::add(&self.io.counters.unvalidated, 1);
        };
        self.take_in(slot, now, |shard| shard.session_packet(slot, path, frame, now));
        let validated = |slot| {
            let participant = self.io.participants.get(slot)?;
            participant.transport.is_validated(path).then_some(slot)
        };
        if known.is_none() {
            let owner = validated(slot);
            if let Some(connection) = self.io.tcp.connections.get_mut(id) {
                connection.slot = owner;
            }
        }
    }

    fn close_connection(&mut self, id: usize, now: Instant) {
        let Some(connection) = self.io.tcp.remove(id) else { return };
        let Some(slot) = connection.slot else { return };
        self.guarded(slot, now, |shard| {
            if let Some(participant) = shard.io.participants.get_mut(slot) {
                participant.transport.path_closed(connection.path, now);
                shard.drain_transport(slot, now);
            }
        });
    }
}
