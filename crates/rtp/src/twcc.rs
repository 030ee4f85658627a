//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): what came
//! when, for the sender's bandwidth estimation. [`Recorder`] writes it, [`Feedback`] reads it.
//!
//! ```text
//! |      base sequence number     |      packet status count      |
//! |       reference time, 64 ms units (24 bits)   | fb pkt. count |
//! |   chunks of 16 bits: run length or vector of status symbols   |
//! |   arrival deltas in 250 us: 1 byte, or 2 bytes if large       |
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use crate::bytes::{u16_at, u32_at};
use crate::rtcp::write::packet;
use crate::rtcp::{FMT_TRANSPORT_CC, TRANSPORT_FEEDBACK};
use crate::seq::{Seq, extend};

/// Packets remembered. Feedback goes out every 50 ms, so this is 20,000 packets per second; what is older is
/// forgotten and counts as lost.
const HISTORY: usize = 1024;
/// Statuses in one feedback packet: with two-byte deltas and two-bit symbols it stays below 1,200 bytes.
const MAX_STATUSES: usize = 400;
/// One unit of the deltas.
const DELTA_US: i64 = 250;
/// One unit of the reference time.
const REFERENCE_US: i64 = 64_000;

/// Statuses read of one feedback packet. More than a sender keeps in its history, and a bound on what a few bytes
/// of run lengths can cost: the rest is left unread.
const MAX_READ: u16 = 4096;

const NOT_RECEIVED: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;

/// Remembers arrivals and writes feedback about them.
#[derive(Debug)]
pub struct Recorder {
    /// Where times count from.
    epoch: Instant,
    /// Arrival in us by sequence number, from `base` on; `None` did not come (yet).
    arrivals: VecDeque<Option<i64>>,
    base: Seq,
    /// The next feedback starts here: after what was reported, or at a packet that came late.
    next: Seq,
    /// Counts the feedback packets.
    count: u8,
    started: bool,
}

impl Recorder {
    /// Nothing recorded; times count from `epoch`.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        let arrivals = VecDeque::with_capacity(HISTORY);
        Self { epoch, arrivals, base: 0, next: 0, count: 0, started: false }
    }

    /// A packet with the transport-wide number `wire` came at `now`.
    pub fn record(&mut self, wire: u16, now: Instant) {
        let time = now.saturating_duration_since(self.epoch).as_micros() as i64;
        if !self.started {
            self.started = true;
            // One cycle up, so that packets which come before the first one have numbers too.
            self.base = (1 << 16) + Seq::from(wire);
            self.next = self.base;
        }
        let end = self.base + self.arrivals.len() as u64;
        let seq = extend(end.saturating_sub(1).max(self.base), wire);
        if seq < self.base {
            // Too late, or a jump back by a sender that started over.
            return;
        }
        if seq >= end + HISTORY as u64 {
            self.arrivals.clear();
            self.base = seq;
            self.next = seq;
        }
        while self.base + self.arrivals.len() as u64 <= seq {
            if self.arrivals.len() == HISTORY {
                self.arrivals.pop_front();
                self.base += 1;
            }
            self.arrivals.push_back(None);
        }
        self.next = self.next.max(self.base);
        let slot = self.arrivals.get_mut((seq - self.base) as usize);
        if let Some(slot) = slot.filter(|slot| slot.is_none()) {
            *slot = Some(time);
            self.next = self.next.min(seq);
        }
    }

    /// Whether something came that no feedback has reported.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.next < self.base + self.arrivals.len() as u64
    }

    /// Appends one feedback packet about what is pending, as far as one packet carries; false if nothing is.
    pub fn write(&mut self, out: &mut Vec<u8>, ssrc: u32, media_ssrc: u32) -> bool {
        // Start at a packet that came: the reference time is its arrival.
        let skipped = (self.next.saturating_sub(self.base)) as usize;
        let Some((start, first)) =
            self.arrivals.iter().enumerate().skip(skipped).find_map(|(i, time)| Some((i, (*time)?)))
        else {
            return false;
        };
        let reference = first.div_euclid(REFERENCE_US);
        let mut symbols = [NOT_RECEIVED; MAX_STATUSES];
        let mut deltas = [0i16; MAX_STATUSES];
        let (mut count, mut last) = (0, reference * REFERENCE_US);
        let pending = self.arrivals.iter().skip(start);
        for ((time, symbol), delta) in pending.zip(&mut symbols).zip(&mut deltas) {
            if let Some(time) = time {
                let units = (time - last).div_euclid(DELTA_US);
                let Ok(units) = i16::try_from(units) else { break };
                *symbol = if (0..=255).contains(&units) { SMALL } else { LARGE };
                *delta = units;
                // Sum up what the reader sees, so that rounding does not accumulate.
                last += i64::from(units) * DELTA_US;
            }
            count += 1;
        }
        let symbols = symbols.get(..count).unwrap_or_default();
        let base = self.base + start as u64;
        packet(out, FMT_TRANSPORT_CC, TRANSPORT_FEEDBACK, |out| {
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&media_ssrc.to_be_bytes());
            out.extend_from_slice(&(base as u16).to_be_bytes());
            out.extend_from_slice(&(count as u16).to_be_bytes());
            let word = ((reference as u32) << 8) | u32::from(self.count);
            out.extend_from_slice(&word.to_be_bytes());
            write_chunks(out, symbols);
            for (symbol, delta) in symbols.iter().zip(&deltas) {
                match *symbol {
                    SMALL => out.push(*delta as u8),
                    LARGE => out.extend_from_slice(&delta.to_be_bytes()),
                    _ => {}
                }
            }
        });
        self.count = self.count.wrapping_add(1);
        self.next = base + count as u64;
        true
    }
}

