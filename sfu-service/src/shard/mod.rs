//! The data plane: one thread a shard, each with its socket, participants and timers. Nothing is shared between
//! shards but messages by value.
//!
//! ```text
//! run                                            the loop of a thread: commands, timers, what was received
//! session  streams  room  exchange  events       what it does about sessions, TCP, rooms, other shards, what the
//!          layers  data  call                    core says, layers, room data, calls
//! thread                                         what it holds
//! io       rooms  participant  tcp  channels     its parts: the way out, rooms, connections, data channels
//!          owners  portions  lane  outbox        addresses, turns, the ways to other shards and to the control plane
//! inbox                                          what waits for it
//! command  message  section  member  convert     what is said to it, and by it
//! ```

mod call;
mod channels;
mod command;
mod convert;
mod data;
mod events;
mod exchange;
mod gates;
mod hearing;
mod inbox;
mod io;
mod lane;
mod layers;
mod lines;
mod member;
mod message;
mod outbox;
mod owners;
mod participant;
mod portions;
mod pulse;
mod quality;
mod room;
mod rooms;
mod run;
mod section;
mod session;
mod streams;
mod tcp;
mod thread;

pub(crate) use command::{Command, Join, JoinRole, ShardEvent};
pub(crate) use convert::{format, track_index, tracks};
#[cfg(test)]
pub(crate) use inbox::{Inbox, inbox};
pub(crate) use inbox::{InboxFull, ShardHandle};
pub(crate) use member::{CallSlot, Member};
pub(crate) use section::{LayerChoice, LayerError, MediaSection};
pub use thread::Around;
pub(crate) use thread::{Prepared, ShardSettings, plainly, prepare};
