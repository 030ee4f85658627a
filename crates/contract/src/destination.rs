//! The STOMP destination grammar and the bodies that Madang itself reads or writes.
//!
//! ```text
//! /topic/{room}                       a viewer has joined                 (L8, body opaque)
//! /topic/{room}/{key}/offer           and .../answer, .../ice/streamer, .../ice/client
//! /topic/-/chat/{room}                chat, with the last 100 messages first
//! /topic/-/presence/{room}            who is there
//! /topic/-/broadcasts                 changes of any broadcast
//! /topic/-/broadcast/{id}             state of one broadcast; the latest first
//! /topic/-/group/{id}                 changes of one group, and its end
//! /topic/-/room/{room}                who is in a call and what holds there; a snapshot first
//! /topic/-/board/{room}               the whiteboard of a room
//! /queue/sfu/{node}                   requests to one SFU node
//! /queue/participant/{id}             answers to one participant
//! /user/queue/replies                 answers to what this connection sent
//! ```
//! SEND goes to the same path under `/app`; the peer-to-peer ones also directly to `/topic` (L8).
//! Nodes send `/app/-/sfu/{node}/viewers`, `.../tracks`, `.../rooms` and `.../replies`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::board::{BoardDone, BoardRefused};
use crate::chat::{ChatBan, ChatHistory};
use crate::id::{BroadcastId, GroupId, NodeId, ParticipantId, TrackId};
use crate::rest::{MediaState, Status};
use crate::room::{Room, valid_name};

pub use crate::source::Source;

/// Header of a SEND that asks for a [`Reply`] and names it: at most [`MAX_REQUEST_ID_LEN`] bytes, the client's choice.
pub const REQUEST_ID: &str = "request-id";
/// Longest request id in bytes; a longer one is cut.
pub const MAX_REQUEST_ID_LEN: usize = 64;
/// Header of a relayed MESSAGE, written by signaling: the sender's token subject, or the name that its connection got.
pub const SENDER: &str = "sender";
/// Header of a relayed MESSAGE, written by signaling: `guest` without a token, else `join`, `creator`, `admin` or
/// `service`.
pub const SENDER_ROLE: &str = "sender-role";
/// Header of a relayed MESSAGE, written by signaling: the room that the sender's join token admits to.
pub const SENDER_ROOM: &str = "sender-room";

/// Header of a room command, written by signaling: names the connection that it came by, where it is answered.
pub const SENDER_CONNECTION: &str = "sender-connection";

/// Whether only signaling may write a header of this name: one that a client sends is dropped, however it is spelt.
#[must_use]
pub fn is_stamp(header: &str) -> bool {
    [SENDER, SENDER_ROLE, SENDER_ROOM, SENDER_CONNECTION].iter().any(|own| header.eq_ignore_ascii_case(own))
}

/// What follows `/topic`, `/app` or `/queue` in a destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `/{room}`: the peer-to-peer join.
    Room(Room),
    /// `/{room}/{key}/{leaf}`: peer-to-peer signaling with one viewer.
    Peer {
        /// The room.
        room: Room,
        /// The viewer's key, chosen by the viewer's page.
        key: String,
        /// What kind of message.
        leaf: PeerLeaf,
    },
    /// `/-/chat/{room}`.
    Chat(Room),
    /// `/-/presence/{room}`.
    Presence(Room),
    /// `/-/broadcasts`.
    Broadcasts,
    /// `/-/broadcast/{id}`.
    Broadcast(BroadcastId),
    /// `/-/group/{id}`: what meta announces of a group.
    Group(GroupId),
    /// `/-/sfu/{node}/viewers`: a node's part of the viewer counts.
    NodeViewers(NodeId),
    /// `/-/sfu/{node}/tracks`: what a node's publishers send.
    NodeTracks(NodeId),
    /// `/-/room/{room}`: commands to the room of a call, and its state.
    RoomState(Room),
    /// `/-/board/{room}`: what is drawn on the whiteboard of a room.
    Board(Room),
    /// `/-/sfu/{node}/rooms`: what a node says of the rooms that it is the home of.
    NodeRooms(NodeId),
    /// `/-/sfu/{node}/replies`: what a node answers to room commands.
    NodeReplies(NodeId),
    /// `/sfu/{node}` under `/queue`.
    SfuQueue(NodeId),
    /// `/participant/{id}` under `/queue`.
    ParticipantQueue(ParticipantId),
    /// `/queue/replies` under `/user`: what is answered to this connection alone.
    Replies,
}

