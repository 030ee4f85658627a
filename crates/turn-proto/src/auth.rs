//! The long-term credential mechanism (RFC 8489, section 9.2) with time-limited credentials: stateless
//! nonces, two secrets while one rotates, SHA-256 beside SHA-1.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::turn::{TurnSecret, parse_username};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use stun::attributes::{
    ATTR_NONCE, ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, ATTR_USER_HASH, ATTR_USERNAME,
};
use subtle::ConstantTimeEq as _;

use crate::config::StaticUser;
use crate::error::{ErrorCode, Reason};
use crate::integrity::{Key, Signer};
use crate::message::{Request, Response};
use crate::shared::Shared;
use crate::types::FiveTuple;

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// Longest USERNAME (RFC 8489, section 14.3: fewer than 509 bytes).
const MAX_USERNAME: usize = 508;

/// Start of a nonce that carries the security feature bits (RFC 8489, section 9.2), followed by base64 of the 24
/// bits. Bit 0 (password algorithms) is always set; bit 1 (user name anonymity) only where all users are static:
/// a client that sees it sends a hash instead of its name, and no hash can be turned back into `expiry:user`.
const NONCE_COOKIE: &str = "obMatJos2";
///
/// `gAAA` is base64 of 0x80 0 0, `wAAA` of 0xC0 0 0.
const FEATURES: &str = "gAAA";
const FEATURES_STATIC: &str = "wAAA";

/// Bytes of a nonce behind the feature bits, before base64.
const NONCE_BODY: usize = 20;

/// PASSWORD-ALGORITHMS as offered, best first: SHA-256 (2), MD5 (1), each without parameters.
const PASSWORD_ALGORITHMS: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];
const ALGORITHM_MD5: [u8; 4] = [0, 1, 0, 0];
const ALGORITHM_SHA256: [u8; 4] = [0, 2, 0, 0];

/// Names a secret, or the password of a static user, for as long as it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecretId(u64);

/// Who sent a request.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) username: Arc<str>,
    pub(crate) secret: SecretId,
    /// Unix time at which the credential expires.
    pub(crate) expiry: u64,
    pub(crate) signer: Signer,
}

/// Why a request was not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) code: ErrorCode,
    pub(crate) reason: Reason,
}

impl Rejection {
    fn unauthenticated(reason: Reason) -> Self {
        Self { code: ErrorCode::Unauthenticated, reason }
    }

    fn bad_request(reason: Reason) -> Self {
        Self { code: ErrorCode::BadRequest, reason }
    }
}

/// Checks requests and writes challenges.
pub(crate) struct Authenticator {
    realm: String,
    secrets: Vec<(SecretId, TurnSecret)>,
    users: HashMap<Arc<str>, User>,
    /// Names of static users by USERHASH.
    hashes: HashMap<[u8; 32], Arc<str>>,
    next_secret: u64,
    shared: Shared,
}

/// A static user: the keys are made once.
struct User {
    id: SecretId,
    password: String,
    md5: Key,
    sha256: Key,
}

impl Authenticator {
    pub(crate) fn new(
        realm: String,
        secrets: Vec<TurnSecret>,
        users: Vec<StaticUser>,
        shared: Shared,
    ) -> Self {
        let (users_by_name, hashes) = (HashMap::new(), HashMap::new());
        let mut this =
            Self { realm, secrets: Vec::new(), users: users_by_name, hashes, next_secret: 0, shared };
        this.set_secrets(secrets);
        this.set_users(users);
        this
    }

    /// Replaces the secrets. One that stays keeps its name, so that its allocations live on.
    pub(crate) fn set_secrets(&mut self, secrets: Vec<TurnSecret>) {
        let old = std::mem::take(&mut self.secrets);
        for secret in secrets {
            let id = old.iter().find(|(_, known)| *known == secret).map_or_else(
                || {
                    self.next_secret += 1;
                    SecretId(self.next_secret)
                },
                |(id, _)| *id,
            );
            self.secrets.push((id, secret));
        }
    }

    /// Replaces the static users. One whose password stays keeps the name of it.
    pub(crate) fn set_users(&mut self, users: Vec<StaticUser>) {
        let old = std::mem::take(&mut self.users);
        self.hashes.clear();
        for StaticUser { name, password } in users {
            let known = old.get(name.as_str()).filter(|user| user.password == password).map(|user| user.id);
            let id = known.unwrap_or_else(|| {
                self.next_secret += 1;
                SecretId(self.next_secret)
            });
            let (md5, sha256) =
                (Key::md5(&name, &self.realm, &password), Key::sha256(&name, &self.realm, &password));
            let hash = Sha256::digest(format!("{name}:{}", self.realm)).into();
            let name: Arc<str> = name.into();
            self.hashes.insert(hash, name.clone());
            self.users.insert(name, User { id, password, md5, sha256 });
        }
    }

    /// Whether what an identity was checked with is still good.
    pub(crate) fn stands(&self, identity: &Identity) -> bool {
        self.secrets.iter().any(|(known, _)| *known == identity.secret)
            || self.users.get(&identity.username).is_some_and(|user| user.id == identity.secret)
    }

