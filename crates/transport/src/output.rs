//! What comes out of a transport: packets to send, events, what a datagram turned out to be.

use std::net::SocketAddr;

use crate::close::CloseReason;
use crate::data::ChannelId;
use crate::pairs::{AddressPair, Protocol};
use crate::srtp::{self, SrtpError};

/// A packet to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// What carries it: with TCP a frame on the stream between the two addresses.
    pub protocol: Protocol,
    /// Destination.
    pub to: SocketAddr,
    /// Our address that it must leave from: of several, the one the peer knows.
    pub from_local: SocketAddr,
    /// Payload.
    pub bytes: Vec<u8>,
}

/// What happened to a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Datagrams from this address belong to this transport, unless another one holds it ([`crate::Transport::holds`]);
    /// repeated with each check. Whoever has streams asks [`crate::Transport::is_validated`].
    Validated(SocketAddr),
    /// Datagrams from this address no longer do.
    Invalidated(SocketAddr),
    /// Media takes this pair from now on. The first one comes before `Connected`.
    AddressChanged(AddressPair),
    /// The peer is authenticated and the keys are there. Comes once.
    Connected(srtp::Profile),
    /// A data channel is open, whoever asked for it.
    DataChannelOpened {
        /// Its number.
        channel: ChannelId,
        /// Its name.
        label: String,
        /// The protocol spoken on it, often empty.
        protocol: String,
    },
    /// A whole message came on a data channel.
    Data {
        /// The channel.
        channel: ChannelId,
        /// The message.
        bytes: Vec<u8>,
        /// Bytes rather than UTF-8 text; nobody has checked the text.
        binary: bool,
    },
    /// A data channel is gone.
    DataChannelClosed(ChannelId),
    /// It is over, and all addresses with it. Comes once, as the last event; datagrams may still wait
    /// to be sent.
    Closed(CloseReason),
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
    /// DTLS or media from an address that ICE has not validated.
    #[error("the address is not validated")]
    Unvalidated,
    /// A STUN message without valid credentials, or a response nobody asked for.
    #[error("the STUN message is not authenticated")]
    Unauthenticated,
    /// Neither STUN nor DTLS nor media, or a STUN message that is none.
    #[error("the datagram is not understood")]
    Malformed,
    /// Media that could not be unprotected.
    #[error(transparent)]
    Srtp(SrtpError),
}

/// What a datagram turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// STUN or DTLS, dealt with: drain transmits and events.
    Nothing,
    /// An authentic RTP packet, decrypted in place.
    Rtp(&'a mut [u8]),
    /// An authentic (compound) RTCP packet, decrypted in place.
    Rtcp(&'a mut [u8]),
    /// Dropped and counted; the session goes on.
    Refused(Refusal),
}

/// Dropped datagrams of one transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// DTLS and media from addresses that ICE has not validated.
    pub unvalidated: u64,
    /// STUN messages without valid credentials.
    pub stun_unauthenticated: u64,
    /// Datagrams that are nothing.
    pub malformed: u64,
    /// Media that came before the keys.
    pub before_keys: u64,
    /// Media with a wrong tag.
    pub srtp_unauthenticated: u64,
    /// Media that was seen before or is too old.
    pub srtp_replayed: u64,
    /// Datagrams not sent because too many waited.
    pub transmits_dropped: u64,
}
