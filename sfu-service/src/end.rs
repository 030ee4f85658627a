//! Why sessions end: one word for each reason, for the log and the label of `sfu_sessions_ended_total`.

use transport::CloseReason;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// No check came in 15 s.
    IceTimeout,
    /// There was connectivity, and then no check for 15 s.
    ConsentLost,
    /// The client said goodbye.
    ClosedByPeer,
    /// The DTLS handshake did not end in 15 s.
    DtlsTimeout,
    /// The client's certificate is not the one that its offer names.
    Fingerprint,
    /// The client has no certificate that is supported (RSA is not).
    Certificate,
    /// The client knows no SRTP profile that is supported.
    NoSrtp,
    /// The client ended DTLS with this alert.
    Alert(u8),
    /// The DTLS handshake failed otherwise.
    Dtls,
    /// DELETE of its URL.
    Deleted,
    /// Another publisher with the same key has taken over.
    Replaced,
    /// The broadcast has ended.
    BroadcastEnded,
    /// The stream key was revoked.
    KeyRevoked,
    /// The publisher now sends what this viewer does not decode.
    Codec,
    /// The shard did not take the session in time.
    NotTaken,
    /// A moderator has removed it from its call.
    Removed,
    /// The group of its call is deleted.
    RoomEnded,
    /// Another node is the home of its call.
    RoomMoved,
    /// The node stops.
    Shutdown,
    /// A fault inside.
    Panic,
}

impl EndReason {
    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::IceTimeout => "ice_timeout",
            Self::ConsentLost => "consent_lost",
            Self::ClosedByPeer => "closed_by_peer",
            Self::DtlsTimeout => "dtls_timeout",
            Self::Fingerprint => "dtls_fingerprint",
            Self::Certificate => "dtls_certificate",
            Self::NoSrtp => "dtls_no_srtp",
            Self::Alert(code) => alert_label(code),
            Self::Dtls => "dtls_failed",
            Self::Deleted => "deleted",
            Self::Replaced => "replaced",
            Self::BroadcastEnded => "broadcast_ended",
            Self::KeyRevoked => "key_revoked",
            Self::Codec => "codec",
            Self::NotTaken => "not_taken",
            Self::Removed => "removed",
            Self::RoomEnded => "room_ended",
            Self::RoomMoved => "room_moved",
            Self::Shutdown => "shutdown",
            Self::Panic => "panic",
        }
    }
}

/// The alerts that clients end a handshake with, each by its name (RFC 5246, section 7.2).
fn alert_label(code: u8) -> &'static str {
    match code {
        40 => "dtls_alert_handshake_failure",
        42 => "dtls_alert_bad_certificate",
        43 => "dtls_alert_unsupported_certificate",
        45 => "dtls_alert_certificate_expired",
        46 => "dtls_alert_certificate_unknown",
        48 => "dtls_alert_unknown_ca",
        50 => "dtls_alert_decode_error",
        51 => "dtls_alert_decrypt_error",
        70 => "dtls_alert_protocol_version",
        71 => "dtls_alert_insufficient_security",
        80 => "dtls_alert_internal_error",
        _ => "dtls_alert_other",
    }
}

impl From<&CloseReason> for EndReason {
    fn from(reason: &CloseReason) -> Self {
        match reason {
            CloseReason::IceTimeout => Self::IceTimeout,
            CloseReason::ConsentLost => Self::ConsentLost,
            CloseReason::PeerClosed => Self::ClosedByPeer,
            // Only its owner closes a transport, and says why by itself.
            CloseReason::Local => Self::Deleted,
            CloseReason::HandshakeTimeout => Self::DtlsTimeout,
            CloseReason::FingerprintMismatch => Self::Fingerprint,
            CloseReason::UnsupportedCertificate => Self::Certificate,
            CloseReason::NoSrtp => Self::NoSrtp,
            CloseReason::Alert(code) => Self::Alert(*code),
            CloseReason::Dtls(_) => Self::Dtls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a transport says of its end is not lost on the way to the label.
    #[test]
    fn different_ends_have_different_labels() {
        let reasons = [
            CloseReason::IceTimeout,
            CloseReason::ConsentLost,
            CloseReason::PeerClosed,
            CloseReason::HandshakeTimeout,
            CloseReason::FingerprintMismatch,
            CloseReason::UnsupportedCertificate,
            CloseReason::NoSrtp,
            CloseReason::Alert(42),
            CloseReason::Alert(43),
            CloseReason::Alert(255),
            CloseReason::Dtls("x".into()),
        ];
        let labels: std::collections::HashSet<&str> =
            reasons.iter().map(|reason| EndReason::from(reason).as_str()).collect();
        assert_eq!(labels.len(), reasons.len());
    }
}
