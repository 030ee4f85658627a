//! Room names. A broadcast has one room, named by its number; a group's room is named by its id; peer-to-peer
//! rooms of the original pages may have any name but `-`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{BroadcastId, GroupId};

/// Longest room name or key in bytes.
pub const MAX_NAME_LEN: usize = 128;

/// Why a string is not a room name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a room name has 1 to 128 bytes, no slash, no control character, is not `-` and no number with leading zeros"
)]
pub struct ParseRoomError;

/// Name of a room: 1 to [`MAX_NAME_LEN`] bytes, no `/`, no control character, not `-`. A name of digits is a number,
/// and a number has one form: `01` is no room, so that nothing else stands for the room of broadcast 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Room(String);

impl Room {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The broadcast that this is the room of, if the name is a broadcast id.
    #[must_use]
    pub fn broadcast(&self) -> Option<BroadcastId> {
        self.0.parse().ok()
    }

    /// The group that this is the room of, if the name is a group id.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.0.parse().ok()
    }
}

impl FromStr for Room {
    type Err = ParseRoomError;

    fn from_str(text: &str) -> Result<Self, ParseRoomError> {
        let padded = text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        if valid_name(text) && !padded { Ok(Self(text.to_owned())) } else { Err(ParseRoomError) }
    }
}

/// Whether `text` may be a path segment of a destination: the grammar of rooms and peer keys.
pub(crate) fn valid_name(text: &str) -> bool {
    let fits = !text.is_empty() && text.len() <= MAX_NAME_LEN && text != "-";
    fits && !text.chars().any(|c| c == '/' || c.is_control())
}

impl TryFrom<String> for Room {
    type Error = ParseRoomError;

    fn try_from(text: String) -> Result<Self, ParseRoomError> {
        text.parse()
    }
}

impl From<Room> for String {
    fn from(room: Room) -> String {
        room.0
    }
}

impl From<BroadcastId> for Room {
    fn from(id: BroadcastId) -> Self {
        Self(id.to_string())
    }
}

impl From<&GroupId> for Room {
    fn from(id: &GroupId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_one_room() {
        assert_eq!("1".parse::<Room>().map(|room| room.broadcast()), Ok(Some(BroadcastId(1))));
        for padded in ["0", "01", "001", "00"] {
            assert_eq!(padded.parse::<Room>(), Err(ParseRoomError), "{padded}");
        }
        for name in ["0a", "a01", "0.1", "grp_0"] {
            assert!(name.parse::<Room>().is_ok_and(|room| room.broadcast().is_none()), "{name}");
        }
    }
}
