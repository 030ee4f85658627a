//! What is asked of the chat of a room, checked as far as it can be without what is kept of it, and what comes of it.

use contract::chat::{
    CHAT_HISTORY, ChatCommand, ChatMessage, ChatOrder, ChatPerson, ChatSanction, ChatSend, ChatSettings,
    DeletedBy, MAX_FOLLOWERS_MINUTES, MAX_REASON_CHARS, MAX_SLOW_SECS, MAX_TIMEOUT_SECS, SanctionKind,
};
use contract::group::MAX_SUBJECT_LEN;
use contract::room::Room;
use contract::text;
use serde::{Deserialize, Serialize};

use super::{message_id, shown_text};
use crate::limits::ConnId;
use crate::refusal::{Refusal, Request};

/// What somebody may do to others in a chat: to those below. Comparisons are all that it is for.
pub(crate) type Rank = i64;
/// Nobody that a token names: somebody new with each connection.
pub(crate) const GUEST: Rank = -1;
/// A token of the room.
pub(crate) const PARTICIPANT: Rank = 0;
/// Moderates.
pub(crate) const MODERATOR: Rank = 1;
/// Runs the room: publishes its broadcast, or moderates its call by its own token.
pub(crate) const HOST: Rank = 2;
/// Runs the server.
pub(crate) const OPERATOR: Rank = 3;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// The token's subject, or the name of the connection.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Is shown as one.
    pub(crate) host: bool,
    pub(crate) rank: Rank,
    /// Its network, as limits see it.
    pub(crate) address: String,
}

/// Whom a sanction is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The author of a message.
    AuthorOf(u64),
    /// By id.
    Person(String),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Say {
        text: String,
        id: Option<String>,
        reply_to: Option<u64>,
        to: Option<ChatPerson>,
    },
    Edit {
        seq: u64,
        text: String,
    },
    Delete {
        seq: u64,
    },
    /// A time-out of so many seconds, or a ban.
    Sanction {
        whom: Whom,
        seconds: Option<u32>,
        address: bool,
        delete: bool,
        reason: Option<String>,
    },
    Lift {
        person: String,
    },
    Slow {
        seconds: u32,
    },
    Followers {
        minutes: Option<u32>,
    },
    Pin {
        seq: Option<u64>,
    },
    /// Is in the room: known from now on.
    Known,
}

impl Act {
    /// Whether only moderators do it.
    pub(crate) fn is_moderators(&self) -> bool {
        match self {
            Self::Sanction { .. }
            | Self::Lift { .. }
            | Self::Slow { .. }
            | Self::Followers { .. }
            | Self::Pin { .. } => true,
            Self::Say { .. } | Self::Edit { .. } | Self::Delete { .. } | Self::Known => false,
        }
    }
}

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    History { before: u64, limit: usize },
    Bans,
}

/// A command that says something meaningful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Write(Act),
    Read(Ask),
}

/// Where an answer goes.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) connection: ConnId,
    pub(crate) request: Request,
}

/// One change of a chat, on its way into the database.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) room: Room,
    pub(crate) author: Author,
    pub(crate) act: Act,
    /// When it was asked for, Unix milliseconds.
    pub(crate) at: i64,
    pub(crate) asker: Option<Asker>,
}

/// Something that is different in a chat now: what its readers hear, and other replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum Change {
    Message { message: ChatMessage },
    Edited { seq: u64, text: String, edited_at: i64, only: Option<[String; 2]> },
    Deleted { seq: u64, by: DeletedBy, only: Option<[String; 2]> },
    DeletedFrom { from: String, by: DeletedBy },
    Settings { settings: ChatSettings, pinned: Option<ChatMessage> },
    Sanction { row: Sanctioned },
    Lifted { row: Sanctioned },
}

/// The changes that one job made, and the version of the chat that they lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) version: i64,
    pub(crate) changes: Vec<Change>,
}

impl Told {
    /// The numbers of new messages.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.changes.iter().filter_map(|change| match change {
            Change::Message { message } => Some(message.seq),
            _ => None,
        })
    }
}

/// Somebody who may not write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sanctioned {
    pub(crate) person: String,
    pub(crate) name: String,
    pub(crate) is_ban: bool,
    pub(crate) until: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) by: String,
    pub(crate) by_rank: Rank,
    pub(crate) at: i64,
    /// The network that it holds for too.
    pub(crate) address: Option<String>,
}

impl Sanctioned {
    /// Whether it keeps somebody from writing at `now`. It never does one who is not below who gave it, and for its
    /// network only those who are nobody in particular.
    pub(crate) fn binds(&self, person: &str, rank: Rank, address: &str, now: i64) -> bool {
        let is_meant =
            self.person == person || (rank <= PARTICIPANT && self.address.as_deref() == Some(address));
        is_meant && rank < self.by_rank && self.until.is_none_or(|until| now < until)
    }