/// The peer-to-peer messages of one viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerLeaf {
    /// The streamer's SDP offer.
    Offer,
    /// The viewer's SDP answer.
    Answer,
    /// Candidates of the streamer.
    IceStreamer,
    /// Candidates of the viewer.
    IceClient,
}

/// The first segment of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `/topic`: the broker fans out.
    Topic,
    /// `/app`: the application handles it.
    App,
    /// `/queue`: one reader.
    Queue,
    /// `/user`: the connection itself, whoever else reads the same name.
    User,
}

/// A parsed destination: prefix and path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Topic, app or queue.
    pub prefix: Prefix,
    /// The rest.
    pub path: Destination,
}

impl Address {
    /// Whether this is a command: a destination under `/app/-/`. A command that is refused is answered, and the
    /// connection goes on.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.prefix == Prefix::App && !matches!(self.path, Destination::Room(_) | Destination::Peer { .. })
    }
}

/// The string is no destination of this grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown destination")]
pub struct UnknownDestination;

impl FromStr for Address {
    type Err = UnknownDestination;

    fn from_str(text: &str) -> Result<Self, UnknownDestination> {
        let (prefix, rest) = if let Some(rest) = text.strip_prefix("/topic/") {
            (Prefix::Topic, rest)
        } else if let Some(rest) = text.strip_prefix("/app/") {
            (Prefix::App, rest)
        } else if let Some(rest) = text.strip_prefix("/queue/") {
            (Prefix::Queue, rest)
        } else if let Some(rest) = text.strip_prefix("/user/") {
            (Prefix::User, rest)
        } else {
            return Err(UnknownDestination);
        };
        let segments: Vec<&str> = rest.splitn(6, '/').collect();
        let path = match prefix {
            Prefix::Queue => parse_queue(&segments),
            Prefix::User => (segments == ["queue", "replies"]).then_some(Destination::Replies),
            Prefix::Topic | Prefix::App => parse_path(&segments),
        };
        path.map(|path| Self { prefix, path }).ok_or(UnknownDestination)
    }
}

fn parse_queue(segments: &[&str]) -> Option<Destination> {
    match segments {
        ["sfu", node] => node.parse().ok().map(Destination::SfuQueue),
        ["participant", id] => id.parse().ok().map(Destination::ParticipantQueue),
        _ => None,
    }
}

fn parse_path(segments: &[&str]) -> Option<Destination> {
    match segments {
        ["-", "chat", room] => room.parse().ok().map(Destination::Chat),
        ["-", "presence", room] => room.parse().ok().map(Destination::Presence),
        ["-", "broadcasts"] => Some(Destination::Broadcasts),
        ["-", "broadcast", id] => id.parse().ok().map(Destination::Broadcast),
        ["-", "group", id] => id.parse().ok().map(Destination::Group),
        ["-", "sfu", node, "viewers"] => node.parse().ok().map(Destination::NodeViewers),
        ["-", "sfu", node, "tracks"] => node.parse().ok().map(Destination::NodeTracks),
        ["-", "room", room] => room.parse().ok().map(Destination::RoomState),
        ["-", "board", room] => room.parse().ok().map(Destination::Board),
        ["-", "sfu", node, "rooms"] => node.parse().ok().map(Destination::NodeRooms),
        ["-", "sfu", node, "replies"] => node.parse().ok().map(Destination::NodeReplies),
        ["-", ..] => None,
        [room] => room.parse().ok().map(Destination::Room),
        [room, key, leaf @ ..] if valid_name(key) => {
            let leaf = match leaf {
                ["offer"] => PeerLeaf::Offer,
                ["answer"] => PeerLeaf::Answer,
                ["ice", "streamer"] => PeerLeaf::IceStreamer,
                ["ice", "client"] => PeerLeaf::IceClient,
                _ => return None,
            };
            Some(Destination::Peer { room: room.parse().ok()?, key: (*key).to_owned(), leaf })
        }
        _ => None,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.prefix {
            Prefix::Topic => "/topic",
            Prefix::App => "/app",
            Prefix::Queue => "/queue",
            Prefix::User => "/user",
        })?;
        match &self.path {
            Destination::Room(room) => write!(f, "/{room}"),
            Destination::Peer { room, key, leaf } => {
                let leaf = match leaf {
                    PeerLeaf::Offer => "offer",
                    PeerLeaf::Answer => "answer",
                    PeerLeaf::IceStreamer => "ice/streamer",
                    PeerLeaf::IceClient => "ice/client",
                };
                write!(f, "/{room}/{key}/{leaf}")
            }
            Destination::Chat(room) => write!(f, "/-/chat/{room}"),
            Destination::Presence(room) => write!(f, "/-/presence/{room}"),
            Destination::Broadcasts => f.write_str("/-/broadcasts"),
            Destination::Broadcast(id) => write!(f, "/-/broadcast/{id}"),
            Destination::Group(id) => write!(f, "/-/group/{id}"),
            Destination::NodeViewers(node) => write!(f, "/-/sfu/{node}/viewers"),
            Destination::NodeTracks(node) => write!(f, "/-/sfu/{node}/tracks"),
            Destination::RoomState(room) => write!(f, "/-/room/{room}"),
            Destination::Board(room) => write!(f, "/-/board/{room}"),
            Destination::NodeRooms(node) => write!(f, "/-/sfu/{node}/rooms"),
            Destination::NodeReplies(node) => write!(f, "/-/sfu/{node}/replies"),
            Destination::SfuQueue(node) => write!(f, "/sfu/{node}"),
            Destination::ParticipantQueue(id) => write!(f, "/participant/{id}"),
            Destination::Replies => f.write_str("/queue/replies"),
        }
    }
}

