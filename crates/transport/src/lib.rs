//! The WebRTC transport of one peer, sans I/O: ICE, DTLS and SRTP.
//!
//! A [`Transport`] takes datagrams and instants and gives back datagrams, events and a deadline; it
//! owns no socket, reads no clock and spawns nothing. Two roles:
//!
//! - [`Transport::server`]: ICE-lite (RFC 8445 section 2.5), for browsers;
//! - [`Transport::client`]: controlling ICE with checks, for the demo publisher, the load generator and the
//!   links between nodes.
//!
//! Who opens the DTLS handshake is another matter: the SDP decides (RFC 8842).
//!
//! # Contract
//! After every call that takes `now`, drain [`Transport::poll_transmit`] and [`Transport::poll_event`],
//! then arrange for [`Transport::handle_timeout`] at [`Transport::poll_timeout`].
//!
//! # Security
//! Nothing but STUN is looked at from an address that did not pass an authenticated connectivity check
//! (the class of CVE-2023-49786), and addresses are never learned from DTLS or media.

#![forbid(unsafe_code)]

mod binding;
mod classify;
mod close;
mod config;
mod controlling;
mod credentials;
mod data;
mod dtls;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod lite;
mod output;
mod pairs;
mod peer;
pub mod sdp;
pub mod srtp;

pub use binding::peek_binding_username;
pub use classify::{DatagramKind, classify};
pub use close::CloseReason;
pub use config::{ClientConfig, ServerConfig};
pub use credentials::IceCredentials;
pub use data::{
    ChannelConfig, ChannelId, DataError, DataParameters, MAX_BUFFERED, MAX_CHANNELS, MAX_LABEL_LEN,
    MAX_MESSAGE_LEN, Reliability, SCTP_PORT,
};
pub use framing::{Deframer, FRAME_HEADER, FrameTooLong, MAX_FRAME, frame_header};
pub use identity::{Fingerprint, FingerprintError, Identity, IdentityError};
pub use output::{Counters, Event, Received, Refusal, Transmit};
pub use pairs::{AddressPair, Protocol};
pub use peer::Transport;
pub use srtp::{SRTP_OVERHEAD, SrtpError};

#[cfg(test)]
mod network_tests;
