//! Keys of users, and the MACs that they make (RFC 8489, sections 9.2.2, 14.5 and 14.6).

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Which integrity attribute a message carries; a response carries the kind of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integrity {
    /// MESSAGE-INTEGRITY, HMAC-SHA1.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

/// The key of a user: a hash of `user:realm:password`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn md5(username: &str, realm: &str, password: &str) -> Self {
        Self(Md5::digest(format!("{username}:{realm}:{password}")).to_vec())
    }

    pub(crate) fn sha256(username: &str, realm: &str, password: &str) -> Self {
        Self(Sha256::digest(format!("{username}:{realm}:{password}")).to_vec())
    }

    /// A short-term key, which is the password itself: the form of the published vectors.
    #[cfg(test)]
    pub(crate) fn raw(password: &[u8]) -> Self {
        Self(password.to_vec())
    }

    /// The MAC of a message that ends before its integrity attribute.
    pub(crate) fn sign(&self, integrity: Integrity, before: &[u8]) -> Vec<u8> {
        match integrity {
            Integrity::Sha1 => self.hmac_sha1(before).finalize().into_bytes().to_vec(),
            Integrity::Sha256 => self.hmac_sha256(before).finalize().into_bytes().to_vec(),
        }
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, integrity: Integrity, before: &[u8], mac: &[u8]) -> bool {
        match integrity {
            Integrity::Sha1 => self.hmac_sha1(before).verify_slice(mac).is_ok(),
            Integrity::Sha256 => self.hmac_sha256(before).verify_slice(mac).is_ok(),
        }
    }

    fn hmac_sha1(&self, before: &[u8]) -> Hmac<Sha1> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        covered(before, 4 + 20, |part| mac.update(part));
        mac
    }

    fn hmac_sha256(&self, before: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        covered(before, 4 + 32, |part| mac.update(part));
        mac
    }
}

/// What an integrity attribute covers: everything before it, with the length field as if the message ended
/// with it (RFC 8489, section 14.5).
fn covered(before: &[u8], attribute: usize, mut update: impl FnMut(&[u8])) {
    let (Some(typ), Some(rest)) = (before.get(..2), before.get(4..)) else { return };
    let length = (before.len() + attribute).saturating_sub(20);
    update(typ);
    update(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    update(rest);
}

/// What signs the responses to an authenticated request.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) key: Key,
    pub(crate) integrity: Integrity,
}
