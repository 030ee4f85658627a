//! The certificate of this process and its fingerprint, and the fingerprint a peer promised.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use dimpl::{Config, DtlsCertificate};

use crate::binding::TransactionId;

/// First retransmission of a handshake flight. Media is waiting, so a tenth of DTLS's usual second.
const FLIGHT_START_RTO: Duration = Duration::from_millis(100);

/// Retransmissions of a flight, doubling each time.
const FLIGHT_RETRIES: usize = 8;

/// A handshake that takes longer is given up: as long as a session may take to start ICE.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Certificate, private key and DTLS settings, made once per process and shared by all transports.
///
/// Cloning is cheap. One certificate for all sessions keeps a handshake at a fifth of a millisecond.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
    config: Arc<Config>,
    /// Of this process alone.
    secret: hmac::Key,
}

/// Why an [`Identity`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Key or certificate generation failed.
    #[error("the DTLS certificate could not be generated: {0}")]
    Certificate(String),
    /// The DTLS implementation refused its settings or the cryptography it found.
    #[error("DTLS cannot be set up: {0}")]
    Dtls(String),
}

impl Identity {
    /// Generates a P-256 key and a self-signed certificate that lives for a year.
    ///
    /// # Errors
    /// When the cryptography library fails.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::build(None)
    }

    /// An identity whose handshake timers jitter by a seed, for simulations. Its nonces are as
    /// predictable as its timers.
    #[cfg(test)]
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self::build(Some(seed)).expect("a certificate can be generated")
    }

    fn build(seed: Option<u64>) -> Result<Self, IdentityError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| IdentityError::Certificate(error.to_string()))?;
        // No cookie exchange: ICE has validated the address before the first DTLS byte is read, and it
        // would cost a round trip.
        let mut config = Config::builder()
            .use_server_cookie(false)
            .flight_start_rto(FLIGHT_START_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT);
        if let Some(seed) = seed {
            config = config.dangerously_set_rng_seed(seed);
        }
        let config = config.build().map_err(|error| IdentityError::Dtls(error.to_string()))?;
        let fingerprint = Fingerprint::of(&certificate.certificate);
        // As secret as the private key, from which nobody can tell it.
        let secret = digest::digest(&digest::SHA256, &certificate.private_key);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        Ok(Self(Arc::new(Inner { certificate, fingerprint, config: Arc::new(config), secret })))
    }

    /// SHA-256 fingerprint for the `a=fingerprint` line.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.0.fingerprint
    }

    pub(crate) fn certificate(&self) -> &DtlsCertificate {
        &self.0.certificate
    }

    /// The id of STUN transaction number `number` with a peer: nobody else can foresee it, the peer included.
    pub(crate) fn transaction_id(&self, peer: &str, number: u64) -> TransactionId {
        let mut mac = hmac::Context::with_key(&self.0.secret);
        mac.update(peer.as_bytes());
        mac.update(&number.to_be_bytes());
        let mut id = TransactionId::default();
        for (byte, tag) in id.iter_mut().zip(mac.sign().as_ref()) {
            *byte = *tag;
        }
        id
    }

    pub(crate) fn dtls_config(&self) -> &Arc<Config> {
        &self.0.config
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.0.fingerprint).finish_non_exhaustive()
    }
}

/// Hash of a certificate, as in `a=fingerprint:sha-256 AB:CD:...` (RFC 8122 section 5).
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    hash: Hash,
    value: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Why the text of an `a=fingerprint` line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// Not `sha-256`, `sha-384` or `sha-512`.
    #[error("the fingerprint's hash function is not one of sha-256, sha-384, sha-512")]
    UnsupportedHash,
    /// Not upper or lower case hexadecimal pairs with colons between.
    #[error("the fingerprint is not a list of hexadecimal pairs")]
    NotHexadecimal,
    /// The number of bytes does not belong to the hash function.
    #[error("the fingerprint has {actual} bytes, its hash function makes {expected}")]
    Length {
        /// Bytes that the hash function makes.
        expected: usize,
        /// Bytes found, counted up to one more than expected.
        actual: usize,
    },
}

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }
}

