//! Outgoing packets.

use std::fmt;

use rtp::{ClearHeader, rtcp};

use super::cipher::{PacketCipher, Profile, RTCP_ENCRYPTED, SessionCiphers};
use super::streams::Streams;
use super::{RTCP_CLEAR_LEN, SRTP_OVERHEAD, SrtpError};

/// Packets of a repeatable stream that may be repeated: more than two seconds of sound.
pub const MAX_REPEATABLE: usize = 128;

/// Sequence number and end of the tag of packets that left, by the low bits of the number.
type Sent = Box<[Option<(u16, [u8; 8])>; MAX_REPEATABLE]>;

/// Protects the packets of one transport.
pub struct Sender {
    profile: Profile,
    ciphers: SessionCiphers,
    streams: Streams,
    /// Of repeatable streams, by SSRC; no more than there are streams.
    sent: Vec<(u32, Sent)>,
    /// Index of the next report. One for all streams: a nonce holds the SSRC as well.
    next_report: u32,
}

impl Sender {
    pub(super) fn new(profile: Profile, ciphers: SessionCiphers) -> Self {
        Self { profile, ciphers, streams: Streams::default(), sent: Vec::new(), next_report: 1 }
    }

    /// The profile that DTLS chose.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Protects the RTP packet `packet[..len]` in place; returns its new length.
    ///
    /// A stream's sequence numbers may leave in any order within 1,024 packets of each other, and each
    /// only once: see [`SrtpError::Reused`]. A new stream should begin below 2^15, or the receiver may
    /// miss the first rollover.
    ///
    /// # Errors
    /// When the bytes are no RTP packet, there are not [`SRTP_OVERHEAD`] bytes of room behind it, or
    /// the sequence number was used before. The packet is unchanged then.
    pub fn protect_rtp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let ClearHeader { ssrc, sequence, len: clear, .. } = ClearHeader::parse(checked(packet, len)?)?;
        let place = self
            .streams
            .place_sequence(ssrc, sequence)
            .map_err(|error| if error == SrtpError::Replayed { SrtpError::Reused } else { error })?;
        let end = self.ciphers.rtp.seal_rtp(packet, clear, len, ssrc, place.index)?;
        self.streams.accept(place);
        Ok(end)
    }

    /// The same for a stream whose lost packets are repeated as they were, because it has no stream of
    /// retransmissions: the same packet may be protected again, and the same bytes leave. Other bytes
    /// under its number are found out by their tag and refused.
    ///
    /// # Errors
    /// As [`Sender::protect_rtp`]; [`SrtpError::Reused`] also when the packet is not one of the last
    /// [`MAX_REPEATABLE`]. What is in `packet` after that error must not be sent.
    pub fn protect_rtp_repeatable(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let ClearHeader { ssrc, sequence, len: clear, .. } = ClearHeader::parse(checked(packet, len)?)?;
        let slot = usize::from(sequence) % MAX_REPEATABLE;
        let known = self.sent.iter().position(|(known, _)| *known == ssrc);
        let first = self.protect_rtp(packet, len);
        if first != Err(SrtpError::Reused) {
            let end = first?;
            let place = known.unwrap_or(self.sent.len());
            if known.is_none() {
                self.sent.push((ssrc, Box::new([None; MAX_REPEATABLE])));
            }
            if let Some(sent) = self.sent.get_mut(place).and_then(|(_, sent)| sent.get_mut(slot)) {
                *sent = tag(packet, end).map(|tag| (sequence, tag));
            }
            return Ok(end);
        }
        let sent = known.and_then(|known| *self.sent.get(known)?.1.get(slot)?);
        let (_, expected) = sent.filter(|(last, _)| *last == sequence).ok_or(SrtpError::Reused)?;
        let index = self.streams.index(ssrc, sequence)?;
        let end = self.ciphers.rtp.seal_rtp(packet, clear, len, ssrc, index)?;
        if tag(packet, end) == Some(expected) { Ok(end) } else { Err(SrtpError::Reused) }
    }

    /// Protects the (compound) RTCP packet `packet[..len]` in place; returns its new length.
    ///
    /// # Errors
    /// When the bytes are no RTCP packet or there are not [`SRTP_OVERHEAD`] bytes of room behind it.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let ssrc = rtcp::sender_ssrc(checked(packet, len)?).ok_or(SrtpError::Malformed)?;
        let index = self.next_report;
        if index >= RTCP_ENCRYPTED {
            return Err(SrtpError::KeysUsedUp);
        }
        let end = self.ciphers.rtcp.seal_rtcp(packet, RTCP_CLEAR_LEN, len, ssrc, index)?;
        self.next_report = index + 1;
        Ok(end)
    }
}

/// The last bytes of a protected packet, which are of its tag in every profile.
fn tag(packet: &[u8], end: usize) -> Option<[u8; 8]> {
    packet.get(..end)?.last_chunk().copied()
}

/// The packet, when there is room behind it for the largest overhead: that way a caller's buffer is
/// too small with every profile or with none.
fn checked(packet: &[u8], len: usize) -> Result<&[u8], SrtpError> {
    const { assert!(PacketCipher::MAX_OVERHEAD <= SRTP_OVERHEAD) };
    if packet.len().checked_sub(len).is_none_or(|room| room < SRTP_OVERHEAD) {
        return Err(SrtpError::BufferTooSmall);
    }
    packet.get(..len).ok_or(SrtpError::BufferTooSmall)
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("profile", &self.profile).finish_non_exhaustive()
    }
}
