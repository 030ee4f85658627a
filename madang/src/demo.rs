//! The demo broadcast: a clip in a loop, published like any other stream through the public endpoints, so that there is
//! something to see before a camera is asked for.
//!
//! It creates a broadcast (or goes on with the one of the last run), opens a WHIP session, and sends until it is told to
//! end; whatever breaks is tried again with growing pauses. When its broadcast was closed it creates another.

mod api;
mod clip;
mod session;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio_util::sync::CancellationToken;
use transport::Identity;
use url::{Host, Url};

use api::{Api, ApiError, Credentials};
use clip::Clip;
pub(crate) use clip::ClipError;
use session::{Proposal, SessionError};

/// First pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// After this long without failure the pauses start over.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Time for the last request at the end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Where and as whom to publish.
#[derive(Clone)]
pub(crate) struct Config {
    /// Origin of the REST and WHIP endpoints.
    pub(crate) base_url: Url,
    /// Token to create broadcasts with; without one, creating must be open.
    pub(crate) creator_token: Option<String>,
    /// Where to keep the broadcast's id and key over a restart, readable by its owner only.
    pub(crate) state_file: Option<PathBuf>,
}

/// What makes the demo impossible, as opposed to what is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The clip in the binary is damaged.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// No DTLS certificate.
    #[error(transparent)]
    Identity(#[from] transport::IdentityError),
    /// No HTTP client.
    #[error("no HTTP client for the demo: {0}")]
    Http(String),
}

/// Publishes until `shutdown`, then ends the WHIP session.
///
/// # Errors
/// [`DemoError`], at once or never: failures of the network and of the server are logged and tried again.
pub(crate) async fn run(config: Config, shutdown: CancellationToken) -> Result<(), DemoError> {
    let clip = Arc::new(Clip::load()?);
    let identity = Identity::generate()?;
    let server = match config.base_url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        Some(Host::Domain(_)) | None => None,
    };
    let api = Api::new(config.base_url, config.creator_token).map_err(|e| DemoError::Http(e.to_string()))?;
    let credentials = config.state_file.as_deref().and_then(load);
    let mut demo = Demo {
        api,
        clip,
        identity,
        server,
        state_file: config.state_file,
        credentials,
        idempotency_key: idempotency_key(),
    };
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_cancelled() {
        let begun = Instant::now();
        let Err(failure) = demo.publish(&shutdown).await else { break };
        if begun.elapsed() >= STABLE_AFTER {
            pause = FIRST_PAUSE;
        }
        let wait = failure.retry_after().unwrap_or_default().max(jitter(pause));
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(error = %failure, retry.after_ms = wait_ms, "demo broadcast interrupted");
        pause = (pause * 2).min(MAX_PAUSE);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}

/// Why one attempt ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Failure {
    fn retry_after(&self) -> Option<Duration> {
        if let Self::Api(error) = self { error.retry_after() } else { None }
    }
}

struct Demo {
    api: Api,
    clip: Arc<Clip>,
    identity: Identity,
    server: Option<std::net::IpAddr>,
    state_file: Option<PathBuf>,
    credentials: Option<Credentials>,
    /// Repeated until a broadcast is created, so that a lost answer does not leave two.
    idempotency_key: String,
}

impl Demo {
    /// One session from POST to its end. `Ok` after a shutdown.
    async fn publish(&mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let (credentials, proposal, session) = tokio::select! {
            opened = self.open() => opened?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let id = credentials.id;
        let poster = self.upload_poster(&credentials);
        let live = || tracing::info!(broadcast.id = %id, "demo broadcast is live");
        let clip = Arc::clone(&self.clip);
        let sending = proposal.send(&self.identity, &session.answer, self.server, clip, shutdown, live);
        let (sent, ()) = tokio::join!(sending, poster);
        if shutdown.is_cancelled() {
            // Only at the end: a DELETE closes the broadcast, and after a failure the key comes back to it.
            let ending = self.api.unpublish(&credentials, &session.url);
            match tokio::time::timeout(END_TIMEOUT, ending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "demo session not ended"),
                Err(_) => tracing::warn!("demo session not ended in time"),
            }
        }
        Ok(sent?)
    }

    /// A broadcast and a WHIP session on it.
    async fn open(&mut self) -> Result<(Credentials, Proposal, api::Session), Failure> {
        let credentials = self.broadcast().await?;
        let proposal = Proposal::new(&self.identity);
        match self.api.publish(&credentials, proposal.sdp()).await {
            Ok(session) => Ok((credentials, proposal, session)),
            Err(error) => {
                if error.is_gone() {
                    self.credentials = None;
                }
                Err(error.into())
            }
        }
    }

    /// The broadcast to publish to: the one we have if it is open, else a new one.
    async fn broadcast(&mut self) -> Result<Credentials, Failure> {
        if let Some(credentials) = &self.credentials {
            if self.api.is_open(credentials.id).await? {
                return Ok(credentials.clone());
            }
            self.credentials = None;
        }
        let credentials = self.api.create(&self.idempotency_key).await?;
        self.idempotency_key = idempotency_key();
        if let Some(path) = &self.state_file
            && let Err(error) = save(path, &credentials)
        {
            tracing::warn!(%error, "demo broadcast not remembered");
        }
        self.credentials = Some(credentials.clone());
        Ok(credentials)
    }

    async fn upload_poster(&self, credentials: &Credentials) {
        if let Err(error) = self.api.put_thumbnail(credentials, clip::POSTER).await {
            tracing::warn!(%error, "demo thumbnail not stored");
        }
    }
}

fn idempotency_key() -> String {
    format!("demo-{:032x}", u128::from(rand::rng().next_u64()) << 64 | u128::from(rand::rng().next_u64()))
}

/// Three quarters to five quarters of `pause`.
fn jitter(pause: Duration) -> Duration {
    pause * 3 / 4 + pause / 2 * (rand::rng().next_u32() % 1_000) / 1_000
}

/// A missing or damaged file is no reason to fail: a new broadcast is created.
fn load(path: &Path) -> Option<Credentials> {
    let text = std::fs::read_to_string(path).ok()?;
    serde_json::from_str(&text).ok()
}

fn save(path: &Path, credentials: &Credentials) -> std::io::Result<()> {
    use std::io::Write as _;

    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(serde_json::to_string(credentials)?.as_bytes())
}

#[cfg(test)]
mod tests;