impl Fingerprint {
    /// The SHA-256 fingerprint of a DER certificate.
    pub fn of(certificate: &[u8]) -> Self {
        Self::hashed(Hash::Sha256, certificate)
    }

    fn hashed(hash: Hash, certificate: &[u8]) -> Self {
        Self { hash, value: digest::digest(hash.algorithm(), certificate).as_ref().to_vec() }
    }

    /// Reads the value of an `a=fingerprint` line: `sha-256 AB:CD:...`.
    ///
    /// # Errors
    /// When the hash function is weaker than SHA-256 or unknown, or the bytes do not fit it.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        let (name, hex) = text.trim().split_once(' ').ok_or(FingerprintError::NotHexadecimal)?;
        let hash = [Hash::Sha256, Hash::Sha384, Hash::Sha512]
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))
            .ok_or(FingerprintError::UnsupportedHash)?;
        let expected = hash.algorithm().output_len();
        let mut value = Vec::with_capacity(expected);
        for pair in hex.trim().split(':') {
            if pair.len() != 2 || !pair.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(FingerprintError::NotHexadecimal);
            }
            value.push(u8::from_str_radix(pair, 16).map_err(|_| FingerprintError::NotHexadecimal)?);
            if value.len() > expected {
                break;
            }
        }
        if value.len() == expected {
            Ok(Self { hash, value })
        } else {
            Err(FingerprintError::Length { expected, actual: value.len() })
        }
    }

    /// Whether this is the hash of `certificate` (DER).
    pub fn matches(&self, certificate: &[u8]) -> bool {
        *self == Self::hashed(self.hash, certificate)
    }

    /// Name of the hash function, as SDP writes it.
    pub fn hash_name(&self) -> &'static str {
        self.hash.name()
    }

    /// The hash, for instance 32 bytes of SHA-256.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// The value of an `a=fingerprint` line: `sha-256 AB:CD:...`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (index, byte) in self.value.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_round_trips_and_matches_only_its_certificate() {
        let identity = Identity::generate().unwrap();
        let text = identity.fingerprint().to_string();
        assert_eq!(text.len(), "sha-256 ".len() + 32 * 3 - 1);
        let parsed = Fingerprint::parse(&text).unwrap();
        assert_eq!(&parsed, identity.fingerprint());
        assert_eq!(Fingerprint::parse(&text.to_ascii_lowercase()).unwrap(), parsed);
        assert!(parsed.matches(&identity.certificate().certificate));
        assert!(!parsed.matches(&Identity::generate().unwrap().certificate().certificate));
    }

    #[test]
    fn other_hashes_and_bad_text() {
        let sha512 = Fingerprint::hashed(Hash::Sha512, b"certificate");
        assert!(Fingerprint::parse(&sha512.to_string()).unwrap().matches(b"certificate"));
        for (text, error) in [
            ("sha-1 AB:CD", FingerprintError::UnsupportedHash),
            ("md5 AB", FingerprintError::UnsupportedHash),
            ("", FingerprintError::NotHexadecimal),
            ("sha-256", FingerprintError::NotHexadecimal),
            ("sha-256 +1:22", FingerprintError::NotHexadecimal),
            ("sha-256 ABCD", FingerprintError::NotHexadecimal),
            ("sha-256 AB:CD", FingerprintError::Length { expected: 32, actual: 2 }),
        ] {
            assert_eq!(Fingerprint::parse(text), Err(error), "{text}");
        }
        let long = format!("sha-256 {}", vec!["AA"; 1000].join(":"));
        assert_eq!(Fingerprint::parse(&long), Err(FingerprintError::Length { expected: 32, actual: 33 }));
    }
}
