//! What a transport is made of.

use std::net::SocketAddr;

use crate::credentials::IceCredentials;
use crate::identity::{Fingerprint, Identity};

/// What a server transport is made of.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Certificate of this process.
    pub identity: Identity,
    /// Our credentials: those of the answer.
    pub local: IceCredentials,
    /// The peer's credentials: those of the offer.
    pub remote: IceCredentials,
    /// The certificate the peer promised in the offer.
    pub remote_fingerprint: Fingerprint,
    /// Whether this side opens the DTLS handshake: only for an offer of `setup:passive`.
    pub dtls_client: bool,
}

/// What a client transport is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Certificate of this process.
    pub identity: Identity,
    /// Our credentials: those of the offer.
    pub local: IceCredentials,
    /// The peer's credentials: those of the answer.
    pub remote: IceCredentials,
    /// The certificate the peer promised in the answer.
    pub remote_fingerprint: Fingerprint,
    /// Whether this side opens the DTLS handshake, as the answer says.
    pub dtls_client: bool,
    /// Address of our socket; also the `from_local` of every [`crate::Transmit`].
    pub local_address: SocketAddr,
    /// Where the peer listens, best first; at most 32 of the family of `local_address` are used.
    pub remote_candidates: Vec<SocketAddr>,
}
