//! A TURN server (RFC 8656) as a state machine: bytes, addresses and `now` in; commands out. No sockets, no
//! clock. See [`Server`].

mod allocation;
mod auth;
mod config;
mod error;
mod limit;
mod message;
mod peer;
mod ports;
mod server;
mod stats;
mod types;
mod wire;

pub use allocation::{CHANNEL_LIFETIME, PERMISSION_LIFETIME};
pub use auth::NONCE_LIFETIME;
pub use config::{Config, ConfigError, Limits};
pub use error::{ErrorCode, Reason, Refusal};
pub use message::Method;
pub use peer::{OwnPorts, PeerPolicy, PeerRefusal, canonical};
pub use server::{
    CloseReason, Command, DEFAULT_LIFETIME, Event, MAX_LIFETIME, RESERVATION_LIFETIME, Server, ToClient, ToPeer,
};
pub use stats::Stats;
pub use types::{ClientAddr, Family, FiveTuple, PeerAddr, RelayId, Transport};
pub use wire::{CHANNEL_NUMBERS, Header, MAX_HEADER, MAX_PADDING};