    /// Whole seconds since the server began; the clock of nonces.
    pub(crate) fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.shared.epoch()).as_secs()).unwrap_or(u32::MAX)
    }

    /// REALM, a fresh NONCE and PASSWORD-ALGORITHMS, as 401 and 438 carry them.
    pub(crate) fn challenge(&self, response: &mut Response, from: &FiveTuple, now: Instant) {
        response.add(ATTR_REALM, self.realm.as_bytes());
        response.add(ATTR_NONCE, self.nonce(from, self.second(now)).as_bytes());
        response.add(ATTR_PASSWORD_ALGORITHMS, &PASSWORD_ALGORITHMS);
    }

    /// Authenticates a request. Whether an expired credential is still good for something is the caller's
    /// question.
    pub(crate) fn check(
        &self,
        request: &Request,
        from: &FiveTuple,
        now: Instant,
    ) -> Result<Identity, Rejection> {
        let Some((integrity, mac, before)) = request.integrity() else {
            return Err(Rejection::unauthenticated(Reason::NoCredentials));
        };
        let username = request.get(ATTR_USERNAME);
        let (Some(realm), Some(nonce), true) = (
            request.get(ATTR_REALM),
            request.get(ATTR_NONCE),
            username.is_some() || request.contains(ATTR_USER_HASH),
        ) else {
            return Err(Rejection::bad_request(Reason::IncompleteCredentials));
        };
        // The nonce comes before any key is computed: it is the proof that the source address is real.
        if !self.nonce_is_valid(nonce, from, now) {
            return Err(Rejection { code: ErrorCode::StaleNonce, reason: Reason::StaleNonce });
        }
        let sha256_password = Self::password_algorithm(request)?;
        if realm != self.realm.as_bytes() {
            return Err(Rejection::unauthenticated(Reason::OtherRealm));
        }
        let malformed = Rejection::unauthenticated(Reason::MalformedUsername);
        let username = match username {
            Some(username) => std::str::from_utf8(username).map_err(|_| malformed)?,
            None => {
                let hash: Option<[u8; 32]> = request.fixed(ATTR_USER_HASH).ok().flatten();
                let name = hash.and_then(|hash| self.hashes.get(&hash));
                name.ok_or(Rejection::unauthenticated(Reason::UserHash))?
            }
        };
        if username.len() > MAX_USERNAME {
            return Err(malformed);
        }
        if let Some((name, user)) = self.users.get_key_value(username) {
            let key = if sha256_password { &user.sha256 } else { &user.md5 };
            if !key.verify(integrity, before, mac) {
                return Err(Rejection::unauthenticated(Reason::WrongPassword));
            }
            let signer = Signer { key: key.clone(), integrity };
            return Ok(Identity { username: name.clone(), secret: user.id, expiry: u64::MAX, signer });
        }
        let (expiry, _) = parse_username(username).ok_or(malformed)?;
        for (secret, value) in &self.secrets {
            let password = value.password(username);
            let key = if sha256_password {
                Key::sha256(username, &self.realm, &password)
            } else {
                Key::md5(username, &self.realm, &password)
            };
            if key.verify(integrity, before, mac) {
                let signer = Signer { key, integrity };
                return Ok(Identity { username: username.into(), secret: *secret, expiry, signer });
            }
        }
        Err(Rejection::unauthenticated(Reason::WrongPassword))
    }

    /// Whether the key is a SHA-256 hash. Both attributes must be there and the list must be the one that was
    /// offered, so that nobody on the way can strike out the better algorithm (RFC 8489, section 9.2.4).
    fn password_algorithm(request: &Request) -> Result<bool, Rejection> {
        match (request.get(ATTR_PASSWORD_ALGORITHM), request.get(ATTR_PASSWORD_ALGORITHMS)) {
            (None, None) => Ok(false),
            (Some(one), Some(all)) if all == PASSWORD_ALGORITHMS && one == ALGORITHM_MD5 => Ok(false),
            (Some(one), Some(all)) if all == PASSWORD_ALGORITHMS && one == ALGORITHM_SHA256 => Ok(true),
            _ => Err(Rejection::bad_request(Reason::PasswordAlgorithms)),
        }
    }

    /// `obMatJos2`, the feature bits, and base64 of: second (4 bytes), MAC over it and the client (16 bytes).
    fn nonce(&self, from: &FiveTuple, second: u32) -> String {
        let mut body = [0; NONCE_BODY];
        body[..4].copy_from_slice(&second.to_be_bytes());
        body[4..].copy_from_slice(&self.nonce_mac(from, second));
        format!("{NONCE_COOKIE}{}{}", self.features(), URL_SAFE_NO_PAD.encode(body))
    }

    fn nonce_is_valid(&self, nonce: &[u8], from: &FiveTuple, now: Instant) -> bool {
        let body = nonce.strip_prefix(NONCE_COOKIE.as_bytes());
        let body = body.and_then(|rest| rest.strip_prefix(self.features().as_bytes()));
        let mut bytes = [0; NONCE_BODY];
        // The decoder takes one spelling of each value only, so every changed character is noticed.
        if body.and_then(|body| URL_SAFE_NO_PAD.decode_slice(body, &mut bytes).ok()) != Some(NONCE_BODY) {
            return false;
        }
        let Some((second, mac)) = bytes.split_first_chunk::<4>() else { return false };
        let second = u32::from_be_bytes(*second);
        let genuine: bool = self.nonce_mac(from, second).ct_eq(mac).into();
        let age = self.second(now).checked_sub(second);
        genuine && age.is_some_and(|age| u64::from(age) < NONCE_LIFETIME.as_secs())
    }

    /// Base64 of the security feature bits.
    fn features(&self) -> &'static str {
        if self.secrets.is_empty() { FEATURES_STATIC } else { FEATURES }
    }

    fn nonce_mac(&self, from: &FiveTuple, second: u32) -> [u8; 16] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.shared.nonce_key()).expect("HMAC takes a key of any length");
        mac.update(&second.to_be_bytes());
        mac.update(&[from.transport as u8]);
        let ip = match from.client.0.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        mac.update(&ip.octets());
        mac.update(&from.client.0.port().to_be_bytes());
        let mut out = [0; 16];
        out.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        out
    }
}
