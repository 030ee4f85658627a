//! Outgoing packets.

use std::fmt;

use super::cipher::{PacketCipher, Profile, RTCP_ENCRYPTED, SessionCiphers};
use super::header::{self, RTCP_CLEAR_LEN};
use super::streams::Streams;
use super::{SRTP_OVERHEAD, SrtpError};

/// Protects the packets of one transport.
pub struct Sender {
    profile: Profile,
    ciphers: SessionCiphers,
    streams: Streams,
    /// Index of the next report. One for all streams: a nonce holds the SSRC as well.
    next_report: u32,
}

impl Sender {
    pub(super) fn new(profile: Profile, ciphers: SessionCiphers) -> Self {
        Self { profile, ciphers, streams: Streams::default(), next_report: 1 }
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
        let header = header::rtp(checked(packet, len)?)?;
        let place = self
            .streams
            .place_sequence(header.ssrc, header.sequence)
            .map_err(|error| if error == SrtpError::Replayed { SrtpError::Reused } else { error })?;
        let end = self.ciphers.rtp.seal_rtp(packet, header.len, len, header.ssrc, place.index)?;
        self.streams.accept(place);
        Ok(end)
    }

    /// Protects the (compound) RTCP packet `packet[..len]` in place; returns its new length.
    ///
    /// # Errors
    /// When the bytes are no RTCP packet or there are not [`SRTP_OVERHEAD`] bytes of room behind it.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let ssrc = header::rtcp_ssrc(checked(packet, len)?)?;
        let index = self.next_report;
        if index >= RTCP_ENCRYPTED {
            return Err(SrtpError::KeysUsedUp);
        }
        let end = self.ciphers.rtcp.seal_rtcp(packet, RTCP_CLEAR_LEN, len, ssrc, index)?;
        self.next_report = index + 1;
        Ok(end)
    }
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
