//! The whiteboard of a room: what its readers hear, what those who draw send, and what they are answered.
//!
//! ```text
//! /app/-/board/{room}     BoardCommand, with a request-id  ->  answered on /user/queue/replies
//! /topic/-/board/{room}   BoardEvent
//! ```
//! A board is a Yjs document: an update of it is bytes in version 1 of the encoding of Yjs, in base64 here. Whole boards
//! and large updates go by HTTP (`docs/whiteboard.md`). `epoch` names the document: after it was made anew, by compaction
//! or by an import, updates of the one before do not belong to it.

use serde::{Deserialize, Serialize};

/// Most bytes of an update that goes by STOMP, before it is put into base64. A larger one goes by HTTP, and its
/// [`BoardEvent::Update`] comes without it.
pub const MAX_BOARD_FRAME: usize = 32 * 1024;
/// Most bytes of any update.
pub const MAX_BOARD_UPDATE: usize = 1024 * 1024;
/// Most bytes of [`BoardCommand::Presence`], its state in JSON.
pub const MAX_BOARD_PRESENCE: usize = 8 * 1024;
/// Presences of one connection in a second.
pub const BOARD_PRESENCE_RATE: u32 = 20;
/// Most bytes of an image.
pub const MAX_BOARD_IMAGE: usize = 5 * 1024 * 1024;
/// Most pixels of a side of an image.
pub const MAX_BOARD_IMAGE_SIDE: u32 = 8_192;

/// What is sent to `/app/-/board/{room}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BoardCommand {
    /// Asks for a client id to draw under. Answered with [`BoardDone`].
    Open {
        /// The id that this page drew under before: it gets the same again if it is this person's. Whatever other
        /// connection draws under it has it no more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<u64>,
        /// The document that `client` is of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
    },
    /// New operations of `client`, and deletions. Answered when they are stored.
    Update {
        /// The document.
        epoch: u64,
        /// The id that this connection got.
        client: u64,
        /// The update in base64: [`MAX_BOARD_FRAME`] bytes at most.
        update: String,
    },
    /// What passes: cursor, selection, a stroke in progress. Not answered, kept nowhere.
    Presence {
        /// The id that this connection got.
        client: u64,
        /// Whatever the pages agree on, of at most [`MAX_BOARD_PRESENCE`] bytes.
        #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
        state: serde_json::Value,
    },
}

/// What `/topic/-/board/{room}` carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BoardEvent {
    /// The board as it is now; comes once after SUBSCRIBE, as soon as the board is loaded.
    Open {
        /// The document.
        epoch: u64,
        /// The number of its last update.
        n: u64,
        /// About how many bytes it has.
        size: u64,
        /// Not much more fits.
        nearly_full: bool,
        /// Whether this reader may draw.
        may_draw: bool,
    },
    /// What is stored cannot be read at the moment: [`BoardEvent::Open`] comes when it can.
    Away {},
    /// An update, in the order in which they were stored. A hole in `n` means that something was missed: it is fetched by
    /// HTTP.
    Update {
        /// The document.
        epoch: u64,
        /// Rises by one within an epoch.
        n: u64,
        /// Who drew: the id of the connection.
        client: u64,
        /// Who drew: the person.
        from: String,
        /// The update in base64; absent where it is larger than [`MAX_BOARD_FRAME`]: it is fetched by HTTP.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        update: Option<String>,
    },
    /// Updates were dropped for this slow reader: they are fetched by HTTP.
    Gap {
        /// How many messages.
        dropped: u64,
    },
    /// What somebody shows at the moment. Of one client the latest counts.
    Presence {
        /// The person.
        from: String,
        /// Display name, may be empty.
        name: String,
        /// The id of the connection.
        client: u64,
        /// As it was sent.
        #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
        state: serde_json::Value,
    },
    /// A connection that drew is gone.
    Left {
        /// Its id.
        client: u64,
    },
    /// There is another document in place of the one before: it is loaded whole, and a new client id asked for.
    Epoch {
        /// The document.
        epoch: u64,
    },
    /// How much room there is has changed.
    Full {
        /// Not much more fits.
        nearly_full: bool,
    },
    /// Whether this reader may draw has changed.
    Rights {
        /// It may.
        may_draw: bool,
    },
}

/// The part of [`crate::destination::Reply::Done`] that is about a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BoardDone {
    /// The document.
    pub epoch: u64,
    /// The id under which the connection draws.
    pub client: u64,
    /// How many operations of that id the board has: the page goes on from there.
    pub has: u32,
    /// Shows with an update by HTTP that it comes from who holds the id.
    pub holder: String,
}

/// The part of [`crate::destination::Reply::Refused`] by which a page knows what to do about a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BoardRefused {
    /// Operations before these are missing: send again from the operation `has` on.
    Gap {
        /// How many operations of this id the board has.
        has: u32,
    },
    /// The document is another one by now.
    Epoch {
        /// Which.
        epoch: u64,
    },
    /// The id is not this connection's, or no more: ask for one.
    Client {},
    /// The board has no room for this. Deleting does still work.
    Full {},
    /// This person has sent what nobody who draws sends, and draws no more in this room.
    Barred {},
    /// The board is not to be reached at the moment. The same update may be sent again in a second.
    Away {},
}

/// Answer to `POST /boards/{room}/images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BoardImage {
    /// Its name, which nobody can guess.
    pub id: String,
    /// Where it is, relative to signaling's own address.
    pub url: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_what_the_docs_show() {
        let command = |value| serde_json::from_value::<BoardCommand>(value).unwrap();
        assert_eq!(command(json!({"type": "open"})), BoardCommand::Open { client: None, epoch: None });
        assert_eq!(
            command(json!({"type": "open", "client": 7, "epoch": 2})),
            BoardCommand::Open { client: Some(7), epoch: Some(2) }
        );
        let update = json!({"type": "update", "epoch": 1, "client": 2, "update": "AAA="});
        assert_eq!(serde_json::to_value(command(update.clone())).unwrap(), update);
        let large = BoardEvent::Update { epoch: 1, n: 3, client: 2, from: "par_a".into(), update: None };
        let large = serde_json::to_value(large).unwrap();
        assert_eq!(large, json!({"type": "update", "epoch": 1, "n": 3, "client": 2, "from": "par_a"}));
        let refused = |refused| serde_json::to_value::<BoardRefused>(refused).unwrap();
        assert_eq!(refused(BoardRefused::Gap { has: 4 }), json!({"type": "gap", "has": 4}));
        assert_eq!(refused(BoardRefused::Full {}), json!({"type": "full"}));
    }
}
