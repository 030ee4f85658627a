//! Incoming packets.

use std::fmt;

use rtp::{ClearHeader, rtcp};

use super::cipher::{Profile, SessionCiphers};
use super::streams::Streams;
use super::{RTCP_CLEAR_LEN, SrtpError};

/// Unprotects the packets of one transport.
pub struct Receiver {
    profile: Profile,
    ciphers: SessionCiphers,
    streams: Streams,
    reports: Streams,
}

impl Receiver {
    pub(super) fn new(profile: Profile, ciphers: SessionCiphers) -> Self {
        Self { profile, ciphers, streams: Streams::default(), reports: Streams::default() }
    }

    /// The profile that DTLS chose.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Unprotects a packet in place and returns the RTP packet in it. After an error the bytes are
    /// worthless.
    ///
    /// # Errors
    /// When it is malformed, not authentic or replayed.
    pub fn unprotect_rtp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a mut [u8], SrtpError> {
        let ClearHeader { ssrc, sequence, len: clear, .. } = ClearHeader::parse(packet)?;
        let place = self.streams.place_sequence(ssrc, sequence)?;
        let len = self.ciphers.rtp.open_rtp(packet, clear, ssrc, place.index)?;
        self.streams.accept(place);
        packet.get_mut(..len).ok_or(SrtpError::Malformed)
    }

    /// Unprotects a packet in place and returns the (compound) RTCP packet in it. After an error the
    /// bytes are worthless.
    ///
    /// # Errors
    /// When it is malformed, not authentic, replayed or not encrypted.
    pub fn unprotect_rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a mut [u8], SrtpError> {
        let ssrc = rtcp::sender_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let index = self.ciphers.rtcp.rtcp_index(packet)?;
        let place = self.reports.place_index(ssrc, u64::from(index))?;
        let len = self.ciphers.rtcp.open_rtcp(packet, RTCP_CLEAR_LEN, ssrc, index)?;
        self.reports.accept(place);
        packet.get_mut(..len).ok_or(SrtpError::Malformed)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("profile", &self.profile).finish_non_exhaustive()
    }
}
