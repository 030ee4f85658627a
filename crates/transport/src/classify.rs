//! Which protocol a datagram belongs to (RFC 7983), by its first bytes.

/// What a datagram on a socket shared by ICE, DTLS and media is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// A STUN message: first byte 0-3.
    Stun,
    /// A DTLS record: first byte 20-63.
    Dtls,
    /// An SRTP packet: first byte 128-191, payload type outside of the RTCP range.
    Rtp,
    /// An SRTCP packet: first byte 128-191, packet type 192-223 (RFC 5761 section 4).
    Rtcp,
    /// Anything else: dropped.
    Other,
}

/// Tells a datagram's protocol without parsing it.
pub fn classify(datagram: &[u8]) -> DatagramKind {
    match (datagram.first(), datagram.get(1)) {
        (Some(0..=3), _) => DatagramKind::Stun,
        (Some(20..=63), _) => DatagramKind::Dtls,
        (Some(128..=191), Some(192..=223)) => DatagramKind::Rtcp,
        (Some(128..=191), Some(_)) => DatagramKind::Rtp,
        _ => DatagramKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rfc_7983() {
        for (bytes, kind) in [
            (&[0u8, 1][..], DatagramKind::Stun),
            (&[3, 0], DatagramKind::Stun),
            (&[4, 0], DatagramKind::Other),
            (&[16, 0], DatagramKind::Other),
            (&[20, 254], DatagramKind::Dtls),
            (&[63, 254], DatagramKind::Dtls),
            (&[64, 0], DatagramKind::Other),
            (&[128, 96], DatagramKind::Rtp),
            (&[0x90, 0x80 | 96], DatagramKind::Rtp),
            (&[191, 191], DatagramKind::Rtp),
            (&[128, 192], DatagramKind::Rtcp),
            (&[128, 200], DatagramKind::Rtcp),
            (&[128, 223], DatagramKind::Rtcp),
            (&[128, 224], DatagramKind::Rtp),
            (&[192, 0], DatagramKind::Other),
            (&[128], DatagramKind::Other),
            (&[], DatagramKind::Other),
        ] {
            assert_eq!(classify(bytes), kind, "{bytes:?}");
        }
    }
}
