//! Tokens: JWTs signed with HS256 and nothing else. Join tokens admit a person to a room; service, admin and
//! creator tokens carry a role.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::room::Room;
use crate::source::Source;

const ISSUER: &str = "madang";
const AUDIENCE: &str = "madang";

/// Lifetime of a join token in seconds: 12 h, as long as its TURN credentials.
pub const JOIN_TTL_SECS: u64 = 12 * 3600;
/// Lifetime of a service token in seconds; services mint one for each connection or request batch.
pub const SERVICE_TTL_SECS: u64 = 300;

/// What the holder of a join token may do in its room. A reader of tokens ignores grants that it does not know, so that
/// those of a later release admit here as far as they are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Send media from every source: what the publisher of a broadcast has. In chat it is shown as a host.
    Publish,
    /// Send a camera.
    PublishCamera,
    /// Send a microphone.
    PublishMicrophone,
    /// Send a screen and its sound.
    PublishScreen,
    /// Receive media.
    Subscribe,
    /// Send chat.
    Chat,
    /// Draw on the whiteboard.
    Draw,
    /// Mute and remove people, lock the room, give and take rights, in the room of a group. In chat it is shown as a
    /// host.
    Moderate,
}

impl Grant {
    /// What a participant of a group has who got no less and no more: everything but [`Grant::Moderate`].
    pub const PARTICIPANT: [Self; 6] = [
        Self::PublishCamera,
        Self::PublishMicrophone,
        Self::PublishScreen,
        Self::Subscribe,
        Self::Chat,
        Self::Draw,
    ];

    /// What sending `source` needs. The sound of a screen goes with the screen.
    #[must_use]
    pub fn to_send(source: Source) -> Self {
        match source {
            Source::Camera => Self::PublishCamera,
            Source::Microphone => Self::PublishMicrophone,
            Source::Screen | Source::ScreenAudio => Self::PublishScreen,
        }
    }

    /// `held` without what `taken` names: of a plain [`Grant::Publish`] the sources stay that are not taken.
    #[must_use]
    pub fn without(held: &[Self], taken: &[Self]) -> Vec<Self> {
        let sources = [Self::PublishCamera, Self::PublishMicrophone, Self::PublishScreen];
        let is_taken = |grant: &Self| taken.iter().any(|taken| taken.covers(*grant));
        let mut left = Vec::new();
        for grant in held {
            let in_parts = *grant == Self::Publish && sources.iter().any(is_taken);
            let parts = if in_parts { sources.as_slice() } else { std::slice::from_ref(grant) };
            left.extend(parts.iter().copied().filter(|part| !is_taken(part)));
        }
        left
    }

    /// Whether who has this may also do what `wanted` says: a plain [`Grant::Publish`] sends from every source.
    #[must_use]
    pub fn covers(self, wanted: Self) -> bool {
        let is_of_a_source =
            matches!(wanted, Self::PublishCamera | Self::PublishMicrophone | Self::PublishScreen);
        self == wanted || (self == Self::Publish && is_of_a_source)
    }
}

