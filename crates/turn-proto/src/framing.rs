//! Cutting a byte stream (TCP, TLS) into messages (RFC 8656, section 12.5, RFC 8489, section 6.2.2).
//!
//! A STUN message says its length, ChannelData too and is padded to four bytes. There is no way to find the next
//! message behind bytes that are neither, so such a stream is closed.

use stun::message::{MAGIC_COOKIE, MESSAGE_HEADER_SIZE};

use crate::wire::{self, LEGACY_CHANNEL_NUMBERS};

/// Longest message of a stream: what the length field of a STUN message can say. ChannelData is never longer.
pub const MAX_MESSAGE: usize = MESSAGE_HEADER_SIZE + 65_532;

/// Longest message of a client without an allocation: all it can have to say is a control message.
pub const MAX_FIRST_MESSAGE: usize = crate::message::MAX_CONTROL_MESSAGE;

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Neither STUN nor ChannelData.
    #[error("the stream carries neither STUN nor ChannelData")]
    Noise,
    /// A message is longer than this client may send.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
}

/// The length of the first message in `buf`, padding included, or `None` while it cannot be told. The message
/// itself may have arrived in part only.
///
/// # Errors
/// The stream carries something else, or a message longer than `limit`.
pub fn message_length(buf: &[u8], limit: usize) -> Result<Option<usize>, FramingError> {
    let Some(&first) = buf.first() else { return Ok(None) };
    // The two top bits tell them apart; the cookie is checked as soon as it is there.
    let is_channel_data = match first >> 6 {
        0 => false,
        1 => true,
        _ => return Err(FramingError::Noise),
    };
    let (Some(typ), Some(length)) = (wire::u16_at(buf, 0), wire::u16_at(buf, 2)) else { return Ok(None) };
    let length = usize::from(length);
    let whole = if is_channel_data {
        debug_assert!(LEGACY_CHANNEL_NUMBERS.contains(&typ));
        4 + length.next_multiple_of(4)
    } else {
        let cookie = buf.get(4..buf.len().min(8)).unwrap_or_default();
        if !length.is_multiple_of(4) || !MAGIC_COOKIE.to_be_bytes().starts_with(cookie) {
            return Err(FramingError::Noise);
        }
        MESSAGE_HEADER_SIZE + length
    };
    if whole > limit.min(MAX_MESSAGE) { Err(FramingError::TooLong(whole)) } else { Ok(Some(whole)) }
}

/// What a stream has left of a message whose rest has not arrived.
///
/// The reader owns one large buffer for all streams: [`Framer::restore`] puts the rest of this stream to its
/// start, new bytes are read behind it, [`message_length`] cuts, and [`Framer::keep`] takes what is left. A
/// stream that is between two messages holds no memory that it does not reuse.
///
/// At most [`MAX_MESSAGE`] bytes are kept: of what is longer the framing is an error before.
#[derive(Debug, Default)]
pub struct Framer {
    rest: Vec<u8>,
}

impl Framer {
    /// Copies what is left to the start of `buf` and returns its length. `buf` must have room for more than
    /// [`MAX_MESSAGE`] bytes.
    pub fn restore(&mut self, buf: &mut [u8]) -> usize {
        let length = self.rest.len();
        match buf.get_mut(..length) {
            Some(start) => start.copy_from_slice(&self.rest),
            None => debug_assert!(false, "a buffer shorter than a message"),
        }
        self.rest.clear();
        length
    }

