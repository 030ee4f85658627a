//! What the HTTP endpoints do: admission, negotiation, placement, and the control plane around the registry.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use contract::destination::{NodeTracks, NodeViewers};
use contract::id::{BroadcastId, NodeId, SessionId};
use contract::key::SecretKey;
use contract::rest::Status;
use contract::token::TokenKeys;
use contract::turn::{CREDENTIAL_TTL_SECS, TurnSecret};
use rand::RngExt as _;
use service_kit::HttpProblem;
use tokio::sync::{Notify, oneshot};
use transport::sdp::{
    self, CodecFormat, Fragment, Local, Offer, PlayTrack, PublishMedia, PublishOptions, Remote, SdpError,
};
use transport::{IceCredentials, Identity};

use crate::bearer;
use crate::config::Config;
use crate::meta::{MetaClient, MetaError};
use crate::metrics::{Metrics, Reason};
use crate::registry::{Formats, Full, Kind, NewSession, Placed, Registry, Removal, SOURCES, slot};
use crate::shard::{self, Command, Join, JoinRole, Published, ShardEvent, ShardHandle, Subscription};
use crate::signaling::Snapshots;

/// Longest wait for a shard to take a session in.
const SHARD_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds after which a client that was refused for a passing reason may try again.
const RETRY_AFTER: u32 = 5;
/// Seconds after which a viewer without a publisher may try again: people wait for it.
const RETRY_NO_PUBLISHER: u32 = 2;

/// WHIP or WHEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Publishing.
    Whip,
    /// Playing.
    Whep,
}

/// A session that has been opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// WHIP or WHEP.
    pub(crate) resource: Resource,
    /// The broadcast.
    pub(crate) broadcast: BroadcastId,
    /// The session.
    pub(crate) session: SessionId,
    /// Entity tag, with quotes.
    pub(crate) etag: String,
    /// The answer.
    pub(crate) sdp: String,
}

/// Who wants to watch.
#[derive(Debug)]
pub(crate) struct Viewer<'a> {
    /// Subject of the token.
    pub(crate) subject: Option<String>,
    /// A preview, not counted.
    pub(crate) preview: bool,
    /// The bearer as it was sent.
    pub(crate) bearer: Option<&'a str>,
}

/// A session as a request may see it.
#[derive(Debug)]
pub(crate) struct Access {
    /// Entity tag of its ICE session.
    pub(crate) etag: String,
    /// Whether the bearer is the one that opened it.
    pub(crate) allowed: bool,
}

/// What a PATCH did.
#[derive(Debug)]
pub(crate) enum Patched {
    /// Took candidates.
    Candidates,
    /// Restarted ICE.
    Restarted {
        /// The new entity tag.
        etag: String,
        /// Our side.
        fragment: String,
    },
}

/// What everything on this node shares.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) id: NodeId,
    pub(crate) keys: TokenKeys,
    pub(crate) meta: MetaClient,
    pub(crate) metrics: Metrics,
    pub(crate) identity: Identity,
    pub(crate) shards: Vec<ShardHandle>,
    /// Announced addresses of each shard.
    pub(crate) addresses: Vec<Vec<SocketAddr>>,
    /// Something that signaling should hear of has changed.
    pub(crate) changed: Arc<Notify>,
    /// Something that meta should hear of at once has changed.
    pub(crate) report_now: Arc<Notify>,
    registry: Mutex<Registry>,
    draining: AtomicBool,
}

