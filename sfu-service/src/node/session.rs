//! Sessions that are there: who may change them, candidates, ICE restarts, the end.

use std::time::Instant;

use actix_web::http::StatusCode;
use chrono::Utc;
use contract::id::{BroadcastId, SessionId};
use service_kit::HttpProblem;
use tokio::sync::oneshot;
use transport::IceCredentials;
use transport::sdp::{Fragment, Local};

use super::problem::{RETRY_AFTER, guarded, internal, no_session, sdp_problem};
use super::{Node, Resource, SHARD_TIMEOUT, new_etag};
use crate::bearer;
use crate::published::SessionKey;
use crate::registry::{Kind, Session};
use crate::shard::Command;

/// A session as a request may see it.
#[derive(Debug)]
pub(crate) struct SessionView {
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

impl Node {
    /// The session of a URL, for whoever holds the bearer that opened it.
    pub(crate) fn access(
        &self,
        id: &SessionId,
        broadcast: BroadcastId,
        resource: Resource,
        token: Option<&str>,
    ) -> Option<SessionView> {
        let registry = self.registry();
        let session = registry.session_or_left(id, broadcast, Instant::now())?;
        let is_whip = matches!(session.kind, Kind::Publisher { .. });
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
        Some(SessionView { etag: session.etag.clone(), allowed })
    }

    /// Join tokens are renewed while a session lasts: the same subject counts as the same bearer.
    fn is_same_person(&self, session: &Session, token: &str) -> bool {
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
        let mid = mid.unwrap_or_else(|| "0".parse().expect("a digit is a mid"));
        let local = self.restart_ice((key, shard), &remote).await?;
        let etag = new_etag();
        if let Some(session) = self.registry().session_mut(id) {
            session.etag = etag.clone();
            session.remote_ufrag = remote.ufrag;
        }
        Ok(Patched::Restarted { etag, fragment: Fragment::restart_answer(&local, &mid) })
    }

    /// Restarts the ICE of a connection; returns our side of it.
    pub(super) async fn restart_ice(
        &self,
        (key, shard): (SessionKey, usize),
        remote: &IceCredentials,
    ) -> Result<Local, HttpProblem> {
        let local = self.local(self.addresses.get(shard).cloned().unwrap_or_default());
        let (reply, answer) = oneshot::channel();
        let command = Command::RestartIce { key, local: local.ice.clone(), remote: remote.clone(), reply };
        let overloaded = || HttpProblem::unavailable("the server is overloaded", RETRY_AFTER);
        self.shards.get(shard).ok_or_else(internal)?.send(command).map_err(|_| overloaded())?;
        match tokio::time::timeout(SHARD_TIMEOUT, answer).await {
            Ok(Ok(Ok(()))) => Ok(local),
            Ok(Ok(Err(_))) => Err(no_session()),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }

    /// DELETE.
    pub(crate) fn delete(&self, id: &SessionId) {
        let removals = self.registry().delete(id, Utc::now());
        self.remove(removals);
        self.report_now.notify_one();
    }
}
