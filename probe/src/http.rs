//! WHIP and WHEP sessions (RFC 9725, draft-ietf-wish-whep) of any server, and broadcasts by REST where that is wanted.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use url::Url;

/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Times that a request is made which the server asks to make later.
const PATIENT_TRIES: usize = 5;
/// Longest answer that is read.
const MAX_ANSWER: usize = transport::sdp::MAX_SDP_LEN;
/// The same of JSON: two answers and the state of a room of some hundred people.
const MAX_JSON: usize = 4 << 20;

/// Why a request did not give what it should.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, timeout, unreadable answer.
    #[error("{0}")]
    Http(String),
    /// Another status than expected.
    #[error("{what} was answered with {status}{detail}")]
    Status {
        /// The request.
        what: &'static str,
        /// The status.
        status: StatusCode,
        /// What the body says about it, in front of it a separator.
        detail: String,
    },
    /// An answer without what it must have.
    #[error("{0}")]
    Answer(&'static str),
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        // The cause says what happened; the error itself only where.
        let mut text = error.without_url().to_string();
        if text.len() > 200 {
            text.truncate((0..=200).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
        }
        Self::Http(text)
    }
}

/// Where to publish and play one broadcast.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// WHIP endpoint.
    pub whip: String,
    /// Bearer for it.
    pub whip_bearer: Option<String>,
    /// WHEP endpoint.
    pub whep: String,
    /// Bearer for it.
    pub whep_bearer: Option<String>,
}

/// An open session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Where to end it, if the server said.
    pub url: Option<Url>,
    /// Bearer for it.
    pub bearer: Option<String>,
    /// The answer.
    pub answer: String,
}

/// Makes requests.
#[derive(Debug, Clone)]
pub struct Http(Client);

impl Http {
    /// Connections are kept and used again.
    ///
    /// # Errors
    /// When there is no TLS library.
    pub fn new() -> Result<Self, HttpError> {
        // `no_proxy`: a measurement through a proxy would measure the proxy.
        Ok(Self(Client::builder().timeout(TIMEOUT).no_proxy().build()?))
    }

    /// `POST {meta}/broadcasts`: a broadcast with its endpoints and stream key.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn create(
        &self,
        meta: &str,
        bearer: Option<&str>,
        number: usize,
    ) -> Result<Broadcast, HttpError> {
        let url = format!("{}/broadcasts", meta.trim_end_matches('/'));
        let body = serde_json::json!({ "name": format!("probe {number}"), "description": "load" });
        let request = with_bearer(self.0.post(&url).json(&body), bearer);
        let good = [StatusCode::CREATED, StatusCode::OK];
        let answer = expect("POST /broadcasts", request.send().await?, &good).await?;
        let base = answer.url().clone();
        let created: serde_json::Value = answer.json().await?;
        let text = |key: &str| created.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        let endpoint = |key: &str| {
            let url = text(key).and_then(|url| base.join(&url).ok());
            url.map(String::from)
                .ok_or(HttpError::Answer("the created broadcast has no whip_url or whep_url"))
        };
        Ok(Broadcast {
            whip: endpoint("whip_url")?,
            whip_bearer: text("stream_key"),
            whep: endpoint("whep_url")?,
            whep_bearer: None,
        })
    }

    /// Sends `body` as JSON; the answer, and how many bytes both bodies have.
    ///
    /// # Errors
    /// [`HttpError`]. Waits as long as the server says where it is asked too often, a few times.
    pub(crate) async fn json<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        method: Method,
        url: &str,
        bearer: Option<&str>,
        body: &impl serde::Serialize,
    ) -> Result<(T, usize), HttpError> {
        let sent = serde_json::to_string(body).map_err(|_| HttpError::Answer("the body is no JSON"))?;
        let bytes = sent.len();
        for wait in (0..PATIENT_TRIES).rev() {
            let request = with_bearer(self.0.request(method.clone(), url), bearer);
            let request = request.header(CONTENT_TYPE, "application/json").body(sent.clone());
            let answer = request.send().await?;
            let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            if let Some(seconds) =
                after.filter(|_| answer.status() == StatusCode::TOO_MANY_REQUESTS && wait > 0)
            {
                tokio::time::sleep(Duration::from_secs(seconds).min(TIMEOUT)).await;
                continue;
            }
            let answer = expect(what, answer, &[StatusCode::OK, StatusCode::CREATED]).await?;
            let text = read_up_to(answer, MAX_JSON).await?;
            let value = serde_json::from_str(&text)
                .map_err(|_| HttpError::Answer("the answer is not as described"))?;
            return Ok((value, bytes + text.len()));
        }
        Err(HttpError::Answer("the server asks to wait again and again"))
    }

    /// Opens a WHIP or WHEP session.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn open(&self, url: &str, bearer: Option<&str>, offer: String) -> Result<Session, HttpError> {
        let request = with_bearer(self.0.post(url), bearer).header(CONTENT_TYPE, "application/sdp");
        let good = [StatusCode::CREATED, StatusCode::OK];
        let answer = expect("the POST of the offer", request.body(offer).send().await?, &good).await?;
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| answer.url().join(location).ok());
        Ok(Session { url, bearer: bearer.map(str::to_owned), answer: read(answer).await? })
    }

    /// Ends a session; best effort, a server notices by itself too.
    pub async fn end(&self, session: &Session) {
        if let Some(url) = &session.url {
            let _ = with_bearer(self.0.delete(url.clone()), session.bearer.as_deref()).send().await;
        }
    }
}

fn with_bearer(request: RequestBuilder, bearer: Option<&str>) -> RequestBuilder {
    match bearer {
        Some(bearer) => request.bearer_auth(bearer),
        None => request,
    }
}

async fn expect(what: &'static str, answer: Response, good: &[StatusCode]) -> Result<Response, HttpError> {
    let status = answer.status();
    if good.contains(&status) {
        return Ok(answer);
    }
    let body = read(answer).await.unwrap_or_default();
    let problem: Option<serde_json::Value> = serde_json::from_str(&body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    let detail = detail.map(|detail| format!(": {}", detail.chars().take(120).collect::<String>()));
    Err(HttpError::Status { what, status, detail: detail.unwrap_or_default() })
}

async fn read(answer: Response) -> Result<String, HttpError> {
    read_up_to(answer, MAX_ANSWER).await
}

async fn read_up_to(mut answer: Response, most: usize) -> Result<String, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(HttpError::Answer("the answer is too long"));
        }
    }
    String::from_utf8(body).map_err(|_| HttpError::Answer("the answer is not text"))
}
