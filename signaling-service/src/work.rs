//! What a SEND means: parsed, checked and allowed here, done afterwards, so that of a transaction nothing happens when
//! one part may not. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use contract::board::{BoardCommand, MAX_BOARD_FRAME, MAX_BOARD_PRESENCE};
use contract::chat::{ChatCommand, ChatSend};
use contract::destination::{
    Address, Destination, MAX_REQUEST_ID_LEN, NodeTracks, NodeViewers, Prefix, REQUEST_ID, SENDER,
    SENDER_ROLE, SENDER_ROOM, is_stamp,
};
use contract::id::NodeId;
use contract::room::Room;
use contract::room_state::{NodeReply, NodeRoom, RoomCommand};
use serde::de::DeserializeOwned;
use stomp_proto::Headers;
use stomp_proto::session::Outgoing;

use crate::chat::job::{self, Act, Wanted};
use crate::limits::{Demand, relay_cost};
use crate::mailbox::size;
use crate::refusal::{Refusal, shown};
use crate::rights::{Identity, Rights};

/// A message that may be done.
#[derive(Debug)]
pub(crate) enum Work {
    /// Goes on unchanged, but for the stamps of its sender.
    Relay {
        to: Address,
        /// The sender watches this room from now on.
        joins: Option<Room>,
        headers: Headers,
        body: Bytes,
    },
    Chat {
        room: Room,
        wanted: Wanted,
        /// What a guest calls itself.
        name: Option<String>,
        /// Its token has the right to write.
        by_token: bool,
    },
    /// Goes to the keeper of the board, which answers it.
    Board {
        room: Room,
        command: BoardWork,
        /// Its token has the right to it.
        by_token: bool,
    },
    /// Goes to the home of the room, which answers it.
    Command {
        room: Room,
        headers: Headers,
        body: Bytes,
    },
    Viewers {
        node: NodeId,
        report: NodeViewers,
    },
    Tracks {
        node: NodeId,
        report: NodeTracks,
    },
    NodeRoom {
        node: NodeId,
        said: NodeRoom,
    },
    NodeReply {
        node: NodeId,
        said: NodeReply,
    },
}

/// What is sent to a board, read.
#[derive(Debug)]
pub(crate) enum BoardWork {
    Open { client: Option<u64>, epoch: Option<u64> },
    Update { epoch: u64, client: u64, update: Bytes },
    Presence { client: u64, state: serde_json::Value },
}

impl Work {
    /// What it takes of the limits of its sender.
    pub(crate) fn demand(&self) -> Demand {
        match self {
            Self::Relay { to, headers, body, .. } => Demand {
                joins: u32::from(matches!(to.path, Destination::Room(_))),
                relay: relay_cost(size("", headers, body)),
                ..Demand::default()
            },
            // Boards have limits of their own.
            Self::Board { .. } => Demand::default(),
            Self::Chat { wanted: Wanted::Write(Act::Say { .. } | Act::Edit { .. }), .. } => {
                Demand { chat: 1, ..Demand::default() }
            }
            Self::Chat { .. } | Self::Command { .. } => Demand { commands: 1, ..Demand::default() },
            Self::Viewers { .. } | Self::Tracks { .. } | Self::NodeRoom { .. } | Self::NodeReply { .. } => {
                Demand::default()
            }
        }
    }
}

/// Parses the destination and asks whether `who` may read it.
pub(crate) fn readable(rights: Rights, who: &Identity, destination: &str) -> Result<Address, Refusal> {
    let address = parse(destination)?;
    rights.read(who, &address).map_err(|denied| Refusal::denied(destination, &address, denied))?;
    Ok(address)
}