/// What `/user/queue/replies` carries: what became of a message that this connection sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Reply {
    /// It was done. Only for messages with a [`REQUEST_ID`].
    Done {
        /// The request id.
        request: String,
        /// The number that a chat message got in its room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// The messages that were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        history: Option<ChatHistory>,
        /// Who may not write in the chat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bans: Option<Vec<ChatBan>>,
        /// Under which id the whiteboard is drawn on, and what of it is stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        board: Option<BoardDone>,
    },
    /// It was not done, and nothing of the transaction that it belonged to.
    Refused {
        /// The request id, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<String>,
        /// Where the message was to go.
        destination: String,
        /// What kind of reason.
        reason: Reason,
        /// The reason in words, for people.
        message: String,
        /// After this many milliseconds the same message may be within the rate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// What is to be done about the whiteboard that it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        board: Option<BoardRefused>,
    },
}

impl Reply {
    /// That `request` was done, and nothing more to say.
    #[must_use]
    pub fn done(request: String) -> Self {
        Self::Done { request, seq: None, history: None, bans: None, board: None }
    }
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The token gives no right to it.
    Right,
    /// Too much at once from this person or address.
    Rate,
    /// Not as things are now: the broadcast is over, the node does not serve the room.
    State,
    /// The body is not what belongs there.
    Body,
    /// The reader does not keep up with what is sent to it.
    Full,
}

/// What `/topic/-/presence/{room}` carries: a new subscriber gets it at once, then every change, at most one a
/// second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Presence {
    /// Viewers, as [`crate::rest::RoomReport`] counts them.
    pub viewer_count: i64,
    /// People in the chat of the room: each once, of those behind one address a set number.
    pub chatting: i64,
}

/// What `/topic/-/broadcast/{id}` and `/topic/-/broadcasts` carry; a new subscriber of the former gets the
/// latest at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BroadcastState {
    /// The broadcast.
    pub id: BroadcastId,
    /// Status, if known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// First media, once there was some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// Last media of a closed broadcast: nobody has to ask for it when the broadcast closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// When its owner means to begin; absent with the others where there is no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<DateTime<Utc>>,
    /// Created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// Last change of what an owner edits or of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<DateTime<Utc>>,
    /// It is no longer in the catalogue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Viewers now.
    pub viewer_count: i64,
    /// Whether the publisher's media arrives, if an SFU says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaState>,
    /// The published tracks (left out of `/topic/-/broadcasts`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackInfo>,
}

