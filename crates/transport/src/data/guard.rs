//! What is looked at before a packet reaches the SCTP implementation.
//!
//! The implementation bounds what waits for reassembly in bytes, and a chunk of one byte costs it a hundred; it also
//! opens a stream for every number that a packet names. So chunks and stream numbers are bounded here.

use std::time::{Duration, Instant};

use super::MAX_STREAMS;

/// Chunks that may have come in and not been read as a message. A receive window full of ordinary fragments is a
/// hundred; a peer that is beyond this loses the association.
const MAX_UNREAD_CHUNKS: u32 = 2_048;
/// Repeated chunks are counted twice, so the count is halved now and then.
const HALVING: Duration = Duration::from_secs(60);
/// Ports, verification tag and checksum (RFC 9260, section 3.1).
const COMMON_HEADER: usize = 12;
const DATA: u8 = 0;
const I_DATA: u8 = 64;

/// What becomes of a packet that was screened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screened {
    Pass,
    /// It is no SCTP packet, or names a stream that we did not offer.
    Drop,
    /// The peer floods: the association has to end.
    End,
}

/// Counts what one association has not read yet.
#[derive(Debug)]
pub(crate) struct Guard {
    unread: u32,
    halved: Instant,
}

impl Guard {
    pub(crate) fn new(now: Instant) -> Self {
        Self { unread: 0, halved: now }
    }

    pub(crate) fn check(&mut self, packet: &[u8], now: Instant) -> Screened {
        let Some(chunks) = data_chunks(packet) else { return Screened::Drop };
        if now.saturating_duration_since(self.halved) >= HALVING {
            self.halved = now;
            self.unread /= 2;
        }
        self.unread = self.unread.saturating_add(chunks);
        if self.unread > MAX_UNREAD_CHUNKS { Screened::End } else { Screened::Pass }
    }

    /// A message of so many chunks was read.
    pub(crate) fn read(&mut self, chunks: usize) {
        self.unread = self.unread.saturating_sub(u32::try_from(chunks).unwrap_or(u32::MAX));
    }
}

/// How many chunks of data a packet has; `None` if it is malformed.
fn data_chunks(packet: &[u8]) -> Option<u32> {
    let mut rest = packet.get(COMMON_HEADER..)?;
    let mut count = 0u32;
    while let Some(head) = rest.first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let chunk = rest.get(..len).filter(|chunk| chunk.len() >= 4)?;
        if matches!(head[0], DATA | I_DATA) {
            // After the header: TSN (4), stream (2).
            let stream = chunk.get(8..10)?;
            if u16::from_be_bytes([stream[0], stream[1]]) >= MAX_STREAMS {
                return None;
            }
            count += 1;
        }
        // The last chunk may lack its padding.
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(streams: &[u16]) -> Vec<u8> {
        let mut packet = vec![0; COMMON_HEADER];
        for stream in streams {
            packet.extend([DATA, 3, 0, 17, 0, 0, 0, 1]);
            packet.extend(stream.to_be_bytes());
            packet.extend([0, 0, 0, 0, 0, 51, b'x', 0, 0, 0]);
        }
        packet
    }

    #[test]
    fn chunks_are_counted_until_they_are_read() {
        let now = Instant::now();
        let mut guard = Guard::new(now);
        let full = packet(&[0; 64]);
        for _ in 0..MAX_UNREAD_CHUNKS / 64 {
            assert_eq!(guard.check(&full, now), Screened::Pass);
        }
        assert_eq!(guard.check(&full, now), Screened::End);
        guard.read(128);
        assert_eq!(guard.check(&full, now), Screened::Pass);
        assert_eq!(guard.check(&full, now + HALVING), Screened::Pass);
    }

    #[test]
    fn foreign_streams_and_broken_chunks_are_dropped() {
        let now = Instant::now();
        let mut guard = Guard::new(now);
        assert_eq!(guard.check(&packet(&[MAX_STREAMS - 1]), now), Screened::Pass);
        assert_eq!(guard.check(&packet(&[1, MAX_STREAMS]), now), Screened::Drop);
        let whole = packet(&[1]);
        for cut in 0..COMMON_HEADER {
            assert_eq!(guard.check(&whole[..cut], now), Screened::Drop);
        }
        for cut in COMMON_HEADER + 4..whole.len() - 3 {
            assert_eq!(guard.check(&whole[..cut], now), Screened::Drop, "{cut}");
        }
        let mut no_length = whole;
        no_length[COMMON_HEADER + 3] = 0;
        assert_eq!(guard.check(&no_length, now), Screened::Drop);
    }
}
