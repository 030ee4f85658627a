//! As much of the RTP and RTCP headers as SRTP needs.

use super::SrtpError;

/// Fixed part of an RTP header.
const FIXED_LEN: usize = 12;

/// RTCP bytes that stay in clear: first word and sender SSRC.
pub(super) const RTCP_CLEAR_LEN: usize = 8;

/// What SRTP reads of an RTP header (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RtpHeader {
    pub(super) sequence: u16,
    pub(super) ssrc: u32,
    /// Bytes of the header with CSRCs and extension: what stays in clear.
    pub(super) len: usize,
}

pub(super) fn rtp(packet: &[u8]) -> Result<RtpHeader, SrtpError> {
    let fixed = packet.first_chunk::<FIXED_LEN>().ok_or(SrtpError::Malformed)?;
    if fixed[0] >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    let mut len = FIXED_LEN + 4 * usize::from(fixed[0] & 0x0F);
    if fixed[0] & 0x10 != 0 {
        let extension = packet.get(len..len + 4).ok_or(SrtpError::Malformed)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    if packet.len() < len {
        return Err(SrtpError::Malformed);
    }
    Ok(RtpHeader {
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        len,
    })
}

/// The SSRC of an RTCP packet's sender, which is that of a compound's first packet.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let clear = packet.first_chunk::<RTCP_CLEAR_LEN>().ok_or(SrtpError::Malformed)?;
    if clear[0] >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    Ok(u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_csrcs_and_the_extension() {
        let mut packet = vec![0x80, 96, 0x12, 0x34, 0, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(rtp(&packet), Ok(RtpHeader { sequence: 0x1234, ssrc: 0x0102_0304, len: 12 }));
        packet[0] = 0x92;
        assert_eq!(rtp(&packet), Err(SrtpError::Malformed));
        packet.extend([0; 8]);
        assert_eq!(rtp(&packet), Err(SrtpError::Malformed));
        packet.extend([0xBE, 0xDE, 0, 1]);
        assert_eq!(rtp(&packet), Err(SrtpError::Malformed));
        packet.extend([0; 4]);
        assert_eq!(rtp(&packet).unwrap().len, 12 + 8 + 8);
        packet[0] = 0x52;
        assert_eq!(rtp(&packet), Err(SrtpError::Malformed));
    }
}
