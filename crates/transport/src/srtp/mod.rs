//! SRTP and SRTCP (RFC 3711, RFC 7714): protecting and unprotecting packets in place.
//!
//! One [`Sender`] and one [`Receiver`] per transport, keyed by DTLS (RFC 5764). Neither allocates per
//! packet once a stream (SSRC) is known.
//!
//! ```text
//! SRTP,  GCM:   header | ciphertext | tag 16
//! SRTP,  HMAC:  header | ciphertext | tag 10
//! SRTCP, GCM:   header 8 | ciphertext | tag 16 | E + index 4
//! SRTCP, HMAC:  header 8 | ciphertext | E + index 4 | tag 10
//! ```

mod cipher;
mod receiver;
mod sender;
mod streams;

pub use cipher::Profile;
pub use receiver::Receiver;
pub use sender::{MAX_REPEATABLE, Sender};

use cipher::{MasterKey, SessionCiphers};

/// Bytes that protecting a packet may add: the room to keep free behind it.
pub const SRTP_OVERHEAD: usize = 20;

/// Bytes of RTCP that stay in the clear: first word and SSRC of the sender.
const RTCP_CLEAR_LEN: usize = 8;

/// Why a packet is neither protected nor unprotected. None of these ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// The bytes are no RTP or RTCP packet, or too short for one that is protected.
    #[error("not an RTP or RTCP packet")]
    Malformed,
    /// Keys are not there yet: the handshake goes on.
    #[error("there are no keys yet")]
    NoKeys,
    /// The tag is wrong: forged, damaged, or of another session.
    #[error("the authentication tag is wrong")]
    Authentication,
    /// The packet was seen before, or is too old to tell.
    #[error("replayed, or older than the replay window")]
    Replayed,
    /// The sequence number was protected before. A second packet under one nonce would give the key
    /// away, so a retransmission is either an RTX packet or the bytes that were protected first.
    #[error("the sequence number was protected before")]
    Reused,
    /// All 2^48 packets or 2^31 reports of these keys are used.
    #[error("the keys are used up")]
    KeysUsedUp,
    /// The buffer has no room for the tag.
    #[error("the buffer has no room for {SRTP_OVERHEAD} more bytes")]
    BufferTooSmall,
    /// More streams than a session may have.
    #[error("too many streams")]
    TooManyStreams,
}

impl From<rtp::ParseError> for SrtpError {
    fn from(_: rtp::ParseError) -> Self {
        Self::Malformed
    }
}

/// Both directions from what DTLS exports (RFC 5764 section 4.2): client key, server key, client salt,
/// server salt. `None` when the length does not fit the profile.
pub(crate) fn contexts(profile: Profile, material: &[u8], is_client: bool) -> Option<(Sender, Receiver)> {
    if material.len() != 2 * (profile.key_len() + profile.salt_len()) {
        return None;
    }
    let (keys, salts) = material.split_at_checked(2 * profile.key_len())?;
    let (client_key, server_key) = keys.split_at_checked(profile.key_len())?;
    let (client_salt, server_salt) = salts.split_at_checked(profile.salt_len())?;
    let client = MasterKey { profile, key: client_key, salt: client_salt };
    let server = MasterKey { profile, key: server_key, salt: server_salt };
    let (ours, theirs) = if is_client { (client, server) } else { (server, client) };
    Some((
        Sender::new(profile, SessionCiphers::derive(&ours)?),
        Receiver::new(profile, SessionCiphers::derive(&theirs)?),
    ))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
