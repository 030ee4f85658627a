//! Why a message is not done, and what its sender hears of it.

use contract::board::BoardDone;
use contract::chat::{ChatBan, ChatHistory};
use contract::destination::{Address, MAX_REQUEST_ID_LEN, REQUEST_ID, Reason, Reply};
use stomp_proto::session::Outgoing;

use crate::boards::{Busy, No};
use crate::chat::{BadText, Sanctioned};
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
    #[error("{0}")]
    Order(&'static str),
    #[error("{}", sanctioned_text(*is_ban, *wait_ms, reason.as_deref()))]
    Sanctioned { is_ban: bool, wait_ms: Option<i64>, reason: Option<String> },
    #[error("slow mode: one message every few seconds, wait {} s", seconds(*wait_ms))]
    Slow { wait_ms: i64 },
    #[error("only who has been known here for {minutes} minutes writes now: wait {} s", seconds(*wait_ms))]
    NotFollowed { minutes: i64, wait_ms: i64 },
    #[error("there is no such message")]
    NoMessage,
    #[error("that is the message of somebody else")]
    NotYours,
    #[error("a message can be edited for 15 minutes")]
    TooLate,
    #[error("only moderators do this")]
    NotModerator,
    #[error("this takes more rights than you have: moderators do it to those below them")]
    Above,
    #[error("nobody of this id is banned or timed out")]
    NotBanned,
    #[error("more people are banned in this room than it can hold: lift some")]
    TooManyBans,
    #[error("direct messages are for calls, and for somebody else who is in it")]
    NotInCall,
    #[error("the chat cannot be written at the moment: try again")]
    Unavailable,
    #[error("more is being written than the chat can hold: try again")]
    Busy,
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
            | Self::Locked
            | Self::Sanctioned { .. }
            | Self::NotFollowed { .. }
            | Self::NotYours
            | Self::NotModerator
            | Self::Above => Reason::Right,
            Self::Body { .. } | Self::Text(_) | Self::NoRequestId | Self::Order(_) => Reason::Body,
            Self::TooFast(_) | Self::TooManyRooms | Self::BoardBusy(_) | Self::Slow { .. } | Self::Busy => {
                Reason::Rate
            }
            Self::Closed
            | Self::Ended
            | Self::NotServed
            | Self::NoCall
            | Self::BoardClient
            | Self::NoMessage
            | Self::TooLate
            | Self::NotBanned
            | Self::TooManyBans
            | Self::NotInCall
            | Self::Unavailable => Reason::State,
            Self::Full => Reason::Full,
        }
    }

    /// What keeps somebody from writing at `now`.
    pub(crate) fn sanctioned(by: &Sanctioned, now: i64) -> Self {
        let wait_ms = by.until.map(|until| until.saturating_sub(now));
        Self::Sanctioned { is_ban: by.is_ban, wait_ms, reason: by.reason.clone() }
    }

    /// After how long the same message may be done.
    fn retry_after_ms(&self) -> Option<u64> {
        let wait_ms = match self {
            Self::TooFast(too_fast) => {
                return too_fast.retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
            }
            Self::Sanctioned { wait_ms, .. } => (*wait_ms)?,
            Self::Slow { wait_ms } | Self::NotFollowed { wait_ms, .. } => *wait_ms,
            Self::Unavailable | Self::Busy => 1_000,
            _ => return None,
        };
        u64::try_from(wait_ms).ok()
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

/// Begun seconds.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1_000
}

fn sanctioned_text(is_ban: bool, wait_ms: Option<i64>, reason: Option<&str>) -> String {
    let what = match wait_ms {
        _ if is_ban => "you are banned from this chat".to_owned(),
        Some(wait) => format!("you are timed out in this chat: wait {} s", seconds(wait)),
        None => "you are timed out in this chat".to_owned(),
    };
    match reason {
        Some(reason) => format!("{what} ({reason})"),
        None => what,
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

    /// The page of history that was asked for.
    pub(crate) fn history(self, history: ChatHistory) -> Option<Reply> {
        let history = Some(history);
        self.id.map(|request| Reply::Done { request, seq: None, history, bans: None, board: None })
    }

    /// The list of who may not write.
    pub(crate) fn bans(self, bans: Vec<ChatBan>) -> Option<Reply> {
        let bans = Some(bans);
        self.id.map(|request| Reply::Done { request, seq: None, history: None, bans, board: None })
    }

    /// That it was not done.
    pub(crate) fn refused(self, refusal: &Refusal) -> Reply {
        let retry_after_ms = refusal.retry_after_ms();
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