/// What a [`Node`] is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) id: NodeId,
    pub(crate) keys: TokenKeys,
    pub(crate) meta: MetaClient,
    pub(crate) metrics: Metrics,
    pub(crate) identity: Identity,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) addresses: Vec<Vec<SocketAddr>>,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, id, keys, meta, metrics, identity, shards, addresses } = parts;
        let registry = Mutex::new(Registry::new(shards.len(), config.limits.max_sessions));
        Self {
            config,
            id,
            keys,
            meta,
            metrics,
            identity,
            shards,
            addresses,
            changed: Arc::default(),
            report_now: Arc::default(),
            registry,
            draining: AtomicBool::new(false),
        }
    }

    /// Whether the node runs in the development mode.
    pub(crate) fn is_dev(&self) -> bool {
        self.config.dev
    }

    /// The keys that verify tokens.
    pub(crate) fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// From now on no session is opened.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The registry. Held for moments only, never across an await.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a request and counts it if it is refused.
    pub(crate) async fn counted<T>(
        &self,
        request: impl Future<Output = Result<T, HttpProblem>>,
    ) -> Result<T, HttpProblem> {
        let result = request.await;
        if let Err(problem) = &result {
            let reason = match problem.problem().status {
                400 => "malformed",
                401 | 403 => "unauthorized",
                404 => "not_found",
                406 => "not_acceptable",
                409 | 410 => "conflict",
                412 | 428 => "precondition",
                413 | 415 => "media_type",
                503 => "unavailable",
                _ => "other",
            };
            self.metrics.refused.get_or_create(&Reason { reason }).inc();
        }
        result
    }

    /// Refuses early when the node is full or leaving.
    pub(crate) fn require_capacity(
        &self,
        resource: Resource,
        broadcast: BroadcastId,
    ) -> Result<(), HttpProblem> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(HttpProblem::unavailable("this server is being restarted", RETRY_AFTER));
        }
        let registry = self.registry();
        let may_come = match resource {
            Resource::Whip => registry.may_publish(broadcast),
            Resource::Whep => registry.has_room(),
        };
        if may_come { Ok(()) } else { Err(full()) }
    }

    /// WHIP: takes a publisher in.
    pub(crate) async fn publish(
        &self,
        broadcast: BroadcastId,
        key: &SecretKey,
        offer: &str,
    ) -> Result<Opened, HttpProblem> {
        let offer = parse_offer(offer)?;
        // Negotiated twice: before asking meta, so that an offer without use costs nothing, and again for the shard
        // that serves it, whose addresses the answer names.
        self.answer_publish(&offer, &self.local(Vec::new()))?;
        let admitted = self.meta.admit(broadcast, key.reveal()).await.map_err(meta_problem)?;
        let home = self.registry().home(broadcast);
        let local = self.local(self.addresses.get(home).cloned().unwrap_or_default());
        let answer = self.answer_publish(&offer, &local)?;
        let published = Arc::new(Published {
            extensions: shard::extensions(&answer.extensions),
            tracks: shard::tracks(&answer.media),
            formats: formats(&answer.media),
        });
        let (session, etag) = (SessionId::random(&mut rand::rng()), new_etag());
        let new = NewSession {
            id: session.clone(),
            broadcast,
            kind: Kind::Publisher(published.clone()),
            bearer: Some(bearer::hash(key.reveal())),
            etag: etag.clone(),
            remote_ufrag: answer.remote.ice.ufrag.clone(),
            now: Instant::now(),
        };
        let (placed, stale) = self
            .registry()
            .open_publisher(new, home, admitted.key_revision, &mut rand::rng())
            .map_err(|Full| full())?;
        self.remove(stale);
        self.join(&placed, broadcast, &local, &answer.remote, JoinRole::Publisher(published)).await?;
        tracing::info!(room.id = %broadcast, "a publisher has come");
        Ok(Opened { resource: Resource::Whip, broadcast, session, etag, sdp: answer.text })
    }

    fn answer_publish(&self, offer: &Offer, local: &Local) -> Result<sdp::PublishAnswer, HttpProblem> {
        guarded(|| sdp::answer_publish(offer, local, &PublishOptions::default()))?.map_err(sdp_problem)
    }

    /// WHEP: takes a viewer in.
    pub(crate) async fn play(
        &self,
        broadcast: BroadcastId,
        viewer: Viewer<'_>,
        offer: &str,
    ) -> Result<Opened, HttpProblem> {
        let offer = parse_offer(offer)?;
        let playable = self.registry().playable(broadcast);
        let Some(playable) = playable else { return Err(self.why_not_playable(broadcast).await) };
        let (session, etag) = (SessionId::random(&mut rand::rng()), new_etag());
        let Viewer { subject, preview, bearer: token } = viewer;
        let new = |remote: &Remote, decodes| NewSession {
            id: session.clone(),
            broadcast,
            kind: Kind::Viewer { subject, preview, decodes },
            bearer: token.map(bearer::hash),
            etag: etag.clone(),
            remote_ufrag: remote.ice.ufrag.clone(),
            now: Instant::now(),
        };
        let shard = self.registry().emptiest();
        let local = self.local(self.addresses.get(shard).cloned().unwrap_or_default());
        let tracks = play_tracks(&playable);
        let answer = guarded(|| sdp::answer_play(&offer, &local, &tracks))?.map_err(sdp_problem)?;
        if let Some(refused) = answer.refusal(&tracks) {
            return Err(undecodable(refused.format));
        }
        let source = |media: &sdp::PlayMedia| tracks.get(media.track).map(|track| track.source);
        let decodes = answer.media.iter().filter_map(|media| {
            Some((slot(source(media)?), media.codecs.iter().map(|codec| codec.format).collect()))
        });
        let subscriptions = answer.media.iter().filter_map(|media| {
            Some(Subscription {
                track: shard::track_index(source(media)?),
                mid: shard::mid(&media.mid),
                ssrc: media.ssrc,
                rtx_ssrc: media.rtx_ssrc,
                formats: media.codecs.iter().map(shard::format).collect(),
            })
        });
        let opened = self.registry().open_viewer(new(&answer.remote, decodes.collect()), shard);
        let placed = opened.map_err(|Full| full())?.ok_or_else(no_publisher)?;
        let role = JoinRole::Viewer {
            home: placed.home,
            published: playable.published,
            extensions: shard::extensions(&answer.extensions),
            subscriptions: subscriptions.collect(),
        };
        self.join(&placed, broadcast, &local, &answer.remote, role).await?;
        Ok(Opened { resource: Resource::Whep, broadcast, session, etag, sdp: answer.text })
    }

    async fn why_not_playable(&self, broadcast: BroadcastId) -> HttpProblem {
        match self.meta.status(broadcast).await {
            Ok(Status::Closed) => {
                HttpProblem::new(StatusCode::GONE, "closed", "Gone").detail("the broadcast is over")
            }
            Ok(Status::Ready | Status::Streaming) => no_publisher(),
            Err(error) => meta_problem(error),
        }
    }

    /// Our side of a new session.
    fn local(&self, addresses: Vec<SocketAddr>) -> Local {
        Local {
            session_id: rand::rng().random::<u64>() >> 1,
            version: 1,
            ice: IceCredentials::random(&mut rand::rng()),
            fingerprint: self.identity.fingerprint().clone(),
            addresses,
        }
    }

    /// Hands a session to its shard and waits until it is there; otherwise nothing of it stays.
    async fn join(
        &self,
        placed: &Placed,
        room: BroadcastId,
        local: &Local,
        remote: &Remote,
        role: JoinRole,
    ) -> Result<(), HttpProblem> {
        self.update_gauges();
        let join = Join {
            key: placed.key,
            room,
            local: local.ice.clone(),
            remote: remote.ice.clone(),
            remote_fingerprint: remote.fingerprint.clone(),
            role,
        };
        let (reply, answer) = oneshot::channel();
        let shard = self.shards.get(placed.shard).ok_or_else(internal)?;
        let sent = shard.send(Command::Join(Box::new(join), reply));
        let joined = match sent {
            Ok(()) => tokio::time::timeout(SHARD_TIMEOUT, answer).await,
            Err(shard::InboxFull) => Ok(Ok(Err("its inbox is full".to_owned()))),
        };
        if let Ok(Ok(Ok(()))) = joined {
            return Ok(());
        }
        tracing::warn!(shard = placed.shard, "a media thread did not take a session");
        self.registry().closed(placed.key);
        self.remove([Removal { shard: placed.shard, key: placed.key }]);
        Err(HttpProblem::unavailable("the server is overloaded", RETRY_AFTER))
    }

    /// The session of a URL, for whoever holds the bearer that opened it.
    pub(crate) fn access(
        &self,
        id: &SessionId,
        broadcast: BroadcastId,
        resource: Resource,
        token: Option<&str>,
    ) -> Option<Access> {
        let registry = self.registry();
        let session = registry.session(id)?;
        let is_whip = matches!(session.kind, Kind::Publisher(_));
        if session.broadcast != broadcast || is_whip != (resource == Resource::Whip) {
            return None;
        }
        let allowed = match (&session.bearer, token) {
            (None, _) => true,
            (Some(opener), Some(token)) => {
                bearer::same(opener, &bearer::hash(token)) || self.is_same_person(session, token)
            }
            (Some(_), None) => false,
        };
        Some(Access { etag: session.etag.clone(), allowed })
    }

    /// Join tokens are renewed while a session lasts: the same subject counts as the same bearer.
    fn is_same_person(&self, session: &crate::registry::Session, token: &str) -> bool {
        let Kind::Viewer { subject: Some(subject), .. } = &session.kind else { return false };
        self.keys.verify(token, service_kit::unix_now()).is_ok_and(|claims| claims.sub == *subject)
    }

    /// PATCH: candidates, or an ICE restart if `may_restart`.
    pub(crate) async fn patch(
        &self,
        id: &SessionId,
        text: &str,
        may_restart: bool,
    ) -> Result<Patched, HttpProblem> {
        let fragment = guarded(|| Fragment::parse(text))?.map_err(sdp_problem)?;
        let found = self
            .registry()
            .session(id)
            .map(|session| (session.key, session.shard, fragment.restarts(&session.remote_ufrag)));
        let (key, shard, restarts) = found.ok_or_else(no_session)?;
        // Our side is ICE-lite and sends no checks: candidates are of no use to it.
        let Some(remote) = fragment.ice.filter(|_| restarts) else { return Ok(Patched::Candidates) };
        if !may_restart {
            return Err(HttpProblem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "Precondition required",
            )
            .detail("an ICE restart needs If-Match with the entity tag of the session, or `*`"));
        }
        let mid = fragment.media.into_iter().next().map(|media| media.mid);
        let mid = mid.map_or_else(|| "0".parse().map_err(sdp_problem), Ok)?;
        let local = self.local(self.addresses.get(shard).cloned().unwrap_or_default());
        let (reply, answer) = oneshot::channel();
        let command = Command::RestartIce { key, local: local.ice.clone(), remote: remote.clone(), reply };
        let overloaded = || HttpProblem::unavailable("the server is overloaded", RETRY_AFTER);
        self.shards.get(shard).ok_or_else(internal)?.send(command).map_err(|_| overloaded())?;
        match tokio::time::timeout(SHARD_TIMEOUT, answer).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(_))) => return Err(no_session()),
            Ok(Err(_)) | Err(_) => return Err(overloaded()),
        }
        let etag = new_etag();
        if let Some(session) = self.registry().session_mut(id) {
            session.etag = etag.clone();
            session.remote_ufrag = remote.ufrag;
        }
        Ok(Patched::Restarted { etag, fragment: Fragment::restart_answer(&local, &mid) })
    }

    /// DELETE.
    pub(crate) fn delete(&self, id: &SessionId) {
        let removals = self.registry().delete(id, Utc::now());
        self.remove(removals);
        self.report_now.notify_one();
    }

    /// Takes sessions from their shards.
    pub(crate) fn remove(&self, removals: impl IntoIterator<Item = Removal>) {
        for removal in removals {
            if let Some(shard) = self.shards.get(removal.shard) {
                // Departures are always taken.
                let _ = shard.send(Command::Leave(removal.key));
            }
        }
        self.update_gauges();
        self.changed.notify_one();
    }

    /// Takes in what a shard says.
    pub(crate) fn shard_event(&self, event: ShardEvent) {
        match event {
            ShardEvent::Connected(key) => {
                let removals = {
                    let mut registry = self.registry();
                    if let Some(session) = registry.by_key(key) {
                        self.metrics.connect_seconds.0.observe(session.opened_at.elapsed().as_secs_f64());
                    }
                    registry.connected(key)
                };
                self.remove(removals);
            }
            ShardEvent::Ended(key, reason) => {
                self.metrics.ended.get_or_create(&Reason { reason: reason.as_str() }).inc();
                let lost_publisher = {
                    let mut registry = self.registry();
                    let room =
                        registry.by_key(key).filter(|session| matches!(session.kind, Kind::Publisher(_)));
                    let room = room.map(|session| session.broadcast);
                    registry.closed(key);
                    room
                };
                if let Some(room) = lost_publisher {
                    tracing::info!(room.id = %room, reason = reason.as_str(), "a publisher is lost");
                    self.report_now.notify_one();
                }
                self.update_gauges();
                self.changed.notify_one();
            }
            ShardEvent::Media { key, states, last_media } => {
                let at = last_media.map(wall_clock);
                if self.registry().media(key, states, at) {
                    self.report_now.notify_one();
                    self.changed.notify_one();
                }
            }
        }
    }

    fn update_gauges(&self) {
        let (publishers, viewers) = self.registry().counts();
        self.metrics.set_sessions(publishers, viewers);
    }

    /// `Link` values that name the ICE servers; with credentials for `user`, without where nobody is known.
    pub(crate) fn ice_links(&self, user: Option<&str>) -> Vec<String> {
        let secret = &self.config.turn_secret;
        let credential = user.filter(|_| !secret.is_empty()).map(|user| {
            let expiry = service_kit::unix_now() + CREDENTIAL_TTL_SECS;
            // What follows the prefix of a session id is its secret: the relay need not know it.
            let name = bearer::short_name(user);
            TurnSecret::new(secret.reveal().to_owned()).credential(&name, expiry)
        });
        let link = |url: &String| {
            let is_turn = url.starts_with("turn");
            match &credential {
                Some(credential) if is_turn => Some(format!(
                    "<{url}>; rel=\"ice-server\"; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    credential.username, credential.password
                )),
                None if is_turn && user.is_some() => None,
                _ => Some(format!("<{url}>; rel=\"ice-server\"")),
            }
        };
        self.config.ice_urls.iter().filter_map(link).collect()
    }
}

