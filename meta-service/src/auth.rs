//! Who calls, and what they may.

use actix_web::HttpRequest;
use actix_web::http::header;
use contract::key::SecretKey;
use contract::token::{Claims, Role, TokenKeys};
use service_kit::HttpProblem;

use crate::record::{Owner, Record};

/// Who calls, by the Authorization header. A key proves itself only against what it opens.
#[derive(Debug)]
pub(crate) enum Caller {
    /// No Authorization header.
    Anonymous,
    /// Somebody with a stream key or an owner key.
    Key(SecretKey),
    /// The holder of a valid token.
    Token(Claims),
}

/// In what quality somebody acts on a broadcast or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActsAs {
    /// With its owner key, or with a creator token of the subject that created it.
    Owner,
    /// With an admin token.
    Admin,
    /// With a service token.
    Service,
}

impl Caller {
    /// Reads the Authorization header; one that means nothing is refused, also where none is needed.
    pub(crate) fn of(request: &HttpRequest, keys: &TokenKeys, now: u64) -> Result<Self, HttpProblem> {
        let Some(value) = request.headers().get(header::AUTHORIZATION) else {
            return Ok(Self::Anonymous);
        };
        let credential = value.to_str().ok().and_then(|value| {
            let (scheme, credential) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(credential.trim())
        });
        let Some(credential) = credential else {
            return Err(HttpProblem::unauthorized("send `Authorization: Bearer` with a key or a token"));
        };
        if let Ok(key) = credential.parse() {
            return Ok(Self::Key(key));
        }
        match keys.verify(credential, now) {
            Ok(claims) => Ok(Self::Token(claims)),
            Err(error) => Err(HttpProblem::unauthorized(error.to_string())),
        }
    }

    /// Fails without any credential: what an operation asks first that nobody may do.
    pub(crate) fn is_somebody(&self) -> Result<(), HttpProblem> {
        match self {
            Self::Anonymous => Err(HttpProblem::unauthorized("this needs a key or a token")),
            Self::Key(_) | Self::Token(_) => Ok(()),
        }
    }

    /// A name for limits: who the caller is, as far as that is known.
    pub(crate) fn person(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => {
                Some(key.hash().as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
            }
            Self::Token(claims) => Some(claims.sub.clone()),
        }
    }

    /// The subject that will own what the caller creates, besides the holder of its owner key: a creator's. (What
    /// others own by nobody's name needs the key; admins may do everything as it is.)
    pub(crate) fn creating_subject(&self) -> Option<String> {
        match self {
            Self::Token(Claims { role: Role::Creator, sub, .. }) => Some(sub.clone()),
            Self::Anonymous | Self::Key(_) | Self::Token(_) => None,
        }
    }

    /// The quality in which the caller acts on what `owner` owns.
    pub(crate) fn acts_on(&self, owner: &Owner) -> Result<ActsAs, HttpProblem> {
        match self {
            Self::Anonymous => {
                Err(HttpProblem::unauthorized("this needs the owner key that came with its creation"))
            }
            Self::Key(own) if own.hash() == owner.key => Ok(ActsAs::Owner),
            Self::Key(_) => Err(HttpProblem::unauthorized("the key is not valid here")),
            Self::Token(claims) => match claims.role {
                Role::Admin => Ok(ActsAs::Admin),
                Role::Service => Ok(ActsAs::Service),
                Role::Creator if owner.subject.as_ref() == Some(&claims.sub) => Ok(ActsAs::Owner),
                Role::Join { .. } | Role::Creator => Err(HttpProblem::forbidden(
                    "this token does not allow it; the owner key or an admin token does",
                )),
            },
        }
    }

    /// The same for a broadcast, whose stream key publishes and does nothing else.
    pub(crate) fn acts_on_broadcast(&self, record: &Record) -> Result<ActsAs, HttpProblem> {
        match self {
            Self::Key(key) if key.hash() == record.key && record.key != record.owner.key => Err(
                HttpProblem::forbidden("a stream key publishes and nothing else; the owner key does this"),
            ),
            _ => self.acts_on(&record.owner),
        }
    }

    /// Whether this is an admin.
    pub(crate) fn is_admin(&self) -> bool {
        matches!(self, Self::Token(Claims { role: Role::Admin, .. }))
    }

    /// Fails unless the caller may create: anybody in dev, else creators and admins.
    pub(crate) fn may_create(&self, dev: bool) -> Result<(), HttpProblem> {
        match self {
            _ if dev => Ok(()),
            Self::Anonymous => Err(HttpProblem::unauthorized("creating needs a creator token")),
            Self::Token(Claims { role: Role::Creator | Role::Admin, .. }) => Ok(()),
            Self::Token(_) | Self::Key(_) => Err(HttpProblem::forbidden("creating needs a creator token")),
        }
    }

    /// Fails unless this is another service.
    pub(crate) fn service(&self) -> Result<(), HttpProblem> {
        match self {
            Self::Token(Claims { role: Role::Service, .. }) => Ok(()),
            Self::Anonymous => Err(HttpProblem::unauthorized("for services")),
            _ => Err(HttpProblem::forbidden("for services")),
        }
    }
}

impl ActsAs {
    /// Fails unless this is the owner or an admin.
    pub(crate) fn owner_or_admin(self) -> Result<(), HttpProblem> {
        match self {
            Self::Owner | Self::Admin => Ok(()),
            Self::Service => Err(HttpProblem::forbidden("a service token does not allow it")),
        }
    }
}
