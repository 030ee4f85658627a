//! Chat of a room: what `/app/-/chat/{room}` takes and what `/topic/-/chat/{room}` carries.
//!
//! ```text
//! SEND      /app/-/chat/{room}     ChatCommand    answered on /user/queue/replies by a Reply
//! SUBSCRIBE /topic/-/chat/{room}   ChatEvent      `open`, the last CHAT_HISTORY messages oldest first, then live
//! ```
//! Messages of a room have one row of numbers, `seq`, which never starts again within an epoch. A direct message has a
//! number of the same row and goes to its two people only: holes in the numbers are normal, their order is what counts.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Most characters of a chat message.
pub const MAX_CHAT_CHARS: usize = 500;
/// Fewest and most bytes of the id of a chat message: letters, digits, `-` and `_`.
pub const CHAT_ID_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Messages that a late joiner gets, and the most of one page of history.
pub const CHAT_HISTORY: usize = 100;
/// Most characters that are quoted of the message that another one answers.
pub const MAX_QUOTE_CHARS: usize = 100;
/// So long after it was sent a message may be edited by its author, in seconds.
pub const CHAT_EDIT_SECS: u64 = 15 * 60;
/// Longest pause between two messages of a person that a moderator may ask for, in seconds.
pub const MAX_SLOW_SECS: u32 = 600;
/// Longest time that a person may have to be known in a room before it writes there, in minutes: 30 days.
pub const MAX_FOLLOWERS_MINUTES: u32 = 30 * 24 * 60;
/// Longest time-out in seconds: 14 days. What should last longer is a ban.
pub const MAX_TIMEOUT_SECS: u32 = 14 * 24 * 3600;
/// Most characters of the reason of a time-out or ban.
pub const MAX_REASON_CHARS: usize = 200;

/// Who wrote a message, or whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatPerson {
    /// The subject of its token, or the connection of a guest without one.
    pub id: String,
    /// Display name.
    pub name: String,
}

/// A message of a chat, as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// Rises with every message of the room, public or direct.
    pub seq: u64,
    /// The sender's subject, or the connection of a guest without a token.
    pub from: String,
    /// Display name.
    pub name: String,
    /// The sender holds `publish` or `moderate` in the room.
    pub host: bool,
    /// The text; empty where the message was deleted.
    pub text: String,
    /// When the server took it, Unix milliseconds.
    pub at: i64,
    /// What the sender called it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ChatQuote>,
    /// Whom alone it is for: a direct message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ChatPerson>,
    /// When its author changed it last, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<i64>,
    /// It was deleted: its place stays, its text does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// The message that another one answers, as it was when this was sent out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatQuote {
    /// Its number.
    pub seq: u64,
    /// Its author; empty where the message is no longer kept.
    pub from: String,
    /// Its author's display name; empty where the message is no longer kept.
    pub name: String,
    /// The first [`MAX_QUOTE_CHARS`] characters of its text; empty where it was deleted or is no longer kept.
    pub text: String,
    /// It was deleted, or is no longer kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// What holds for everybody in a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatSettings {
    /// Seconds between two messages of a person, moderators apart; 0 is off.
    pub slow_seconds: u32,
    /// Minutes that a person has to be known in the room before it writes, moderators apart; absent is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followers_minutes: Option<u32>,
}

/// What keeps a person from writing, or that nothing does any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatSanction {
    /// Which.
    pub kind: SanctionKind,
    /// When it ends, Unix milliseconds; absent where it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Why, in the moderator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Kinds of [`ChatSanction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SanctionKind {
    /// For a while.
    Timeout,
    /// Until a moderator lifts it.
    Ban,
    /// None any more.
    Lifted,
}

/// What the reader of a chat is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatYou {
    /// `from` of one's own messages.
    pub id: String,
    /// May delete, time out, ban, pin and change the settings.
    pub moderator: bool,
    /// What keeps one from writing, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sanction: Option<ChatSanction>,
}

/// Who deleted something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeletedBy {
    /// Who wrote it.
    Author,
    /// A moderator.
    Moderator,
}

