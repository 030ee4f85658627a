//! Error codes of responses, and the reasons behind them for the operator.

use std::fmt;

use crate::peer::PeerRefusal;
use crate::types::{Family, Method};

/// The error codes this server answers with (RFC 8489, section 14.8; RFC 8656, section 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// 300
    TryAlternate,
    /// 400
    BadRequest,
    /// 401
    Unauthenticated,
    /// 403
    Forbidden,
    /// 420
    UnknownAttribute,
    /// 437
    AllocationMismatch,
    /// 438
    StaleNonce,
    /// 440
    AddressFamilyNotSupported,
    /// 441
    WrongCredentials,
    /// 442
    UnsupportedTransport,
    /// 443
    PeerAddressFamilyMismatch,
    /// 486
    AllocationQuotaReached,
    /// 508
    InsufficientCapacity,
}

impl ErrorCode {
    /// Every code, in the order of [`ErrorCode::index`].
    pub const ALL: [Self; 13] = [
        Self::TryAlternate,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::UnknownAttribute,
        Self::AllocationMismatch,
        Self::StaleNonce,
        Self::AddressFamilyNotSupported,
        Self::WrongCredentials,
        Self::UnsupportedTransport,
        Self::PeerAddressFamilyMismatch,
        Self::AllocationQuotaReached,
        Self::InsufficientCapacity,
    ];

    /// A dense number for tables of counters.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::TryAlternate => 300,
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::UnknownAttribute => 420,
            Self::AllocationMismatch => 437,
            Self::StaleNonce => 438,
            Self::AddressFamilyNotSupported => 440,
            Self::WrongCredentials => 441,
            Self::UnsupportedTransport => 442,
            Self::PeerAddressFamilyMismatch => 443,
            Self::AllocationQuotaReached => 486,
            Self::InsufficientCapacity => 508,
        }
    }

    /// The reason phrase of the RFC.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::TryAlternate => "Try Alternate",
            Self::BadRequest => "Bad Request",
            Self::Unauthenticated => "Unauthenticated",
            Self::Forbidden => "Forbidden",
            Self::UnknownAttribute => "Unknown Attribute",
            Self::AllocationMismatch => "Allocation Mismatch",
            Self::StaleNonce => "Stale Nonce",
            Self::AddressFamilyNotSupported => "Address Family not Supported",
            Self::WrongCredentials => "Wrong Credentials",
            Self::UnsupportedTransport => "Unsupported Transport Protocol",
            Self::PeerAddressFamilyMismatch => "Peer Address Family Mismatch",
            Self::AllocationQuotaReached => "Allocation Quota Reached",
            Self::InsufficientCapacity => "Insufficient Capacity",
        }
    }
}

/// Why a request was refused, in words for the operator's log: "cannot connect through TURN" needs an answer
/// better than a number. The client learns the code only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No credentials yet: every client's first request.
    #[error("the request carries no credentials (each client's first does not)")]
    NoCredentials,
    /// An integrity attribute without its companions.
    #[error("MESSAGE-INTEGRITY without USERNAME, REALM or NONCE")]
    IncompleteCredentials,
    /// PASSWORD-ALGORITHM(S) are not what the server offered: somebody may be bidding down.
    #[error("PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS do not match what was offered")]
    PasswordAlgorithms,
    /// The nonce is older than an hour, of another client address, or of an earlier run of the server.
    #[error("the nonce is too old, of another client address or of an earlier run")]
    StaleNonce,
    /// REALM is not ours.
    #[error("the request names another realm")]
    OtherRealm,
    /// A USERHASH of no static user; it cannot be turned back into a time-limited name.
    #[error("USERHASH names no static user, and cannot name a time-limited one")]
    UserHash,
    /// Not `expiry:user`.
    #[error("the user name is no static user's and not of the form expiry:user")]
    MalformedUsername,
    /// No secret gives this password.
    #[error("the password does not belong to the user name under any of the secrets")]
    WrongPassword,
    /// The credential's time is over.
    #[error("the credential has expired; a client needs a new one from the meta service")]
    ExpiredCredential,
    /// An attribute is missing or malformed.
    #[error("{0} is missing or malformed")]
    Attribute(&'static str),
    /// Two attributes that exclude each other.
    #[error("{0} exclude each other")]
    Exclusive(&'static str),
    /// Comprehension-required attributes that are not understood.
    #[error("the request has attributes that are not supported here (UNKNOWN-ATTRIBUTES names them)")]
    UnknownAttributes,
    /// The 5-tuple already has an allocation.
    #[error("this client address already has an allocation")]
    AlreadyAllocated,
    /// The 5-tuple has none.
    #[error("this client address has no allocation (never made, expired, or of an earlier run)")]
    NoAllocation,
    /// The allocation belongs to somebody else.
    #[error("the allocation was made with another user name")]
    OtherUser,
    /// REQUESTED-TRANSPORT is not UDP.
    #[error("only UDP can be relayed")]
    Transport,
    /// No relay address of this family.
    #[error("there is no {0} relay address")]
    Family(Family),
    /// The peer's family is not the allocation's.
    #[error("the allocation has no relayed {0} address for this peer")]
    PeerFamily(Family),
    /// The peer filter says no.
    #[error("{0}")]
    Peer(PeerRefusal),
    /// The credential's quota is used up.
    #[error("this credential already has its {0} allocations")]
    Quota(usize),
    /// The source address's quota is used up.
    #[error("this source address already has its {0} allocations")]
    SourceQuota(usize),
    /// The server's total is reached.
    #[error("the server already has its {0} allocations")]
    Total(usize),
    /// No port could be opened.
    #[error("no relay port is free")]
    NoPort,
    /// The reservation does not exist (any more).
    #[error("the reservation token is unknown, used or expired")]
    Reservation,
    /// Too many permissions or channels on one allocation.
    #[error("the allocation already has its {0} permissions or channels")]
    TooMany(usize),
    /// No new allocations before a restart.
    #[error("the server is draining and takes no new allocations")]
    Draining,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub method: Method,
    /// What the client was told.
    pub code: ErrorCode,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused ({}): {}", self.method.name(), self.code.code(), self.reason)
    }
}
