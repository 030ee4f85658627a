//! Groups: their REST bodies, and what meta and the home of a group's room tell each other.
//!
//! The home is the SFU node that holds the room's state. It opens the group at meta before anybody joins, and gets an
//! epoch: of two homes the one with the higher epoch is the home. It stays so for [`HOME_LEASE_SECS`] from its last
//! report that named the group: whoever else opens the group meanwhile is told who the home is. What has to outlive the
//! node (who was removed, the lock, rights given and taken) it writes to meta before it answers the command. In its
//! report of each second it names the groups that it has open; meta answers with what is different, so a change or a
//! deletion reaches the room whatever was lost or away before.
//!
//! ```text
//! POST /internal/groups/{id}/open    OpenGroup -> 200 OpenedGroup, 404, 409 other-home (Location: its public URL)
//! PUT  /internal/groups/{id}/rules   PutRules  -> 204, 404, 409 not-home, 409 late
//! POST /internal/nodes/{node}/report NodeReport.groups -> NodeOrders.groups
//! ```

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::id::{GroupId, NodeId};
use crate::number::whole_number;
use crate::token::{Grant, known_grants};

/// People in a room at the same time, where its group does not say.
pub const DEFAULT_PARTICIPANTS: u32 = 100;
/// Most people that a group may allow in its room at the same time.
pub const MAX_PARTICIPANTS: u32 = 1_000;
/// Most bytes of a group's metadata, as JSON without white space.
pub const MAX_METADATA_BYTES: usize = 4_096;
/// Most levels of a group's metadata: `{}` is one, `{"a": {}}` and `{"a": [1]}` are two.
pub const MAX_METADATA_LEVELS: usize = 8;
/// Most people that the rules of one room name. Beyond, rules are refused: the room can still be locked.
pub const MAX_RULED_PEOPLE: usize = 1_000;
/// Most bytes of a subject that rules name.
pub const MAX_SUBJECT_LEN: usize = 128;

/// So long a node is the home of a room after it last said so.
pub const HOME_LEASE_SECS: i64 = 10;

/// Problem code of 409: another node is the home of the room, and lives. `Location` is where browsers reach it, unless
/// that is the origin of the pages.
pub const OTHER_HOME: &str = "other-home";
/// Problem code of 409: another node has opened the group since, so this one is not its home any more.
pub const NOT_HOME: &str = "not-home";
/// Problem code of 409: rules of a higher version are stored.
pub const LATE: &str = "late";

/// Who gets a join token of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Whoever knows the id, which has 128 random bits: the link to the call is the invitation. Everybody gets a
    /// participant's rights.
    Link,
    /// Whoever got a token of the owner.
    Key,
}

/// What an application keeps with a group. Nothing here reads it; everybody who knows the id can.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Metadata(Map<String, Value>);

/// Metadata is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("metadata has at most {MAX_METADATA_BYTES} bytes, 64 entries and {MAX_METADATA_LEVELS} levels")]
pub struct MetadataError;

/// Most entries of metadata on its first level.
const MAX_METADATA_ENTRIES: usize = 64;

impl TryFrom<Map<String, Value>> for Metadata {
    type Error = MetadataError;

    fn try_from(map: Map<String, Value>) -> Result<Self, MetadataError> {
        let is_flat = map.values().all(|value| has_levels(value, MAX_METADATA_LEVELS - 1));
        let is_short = serde_json::to_string(&map).is_ok_and(|text| text.len() <= MAX_METADATA_BYTES);
        let fits = is_flat && is_short && map.len() <= MAX_METADATA_ENTRIES;
        if fits { Ok(Self(map)) } else { Err(MetadataError) }
    }
}

/// Whether `value` has at most `levels` levels of arrays and objects.
fn has_levels(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| levels.checked_sub(1).is_some_and(|levels| has_levels(value, levels));
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(below),
        Value::Object(entries) => levels > 0 && entries.values().all(below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let object =
            ObjectBuilder::new().schema_type(Type::Object).max_properties(Some(MAX_METADATA_ENTRIES));
        object
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some("What an application keeps with it: at most 4,096 bytes and 8 levels"))
            .into()
    }
}

