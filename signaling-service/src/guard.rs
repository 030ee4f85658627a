//! Refuses a WebSocket frame by its header when it announces more than the limit. The WebSocket library looks at
//! the size only when the whole frame is in memory; this looks before.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

/// Longest frame header: 2 bytes, 8 of length, 4 of mask (RFC 6455 section 5.2).
const MAX_HEADER: usize = 14;

/// Follows frame headers through a byte stream. Pure.
#[derive(Debug, Default)]
pub(crate) struct FrameLengths {
    header: [u8; MAX_HEADER],
    filled: usize,
    /// Bytes of the current payload that are still to come.
    payload: u64,
    /// Frames that have begun.
    frames: u64,
}

impl FrameLengths {
    /// Looks at more bytes of the stream; false when a frame is longer than `limit`.
    pub(crate) fn within(&mut self, mut bytes: &[u8], limit: usize) -> bool {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let skip = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skip as u64;
                bytes = bytes.get(skip..).unwrap_or_default();
                continue;
            }
            if let Some(slot) = self.header.get_mut(self.filled) {
                *slot = *first;
            }
            if self.filled == 0 {
                self.frames = self.frames.wrapping_add(1);
            }
            self.filled += 1;
            bytes = rest;
            if let Some(length) = self.announced() {
                if length > limit as u64 {
                    return false;
                }
                self.payload = length;
                self.filled = 0;
            }
        }
        true
    }

    /// Whether the end of a frame is still to come.
    fn is_inside(&self) -> bool {
        self.payload > 0 || self.filled > 0
    }

    /// The payload length, once the header is complete.
    fn announced(&self) -> Option<u64> {
        let [_, second, extended @ ..] = &self.header;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (size, length) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([extended[0], extended[1]]))),
            127 => {
                let [a, b, c, d, e, f, g, h, ..] = *extended;
                (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            short => (2, u64::from(short)),
        };
        (self.filled >= size + mask).then_some(length)
    }
}

/// The limit of a connection, which rises with who it turns out to be, and the frame that is coming in.
#[derive(Debug)]
pub(crate) struct FrameLimit {
    bytes: AtomicUsize,
    exceeded: AtomicBool,
    begun: Mutex<Option<Instant>>,
}

impl FrameLimit {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(bytes),
            exceeded: AtomicBool::new(false),
            begun: Mutex::default(),
        })
    }

    pub(crate) fn set(&self, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// When the frame began that is not whole yet: the WebSocket library holds what has come of it.
    pub(crate) fn begun(&self) -> Option<Instant> {
        *self.lock()
    }

    /// The connection has not been read for a while, so that no end could come.
    pub(crate) fn excuse(&self, now: Instant) {
        let mut begun = self.lock();
        *begun = begun.map(|_| now);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows more bytes; false when a frame is longer than the limit.
    fn follow(&self, lengths: &mut FrameLengths, bytes: &[u8], now: Instant) -> bool {
        let before = (lengths.is_inside(), lengths.frames);
        let within = lengths.within(bytes, self.bytes.load(Ordering::Relaxed));
        let goes_on = before == (true, lengths.frames);
        let mut begun = self.lock();
        *begun = match *begun {
            _ if !lengths.is_inside() => None,
            Some(since) if goes_on => Some(since),
            _ => Some(now),
        };
        within
    }
}

/// A request body that ends with an error at the first frame over the limit.
pub(crate) struct Guarded {
    inner: Payload,
    lengths: FrameLengths,
    limit: Arc<FrameLimit>,
}

impl Guarded {
    pub(crate) fn new(inner: Payload, limit: Arc<FrameLimit>) -> Self {
        Self { inner, lengths: FrameLengths::default(), limit }
    }
}

impl Stream for Guarded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = ready!(Pin::new(&mut this.inner).poll_next(cx));
        if let Some(Ok(bytes)) = &item
            && !this.limit.follow(&mut this.lengths, bytes, Instant::now())
        {
            this.limit.exceeded.store(true, Ordering::Relaxed);
            let error = io::Error::new(io::ErrorKind::InvalidData, "a WebSocket frame over the limit");
            return Poll::Ready(Some(Err(PayloadError::Io(error))));
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match length {
            0..126 => bytes.push(bit | length as u8),
            126..65536 => {
                bytes.push(bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![7; if masked { 4 } else { 0 } + length]);
        bytes
    }

    #[test]
    fn lengths_are_followed_however_the_bytes_are_split() {
        let sizes = [0, 5, 125, 126, 1_000, 65_535, 65_536, 70_000];
        let stream: Vec<u8> = sizes.iter().flat_map(|size| frame(*size, size % 2 == 0)).collect();
        for piece in [1, 2, 3, 7, 1_000, stream.len()] {
            let mut lengths = FrameLengths::default();
            assert!(stream.chunks(piece).all(|bytes| lengths.within(bytes, 70_000)), "{piece}");
            let mut lengths = FrameLengths::default();
            assert!(!stream.chunks(piece).all(|bytes| lengths.within(bytes, 69_999)), "{piece}");
        }
    }

    #[test]
    fn a_frame_is_as_old_as_its_first_byte() {
        let limit = FrameLimit::new(100);
        let mut lengths = FrameLengths::default();
        let mut at = |bytes: &[u8], now| {
            assert!(limit.follow(&mut lengths, bytes, now));
            limit.begun()
        };
        let begin = Instant::now();
        let second = |n| begin + std::time::Duration::from_secs(n);
        let frame = frame(20, true);
        assert_eq!(at(&frame, begin), None, "whole at once");
        assert_eq!(at(&frame[..1], second(1)), Some(second(1)));
        assert_eq!(at(&frame[1..10], second(2)), Some(second(1)), "its header came later");
        assert_eq!(at(&frame[10..12], second(3)), Some(second(1)));
        let end_and_begin = [&frame[12..], &frame[..8]].concat();
        assert_eq!(at(&end_and_begin, second(4)), Some(second(4)), "the next one has begun");
        assert_eq!(at(&frame[8..9], second(5)), Some(second(4)));
        limit.excuse(second(9));
        assert_eq!(limit.begun(), Some(second(9)));
        let mut at = |bytes: &[u8], now| {
            assert!(limit.follow(&mut lengths, bytes, now));
            limit.begun()
        };
        assert_eq!(at(&frame[9..], second(10)), None);
        limit.excuse(second(11));
        assert_eq!(limit.begun(), None);
    }

    #[test]
    fn a_giant_is_refused_by_its_header_alone() {
        let header = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert!(!FrameLengths::default().within(&header, 1 << 20));
    }
}