impl Snapshots for Node {
    fn viewers(&self) -> NodeViewers {
        self.registry().viewers()
    }

    fn tracks(&self) -> NodeTracks {
        self.registry().tracks()
    }
}

/// Runs work on what a client sent: a panic inside is that request's end alone.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, HttpProblem> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        tracing::error!("a request could not be processed: fault inside");
        internal()
    })
}

fn parse_offer(text: &str) -> Result<Offer, HttpProblem> {
    guarded(|| Offer::parse(text))?.map_err(sdp_problem)
}

fn sdp_problem(error: SdpError) -> HttpProblem {
    match error {
        SdpError::NoUsableMedia => {
            HttpProblem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable")
                .detail(error.to_string())
        }
        _ => HttpProblem::bad_request(error.to_string()),
    }
}

fn undecodable(format: CodecFormat) -> HttpProblem {
    HttpProblem::new(StatusCode::NOT_ACCEPTABLE, "codec", "Codec not supported").detail(format!(
        "the broadcast is sent as {}, which this client does not decode: try another browser",
        format.name()
    ))
}

fn meta_problem(error: MetaError) -> HttpProblem {
    match error {
        MetaError::Unauthorized => HttpProblem::unauthorized(error.to_string()),
        MetaError::NotFound => HttpProblem::not_found(error.to_string()),
        MetaError::Closed => HttpProblem::conflict(error.to_string()),
        MetaError::Away(_) => {
            tracing::warn!(%error, "a session cannot be admitted");
            HttpProblem::unavailable("the catalogue does not answer: try again in a moment", RETRY_AFTER)
        }
    }
}