    /// Whether it is meant for somebody, whether it has ended or not.
    pub(crate) fn is_about(&self, person: &str, rank: Rank, address: &str) -> bool {
        self.binds(person, rank, address, i64::MIN)
    }

    /// As the person concerned reads it.
    pub(crate) fn shown(&self) -> ChatSanction {
        let kind = if self.is_ban { SanctionKind::Ban } else { SanctionKind::Timeout };
        ChatSanction { kind, until: self.until, reason: self.reason.clone() }
    }
}

/// What became of a job.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The number of the message.
    pub(crate) seq: Option<u64>,
    /// `None` where nothing is different.
    pub(crate) told: Option<Told>,
}

/// What a job comes to: an outcome, or why it is not done although the database would.
pub(crate) type Done = Result<Outcome, Refusal>;

/// Checks what a command says by itself.
///
/// # Errors
/// [`Refusal::Text`], [`Refusal::Order`].
pub(crate) fn wanted(command: ChatCommand) -> Result<Wanted, Refusal> {
    let order = match command {
        ChatCommand::Message(ChatSend { text, id, reply_to, to, .. }) => {
            let (text, id) = (shown_text(&text)?, message_id(id)?);
            // Its name is looked up where the call is known.
            let to = to.map(|id| person(id).map(|id| ChatPerson { id, name: String::new() })).transpose()?;
            return Ok(Wanted::Write(Act::Say { text, id, reply_to, to }));
        }
        ChatCommand::Order(order) => order,
    };
    Ok(Wanted::Write(match order {
        ChatOrder::Edit { seq, text } => Act::Edit { seq, text: shown_text(&text)? },
        ChatOrder::Delete { seq } => Act::Delete { seq },
        ChatOrder::History { before, limit } => {
            let limit = usize::try_from(limit.unwrap_or(u32::MAX)).unwrap_or(usize::MAX).min(CHAT_HISTORY);
            if limit == 0 {
                return Err(Refusal::Order("a page of history has at least 1 message"));
            }
            return Ok(Wanted::Read(Ask::History { before, limit }));
        }
        ChatOrder::Timeout { seq, person, seconds, reason } => {
            if !(1..=MAX_TIMEOUT_SECS).contains(&seconds) {
                return Err(Refusal::Order("a time-out lasts 1 second to 14 days"));
            }
            let (whom, reason) = (whom(seq, person)?, reason_of(reason)?);
            Act::Sanction { whom, seconds: Some(seconds), address: false, delete: false, reason }
        }
        ChatOrder::Ban { seq, person, address, delete, reason } => {
            let (whom, reason) = (whom(seq, person)?, reason_of(reason)?);
            Act::Sanction { whom, seconds: None, address, delete, reason }
        }
        ChatOrder::Unban { person: who } => Act::Lift { person: person(who)? },
        ChatOrder::Bans => return Ok(Wanted::Read(Ask::Bans)),
        ChatOrder::Slow { seconds } if seconds <= MAX_SLOW_SECS => Act::Slow { seconds },
        ChatOrder::Slow { .. } => return Err(Refusal::Order("slow mode is 0 to 600 seconds")),
        ChatOrder::Followers { minutes } if minutes.is_none_or(|most| most <= MAX_FOLLOWERS_MINUTES) => {
            Act::Followers { minutes }
        }
        ChatOrder::Followers { .. } => return Err(Refusal::Order("followers are asked for 30 days at most")),
        ChatOrder::Pin { seq } => Act::Pin { seq },
    }))
}

fn whom(seq: Option<u64>, id: Option<String>) -> Result<Whom, Refusal> {
    match (seq, id) {
        (Some(seq), None) => Ok(Whom::AuthorOf(seq)),
        (None, Some(id)) => Ok(Whom::Person(person(id)?)),
        _ => Err(Refusal::Order("say who it is for: either `seq` or `person`")),
    }
}

/// An id as subjects of tokens can be.
fn person(id: String) -> Result<String, Refusal> {
    let fits = (1..=MAX_SUBJECT_LEN).contains(&id.len()) && !id.chars().any(char::is_control);
    if fits { Ok(id) } else { Err(Refusal::Order("that is no id of a person")) }
}

fn reason_of(reason: Option<String>) -> Result<Option<String>, Refusal> {
    let reason = reason.map(|reason| text::one_line(&reason)).filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS) {
        return Err(Refusal::Order("a reason has at most 200 characters"));
    }
    Ok(reason)
}

/// The number as databases hold it. One that is too large for them is that of no message.
pub(crate) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
