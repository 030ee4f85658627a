//! Idempotency-Keys: a repeated request gets its whole answer again, secrets included, and nobody else does.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use service_kit::HttpProblem;
use sha2::{Digest as _, Sha256};

use super::extract::IdempotencyKey;
use crate::auth::Caller;
use crate::seal::Seal;
use crate::store::Repeatable;

/// The keys that an answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secrets {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream_key: Option<String>,
    pub(crate) owner_key: String,
}

/// A request with an Idempotency-Key. The key belongs to the token's subject; without a token it is nobody's, and its
/// 128 random bits are what others do not know.
pub(crate) struct Repeat {
    seal: Seal,
    scope: String,
    key: [u8; 32],
    request: [u8; 32],
}

impl Repeat {
    /// The request of `caller` for a thing of `kind` as in `wanted`, if it has a key.
    pub(crate) fn new(
        key: &IdempotencyKey,
        caller: &Caller,
        kind: &str,
        wanted: &impl Serialize,
    ) -> Result<Option<Self>, HttpProblem> {
        let Some(key) = &key.0 else { return Ok(None) };
        let scope = match caller {
            Caller::Token(claims) => format!("{kind} of subject {}", claims.sub),
            Caller::Key(_) | Caller::Anonymous => format!("{kind} of anybody"),
        };
        let request = serde_json::to_vec(wanted).map_err(|_| failed())?;
        Ok(Some(Self {
            seal: Seal::new(key, &scope).ok_or_else(failed)?,
            scope,
            key: Sha256::digest(key).into(),
            request: Sha256::digest(request).into(),
        }))
    }

    /// What is stored of the request and of the `secrets` in its answer.
    pub(crate) fn seal(&self, secrets: &Secrets) -> Result<Repeatable, HttpProblem> {
        let secrets = serde_json::to_vec(secrets).map_err(|_| failed())?;
        Ok(Repeatable {
            scope: self.scope.clone(),
            key: self.key,
            request: self.request,
            sealed: self.seal.seal(&secrets).ok_or_else(failed)?,
        })
    }

    /// The secrets of the answer that was given before.
    pub(crate) fn open(repeat: Option<&Self>, sealed: &[u8]) -> Result<Secrets, HttpProblem> {
        let opened = repeat.and_then(|repeat| repeat.seal.open(sealed)).ok_or_else(failed)?;
        serde_json::from_slice(&opened).map_err(|_| failed())
    }
}

/// What cannot happen but by a damaged row.
fn failed() -> HttpProblem {
    HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR)
}

/// 422: the Idempotency-Key came with another request before, or what it made is gone.
pub(crate) fn key_reused() -> HttpProblem {
    HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key", "Idempotency-Key used before")
        .detail("this Idempotency-Key came with another request before, or what it made was deleted")
}
