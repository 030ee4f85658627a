//! Retransmissions as streams of their own (RFC 4588).

use crate::packet::{ClearHeader, FIXED_HEADER, RtpPacket};

/// Unwraps a retransmission (RFC 4588, section 4) into `buffer`: the packet as it was first sent, with the SSRC
/// and payload type of the media and the header extensions of the retransmission. Returns its length, or
/// `None` if `packet` carries no original (a probe) or is too long.
pub fn unwrap_rtx(packet: &[u8], ssrc: u32, payload_type: u8, buffer: &mut [u8]) -> Option<usize> {
    let view = RtpPacket::parse(packet).ok()?;
    if view.payload().len() < 3 {
        // The original number and at least one byte.
        return None;
    }
    let payload = view.padded_payload();
    let original = payload.first_chunk::<2>()?;
    let header_len = packet.len().checked_sub(payload.len())?;
    let len = packet.len().checked_sub(2)?;
    let out = buffer.get_mut(..len)?;
    let (header, rest) = out.split_at_mut_checked(header_len)?;
    header.copy_from_slice(packet.get(..header_len)?);
    rest.copy_from_slice(payload.get(2..)?);
    let second = header.get_mut(1)?;
    *second = (*second & 0x80) | (payload_type & 0x7f);
    header.get_mut(2..4)?.copy_from_slice(original);
    header.get_mut(8..12)?.copy_from_slice(&ssrc.to_be_bytes());
    Some(len)
}

/// Wraps `packet` as its own retransmission (RFC 4588, section 4), appended to `out`: with another payload type, SSRC
/// and sequence number, and the first sequence number in front of the payload. The inverse of [`unwrap_rtx`]; false,
/// and nothing is appended, if `packet` is no RTP packet.
pub fn wrap_rtx(packet: &[u8], ssrc: u32, payload_type: u8, sequence: u16, out: &mut Vec<u8>) -> bool {
    let Ok(header) = ClearHeader::parse(packet) else { return false };
    let (Some(&[first, second, s0, s1, t0, t1, t2, t3]), Some((clear, payload))) =
        (packet.first_chunk(), packet.split_at_checked(header.len))
    else {
        return false;
    };
    out.extend_from_slice(&[first, (second & 0x80) | (payload_type & 0x7f)]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&[t0, t1, t2, t3]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(clear.get(FIXED_HEADER..).unwrap_or_default());
    out.extend_from_slice(&[s0, s1]);
    out.extend_from_slice(payload);
    true
}
