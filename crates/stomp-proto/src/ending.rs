//! How a session ends, and what ends it.

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// DISCONNECT.
    Goodbye,
    /// Bytes or frames that STOMP does not allow.
    Protocol,
    /// A right or a limit of ours.
    Policy,
    /// A body over the limit.
    TooLarge,
    /// The client was silent for too long.
    Silent,
}

impl Close {
    /// The WebSocket close code (RFC 6455 section 7.4.1) that fits.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Goodbye => 1000,
            Self::Protocol | Self::Silent => 1002,
            Self::Policy => 1008,
            Self::TooLarge => 1009,
        }
    }
}

/// A frame that cannot be honoured: the text becomes the ERROR frame.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Close, pub(crate) String);

impl Refused {
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self(Close::Protocol, message.into())
    }

    pub(crate) fn policy(message: impl Into<String>) -> Self {
        Self(Close::Policy, message.into())
    }
}