/// A published track as viewers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrackInfo {
    /// Its id: also the track id in the msid that viewers get.
    pub id: TrackId,
    /// Whose it is: also the stream id in that msid.
    pub owner: ParticipantId,
    /// Camera, microphone, screen or screen audio.
    pub source: Source,
    /// Codec name as in SDP: `opus`, `VP8`, `VP9`, `H264`, `AV1`.
    pub codec: String,
    /// Media arrived within the last second.
    pub active: bool,
}

/// Body of `/app/-/sfu/{node}/viewers`, every second and at once on a change: the node's whole part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeViewers {
    /// One entry a room with viewers.
    pub rooms: Vec<RoomViewers>,
}

/// Viewers of one room on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomViewers {
    /// The room.
    pub room: Room,
    /// Token subjects of the connected WHEP sessions, each once.
    pub subjects: Vec<String>,
    /// Connected WHEP sessions without a token.
    pub anonymous: u32,
}

/// Body of `/app/-/sfu/{node}/tracks`: the node's whole part, on every change and every 2 s.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTracks {
    /// One entry a room with a publisher.
    pub rooms: Vec<RoomTracks>,
}

/// Published media of one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomTracks {
    /// The room.
    pub room: Room,
    /// What the publisher's media does.
    pub media: MediaState,
    /// The tracks.
    pub tracks: Vec<TrackInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_destination_prints_as_it_parses() {
        for text in [
            "/topic/12",
            "/app/12",
            "/app/12/k1/offer",
            "/topic/12/k1/answer",
            "/topic/12/k1/ice/streamer",
            "/topic/12/k1/ice/client",
            "/topic/-/chat/12",
            "/topic/-/presence/grp_a",
            "/topic/-/broadcasts",
            "/topic/-/broadcast/3",
            "/topic/-/group/grp_a",
            "/app/-/sfu/nod_1/viewers",
            "/app/-/sfu/nod_1/tracks",
            "/topic/-/room/grp_a",
            "/app/-/room/grp_a",
            "/topic/-/board/grp_a",
            "/app/-/board/7",
            "/app/-/sfu/nod_1/rooms",
            "/app/-/sfu/nod_1/replies",
            "/queue/sfu/nod_1",
            "/queue/participant/par_1",
            "/user/queue/replies",
        ] {
            let address: Address = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for text in [
            "",
            "/",
            "/topic",
            "/topic/",
            "/topic/-",
            "/app/-/other",
            "/topic/12/",
            "/topic/12/k",
            "/topic/12/k/ice",
            "/topic/12/k/ice/streamer/x",
            "/topic/12/-/offer",
            "/queue/12",
            "/queue/sfu/par_1",
            "/other/12",
            "/topic/a\n",
            "/topic/-/broadcast/x",
            "/topic/-/broadcast/01",
            "/topic/01",
            "/app/-/chat/01",
            "/user/queue/other",
            "/user/queue/replies/x",
        ] {
            assert_eq!(text.parse::<Address>(), Err(UnknownDestination), "{text:?}");
        }
    }

    #[test]
    fn commands_are_below_the_reserved_room() {
        for (text, command) in [
            ("/app/-/chat/12", true),
            ("/app/-/sfu/nod_1/tracks", true),
            ("/app/-/room/grp_a", true),
            ("/app/12", false),
            ("/app/12/k/offer", false),
            ("/topic/-/chat/12", false),
            ("/queue/sfu/nod_1", false),
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.is_command()), Ok(command), "{text}");
        }
    }

    #[test]
    fn a_refusal_names_its_request_and_reason() {
        let reply = Reply::Refused {
            request: Some("r1".into()),
            destination: "/app/-/chat/7".into(),
            reason: Reason::Rate,
            message: "too fast".into(),
            retry_after_ms: Some(900),
            board: None,
        };
        let json = serde_json::json!({
            "outcome": "refused", "request": "r1", "destination": "/app/-/chat/7", "reason": "rate",
            "message": "too fast", "retry_after_ms": 900,
        });
        assert_eq!(serde_json::to_value(&reply).unwrap(), json);
        let done = Reply::Done { request: "r1".into(), seq: Some(3), history: None, bans: None, board: None };
        let json = serde_json::json!({"outcome": "done", "request": "r1", "seq": 3});
        assert_eq!(serde_json::from_value::<Reply>(json).unwrap(), done);
    }
}