fn no_publisher() -> HttpProblem {
    HttpProblem::new(StatusCode::CONFLICT, "no-publisher", "Not live")
        .detail("nobody publishes to this broadcast yet")
        .retry_after(RETRY_NO_PUBLISHER)
}

fn no_session() -> HttpProblem {
    HttpProblem::not_found("there is no such session, or it has ended")
}

fn full() -> HttpProblem {
    HttpProblem::unavailable("the server is full", RETRY_AFTER)
}

fn internal() -> HttpProblem {
    HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR)
}

fn new_etag() -> String {
    format!("\"{:032x}\"", rand::rng().random::<u128>())
}

/// The wall-clock time of an instant of the past.
fn wall_clock(at: Instant) -> DateTime<Utc> {
    let age = chrono::TimeDelta::from_std(at.elapsed()).unwrap_or_default();
    Utc::now() - age
}

fn formats(media: &[PublishMedia]) -> Formats {
    let format = |source| media.iter().find(|media| media.source == source).map(|media| media.codec.format);
    SOURCES.map(format)
}

/// The tracks that a viewer gets: those that are published, each with SSRCs of its own.
fn play_tracks(playable: &crate::registry::Playable) -> Vec<PlayTrack> {
    let mut ssrcs = Vec::new();
    let mut ssrc = || loop {
        let candidate: u32 = rand::rng().random();
        if candidate != 0 && !ssrcs.contains(&candidate) {
            ssrcs.push(candidate);
            return candidate;
        }
    };
    let slots = SOURCES.into_iter().zip(&playable.tracks).zip(playable.published.formats);
    let published = slots.filter_map(|((source, id), format)| Some((source, id, format?)));
    published
        .map(|(source, id, format)| PlayTrack {
            id: id.to_string(),
            owner: playable.owner.to_string(),
            source,
            format,
            ssrc: ssrc(),
            rtx_ssrc: ssrc(),
        })
        .collect()
}