impl ToSchema for Metadata {}

impl From<Metadata> for Map<String, Value> {
    fn from(metadata: Metadata) -> Self {
        metadata.0
    }
}

/// A group (G2); it may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Title, at most 255 characters, may be empty.
    pub name: String,
    /// People in its room at the same time.
    pub max_participants: u32,
    /// Who gets a join token.
    pub admission: Admission,
    /// What an application keeps with it.
    pub metadata: Metadata,
    /// Created.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub modified_at: DateTime<Utc>,
}

/// Body of `POST /groups`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateGroup {
    /// Title, may be empty.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub name: String,
    /// People in its room at the same time; 100 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "participants")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_participants: Option<u32>,
    /// Who gets a join token; `link` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// What an application keeps with it: at most 4,096 bytes and 8 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Body of `PATCH /groups/{id}`: a field that is not there stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateGroup {
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub name: Option<String>,
    /// People in its room at the same time. Who is in stays in.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "participants")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_participants: Option<u32>,
    /// Who gets a join token. Tokens that were given stay valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// Replaces all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Reads a number of people, 1 to [`MAX_PARTICIPANTS`].
fn participants<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = whole_number(deserializer)? else { return Ok(None) };
    let allowed = u32::try_from(number).ok().filter(|number| (1..=MAX_PARTICIPANTS).contains(number));
    let words = format_args!("max_participants is from 1 to {MAX_PARTICIPANTS}").to_string();
    allowed.map(Some).ok_or_else(|| serde::de::Error::custom(words))
}

/// Answer to `POST /groups`. A repeated Idempotency-Key gets the same group with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedGroup {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The key that changes and deletes it and mints its tokens, moderators' too. Shown this once.
    pub owner_key: String,
    /// The page to share.
    pub call_url: String,
}

// ---- between services ------------------------------------------------------------------------------------------

/// `POST /internal/events` of signaling, for a group: meta announces a change or the end of it. `/topic/-/group/{id}`
/// carries it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupChanged {
    /// The group as it is now, or as it was last.
    pub group: Group,
    /// Rises with every change of this group: of two announcements the higher one is the later.
    pub version: i64,
    /// It is no longer there.
    #[serde(default)]
    pub deleted: bool,
}

/// `POST /internal/groups/{id}/open`: this node wants to be the home of the group's room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenGroup {
    /// The node that asks.
    pub node_id: NodeId,
    /// Where browsers reach it; empty is the origin of the pages.
    #[serde(default)]
    pub public_url: String,
    /// Which opening this is. One of an earlier release has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<OpeningId>,
    /// The epoch in which the node holds the room; `None` where it holds none: then a new epoch begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

/// Names an opening, so that one whose answer nobody waits for any more changes nothing when it arrives late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningId {
    /// Random, one for each process: a node that started anew holds no rooms.
    pub process: String,
    /// Rises in that process.
    pub number: i64,
}

/// The node is the home, until another one opens the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedGroup {
    /// The group; the home enforces `max_participants`.
    pub group: Group,
    /// Rises with every change of the group; the home repeats it in its reports.
    pub version: i64,
    /// Rises with every opening by a node that does not hold the room: the fencing token of this home. An opening whose
    /// answer was lost used one up.
    pub epoch: i64,
    /// What holds in the room from before.
    pub rules: RoomRules,
}

/// What holds in the room of a group beside the tokens of who is in it. The home writes the whole of it each time, and
/// enforces it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRules {
    /// Nobody new comes in.
    #[serde(default)]
    pub locked: bool,
    /// At most [`MAX_RULED_PEOPLE`], each subject once. Meta forgets each of them when every token of that person has
    /// run out.
    #[serde(default)]
    pub people: Vec<PersonRule>,
}