    /// Keeps the start of a message until the rest arrives.
    pub fn keep(&mut self, rest: &[u8]) {
        self.rest.clear();
        self.rest.extend_from_slice(rest.get(..MAX_MESSAGE).unwrap_or(rest));
        // A long message now and then must not hold its memory for the life of the stream.
        self.rest.shrink_to(4096);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the stream in pieces of these sizes, as the shell does, and returns its messages.
    fn read(stream: &[u8], pieces: &[usize], limit: usize) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut framer = Framer::default();
        let mut buf = vec![0; 2 * MAX_MESSAGE];
        let (mut at, mut messages) = (0, Vec::new());
        for piece in pieces.iter().copied().chain(std::iter::repeat(usize::MAX)) {
            let piece = piece.min(stream.len() - at);
            let mut end = framer.restore(&mut buf);
            buf[end..end + piece].copy_from_slice(&stream[at..at + piece]);
            (end, at) = (end + piece, at + piece);
            let mut start = 0;
            while let Some(length) = message_length(&buf[start..end], limit)?
                && start + length <= end
            {
                messages.push(buf[start..start + length].to_vec());
                start += length;
            }
            framer.keep(&buf[start..end]);
            if at == stream.len() {
                break;
            }
        }
        Ok(messages)
    }

    fn channel_data(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x40, 0x01];
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn stun(attributes: usize) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend((4 * attributes as u16).to_be_bytes());
        bytes.extend(MAGIC_COOKIE.to_be_bytes());
        bytes.extend([7; 12]);
        bytes.resize(20 + 4 * attributes, 3);
        bytes
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|payload| channel_data(&payload)),
            (0..20usize).prop_map(stun),
        ]
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_messages(
            messages in proptest::collection::vec(message(), 0..12),
            pieces in proptest::collection::vec(0..30usize, 0..200),
        ) {
            let stream = messages.concat();
            prop_assert_eq!(read(&stream, &pieces, MAX_MESSAGE), Ok(messages.clone()));
            let bytes = vec![1; stream.len()];
            prop_assert_eq!(read(&stream, &bytes, MAX_MESSAGE), Ok(messages));
        }

        #[test]
        fn any_bytes_are_cut_without_panic(
            stream in proptest::collection::vec(any::<u8>(), 0..300),
            pieces in proptest::collection::vec(0..30usize, 0..50),
        ) {
            // However it is split, it ends alike: with the same messages, or an error. (What is wrong in two ways is
            // told by the one that is seen first.)
            let whole = read(&stream, &[], MAX_FIRST_MESSAGE).map_err(drop);
            prop_assert_eq!(whole, read(&stream, &pieces, MAX_FIRST_MESSAGE).map_err(drop));
        }
    }

    #[test]
    fn what_is_no_message_is_known_by_its_first_bytes() {
        for noise in [&b"\x80"[..], b"\xFF", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
            assert_eq!(message_length(noise, MAX_MESSAGE), Err(FramingError::Noise), "{noise:?}");
        }
        // Letters look like ChannelData, and HTTP like a message that no client without an allocation may send.
        assert_eq!(message_length(b"GET / HTTP/1.1", MAX_FIRST_MESSAGE), Err(FramingError::TooLong(0x5424)));
        let mut wrong = stun(1);
        wrong[5] ^= 1;
        assert_eq!(message_length(&wrong[..5], MAX_MESSAGE), Ok(Some(24)), "not yet known");
        assert_eq!(message_length(&wrong[..6], MAX_MESSAGE), Err(FramingError::Noise));
        assert_eq!(
            message_length(&[0, 1, 0, 3], MAX_MESSAGE),
            Err(FramingError::Noise),
            "not a multiple of 4"
        );
    }

    #[test]
    fn a_message_may_be_as_long_as_its_field_says_and_as_its_client_may() {
        let longest = channel_data(&vec![1; 65_535]);
        assert_eq!(message_length(&longest, MAX_MESSAGE), Ok(Some(65_540)));
        assert_eq!(message_length(&longest[..4], MAX_FIRST_MESSAGE), Err(FramingError::TooLong(65_540)));
        let longest = stun(16_383);
        assert_eq!(message_length(&longest, MAX_MESSAGE), Ok(Some(MAX_MESSAGE)));
        assert_eq!(
            read(&[longest.clone(), stun(0)].concat(), &[60_000], MAX_MESSAGE).map(|m| m.len()),
            Ok(2)
        );
    }
}
