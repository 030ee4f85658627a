//! Time-limited TURN credentials (the "TURN REST API" convention): username `expiry:user`, password
//! `base64(HMAC-SHA1(secret, username))`. Meta mints them, the relay checks them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// How long a minted credential lives, in seconds: 12 h.
pub const CREDENTIAL_TTL_SECS: u64 = 12 * 3600;

/// The shared secret between meta and the relay. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnSecret(String);

impl TurnSecret {
    /// Wraps a secret read from the settings.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Mints a credential for `user` (no colon) that is valid until `expiry` (Unix seconds).
    #[must_use]
    pub fn credential(&self, user: &str, expiry: u64) -> Credential {
        let username = format!("{expiry}:{user}");
        let password = self.password(&username);
        Credential { username, password }
    }

    /// The password that belongs to `username` under this secret.
    #[must_use]
    pub fn password(&self, username: &str) -> String {
        let mut mac =
            Hmac::<Sha1>::new_from_slice(self.0.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(..)")
    }
}

/// A username and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// `expiry:user`, expiry in Unix seconds.
    pub username: String,
    /// base64 of the HMAC.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The expiry (Unix seconds) and the user inside a username, or `None` if it has no `expiry:` in front.
#[must_use]
pub fn parse_username(username: &str) -> Option<(u64, &str)> {
    let (expiry, user) = username.split_once(':')?;
    Some((expiry.parse().ok()?, user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_the_hmac_of_its_username() {
        let secret = TurnSecret::new("north".into());
        let credential = secret.credential("par_1", 1_700_000_000);
        assert_eq!(credential.username, "1700000000:par_1");
        // printf %s 1700000000:par_1 | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential.password, "fUOnSFR6ixd44XfbUO3svyUcXCQ=");
        assert_eq!(parse_username(&credential.username), Some((1_700_000_000, "par_1")));
        assert_eq!(parse_username("nobody"), None);
    }
}
