//! What the doctor sees: steps and how they failed. The words for it are in `diagnosis`.

use std::net::SocketAddr;

use super::target::Via;

/// What a client that checks certificates, as browsers do, would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The end of its validity is past.
    #[error("the certificate has expired")]
    Expired,
    /// The begin of its validity is ahead.
    #[error("the certificate is not valid yet")]
    NotYet,
    /// It is for other names.
    #[error("the certificate is not for this name")]
    WrongName,
    /// No root certificate leads to it.
    #[error("the certificate is signed by nobody that this machine trusts")]
    UnknownIssuer,
    /// Anything else.
    #[error("the certificate is refused: {0}")]
    Other(String),
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer in time.
    #[error("no answer")]
    Silence,
    /// The host says that nobody listens there.
    #[error("connection refused")]
    Refused,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The system cannot send there.
    #[error("{0}")]
    Io(String),
    /// TLS or DTLS was not agreed on.
    #[error("handshake failed: {0}")]
    Handshake(String),
    /// An error response.
    #[error("error {code} {reason}")]
    Error {
        /// ERROR-CODE.
        code: u16,
        /// Its text.
        reason: String,
        /// ALTERNATE-SERVER, which comes with 300.
        alternate: Option<SocketAddr>,
    },
    /// A success response whose integrity attribute is missing or wrong.
    #[error("the answer is not signed with the password of the user")]
    Unsigned,
    /// An answer without an attribute that belongs there.
    #[error("the answer has no {0}")]
    Malformed(&'static str),
}

impl Failure {
    /// The code of an error response.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Error { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The outcome of a step; `None` when an earlier one made it pointless.
pub type Step<T> = Option<Result<T, Failure>>;

/// What was seen over one transport, in the order of the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// How the server was reached.
    pub via: Via,
    /// Where.
    pub server: SocketAddr,
    /// Connection and handshake.
    pub connect: Result<(), Failure>,
    /// What is wrong with the certificate.
    pub certificate: Option<TlsFault>,
    /// Binding: the address that the server sees.
    pub binding: Step<SocketAddr>,
    /// The address that this machine sent from.
    pub local: Option<SocketAddr>,
    /// An Allocate without credentials: the realm of the challenge; `None` when it was granted.
    pub challenge: Step<Option<String>>,
    /// Allocate: the relayed address.
    pub allocate: Step<SocketAddr>,
    /// After a 401: the same user with an expiry a year ahead is let in.
    pub clock_ahead: bool,
    /// A second allocation, as the other side of the data.
    pub second: Step<SocketAddr>,
    /// CreatePermission, both for each other.
    pub permission: Step<()>,
    /// A Send indication there, and one back.
    pub indication: Step<()>,
    /// ChannelData there and back.
    pub channel: Step<()>,
    /// Data to and from a plain socket of this machine, which stands outside the relay. `None` also where it does not:
    /// on the relay's own host, or where UDP does not reach the server.
    pub outside: Step<()>,
    /// Refresh.
    pub refresh: Step<()>,
    /// Refresh with lifetime 0.
    pub delete: Step<()>,
}

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations {
    /// Whether the URL named one transport, which then has to work.
    pub exact: bool,
    /// Per transport and address.
    pub transports: Vec<Observation>,
    /// Whether the credential was minted with a secret.
    pub minted: bool,
    /// The expiry in the user name, if it has one.
    pub expiry: Option<u64>,
    /// Now, by this machine's clock, in Unix seconds.
    pub unix: u64,
}
