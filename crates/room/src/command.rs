//! What becomes of a command.

use contract::destination::Reason;

/// What is answered to a command.
pub type Answer = Result<(), Refused>;

/// Why a command is not done. The text is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Who gives it is not in the room.
    #[error("you are not in this room")]
    NotHere,
    /// Who gives it may not.
    #[error("you have no right to this")]
    NotAllowed,
    /// Whom it is about is not in the room.
    #[error("this person is not in the room")]
    NoSuchPerson,
    /// What it is about is not published.
    #[error("this is not published")]
    NoSuchSource,
    /// The name is empty or too long.
    #[error("a name has 1 to 64 characters that can be seen")]
    BadName,
    /// It has no request id, or one that is too long.
    #[error("a command has a request id of 1 to 64 bytes")]
    BadRequest,
    /// Too many reactions.
    #[error("too many reactions: wait a moment")]
    TooFast {
        /// After so many milliseconds it may be within the rate.
        retry_ms: u64,
    },
    /// Too much waits to be stored.
    #[error("too many changes at once: try again")]
    Busy,
    /// The rules of the room name as many people as they can.
    #[error("this room has had too many removals and changes of rights")]
    TooManyRules,
    /// What has to be stored could not be.
    #[error("this could not be stored: try again")]
    NotStored,
}

impl Refused {
    /// The kind of reason, for programs.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::NotAllowed => Reason::Right,
            Self::TooFast { .. } => Reason::Rate,
            Self::BadName | Self::BadRequest => Reason::Body,
            Self::NotHere
            | Self::NoSuchPerson
            | Self::NoSuchSource
            | Self::Busy
            | Self::TooManyRules
            | Self::NotStored => Reason::State,
        }
    }

    /// After how many milliseconds the same may be accepted, where that is known.
    #[must_use]
    pub fn retry_ms(self) -> Option<u64> {
        match self {
            Self::TooFast { retry_ms } => Some(retry_ms),
            _ => None,
        }
    }

    /// Whether it may be otherwise in a moment although nothing else has changed.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::TooFast { .. } | Self::Busy | Self::NotStored)
    }
}
