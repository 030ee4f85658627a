//! What a SEND means: parsed, checked and allowed first, done afterwards, so that of a transaction nothing
//! happens when one part may not.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use contract::destination::{Address, ChatEvent, ChatSend, Destination, NodeTracks, NodeViewers, Prefix};
use contract::id::NodeId;
use contract::room::Room;
use serde::de::DeserializeOwned;
use stomp_proto::Headers;
use stomp_proto::session::Outgoing;

use crate::access::{Access, Denied, Identity};
use crate::chat::{self, BadText, Pace};
use crate::hub::{Hub, TooManyRooms};
use crate::viewers::ConnId;

/// Why a message is refused; the text is for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("unknown destination {0}")]
    Destination(String),
    #[error("{destination}: {denied}")]
    Denied { destination: String, denied: Denied },
    #[error("{destination}: the body is not what belongs there: {reason}")]
    Body { destination: String, reason: String },
    #[error("{0}")]
    Text(#[from] BadText),
    #[error("too many chat messages: at most 10 at once and 1 a second")]
    Pace,
    #[error("{0}")]
    Rooms(#[from] TooManyRooms),
}

/// A message that may be done.
#[derive(Debug)]
pub(crate) enum Work {
    /// Goes on unchanged.
    Relay {
        to: Address,
        joins: Option<Room>,
        headers: Headers,
        body: Bytes,
    },
    Chat {
        room: Room,
        text: String,
        name: String,
    },
    Viewers {
        node: NodeId,
        report: NodeViewers,
    },
    Tracks {
        node: NodeId,
        report: NodeTracks,
    },
}

/// Parses the destination and asks whether `who` may read it.
pub(crate) fn readable(access: Access, who: &Identity, destination: &str) -> Result<Address, Refused> {
    let address = parse(destination)?;
    let denied = |denied| Refused::Denied { destination: shown(destination), denied };
    access.subscribe(who, &address).map_err(denied)?;
    Ok(address)
}

/// Checks one message.
pub(crate) fn check(access: Access, who: &Identity, message: Outgoing) -> Result<Work, Refused> {
    let address = parse(&message.destination)?;
    let denied = |denied| Refused::Denied { destination: shown(&message.destination), denied };
    access.send(who, &address).map_err(denied)?;
    let Address { prefix, path } = address;
    match path {
        Destination::Chat(room) => {
            let ChatSend { text, name } = json(&message)?;
            chat::check_text(&text)?;
            let name = who.name().map_or_else(|| chat::guest_name(name.as_deref()), str::to_owned);
            Ok(Work::Chat { room, text, name })
        }
        Destination::NodeViewers(node) => Ok(Work::Viewers { node, report: json(&message)? }),
        Destination::NodeTracks(node) => Ok(Work::Tracks { node, report: json(&message)? }),
        path => {
            let joins = match &path {
                Destination::Room(room) if prefix == Prefix::App => Some(room.clone()),
                _ => None,
            };
            let prefix = if prefix == Prefix::Queue { Prefix::Queue } else { Prefix::Topic };
            Ok(Work::Relay {
                to: Address { prefix, path },
                joins,
                headers: message.headers,
                body: message.body,
            })
        }
    }
}

/// Checks the limits of the connection for all of `work`.
pub(crate) fn within_limits(
    hub: &Hub,
    id: ConnId,
    pace: &mut Pace,
    work: &[Work],
    now: Instant,
) -> Result<(), Refused> {
    let joins = work.iter().filter_map(|work| match work {
        Work::Relay { joins, .. } => joins.as_ref(),
        _ => None,
    });
    hub.may_join(id, joins)?;
    let messages = work.iter().filter(|work| matches!(work, Work::Chat { .. })).count();
    if (0..messages).all(|_| pace.take(now)) { Ok(()) } else { Err(Refused::Pace) }
}

/// Does it.
pub(crate) fn perform(hub: &Hub, id: ConnId, who: &Identity, work: Work, now: Instant) {
    hub.metrics.received.inc();
    match work {
        Work::Relay { to, joins, headers, body } => {
            if let Some(room) = joins {
                hub.join(id, &room, who.token_subject());
            }
            hub.relay(&to, headers, body);
        }
        Work::Chat { room, text, name } => {
            let (from, host) = (who.subject().to_owned(), who.is_host(&room));
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            hub.chat(&room, |seq| ChatEvent::Message { seq, from, name, host, text, at });
        }
        Work::Viewers { node, report } => hub.node_viewers(&node, report, now),
        Work::Tracks { node, report } => hub.node_tracks(&node, report, now),
    }
}

fn parse(destination: &str) -> Result<Address, Refused> {
    destination.parse().map_err(|_| Refused::Destination(shown(destination)))
}

fn json<T: DeserializeOwned>(message: &Outgoing) -> Result<T, Refused> {
    serde_json::from_slice(&message.body).map_err(|error| Refused::Body {
        destination: shown(&message.destination),
        reason: error.to_string(),
    })
}

/// A destination as an error message shows it.
fn shown(destination: &str) -> String {
    destination.chars().take(200).collect()
}
