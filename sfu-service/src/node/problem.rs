//! Refusals in words.

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use contract::id::GroupId;
use room::JoinRefused;
use service_kit::HttpProblem;
use transport::sdp::{CodecFormat, SdpError};

use crate::load::Limit;
use crate::meta::MetaError;
use crate::registry::{CallRefused, Refused};

/// Seconds after which a client that was refused for a passing reason may try again.
pub(super) const RETRY_AFTER: u32 = 5;
/// Seconds after which a viewer without a publisher may try again: people wait for it.
const RETRY_NO_PUBLISHER: u32 = 2;

/// Runs work on what a client sent: a panic inside is that request's end alone.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, HttpProblem> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        tracing::error!("a request could not be processed: fault inside");
        internal()
    })
}

pub(super) fn sdp_problem(error: SdpError) -> HttpProblem {
    match error {
        SdpError::NotCarried { .. } => codec_problem(error.to_string()),
        SdpError::NoUsableMedia => {
            HttpProblem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable")
                .detail(error.to_string())
        }
        _ => HttpProblem::bad_request(error.to_string()),
    }
}

/// The broadcast comes in a codec that the viewer's offer does not have.
pub(super) fn undecodable(format: CodecFormat) -> HttpProblem {
    codec_problem(format!(
        "the broadcast is sent as {}, which this client does not decode: try another browser",
        format.name()
    ))
}

fn codec_problem(detail: String) -> HttpProblem {
    HttpProblem::new(StatusCode::NOT_ACCEPTABLE, "codec", "Codec not supported").detail(detail)
}

pub(super) fn meta_problem(error: MetaError) -> HttpProblem {
    match error {
        MetaError::Unauthorized => HttpProblem::unauthorized(error.to_string()),
        MetaError::NotFound => HttpProblem::not_found(error.to_string()),
        MetaError::Closed | MetaError::NotHome => HttpProblem::conflict(error.to_string()),
        MetaError::Elsewhere { .. } => {
            HttpProblem::unavailable("the room is open on another server: try again in a moment", RETRY_AFTER)
        }
        MetaError::Away(_) => {
            tracing::warn!(%error, "a session cannot be admitted");
            HttpProblem::unavailable("the catalogue does not answer: try again in a moment", RETRY_AFTER)
        }
    }
}

/// Why the room of a call is not opened here; who joins it does so where it is open.
pub(super) fn room_problem(error: MetaError, group: &GroupId) -> HttpProblem {
    let url = match &error {
        MetaError::Elsewhere { url } => url.as_deref(),
        _ => None,
    };
    let sessions = url.map(|url| format!("{}/rooms/{group}/sessions", url.trim_end_matches('/')));
    match sessions.and_then(|sessions| HeaderValue::try_from(sessions).ok()) {
        None => meta_problem(error),
        Some(sessions) => HttpProblem::new(StatusCode::TEMPORARY_REDIRECT, "other-home", "Open elsewhere")
            .detail("the room is open on another server")
            .header(header::LOCATION, sessions),
    }
}

pub(super) fn no_publisher() -> HttpProblem {
    HttpProblem::new(StatusCode::CONFLICT, "no-publisher", "Not live")
        .detail("nobody publishes to this broadcast yet")
        .retry_after(RETRY_NO_PUBLISHER)
}

pub(super) fn no_session() -> HttpProblem {
    HttpProblem::not_found("there is no such session, or it has ended")
}

pub(super) fn refused(why: Refused) -> HttpProblem {
    match why {
        Refused::Full => HttpProblem::unavailable("the server is full", RETRY_AFTER),
        Refused::HalfOpen => {
            HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "half-open", "Too many requests")
                .detail(
                    "too many sessions were opened from your address and have not connected yet: \
                 if it lasts, UDP to this server may be blocked",
                )
                .retry_after(RETRY_AFTER)
        }
    }
}

pub(super) fn overloaded(limit: Limit) -> HttpProblem {
    let words = match limit {
        Limit::Cpu => "this server is at the limit of its CPU",
        Limit::Egress => "this server is at the limit of its line",
        Limit::Packets => "this server is at the limit of its packet rate",
    };
    HttpProblem::unavailable(words, RETRY_AFTER)
}

/// Why nobody is let into a call, or not with all that was offered.
pub(super) fn call_refused(why: CallRefused) -> HttpProblem {
    match why {
        CallRefused::Node(why) => refused(why),
        CallRefused::RoomFull => HttpProblem::new(StatusCode::CONFLICT, "room-full", "The room is full")
            .detail("as many people are in this room as it takes: try again when somebody has left")
            .retry_after(RETRY_AFTER),
        CallRefused::NoSession => HttpProblem::new(StatusCode::NOT_FOUND, "no-session", "Not found")
            .detail("there is no such session any more: join with a token"),
    }
}

/// The state of the room lets nobody in, or not this one.
pub(super) fn join_refused(why: JoinRefused) -> HttpProblem {
    let forbidden = |code| HttpProblem::new(StatusCode::FORBIDDEN, code, "Forbidden").detail(why.to_string());
    match why {
        JoinRefused::Removed => forbidden("removed"),
        JoinRefused::Locked => forbidden("locked"),
        JoinRefused::Full => call_refused(CallRefused::RoomFull),
    }
}

/// The token has no right to something that was offered.
pub(super) fn no_grant(what: &str) -> HttpProblem {
    HttpProblem::new(StatusCode::FORBIDDEN, "grant", "Forbidden")
        .detail(format!("the token gives no right to {what} in this room"))
}

pub(super) fn internal() -> HttpProblem {
    HttpProblem::plain(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(super) fn closed() -> HttpProblem {
    HttpProblem::new(StatusCode::GONE, "closed", "Gone").detail("the broadcast is over")
}
