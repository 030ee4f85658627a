//! Why a message is not done, and what its sender hears of it.

use contract::board::BoardDone;
use contract::destination::{Address, MAX_REQUEST_ID_LEN, REQUEST_ID, Reason, Reply};
use stomp_proto::session::Outgoing;

use crate::boards::{Busy, No};
use crate::chat::BadText;
use crate::limits::{MAX_JOINED, TooFast};
use crate::rights::Denied;

/// Why a message is refused; the text is for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("unknown destination {0}")]
    Destination(String),
    #[error("{destination}: {denied}")]
    Denied { destination: String, is_command: bool, denied: Denied },
    #[error("{destination}: the body is not what belongs there: {reason}")]
    Body { destination: String, reason: String },
    #[error(transparent)]
    Text(#[from] BadText),
    #[error(transparent)]
    TooFast(#[from] TooFast),
    #[error("a connection joins at most {MAX_JOINED} rooms")]
    TooManyRooms,
    #[error("the broadcast is over")]
    Closed,
    #[error("a moderator has removed you from this call")]
    Removed,
    #[error("a moderator has taken your right to chat in this call")]
    Taken,
    #[error("your token has no right to chat")]
    NoChat,
    #[error("a moderator has taken your right to draw in this call")]
    DrawTaken,
    #[error("your token has no right to draw")]
    NoDraw,
    #[error("{}", No::Barred)]
    Barred,
    #[error("{}", No::Client)]
    BoardClient,
    #[error(transparent)]
    BoardBusy(#[from] Busy),
    #[error("this call is locked")]
    Locked,
    #[error("the group of this call is no more")]
    Ended,
    #[error("the node does not serve the room of your token")]
    NotServed,
    #[error("there is no call in this room")]
    NoCall,
    #[error("a command has a request-id of 1 to {MAX_REQUEST_ID_LEN} bytes")]
    NoRequestId,
    #[error("the reader does not keep up: send less, or later")]
    Full,
}

impl Refusal {
    pub(crate) fn denied(destination: &str, address: &Address, denied: Denied) -> Self {
        Self::Denied { destination: shown(destination), is_command: address.is_command(), denied }
    }

    /// Whether STOMP has no other answer than ERROR and the end of the connection: a destination that is unknown or
    /// forbidden, unless it is a command's.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self, Self::Destination(_) | Self::Denied { is_command: false, .. })
    }

    /// The kind of reason, for programs.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Destination(_)
            | Self::Denied { .. }
            | Self::Removed
            | Self::Taken
            | Self::NoChat
            | Self::DrawTaken
            | Self::NoDraw
            | Self::Barred
            | Self::Locked => Reason::Right,
            Self::Body { .. } | Self::Text(_) | Self::NoRequestId => Reason::Body,
            Self::TooFast(_) | Self::TooManyRooms | Self::BoardBusy(_) => Reason::Rate,
            Self::Closed | Self::Ended | Self::NotServed | Self::NoCall | Self::BoardClient => Reason::State,
            Self::Full => Reason::Full,
        }
    }

    /// The reason as a metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self.reason() {
            Reason::Right => "right",
            Reason::Rate => "rate",
            Reason::State => "state",
            Reason::Body => "body",
            Reason::Full => "full",
        }
    }
}

/// The message that a reply is about.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    id: Option<String>,
    destination: String,
}

impl Request {
    pub(crate) fn of(message: &Outgoing) -> Self {
        let id = message.headers.get(REQUEST_ID).filter(|id| !id.is_empty());
        Self { id: id.map(|id| cut(id, MAX_REQUEST_ID_LEN)), destination: shown(&message.destination) }
    }

    /// That it was done, if the client wants to know.
    pub(crate) fn done(self, seq: Option<u64>) -> Option<Reply> {
        self.id.map(|request| Reply::Done { request, seq, history: None, bans: None, board: None })
    }

    /// That it was not done.
    pub(crate) fn refused(self, refusal: &Refusal) -> Reply {
        let retry_after = match refusal {
            Refusal::TooFast(too_fast) => too_fast.retry_after,
            _ => None,
        };
        let retry_after_ms = retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
        let Self { id: request, destination } = self;
        Reply::Refused {
            request,
            destination,
            reason: refusal.reason(),
            message: refusal.to_string(),
            retry_after_ms,
            board: match refusal {
                Refusal::Barred => No::Barred.detail(),
                Refusal::BoardClient => No::Client.detail(),
                Refusal::BoardBusy(_) => No::Busy.detail(),
                _ => None,
            },
        }
    }

    /// That a board has what was asked, if the client wants to know.
    pub(crate) fn done_on_board(self, done: BoardDone) -> Option<Reply> {
        self.id.map(|request| Reply::Done {
            request,
            seq: None,
            history: None,
            bans: None,
            board: Some(done),
        })
    }

    /// That a board does not have it.
    pub(crate) fn refused_on_board(self, no: &No) -> Reply {
        let Self { id: request, destination } = self;
        Reply::Refused {
            request,
            destination,
            reason: no.reason(),
            message: no.to_string(),
            retry_after_ms: (*no == No::Busy).then_some(1_000),
            board: no.detail(),
        }
    }
}

/// A destination as an error message shows it.
pub(crate) fn shown(destination: &str) -> String {
    cut(destination, 200)
}

/// The first `most` bytes of `text`, or fewer where the cut would fall inside a character.
fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_cut_between_characters() {
        assert_eq!(cut("abc", 64), "abc");
        assert_eq!(cut("a한b", 2), "a");
        assert_eq!(cut("a한b", 4), "a한");
        assert_eq!(cut("", 4), "");
    }
}