/// What `/topic/-/chat/{room}` carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatEvent {
    /// First after SUBSCRIBE; the last [`CHAT_HISTORY`] messages follow, oldest first. It comes again, with them, where
    /// the server read the room anew.
    Open {
        /// Another one only where the numbering was lost: what was kept of an earlier epoch is of no use any more.
        epoch: u64,
        /// The highest number so far; 0 where there was no message.
        last: u64,
        /// What holds for everybody.
        settings: ChatSettings,
        /// The pinned message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pinned: Option<ChatMessage>,
        /// What this reader is.
        you: ChatYou,
    },
    /// One message.
    Message(ChatMessage),
    /// The author changed a message.
    Edited {
        /// Its number.
        seq: u64,
        /// The new text.
        text: String,
        /// When, Unix milliseconds.
        edited_at: i64,
    },
    /// A message was deleted.
    Deleted {
        /// Its number.
        seq: u64,
        /// Who did it.
        by: DeletedBy,
    },
    /// All messages of a person were deleted.
    DeletedFrom {
        /// `from` of the messages.
        from: String,
        /// Who did it.
        by: DeletedBy,
    },
    /// What holds for everybody is different now: all of it.
    Settings {
        /// The settings.
        settings: ChatSettings,
        /// The pinned message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pinned: Option<ChatMessage>,
    },
    /// What keeps this reader from writing is different now. Goes to the person concerned alone.
    Sanction(ChatSanction),
    /// Messages were dropped for this slow client; `seq` goes on after the gap.
    Gap {
        /// How many.
        dropped: u64,
    },
}

/// What a client sends to `/app/-/chat/{room}`: a message, which needs no `type`, or an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ChatCommand {
    /// Everything but a message.
    Order(ChatOrder),
    /// A message.
    Message(ChatSend),
}

impl<'de> Deserialize<'de> for ChatCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `untagged`, whose errors say nothing of what is wrong.
        let fields = Map::deserialize(deserializer)?;
        let is_message = fields.get("type").is_none_or(|kind| kind == "message");
        let fields = Value::Object(fields);
        let command = if is_message {
            serde_json::from_value(fields).map(Self::Message)
        } else {
            serde_json::from_value(fields).map(Self::Order)
        };
        command.map_err(serde::de::Error::custom)
    }
}