/// Reads grants and leaves out those of a later release: for `deserialize_with`.
///
/// # Errors
/// The deserializer's, for what is no list.
pub fn known_grants<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Grant>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read {
        Known(Grant),
        Other(serde::de::IgnoredAny),
    }
    let read = Vec::<Read>::deserialize(deserializer)?;
    let known = |read| match read {
        Read::Known(grant) => Some(grant),
        Read::Other(_) => None,
    };
    Ok(read.into_iter().filter_map(known).collect())
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Role {
    /// Admits to one room.
    Join {
        /// The room.
        room: Room,
        /// The rights in it.
        #[serde(deserialize_with = "known_grants")]
        grants: Vec<Grant>,
        /// Display name, if the holder may not choose one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// May create broadcasts and groups.
    Creator,
    /// May do everything an owner may, to everything.
    Admin,
    /// Another Madang service.
    Service,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// Who: a participant id for join tokens, a service or person's name for the others. Viewer counts count a
    /// subject once.
    pub sub: String,
    /// Issued at, Unix seconds.
    pub iat: u64,
    /// Expires at, Unix seconds.
    pub exp: u64,
    /// What for.
    #[serde(flatten)]
    pub role: Role,
}

impl Claims {
    /// Whether these claims carry `grant` in `room`, by itself or within a wider one; admin and service tokens carry
    /// every grant.
    #[must_use]
    pub fn may(&self, room: &Room, grant: Grant) -> bool {
        match &self.role {
            Role::Join { room: own, grants, .. } => {
                own == room && grants.iter().any(|held| held.covers(grant))
            }
            Role::Admin | Role::Service => true,
            Role::Creator => false,
        }
    }

    /// Whether these claims carry any grant in `room`.
    #[must_use]
    pub fn is_in(&self, room: &Room) -> bool {
        match &self.role {
            Role::Join { room: own, grants, .. } => own == room && !grants.is_empty(),
            Role::Admin | Role::Service => true,
            Role::Creator => false,
        }
    }
}

/// Why a token is refused. The messages are for the client: they say nothing about the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Anything else: not a JWT, another algorithm, a wrong signature, issuer, audience or shape.
    #[error("the token is not valid")]
    Invalid,
}

/// The secrets that sign and verify tokens: one signs, a second is still accepted while one rotates.
#[derive(Clone)]
pub struct TokenKeys {
    sign: EncodingKey,
    verify: Vec<DecodingKey>,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(..)")
    }
}

/// Fewest bytes of a token secret.
pub const MIN_SECRET_LEN: usize = 32;

/// A token secret is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token secret has at least 32 bytes")]
pub struct WeakSecret;

impl TokenKeys {
    /// Keys from the current secret and, while rotating, the previous one.
    ///
    /// # Errors
    /// [`WeakSecret`] if either is shorter than [`MIN_SECRET_LEN`].
    pub fn new(current: &str, previous: Option<&str>) -> Result<Self, WeakSecret> {
        let secrets: Vec<&str> = std::iter::once(current).chain(previous).collect();
        if secrets.iter().any(|secret| secret.len() < MIN_SECRET_LEN) {
            return Err(WeakSecret);
        }
        Ok(Self {
            sign: EncodingKey::from_secret(current.as_bytes()),
            verify: secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect(),
        })
    }

    /// Signs a token for `sub` that lives from `now` (Unix seconds) for `ttl` seconds.
    #[must_use]
    pub fn mint(&self, sub: &str, role: Role, now: u64, ttl: u64) -> String {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: sub.into(),
            iat: now,
            exp: now.saturating_add(ttl),
            role,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("claims of strings and numbers serialise, HS256 takes any secret")
    }

    /// A service token for the service called `name`: the node id for a node that speaks to signaling, where a
    /// node's queue and reports are its own.
    #[must_use]
    pub fn mint_service(&self, name: &str, now: u64) -> String {
        self.mint(name, Role::Service, now, SERVICE_TTL_SECS)
    }