/// What holds for one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRule {
    /// Subject of the person's join token: 1 to [`MAX_SUBJECT_LEN`] bytes.
    pub subject: String,
    /// Does not come in again: its token is not renewed, and the home refuses it.
    #[serde(default)]
    pub removed: bool,
    /// Rights beyond those of its token. The home grants them; a renewed token does not name them.
    #[serde(default, deserialize_with = "known_grants")]
    pub given: Vec<Grant>,
    /// Rights of its token that it does not have. A renewed token does not name them.
    #[serde(default, deserialize_with = "known_grants")]
    pub taken: Vec<Grant>,
    /// Was in when the room was locked: it may come back while that is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seated: bool,
}

/// `PUT /internal/groups/{id}/rules`. It is stored if `epoch` is the newest and `version` is higher than what is stored;
/// the same version again changes nothing and is answered alike. So a home may send it until it is answered, and what
/// arrives late changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRules {
    /// From [`OpenedGroup`].
    pub epoch: i64,
    /// Chosen by the home: 1 or more, higher with every change in its epoch.
    pub version: i64,
    /// All of them.
    pub rules: RoomRules,
}

/// A group in a node's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The group.
    pub group_id: GroupId,
    /// The version of it that the node knows.
    pub version: i64,
    /// The epoch of this home.
    pub epoch: i64,
}

/// What is different with a group from what a [`GroupReport`] says. Repeated with every report until that says so too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum GroupOrder {
    /// It was changed.
    Changed {
        /// As it is now.
        group: Group,
        /// Its version.
        version: i64,
    },
    /// It was deleted: everybody leaves the room.
    Deleted {
        /// The group.
        group_id: GroupId,
    },
    /// It was opened again since: the home of this epoch is no longer its home.
    NotHome {
        /// The group.
        group_id: GroupId,
        /// From the report.
        epoch: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Result<Metadata, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn metadata_is_small_and_flat() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(metadata("{}").unwrap(), Metadata::default());
        let kept = "{\"a\":[1,2.5,null],\"b\":{\"c\":\"d\"}}";
        assert_eq!(serde_json::to_string(&metadata(kept).unwrap()).unwrap(), kept);
        assert!(metadata(&nested(MAX_METADATA_LEVELS - 1)).is_ok());
        assert!(metadata(&nested(MAX_METADATA_LEVELS)).is_err());
        let long = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(metadata(&long(MAX_METADATA_BYTES)).is_ok());
        assert!(metadata(&long(MAX_METADATA_BYTES + 1)).is_err());
        let many = |entries: usize| {
            let entries: Vec<String> = (0..entries).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert!(metadata(&many(64)).is_ok() && metadata(&many(65)).is_err());
        for bad in ["[]", "1", "null", &nested(10_000)] {
            assert!(metadata(bad).is_err());
        }
    }

    #[test]
    fn people_are_a_whole_number_within_bounds() {
        let wanted = |text: &str| {
            serde_json::from_str::<UpdateGroup>(&format!("{{\"max_participants\":{text}}}"))
                .map(|update| update.max_participants)
        };
        assert_eq!(wanted("1").unwrap(), Some(1));
        assert_eq!(wanted("1000.0").unwrap(), Some(1_000));
        assert_eq!(wanted("null").unwrap(), None);
        for bad in ["0", "-1", "1001", "1.5", "1e30", "\"5\"", "4294967297"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_an_earlier_release_sends_is_read() {
        let report: crate::rest::NodeReport =
            serde_json::from_str("{\"public_url\":\"\",\"broadcasts\":[]}").unwrap();
        assert!(report.groups.is_empty());
        let orders: crate::rest::NodeOrders = serde_json::from_str("{\"close\":[]}").unwrap();
        assert!(orders.groups.is_empty());
        // The hash of a repeated request is that of its body: what is absent is not there.
        assert_eq!(serde_json::to_string(&CreateGroup::default()).unwrap(), "{\"name\":\"\"}");
    }
}
