//! The public HTTP endpoints that the demo publisher uses.

use std::time::Duration;

use contract::id::BroadcastId;
use contract::rest::{Broadcast, CreateBroadcast, CreatedBroadcast, Status};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

/// Time for one request, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const MAX_ANSWER: usize = transport::sdp::MAX_SDP_LEN;
/// Longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Why a request did not give what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// No connection, timeout, unreadable answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// A status that the caller does not expect.
    #[error("{what} was answered with {status}")]
    Status { what: &'static str, status: StatusCode, retry_after: Option<Duration> },
    /// An answer that breaks the contract.
    #[error("{0}")]
    Answer(&'static str),
}

impl ApiError {
    /// The broadcast cannot be published to any more: another one is needed.
    pub(super) fn is_gone(&self) -> bool {
        let gone = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::CONFLICT,
            StatusCode::GONE,
        ];
        matches!(self, Self::Status { status, .. } if gone.contains(status))
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }
}

/// A broadcast, the key to publish to it, and the key that owns it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) id: BroadcastId,
    pub(super) stream_key: String,
    /// Missing in what an earlier release remembered: there the stream key was the owner's.
    #[serde(default)]
    owner_key: Option<String>,
}

impl Credentials {
    fn owner_key(&self) -> &str {
        self.owner_key.as_deref().unwrap_or(&self.stream_key)
    }
}

/// A WHIP session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) url: Url,
    pub(super) answer: String,
}

/// The endpoints under one origin.
#[derive(Clone)]
pub(super) struct Api {
    client: reqwest::Client,
    base: Url,
    creator_token: Option<String>,
}

impl Api {
    pub(super) fn new(base: Url, creator_token: Option<String>) -> Result<Self, ApiError> {
        let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { client, base, creator_token })
    }

    fn url(&self, path: &str) -> Result<Url, ApiError> {
        self.base.join(path).map_err(|_| ApiError::Answer("the base URL cannot carry a path"))
    }

    /// `POST /broadcasts`. The same Idempotency-Key gets the same broadcast with the same keys.
    pub(super) async fn create(&self, idempotency_key: &str) -> Result<Credentials, ApiError> {
        let body = CreateBroadcast {
            name: "Madang demo".into(),
            description: "A short clip in a loop, published through WHIP by the server itself.".into(),
            planned_at: None,
        };
        let mut request = self.client.post(self.url("/broadcasts")?).json(&body);
        request = request.header("Idempotency-Key", idempotency_key);
        if let Some(token) = &self.creator_token {
            request = request.bearer_auth(token);
        }
        let answer =
            expect("POST /broadcasts", request.send().await?, &[StatusCode::CREATED, StatusCode::OK])?;
        let created: CreatedBroadcast = answer.json().await?;
        let (id, owner_key) = (created.broadcast.id, Some(created.owner_key));
        Ok(Credentials { id, stream_key: created.stream_key, owner_key })
    }

    /// Whether a broadcast is there and not CLOSED.
    pub(super) async fn is_open(&self, id: BroadcastId) -> Result<bool, ApiError> {
        let answer = self.client.get(self.url(&format!("/broadcasts/{id}"))?).send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let broadcast: Broadcast = expect("GET /broadcasts/{id}", answer, &[StatusCode::OK])?.json().await?;
        Ok(broadcast.status != Status::Closed)
    }

    /// `PUT /broadcasts/{id}/thumbnail`.
    pub(super) async fn put_thumbnail(
        &self,
        credentials: &Credentials,
        jpeg: &'static [u8],
    ) -> Result<(), ApiError> {
        let url = self.url(&format!("/broadcasts/{}/thumbnail", credentials.id))?;
        let request = self.client.put(url).bearer_auth(credentials.owner_key());
        let answer = request.header(CONTENT_TYPE, "image/jpeg").body(jpeg).send().await?;
        let good = [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT];
        expect("PUT /broadcasts/{id}/thumbnail", answer, &good).map(|_| ())
    }

    /// Opens a WHIP session (RFC 9725).
    pub(super) async fn publish(
        &self,
        credentials: &Credentials,
        offer: String,
    ) -> Result<Session, ApiError> {
        let url = self.url(&format!("/whip/{}", credentials.id))?;
        let request = self.client.post(url).bearer_auth(&credentials.stream_key);
        let answer = request.header(CONTENT_TYPE, "application/sdp").body(offer).send().await?;
        let answer = expect("POST /whip/{id}", answer, &[StatusCode::CREATED])?;
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        // Relative to where the answer came from: a 307 may have led to another node.
        let url = location.and_then(|location| answer.url().join(location).ok());
        let url = url.ok_or(ApiError::Answer("the WHIP answer has no Location"))?;
        Ok(Session { url, answer: read(answer).await? })
    }

    /// Ends a WHIP session.
    pub(super) async fn unpublish(&self, credentials: &Credentials, session: &Url) -> Result<(), ApiError> {
        let header = format!("Bearer {}", credentials.stream_key);
        let answer = self.client.delete(session.clone()).header(AUTHORIZATION, header).send().await?;
        let good = [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::NOT_FOUND];
        expect("DELETE of the WHIP session", answer, &good).map(|_| ())
    }
}

fn expect(what: &'static str, answer: Response, good: &[StatusCode]) -> Result<Response, ApiError> {
    if good.contains(&answer.status()) {
        return Ok(answer);
    }
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    Err(ApiError::Status { what, status: answer.status(), retry_after })
}

async fn read(mut answer: Response) -> Result<String, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(ApiError::Answer("the WHIP answer is too long"));
        }
    }
    String::from_utf8(body).map_err(|_| ApiError::Answer("the WHIP answer is not text"))
}