/// Checks one message.
pub(crate) fn check(rights: Rights, who: &Identity, message: Outgoing) -> Result<Work, Refusal> {
    let address = parse(&message.destination)?;
    let denied = |denied| Refusal::denied(&message.destination, &address, denied);
    rights.write(who, &address).map_err(denied)?;
    let Address { prefix, path } = address;
    match path {
        Destination::Chat(room) => {
            let command: ChatCommand = json(&message)?;
            let name = match &command {
                ChatCommand::Message(ChatSend { name, .. }) => name.clone(),
                ChatCommand::Order(_) => None,
            };
            let (wanted, by_token) = (job::wanted(command)?, rights.chats(who, &room));
            if matches!(wanted, Wanted::Read(_)) && request_id(&message).is_none() {
                return Err(Refusal::NoRequestId);
            }
            Ok(Work::Chat { room, wanted, name, by_token })
        }
        Destination::NodeViewers(node) => Ok(Work::Viewers { node, report: json(&message)? }),
        Destination::NodeTracks(node) => Ok(Work::Tracks { node, report: json(&message)? }),
        Destination::NodeRooms(node) => Ok(Work::NodeRoom { node, said: json(&message)? }),
        Destination::NodeReplies(node) => Ok(Work::NodeReply { node, said: json(&message)? }),
        Destination::Board(room) => {
            let command = board_work(&message)?;
            let by_token = rights.draws(who, &room);
            Ok(Work::Board { room, command, by_token })
        }
        Destination::RoomState(room) => {
            request_id(&message).ok_or(Refusal::NoRequestId)?;
            // What the home would not understand does not go there.
            json::<RoomCommand>(&message)?;
            Ok(Work::Command { room, headers: stamped(who, &message.headers), body: message.body })
        }
        path => {
            let joins = match &path {
                Destination::Room(room) if prefix == Prefix::App => Some(room.clone()),
                _ => None,
            };
            let prefix = if prefix == Prefix::Queue { Prefix::Queue } else { Prefix::Topic };
            let headers = stamped(who, &message.headers);
            Ok(Work::Relay { to: Address { prefix, path }, joins, headers, body: message.body })
        }
    }
}

fn board_work(message: &Outgoing) -> Result<BoardWork, Refusal> {
    let body =
        |reason: &str| Refusal::Body { destination: shown(&message.destination), reason: reason.to_owned() };
    Ok(match json(message)? {
        BoardCommand::Open { client, epoch } => BoardWork::Open { client, epoch },
        BoardCommand::Update { epoch, client, update } => {
            let update = STANDARD.decode(update).map_err(|_| body("`update` is no base64"))?;
            if update.len() > MAX_BOARD_FRAME {
                return Err(body("an update of more than 32 KiB: it goes by HTTP"));
            }
            BoardWork::Update { epoch, client, update: update.into() }
        }
        BoardCommand::Presence { client, state } => {
            // The body is little more than the state.
            if message.body.len() > MAX_BOARD_PRESENCE + 128 {
                return Err(body("a presence of more than 8 KiB"));
            }
            BoardWork::Presence { client, state }
        }
    })
}

/// The sender's headers as they go on: its own words on who it is are replaced by ours, which come first because of
/// repeated headers the first one counts.
fn stamped(who: &Identity, headers: &Headers) -> Headers {
    let own = headers.iter().filter(|(name, _)| !is_stamp(name));
    let room = who.room().map(|room| (SENDER_ROOM, room.as_str()));
    let stamps = [(SENDER, who.subject()), (SENDER_ROLE, who.role_name())];
    stamps.into_iter().chain(room).chain(own).collect()
}

/// What names the request, where it can.
fn request_id(message: &Outgoing) -> Option<&str> {
    message.headers.get(REQUEST_ID).filter(|id| (1..=MAX_REQUEST_ID_LEN).contains(&id.len()))
}

fn parse(destination: &str) -> Result<Address, Refusal> {
    destination.parse().map_err(|_| Refusal::Destination(shown(destination)))
}

fn json<T: DeserializeOwned>(message: &Outgoing) -> Result<T, Refusal> {
    serde_json::from_slice(&message.body).map_err(|error| Refusal::Body {
        destination: shown(&message.destination),
        // It may quote all of the body, and of a transaction every message is answered with it.
        reason: shown(&error.to_string()),
    })
}
