//! Short-term credentials of ICE (RFC 8445 section 5.3).

use std::fmt;

use rand::{CryptoRng, RngExt as _};

/// Characters of a ufrag and a pwd that also fit into a URL and a file name: a subset of `ice-char`.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// 48 bits: enough that two sessions of one socket never meet (the RFC asks for 24).
const UFRAG_LEN: usize = 8;

/// 144 bits (the RFC asks for 128).
const PWD_LEN: usize = 24;

/// User name fragment and password of one side of an ICE session.
///
/// Whoever knows both can answer and pass connectivity checks, so the password never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`: 4 to 256 characters.
    pub ufrag: String,
    /// `a=ice-pwd`: 22 to 256 characters.
    pub pwd: String,
}

impl IceCredentials {
    /// New credentials of 48 and 144 random bits.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut text = |len: usize| -> String {
            (0..len).map(|_| char::from(ALPHABET[usize::from(rng.random::<u8>() & 63)])).collect()
        };
        Self { ufrag: text(UFRAG_LEN), pwd: text(PWD_LEN) }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn credentials_are_ice_chars_long_enough_and_differ() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let (first, second) = (IceCredentials::random(&mut rng), IceCredentials::random(&mut rng));
        assert_ne!(first, second);
        assert!(first.ufrag.len() >= 4 && first.pwd.len() >= 22);
        let ice_char = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        assert!(first.ufrag.chars().all(ice_char) && first.pwd.chars().all(ice_char));
        assert!(!format!("{first:?}").contains(&first.pwd));
    }
}
