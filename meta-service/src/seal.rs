//! Seals the secrets of an answer so that only who sent the request can have them again: AES-256-GCM under a key derived
//! from the Idempotency-Key (HKDF-SHA256, RFC 5869), of which nothing but a hash is stored.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

/// Separates this use of an Idempotency-Key from every other.
const SALT: &[u8] = b"madang idempotency answer 1";

/// What one Idempotency-Key of one caller seals and opens.
pub(crate) struct Seal {
    key: LessSafeKey,
    /// Bound to the sealed text: what was sealed for one caller does not open for another.
    scope: String,
}

impl Seal {
    /// The seal of `idempotency_key` (of at least 128 random bits) in `scope`.
    pub(crate) fn new(idempotency_key: &[u8], scope: &str) -> Option<Self> {
        let pseudorandom = Salt::new(HKDF_SHA256, SALT).extract(idempotency_key);
        let info = [scope.as_bytes()];
        let expanded = pseudorandom.expand(&info, &AES_256_GCM).ok()?;
        Some(Self { key: LessSafeKey::new(UnboundKey::from(expanded)), scope: scope.to_owned() })
    }

    /// Seals `secrets`: nonce, then the sealed text and its tag.
    pub(crate) fn seal(&self, secrets: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut text = secrets.to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, Aad::from(self.scope.as_bytes()), &mut text).ok()?;
        Some([nonce.as_slice(), &text].concat())
    }

    /// Opens what [`Seal::seal`] made; `None` for anything else.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(self.scope.as_bytes()), &mut text).ok()?;
        Some(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_caller_open_it() {
        let seal = Seal::new(b"0123456789abcdef0123456789abcdef", "broadcast of anybody").unwrap();
        let sealed = seal.seal(b"sk_secret").unwrap();
        assert_eq!(seal.open(&sealed).unwrap(), b"sk_secret");
        assert!(!sealed.windows(9).any(|window| window == b"sk_secret"));
        assert_ne!(seal.seal(b"sk_secret").unwrap(), sealed);
        let other_key = Seal::new(b"1123456789abcdef0123456789abcdef", "broadcast of anybody").unwrap();
        let other_caller = Seal::new(b"0123456789abcdef0123456789abcdef", "group of anybody").unwrap();
        assert!(other_key.open(&sealed).is_none() && other_caller.open(&sealed).is_none());
        for n in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[n] ^= 1;
            assert!(seal.open(&changed).is_none());
            assert!(seal.open(&sealed[..n]).is_none());
        }
    }
}
