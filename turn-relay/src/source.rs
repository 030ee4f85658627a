//! What an event of a thread's poll is about.

use mio::Token;

/// What an event of the poll is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The owner of the thread wants something.
    Waker,
    /// A client socket (UDP or DTLS), by its number.
    Client(usize),
    /// A listener (TCP or TLS), by its number.
    Listener(usize),
    /// A connection, by its key.
    Stream(usize),
    /// A relay socket, by the slot of its id.
    Relay(usize),
}

impl Source {
    pub(crate) fn token(self) -> Token {
        let (kind, index) = match self {
            Self::Waker => (0, 0),
            Self::Client(index) => (1, index),
            Self::Listener(index) => (2, index),
            Self::Stream(index) => (3, index),
            Self::Relay(index) => (4, index),
        };
        Token(index << 3 | kind)
    }

    pub(crate) fn of(token: Token) -> Self {
        let index = token.0 >> 3;
        match token.0 & 7 {
            1 => Self::Client(index),
            2 => Self::Listener(index),
            3 => Self::Stream(index),
            4 => Self::Relay(index),
            _ => Self::Waker,
        }
    }
}
