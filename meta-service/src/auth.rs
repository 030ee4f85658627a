//! Who calls, and what they may.

use actix_web::HttpRequest;
use actix_web::http::header;
use contract::key::{KeyHash, SecretKey};
use contract::token::{Claims, Role, TokenKeys};
use service_kit::HttpProblem;

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
pub(crate) enum Access {
    /// With its key.
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

    /// The quality in which the caller acts on what `key` opens.
    pub(crate) fn access(&self, key: &KeyHash) -> Result<Access, HttpProblem> {
        match self {
            Self::Anonymous => {
                Err(HttpProblem::unauthorized("this needs the key that came with its creation"))
            }
            Self::Key(own) if own.hash() == *key => Ok(Access::Owner),
            Self::Key(_) => Err(HttpProblem::unauthorized("the key is not valid here")),
            Self::Token(claims) => match claims.role {
                Role::Admin => Ok(Access::Admin),
                Role::Service => Ok(Access::Service),
                Role::Join { .. } | Role::Creator => Err(HttpProblem::forbidden(
                    "this token does not allow it; the key or an admin token does",
                )),
            },
        }
    }

    /// Fails unless the caller may act on what `key` opens as its owner or an admin.
    pub(crate) fn owner_or_admin(&self, key: &KeyHash) -> Result<(), HttpProblem> {
        match self.access(key)? {
            Access::Owner | Access::Admin => Ok(()),
            Access::Service => Err(HttpProblem::forbidden("a service token does not allow it")),
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
