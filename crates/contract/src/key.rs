//! Stream keys and owner keys: bearer secrets of 128 random bits, shown once and stored hashed.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::id::random_128;

/// A secret that lets its holder publish to one broadcast (`sk_...`), or own one broadcast or group (`ok_...`). Never printed: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

/// Why a string is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is `sk_` or `ok_` and 22 characters")]
pub struct ParseKeyError;

impl SecretKey {
    /// A new stream key.
    pub fn stream(rng: &mut impl Rng) -> Self {
        Self(format!("sk_{}", random_128(rng)))
    }

    /// A new owner key.
    pub fn owner(rng: &mut impl Rng) -> Self {
        Self(format!("ok_{}", random_128(rng)))
    }

    /// The secret itself, for the one answer that shows it and for the Authorization header.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored: SHA-256 of the key. 128 random bits need no salt and no slow hash.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl FromStr for SecretKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let rest = text.strip_prefix("sk_").or_else(|| text.strip_prefix("ok_")).ok_or(ParseKeyError)?;
        let valid =
            rest.len() == 22 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(ParseKeyError) }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// SHA-256 of a [`SecretKey`]; compared in constant time.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// From storage.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_and_hides() {
        let key = SecretKey::stream(&mut rand::rng());
        let again: SecretKey = key.reveal().parse().unwrap();
        assert_eq!(again.hash(), key.hash());
        assert_ne!(SecretKey::stream(&mut rand::rng()).hash(), key.hash());
        assert!(!format!("{key:?}{:?}", key.hash()).contains(&key.reveal()[3..]));
        assert_eq!("sk_short".parse::<SecretKey>(), Err(ParseKeyError));
    }
}
