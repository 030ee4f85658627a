//! Why a transport ended, and the alert that says so.

/// Why a transport ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// [`crate::Transport::close`] was called.
    #[error("closed by this side")]
    Local,
    /// The peer said goodbye (close_notify).
    #[error("closed by the peer")]
    PeerClosed,
    /// No connectivity check succeeded in time.
    #[error("no connectivity check succeeded")]
    IceTimeout,
    /// There was connectivity, and then no check for too long.
    #[error("connectivity was lost")]
    ConsentLost,
    /// The DTLS handshake did not end in time.
    #[error("the DTLS handshake did not complete")]
    HandshakeTimeout,
    /// The peer's certificate is not the one that the SDP promised.
    #[error("the peer's certificate does not match its fingerprint")]
    FingerprintMismatch,
    /// The peer's certificate is not ECDSA with P-256 or P-384, or it sent none: what a peer does that has only an RSA
    /// certificate and is asked for ECDSA.
    #[error("the peer has no certificate that is supported: ECDSA with P-256 or P-384 is, RSA is not")]
    UnsupportedCertificate,
    /// The peer offered no SRTP profile that is known here.
    #[error("the peer offers no known SRTP profile")]
    NoSrtp,
    /// The peer ended the association with this alert.
    #[error("the peer ended the DTLS association with alert {0} ({name})", name = alert_name(*.0))]
    Alert(u8),
    /// The handshake failed otherwise.
    #[error("the DTLS handshake failed: {0}")]
    Dtls(String),
}

impl CloseReason {
    /// The alert that tells the peer during the handshake (RFC 5246, section 7.2.2).
    pub(crate) fn alert(&self) -> Option<Alert> {
        match self {
            // RFC 8122, section 6.2 asks for this one.
            Self::FingerprintMismatch => Some(Alert::BadCertificate),
            Self::UnsupportedCertificate => Some(Alert::UnsupportedCertificate),
            Self::NoSrtp | Self::Dtls(_) => Some(Alert::HandshakeFailure),
            Self::HandshakeTimeout
            | Self::Local
            | Self::PeerClosed
            | Self::IceTimeout
            | Self::ConsentLost
            | Self::Alert(_) => None,
        }
    }
}

/// The fatal alerts that we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alert {
    HandshakeFailure = 40,
    BadCertificate = 42,
    UnsupportedCertificate = 43,
}

/// Content type of alerts.
pub(crate) const ALERT: u8 = 21;
/// Bytes of a DTLS record's header: type, version, epoch, sequence number, length (RFC 6347, section 4.1).
const RECORD_HEADER: usize = 13;

impl Alert {
    /// A record of the handshake, which is not encrypted. `sequence`: the first number that no record of ours in epoch
    /// 0 has had.
    pub(crate) fn record(self, sequence: u64) -> Vec<u8> {
        const FATAL: u8 = 2;
        const DTLS_1_2: [u8; 2] = [254, 253];
        let mut record = vec![ALERT, DTLS_1_2[0], DTLS_1_2[1], 0, 0];
        record.extend(sequence.to_be_bytes().iter().skip(2));
        record.extend([0, 2, FATAL, self as u8]);
        record
    }
}

/// Content type of the first record of a datagram.
pub(crate) fn content_type(datagram: &[u8]) -> Option<u8> {
    datagram.first().copied()
}

/// One more than the highest sequence number in epoch 0 of the records in a datagram of ours; 0 if there is none.
pub(crate) fn next_plaintext_sequence(mut datagram: &[u8]) -> u64 {
    let mut next = 0;
    while let Some((header, rest)) = datagram.split_first_chunk::<RECORD_HEADER>() {
        let [_, _, _, epoch_high, epoch_low, s0, s1, s2, s3, s4, s5, len_high, len_low] = *header;
        if (epoch_high, epoch_low) == (0, 0) {
            next = next.max(u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]).saturating_add(1));
        }
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        datagram = rest.get(len..).unwrap_or_default();
    }
    next
}

/// The name of an alert (RFC 5246, section 7.2).
fn alert_name(code: u8) -> &'static str {
    match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        90 => "user_canceled",
        _ => "another one",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_follows_what_was_sent() {
        assert_eq!(
            Alert::UnsupportedCertificate.record(0x0102),
            [21, 254, 253, 0, 0, 0, 0, 0, 0, 1, 2, 0, 2, 2, 43]
        );
        let record = |epoch: u8, sequence: u64, len: usize| {
            let mut record = Alert::BadCertificate.record(sequence);
            record[4] = epoch;
            record.truncate(11);
            record.extend((len as u16).to_be_bytes());
            record.extend(vec![0; len]);
            record
        };
        let datagram = [record(0, 5, 30), record(0, 6, 0), record(1, 9, 12)].concat();
        assert_eq!(next_plaintext_sequence(&datagram), 7);
        assert_eq!(next_plaintext_sequence(&record(1, 9, 12)), 0);
        assert_eq!(next_plaintext_sequence(&[22, 254]), 0);
        assert_eq!(next_plaintext_sequence(&record(0, 3, 40)[..20]), 4, "cut short");
    }

    #[test]
    fn reasons_are_words() {
        assert!(CloseReason::Alert(43).to_string().contains("43 (unsupported_certificate)"));
        assert_eq!(CloseReason::FingerprintMismatch.alert(), Some(Alert::BadCertificate));
        assert_eq!(CloseReason::Alert(40).alert(), None, "an alert is not answered");
    }
}
