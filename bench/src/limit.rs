//! The bare limit: what forwarding costs without WebRTC. For each outgoing packet one header rewrite, one copy, one
//! encryption with a key of its receiver (AES-256-GCM, as DTLS negotiates), and its share of `sendmmsg`. It runs as a
//! process of its own, driven by lines on its standard input.

use std::io::{BufRead as _, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use crate::camera::Pattern;

const HEADER: usize = 12 + 4 + 16;
const TAG: usize = 16;
/// Packets in one call, as in the SFU.
const BATCH: usize = 64;
const SLOT: usize = 1_500;

struct Receiver {
    to: SocketAddr,
    key: LessSafeKey,
    salt: [u8; 12],
    ssrc: u32,
    sequence: u64,
}

/// The child process: `ports` are the receivers' on the loopback. Each line of the standard input is a pattern
/// (`frames packets payload`) or empty for silence; it ends with the input.
pub(crate) fn run(ports: &[u16]) -> anyhow::Result<()> {
    let (patterns, changes) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if patterns.send(Pattern::from_line(&line)).is_err() {
                return;
            }
        }
    });
    let mut limit = Limit::new(ports)?;
    let mut pattern: Option<Pattern> = None;
    let mut next = Instant::now();
    loop {
        let change = match pattern {
            Some(_) => changes.try_recv().map_err(|error| error == mpsc::TryRecvError::Disconnected),
            None => changes.recv().map_err(|_| true),
        };
        match change {
            Ok(changed) => {
                pattern = changed;
                next = Instant::now();
            }
            Err(true) => return Ok(()),
            Err(false) => {}
        }
        let Some(pattern) = pattern else { continue };
        limit.frame(&pattern);
        next += pattern.interval();
        match next.checked_duration_since(Instant::now()) {
            Some(wait) => std::thread::sleep(wait),
            // Too late: what was missed is not made up for in a burst.
            None => next = Instant::now(),
        }
    }
}

struct Limit {
    socket: UdpSocket,
    /// The same socket's second life: with GSO, for frames.
    gso: udp::Socket,
    batch: udp::SendBatch,
    receivers: Vec<Receiver>,
    source: Vec<u8>,
    arena: Vec<u8>,
}

impl Limit {
    fn new(ports: &[u16]) -> anyhow::Result<Self> {
        let receiver = |(index, port): (usize, &u16)| -> anyhow::Result<Receiver> {
            let key = UnboundKey::new(&AES_256_GCM, &[index as u8 ^ 0x5a; 32]);
            Ok(Receiver {
                to: SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port).into(),
                key: LessSafeKey::new(key.ok().context("a key of 32 bytes")?),
                salt: [index as u8; 12],
                ssrc: index as u32,
                sequence: 1,
            })
        };
        Ok(Self {
            socket: UdpSocket::bind("127.0.0.1:0")?,
            // As it always was, so that figures of years compare: without what the SFU's socket was given since.
            gso: udp::Socket::bind("127.0.0.1:0".parse()?)?,
            batch: udp::SendBatch::new(512, SLOT),
            receivers: ports.iter().enumerate().map(receiver).collect::<Result<_, _>>()?,
            source: vec![0x77; SLOT],
            arena: vec![0; BATCH * SLOT],
        })
    }

    fn frame(&mut self, pattern: &Pattern) {
        if pattern.packets == 1 { self.single(pattern.payload) } else { self.several(pattern) }
    }

    /// One packet to each receiver, 64 a call.
    fn single(&mut self, payload: usize) {
        for receivers in self.receivers.chunks_mut(BATCH) {
            let mut lengths = [0; BATCH];
            for ((receiver, slot), length) in
                receivers.iter_mut().zip(self.arena.chunks_exact_mut(SLOT)).zip(&mut lengths)
            {
                *length = receiver.write(&self.source, payload, slot);
            }
            let slices: Vec<[IoSlice<'_>; 1]> = self
                .arena
                .chunks_exact(SLOT)
                .zip(lengths)
                .take(receivers.len())
                .map(|(slot, length)| [IoSlice::new(slot.get(..length).unwrap_or_default())])
                .collect();
            let addresses: Vec<SocketAddrAny> = receivers.iter().map(|receiver| receiver.to.into()).collect();
            let mut controls: Vec<_> = receivers.iter().map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: Vec<MMsgHdr<'_>> = addresses
                .iter()
                .zip(&slices)
                .zip(&mut controls)
                .map(|((to, slice), control)| MMsgHdr::new_with_addr(to, slice, control))
                .collect();
            let _ = sendmmsg(&self.socket, &mut messages, SendFlags::DONTWAIT);
        }
    }

    /// Several packets to each receiver as one message with segments.
    fn several(&mut self, pattern: &Pattern) {
        for receiver in &mut self.receivers {
            for _ in 0..pattern.packets {
                let (source, payload) = (&self.source, pattern.payload);
                let to = receiver.to;
                if self.batch.len() == 512 {
                    self.batch.flush(&self.gso);
                }
                let _ = self.batch.push(to, None, |slot| receiver.write(source, payload, slot));
            }
        }
        self.batch.flush(&self.gso);
    }
}

impl Receiver {
    /// Header, copy, encryption; the length of the packet.
    fn write(&mut self, source: &[u8], payload: usize, slot: &mut [u8]) -> usize {
        let end = HEADER + payload;
        let Some(packet) = slot.get_mut(..end + TAG) else { return 0 };
        let (clear, tag) = packet.split_at_mut(end);
        let (header, body) = clear.split_at_mut(HEADER);
        self.sequence += 1;
        header.copy_from_slice(source.get(..HEADER).unwrap_or_default());
        if let Some(place) = header.get_mut(..12) {
            place.copy_from_slice(&[0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Some(place) = header.get_mut(2..4) {
            place.copy_from_slice(&(self.sequence as u16).to_be_bytes());
        }
        if let Some(place) = header.get_mut(8..12) {
            place.copy_from_slice(&self.ssrc.to_be_bytes());
        }
        body.copy_from_slice(source.get(..payload).unwrap_or_default());
        let mut nonce = self.salt;
        for (byte, number) in nonce.iter_mut().rev().zip(self.sequence.to_le_bytes()) {
            *byte ^= number;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let Ok(sealed) = self.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body) else {
            return 0;
        };
        tag.copy_from_slice(sealed.as_ref());
        end + TAG
    }
}