/// A message to a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatSend {
    /// 1 to [`MAX_CHAT_CHARS`] characters.
    pub text: String,
    /// Guest name, ignored where the token carries a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the sender calls the message: 128 random bits, of a length in [`CHAT_ID_BYTES`]. A message that is sent
    /// again under the same id, because no answer came, is in the room once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Number of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Who alone gets it: a participant of the call. Only in rooms of groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What a client asks of a chat beside sending a message. Those from [`ChatOrder::Timeout`] on are the moderators'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatOrder {
    /// Changes a message of one's own, within [`CHAT_EDIT_SECS`].
    Edit {
        /// Its number.
        seq: u64,
        /// The new text: 1 to [`MAX_CHAT_CHARS`] characters.
        text: String,
    },
    /// Deletes a message of one's own; a moderator those of others too.
    Delete {
        /// Its number.
        seq: u64,
    },
    /// Asks for the messages before a number: the answer is [`ChatHistory`].
    History {
        /// Only messages below this number.
        before: u64,
        /// At most so many: 1 to [`CHAT_HISTORY`], which it is where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// Keeps a person from writing for a while. `seq` or `person` says who: the author of that message, or an id as in
    /// `from`.
    Timeout {
        /// A message of the person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// The person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
        /// For how long: 1 to [`MAX_TIMEOUT_SECS`].
        seconds: u32,
        /// Why, for the person: at most [`MAX_REASON_CHARS`] characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Keeps a person from writing until it is lifted. `seq` or `person` says who.
    Ban {
        /// A message of the person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// The person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
        /// Also whoever else comes from the person's address (IPv6: its /64), moderators apart.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        address: bool,
        /// Also deletes what the person has written in the room.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        delete: bool,
        /// Why, for the person: at most [`MAX_REASON_CHARS`] characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Lifts a time-out or a ban, that of the address too.
    Unban {
        /// The person, as [`ChatBan::person`] names it.
        person: String,
    },
    /// Asks who may not write: the answer is a list of [`ChatBan`].
    Bans,
    /// Sets [`ChatSettings::slow_seconds`].
    Slow {
        /// 0 to [`MAX_SLOW_SECS`].
        seconds: u32,
    },
    /// Sets [`ChatSettings::followers_minutes`].
    Followers {
        /// 0 to [`MAX_FOLLOWERS_MINUTES`]; `null` is off.
        #[serde(deserialize_with = "or_null")]
        #[schema(required = true)]
        minutes: Option<u32>,
    },
    /// Pins a public message above the chat, instead of the one before.
    Pin {
        /// Its number; `null` takes the pin away.
        #[serde(deserialize_with = "or_null")]
        #[schema(required = true)]
        seq: Option<u64>,
    },
}

/// A field that has to be there, though it may be `null`: an absent one would do what `null` does.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A page of a chat's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatHistory {
    /// Oldest first, as they are now.
    pub messages: Vec<ChatMessage>,
    /// There are older ones.
    pub more: bool,
}

/// Somebody who may not write in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatBan {
    /// What [`ChatOrder::Unban`] calls it.
    pub person: String,
    /// Display name when it was done; empty where it was not known.
    pub name: String,
    /// `timeout` or `ban`.
    pub kind: SanctionKind,
    /// When it ends, Unix milliseconds; absent where it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Display name or id of the moderator.
    pub by: String,
    /// When, Unix milliseconds.
    pub at: i64,
    /// It holds for the person's address too.
    pub address: bool,
    /// Why, in the moderator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command(body: Value) -> Result<ChatCommand, String> {
        serde_json::from_str(&body.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_without_a_type_is_a_message() {
        let plain = ChatCommand::Message(ChatSend { text: "hi".into(), ..ChatSend::default() });
        assert_eq!(command(json!({"text": "hi"})), Ok(plain.clone()));
        assert_eq!(command(json!({"type": "message", "text": "hi"})), Ok(plain.clone()));
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!({"text": "hi"}));
        let full = json!({"text": "hi", "name": "n", "id": "0123456789abcdef", "reply_to": 4, "to": "par_1"});
        let read = command(full.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), full);
    }

    #[test]
    fn every_order_is_written_as_it_is_read() {
        for body in [
            json!({"type": "edit", "seq": 3, "text": "new"}),
            json!({"type": "delete", "seq": 3}),
            json!({"type": "history", "before": 10}),
            json!({"type": "history", "before": 10, "limit": 5}),
            json!({"type": "timeout", "seq": 3, "seconds": 60, "reason": "caps"}),
            json!({"type": "ban", "person": "par_1"}),
            json!({"type": "ban", "seq": 3, "address": true, "delete": true}),
            json!({"type": "unban", "person": "par_1"}),
            json!({"type": "bans"}),
            json!({"type": "slow", "seconds": 30}),
            json!({"type": "followers", "minutes": 10}),
            json!({"type": "followers", "minutes": null}),
            json!({"type": "pin", "seq": 7}),
            json!({"type": "pin", "seq": null}),
        ] {
            let read = command(body.clone()).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert!(matches!(read, ChatCommand::Order(_)), "{body}");
            assert_eq!(serde_json::to_value(&read).unwrap(), body);
        }
    }

    #[test]
    fn what_is_no_command_is_refused_with_a_reason() {
        for (body, reason) in [
            (json!({}), "missing field `text`"),
            (json!({"text": 5}), "invalid type"),
            (json!({"type": "levitate"}), "unknown variant `levitate`"),
            (json!({"type": 5, "text": "hi"}), "invalid type"),
            (json!({"type": null, "text": "hi"}), "invalid type"),
            (json!({"type": "delete"}), "missing field `seq`"),
            (json!({"type": "pin"}), "missing field `seq`"),
            (json!({"type": "followers", "minute": 5}), "missing field `minutes`"),
            (json!({"type": "delete", "seq": -1}), "invalid value"),
            (json!({"type": "slow", "seconds": 4_294_967_296_u64}), "invalid value"),
            (json!(["text"]), "invalid type"),
            (json!("text"), "invalid type"),
        ] {
            let error = command(body.clone()).expect_err(&body.to_string());
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn events_leave_out_what_is_absent() {
        let message =
            ChatMessage { seq: 1, from: "par_1".into(), name: "A".into(), ..ChatMessage::default() };
        let plain = json!({
            "type": "message", "seq": 1, "from": "par_1", "name": "A", "host": false, "text": "", "at": 0,
        });
        assert_eq!(serde_json::to_value(ChatEvent::Message(message)).unwrap(), plain);
        let open = ChatEvent::Open {
            epoch: 7,
            last: 0,
            settings: ChatSettings::default(),
            pinned: None,
            you: ChatYou { id: "par_1".into(), moderator: false, sanction: None },
        };
        let body = json!({
            "type": "open", "epoch": 7, "last": 0, "settings": {"slow_seconds": 0},
            "you": {"id": "par_1", "moderator": false},
        });
        assert_eq!(serde_json::to_value(&open).unwrap(), body);
        assert_eq!(serde_json::from_value::<ChatEvent>(body).unwrap(), open);
        let sanction = ChatSanction { kind: SanctionKind::Timeout, until: Some(5), reason: None };
        let body = json!({"type": "sanction", "kind": "timeout", "until": 5});
        assert_eq!(serde_json::to_value(ChatEvent::Sanction(sanction)).unwrap(), body);
    }
}
