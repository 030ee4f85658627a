//! STOMP 1.0, 1.1 and 1.2 without I/O: frames, a server session, a client session, and what a broker needs.
//!
//! Everything here takes bytes and `now`, and gives back frames, events and bytes; nothing reads a clock, opens
//! a socket or spawns. References: <https://stomp.github.io/stomp-specification-1.2.html> and the 1.1 and 1.0
//! documents beside it.
//!
//! - [`Decoder`] and [`Frame::encode`]: the wire format.
//! - [`client::Client`]: one connection to a server.
//! - [`session::Session`]: one connection of a client, as the server sees it.
//! - [`broker::Broker`]: who is subscribed to what; [`outbox::Outbox`]: the bounded queue of one connection.
//!
//! The two sessions share one contract: call any method that changes them (`handle_bytes`, `handle_timeout`,
//! ...), then drain `poll_event` and `poll_transmit`, then wait for bytes or for `poll_timeout`.

#![forbid(unsafe_code)]

pub mod broker;
pub mod client;
mod decode;
mod ending;
mod frame;
mod heart_beat;
pub mod outbox;
pub mod session;
mod subscriptions;
mod transactions;

pub use decode::{DecodeError, Decoder, Item, Limits};
pub use frame::{Command, Frame, Headers, Version};
pub use heart_beat::{HeartBeat, ParseHeartBeatError};

/// WebSocket subprotocols, best first.
pub const SUBPROTOCOLS: [&str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];