    /// Checks signature, algorithm, issuer, audience and expiry at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`TokenError`]; an expired token with a valid signature is told apart from an invalid one.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Expiry is compared below: the library would read the clock itself.
        rules.validate_exp = false;
        let claims = self
            .verify
            .iter()
            .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &rules).ok())
            .ok_or(TokenError::Invalid)?
            .claims;
        if claims.exp <= now { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn join() -> Role {
        Role::Join { room: "7".parse().unwrap(), grants: vec![Grant::Subscribe, Grant::Chat], name: None }
    }

    #[test]
    fn a_token_admits_to_its_room_until_it_expires() {
        let keys = TokenKeys::new(SECRET, None).unwrap();
        let token = keys.mint("par_1", join(), 1000, 60);
        let claims = keys.verify(&token, 1059).unwrap();
        assert!(claims.may(&"7".parse().unwrap(), Grant::Chat));
        assert!(!claims.may(&"7".parse().unwrap(), Grant::Publish));
        assert!(!claims.may(&"8".parse().unwrap(), Grant::Chat));
        assert_eq!(keys.verify(&token, 1060), Err(TokenError::Expired));
    }

    #[test]
    fn a_rotated_secret_is_accepted_and_a_foreign_one_is_not() {
        let old = TokenKeys::new(OTHER, None).unwrap().mint("par_1", join(), 0, 60);
        assert!(TokenKeys::new(SECRET, Some(OTHER)).unwrap().verify(&old, 1).is_ok());
        assert_eq!(TokenKeys::new(SECRET, None).unwrap().verify(&old, 1), Err(TokenError::Invalid));
        assert!(TokenKeys::new("short", None).is_err());
    }

    #[test]
    fn a_wider_grant_holds_the_narrower_ones_and_never_the_reverse() {
        let with = |grants: &[Grant]| {
            let keys = TokenKeys::new(SECRET, None).unwrap();
            let role = Role::Join { room: "7".parse().unwrap(), grants: grants.to_vec(), name: None };
            keys.verify(&keys.mint("par_1", role, 0, 60), 1).unwrap()
        };
        let room = "7".parse().unwrap();
        let of_sources = [Source::Camera, Source::Microphone, Source::Screen, Source::ScreenAudio];
        let all = with(&[Grant::Publish]);
        assert!(of_sources.iter().all(|source| all.may(&room, Grant::to_send(*source))));
        let screen = with(&[Grant::PublishScreen]);
        let sends: Vec<bool> =
            of_sources.iter().map(|source| screen.may(&room, Grant::to_send(*source))).collect();
        assert_eq!(sends, [false, false, true, true]);
        assert!(!with(&Grant::PARTICIPANT).may(&room, Grant::Publish));
        assert!(!with(&Grant::PARTICIPANT).may(&room, Grant::Moderate));
        for grant in [Grant::Subscribe, Grant::Chat, Grant::Draw, Grant::Moderate] {
            assert!(!all.may(&room, grant), "{grant:?}");
        }
        assert!(screen.is_in(&room) && !screen.is_in(&"8".parse().unwrap()) && !with(&[]).is_in(&room));
    }

    #[test]
    fn taking_a_part_leaves_the_rest() {
        use Grant::{Chat, Publish, PublishCamera, PublishMicrophone, PublishScreen, Subscribe};
        let all = [Publish, Chat];
        for (held, taken, left) in [
            (all.as_slice(), [].as_slice(), [Publish, Chat].as_slice()),
            (&all, &[Subscribe], &[Publish, Chat]),
            (&all, &[PublishScreen], &[PublishCamera, PublishMicrophone, Chat]),
            (&all, &[Publish], &[Chat]),
            (&[PublishCamera, Subscribe], &[Publish], &[Subscribe]),
            (&all, &[PublishCamera, PublishMicrophone, PublishScreen, Chat], &[]),
        ] {
            assert_eq!(Grant::without(held, taken), left, "{held:?} without {taken:?}");
        }
    }

    #[test]
    fn grants_of_a_later_release_are_left_out() {
        let role = r#"{"kind":"join","room":"7","grants":["subscribe","levitate","chat"]}"#;
        let role: Role = serde_json::from_str(role).unwrap();
        assert!(matches!(role, Role::Join { grants, .. } if grants == [Grant::Subscribe, Grant::Chat]));
        // A request may not name them.
        assert!(serde_json::from_str::<Grant>("\"levitate\"").is_err());
    }

    #[test]
    fn other_algorithms_are_refused() {
        let keys = TokenKeys::new(SECRET, None).unwrap();
        let token = keys.mint("par_1", Role::Admin, 0, 60);
        let (_, rest) = token.split_once('.').unwrap();
        // {"alg":"none","typ":"JWT"}
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{rest}");
        assert_eq!(keys.verify(&none, 1), Err(TokenError::Invalid));
        assert_eq!(keys.verify("", 1), Err(TokenError::Invalid));
    }
}