/// Appends status chunks: runs where they are long, else vectors of one or two bits per symbol.
fn write_chunks(out: &mut Vec<u8>, mut symbols: &[u8]) {
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take_while(|&&symbol| symbol == first).count();
        let window = symbols.get(..14).unwrap_or(symbols);
        let (chunk, taken) = if run >= 14 || run == symbols.len() {
            ((u16::from(first) << 13) | run as u16, run)
        } else if window.contains(&LARGE) {
            let window = symbols.get(..7).unwrap_or(symbols);
            let bits =
                window.iter().enumerate().fold(0, |bits, (i, &s)| bits | (u16::from(s) << (12 - 2 * i)));
            (0xc000 | bits, window.len())
        } else {
            let bits = window.iter().enumerate().fold(0, |bits, (i, &s)| bits | (u16::from(s) << (13 - i)));
            (0x8000 | bits, window.len())
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        symbols = symbols.get(taken..).unwrap_or_default();
    }
}

/// A feedback packet, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Feedback<'a> {
    base: u16,
    count: u16,
    /// In 64 ms, 24 bits signed.
    reference: i32,
    body: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Reads [`crate::rtcp::RtcpPacket::TransportFeedback`]; `None` if it ends within its header.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let reference = (u32_at(body, 4)? as i32) >> 8;
        Some(Self { base: u16_at(body, 0)?, count: u16_at(body, 2)?, reference, body: body.get(8..)? })
    }

    /// The reference time in units of 64 ms, 24 bits signed: the arrivals of [`Feedback::for_each`] count from it.
    #[must_use]
    pub fn reference(&self) -> i32 {
        self.reference
    }

    /// Calls `packet` for each status, in order: the transport-wide number, and for one that came its arrival
    /// in us on the receiver's clock. Ends early where the feedback is malformed, or longer than any sender needs.
    pub fn for_each(&self, mut packet: impl FnMut(u16, Option<i64>)) {
        let mut deltas = self.deltas();
        let mut time = i64::from(self.reference) * REFERENCE_US;
        let mut left = usize::from(self.count.min(MAX_READ));
        let mut seq = self.base;
        for chunk in self.body.chunks_exact(2) {
            let Some(chunk) = u16_at(chunk, 0).filter(|_| left > 0) else { return };
            let symbols = chunk_len(chunk).min(left);
            for i in 0..symbols {
                let arrival = match symbol(chunk, i) {
                    NOT_RECEIVED => None,
                    SMALL => {
                        let Some((&delta, rest)) = deltas.split_first() else { return };
                        deltas = rest;
                        time += i64::from(delta) * DELTA_US;
                        Some(time)
                    }
                    LARGE => {
                        let Some(delta) = u16_at(deltas, 0) else { return };
                        deltas = deltas.get(2..).unwrap_or_default();
                        time += i64::from(delta as i16) * DELTA_US;
                        Some(time)
                    }
                    // The fourth symbol is reserved.
                    _ => return,
                };
                packet(seq, arrival);
                seq = seq.wrapping_add(1);
            }
            left -= symbols;
        }
    }

    /// What follows the chunks.
    fn deltas(&self) -> &'a [u8] {
        let mut left = usize::from(self.count);
        let mut at = 0;
        while left > 0 {
            let Some(chunk) = u16_at(self.body, at) else { return &[] };
            left = left.saturating_sub(chunk_len(chunk).max(1));
            at += 2;
        }
        self.body.get(at..).unwrap_or_default()
    }
}

/// Symbols in a chunk.
fn chunk_len(chunk: u16) -> usize {
    match chunk >> 14 {
        0 | 1 => usize::from(chunk & 0x1fff),
        2 => 14,
        _ => 7,
    }
}

/// Symbol `i` of a chunk.
fn symbol(chunk: u16, i: usize) -> u8 {
    match chunk >> 14 {
        0 | 1 => (chunk >> 13) as u8 & 3,
        2 => (chunk >> (13 - i)) as u8 & 1,
        _ => (chunk >> (12 - 2 * i)) as u8 & 3,
    }
}
