//! REST bodies: what meta answers to people, and what services tell each other over HTTP.
//! Times are RFC 3339 in UTC.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::group::{GroupChanged, GroupOrder, GroupReport};
use crate::id::{BroadcastId, NodeId, ParticipantId};
use crate::number::whole_number;
use crate::room::Room;
use crate::token::Grant;

/// Longest name or description, in Unicode scalar values. A longer one is refused; characters that nobody sees
/// ([`crate::text`]) are taken out.
pub const MAX_TEXT_CHARS: usize = 255;

/// Status of a broadcast. It only moves forward, and back from nothing: CLOSED is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Created, no media yet.
    Ready,
    /// Media flows, or flowed less than 30 s ago.
    Streaming,
    /// Over.
    Closed,
}

/// A broadcast (L7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Broadcast {
    /// Its id, a JSON number.
    pub id: BroadcastId,
    /// Title, at most 255 characters, may be empty.
    pub name: String,
    /// At most 255 characters, may be empty.
    pub description: String,
    /// READY, STREAMING or CLOSED.
    pub status: Status,
    /// Viewers now.
    pub viewer_count: i64,
    /// First media.
    #[schema(required)]
    pub started_at: Option<DateTime<Utc>>,
    /// Last media of a closed broadcast.
    #[schema(required)]
    pub ended_at: Option<DateTime<Utc>>,
    /// When its owner means to begin; absent where there is no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<DateTime<Utc>>,
    /// Created.
    pub created_at: DateTime<Utc>,
    /// Last change of what an owner edits or of the status.
    pub modified_at: DateTime<Utc>,
}

/// Body of `POST /broadcasts`. Name and description must be there; both may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreateBroadcast {
    /// Title.
    #[schema(max_length = 255)]
    pub name: String,
    /// Description.
    #[schema(max_length = 255)]
    pub description: String,
    /// When it is to begin: not more than a day ago and at most 366 days ahead. One with such a time waits for its
    /// media until a day after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, min_length = 20)]
    pub planned_at: Option<DateTime<Utc>>,
}

/// Answer to `POST /broadcasts`. A repeated Idempotency-Key gets the same broadcast with the same keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedBroadcast {
    /// The broadcast.
    #[serde(flatten)]
    pub broadcast: Broadcast,
    /// Publishes, and nothing else: it stands in an encoder. Shown this once.
    pub stream_key: String,
    /// Changes, closes and deletes the broadcast, replaces its stream key and mints tokens of its hosts. Shown this
    /// once.
    pub owner_key: String,
    /// Where to publish (WHIP, with the key as bearer).
    pub whip_url: String,
    /// Where to play (WHEP).
    pub whep_url: String,
    /// The page to share.
    pub watch_url: String,
    /// STUN and TURN servers with time-limited credentials.
    pub ice_servers: Vec<IceServer>,
}

/// Body of `PUT /broadcasts/{id}`: a field that is not there stays as it is. The owner and admins may set `name`,
/// `description`, `planned_at` and `status: CLOSED`; service tokens may set everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UpdateBroadcast {
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub name: Option<String>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// First media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, min_length = 20)]
    pub started_at: Option<DateTime<Utc>>,
    /// Last media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, min_length = 20)]
    pub ended_at: Option<DateTime<Utc>>,
    /// When it is to begin, as in [`CreateBroadcast`]; `null` takes the plan back.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime, min_length = 20)]
    pub planned_at: Option<Option<DateTime<Utc>>>,
    /// New status; never backwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Viewers now.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    pub viewer_count: Option<i64>,
}

/// Reads a field whose `null` means something else than its absence.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// One ICE server in the shape of `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`, ...
    pub urls: Vec<String>,
    /// `expiry:user` for TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password for TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Answer to `GET /ice-servers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IceServers {
    /// The servers.
    pub ice_servers: Vec<IceServer>,
    /// Seconds until the credentials end; renew before.
    pub ttl: u64,
}

/// Body of `POST /broadcasts/{id}/token` and `POST /groups/{id}/token`. An empty object asks for what anyone gets: of a
/// broadcast subscribe and chat, of a group what a participant has ([`Grant::PARTICIPANT`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenRequest {
    /// Wanted rights; absent means what anyone gets, and for the owner of a group `moderate` as well. More needs the
    /// owner key or an admin token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub grants: Option<Vec<Grant>>,
    /// Display name that chat shows, at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub name: Option<String>,
}

/// Answer to a token request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinToken {
    /// The token, for `Authorization: Bearer` and the STOMP CONNECT header `Authorization`.
    pub token: String,
    /// The subject that it names.
    pub participant_id: ParticipantId,
    /// Its rights.
    pub grants: Vec<Grant>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Body of `POST /broadcasts/{id}/key`, which may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplaceStreamKey {
    /// The stream key to replace, as the client knows it: of several who replace the same one, one succeeds and the
    /// others get 409. Without it the key of the moment is replaced, by one person once in five seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^sk_[A-Za-z0-9_-]{22}$")]
    pub stream_key: Option<String>,
}

/// Answer to `POST /broadcasts/{id}/key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NewStreamKey {
    /// The key that replaces the old one, shown this once.
    pub stream_key: String,
}

// ---- between services: `/internal/...`, service token, not routed by an ingress -------------------------------

/// `POST /internal/broadcasts/{id}/admit`: may this key publish? 200 [`Admitted`], 401, 404, 409 (closed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmitPublisher {
    /// The key as the publisher sent it.
    pub stream_key: String,
    /// The node that asks.
    pub node_id: NodeId,
}

/// The publisher may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// The broadcast.
    pub broadcast_id: BroadcastId,
    /// Raised each time the key is replaced; the node repeats it in its reports, and a session with an old one
    /// is ordered to close.
    pub key_revision: i64,
}

/// What a publisher's media does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// The session lives and has sent media.
    Live,
    /// The session is lost; its key may come back.
    Lost,
    /// The publisher ended it (WHIP DELETE). Repeated until meta has answered.
    Ended,
}

/// One broadcast on a node. Level-triggered: each report is the whole truth of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaReport {
    /// The broadcast.
    pub broadcast_id: BroadcastId,
    /// From [`Admitted`].
    pub key_revision: i64,
    /// What its media does.
    pub state: MediaState,
    /// First media.
    pub started_at: DateTime<Utc>,
    /// Last media seen.
    pub last_media_at: DateTime<Utc>,
}

/// `POST /internal/nodes/{node}/report`, every second. Doubles as the node's announcement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Where browsers reach the node's WHIP and WHEP endpoints; empty means the same origin as the pages.
    pub public_url: String,
    /// Every broadcast with a publisher session, lost and ended ones included.
    pub broadcasts: Vec<MediaReport>,
    /// Broadcasts that have viewers here and may have no publisher.
    #[serde(default)]
    pub watched: Vec<BroadcastId>,
    /// Groups whose rooms have their home here.
    #[serde(default)]
    pub groups: Vec<GroupReport>,
    /// The node goes away: it is the home of no room any more.
    #[serde(default)]
    pub leaving: bool,
}

/// Why a node has to end a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// CLOSED in the catalogue: publisher and viewers go.
    Closed,
    /// The key was replaced: the publisher goes, viewers stay.
    KeyRevoked,
}

/// An order inside the answer to a [`NodeReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseOrder {
    /// The broadcast.
    pub broadcast_id: BroadcastId,
    /// Why.
    pub reason: CloseReason,
}

/// Answer to a [`NodeReport`]; every order is repeated until a report no longer names the session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOrders {
    /// What to end.
    pub close: Vec<CloseOrder>,
    /// What is different with groups from what the report says.
    #[serde(default)]
    pub groups: Vec<GroupOrder>,
}

/// `POST /internal/rooms/report`: signaling tells meta, at most once a second, the rooms whose numbers changed
/// and, every 2 s, all that are not empty (a part not renewed for 4 s counts as 0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsReport {
    /// The signaling replica.
    pub replica: String,
    /// Rooms of broadcasts.
    pub rooms: Vec<RoomReport>,
}

/// One room in a [`RoomsReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomReport {
    /// The room.
    pub room: Room,
    /// Viewers: WHEP sessions and peer-to-peer viewers, each subject once (L9).
    pub viewer_count: i64,
    /// Those of them who have a token, so that who is at two replicas or nodes counts once. The rest of
    /// `viewer_count` has no name and is somebody else each time.
    #[serde(default, skip_serializing_if = "Subjects::is_empty")]
    pub subjects: Subjects,
    /// A peer-to-peer streamer is subscribed to `/topic/{room}`.
    pub p2p_streamer: bool,
}

/// Token subjects as hashes: the first 8 bytes of SHA-256, each once. Travels as the base64 of the hashes in
/// ascending order, 8 bytes each, big-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subjects(BTreeSet<u64>);

/// The text is no list of subject hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subjects are hashes of 8 bytes each, in base64")]
pub struct ParseSubjectsError;

impl Subjects {
    /// Adds a subject.
    pub fn insert(&mut self, subject: &str) {
        let hash = Sha256::digest(subject.as_bytes());
        let first = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        self.0.insert(first);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// For storage: 8 bytes each, in ascending order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.to_be_bytes()).collect()
    }

    /// From storage.
    ///
    /// # Errors
    /// [`ParseSubjectsError`] if the length is no multiple of 8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseSubjectsError> {
        let (hashes, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(ParseSubjectsError);
        }
        Ok(Self(hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect()))
    }
}

impl<'a> FromIterator<&'a str> for Subjects {
    fn from_iter<I: IntoIterator<Item = &'a str>>(subjects: I) -> Self {
        let mut all = Self::default();
        subjects.into_iter().for_each(|subject| all.insert(subject));
        all
    }
}

impl TryFrom<String> for Subjects {
    type Error = ParseSubjectsError;

    fn try_from(text: String) -> Result<Self, ParseSubjectsError> {
        Self::from_bytes(&STANDARD.decode(text).map_err(|_| ParseSubjectsError)?)
    }
}

impl From<Subjects> for String {
    fn from(subjects: Subjects) -> String {
        STANDARD.encode(subjects.to_bytes())
    }
}

/// `POST /internal/events` of signaling: meta announces a change of a broadcast (status, texts, its end), which goes
/// to `/topic/-/broadcasts` and `/topic/-/broadcast/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BroadcastChanged {
    /// The broadcast as it is now.
    pub broadcast: Broadcast,
    /// Rises with every change of this broadcast: of two announcements the higher one is the later, however they
    /// arrive. 0 from a service that does not count.
    #[serde(default)]
    pub version: i64,
    /// It is no longer in the catalogue: `broadcast` is what it was last, CLOSED.
    #[serde(default)]
    pub deleted: bool,
}

/// Body of `POST /internal/events` of signaling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Announced {
    /// Of a broadcast.
    Broadcast(Box<BroadcastChanged>),
    /// Of a group.
    Group(Box<GroupChanged>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_travel_as_hashes() {
        let subjects: Subjects = ["par_b", "par_a", "par_b"].into_iter().collect();
        assert_eq!(subjects.len(), 2);
        let text = serde_json::to_string(&subjects).unwrap();
        assert!(!text.contains("par"), "{text}");
        assert_eq!(serde_json::from_str::<Subjects>(&text).unwrap(), subjects);
        let mut union: Subjects = ["par_a", "par_c"].into_iter().collect();
        union.extend(&subjects);
        assert_eq!(union.len(), 3);
        for bad in ["\"AAAA\"", "\"*\"", "7"] {
            assert!(serde_json::from_str::<Subjects>(bad).is_err(), "{bad}");
        }
        // A release without them says nothing.
        let old: RoomReport =
            serde_json::from_str("{\"room\":\"7\",\"viewer_count\":3,\"p2p_streamer\":false}").unwrap();
        assert!(old.subjects.is_empty());
    }

    #[test]
    fn a_plan_that_is_null_is_taken_back_and_one_that_is_absent_stays() {
        let plan = |text: &str| serde_json::from_str::<UpdateBroadcast>(text).unwrap().planned_at;
        assert_eq!(plan("{}"), None);
        assert_eq!(plan("{\"planned_at\":null}"), Some(None));
        assert!(plan("{\"planned_at\":\"2026-01-01T00:00:00Z\"}").flatten().is_some());
        let nothing = serde_json::to_string(&UpdateBroadcast::default()).unwrap();
        assert_eq!(nothing, "{}");
        // A release without plans says nothing of them.
        let old: CreateBroadcast = serde_json::from_str("{\"name\":\"\",\"description\":\"\"}").unwrap();
        assert_eq!(old.planned_at, None);
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let count = |text: &str| {
            serde_json::from_str::<UpdateBroadcast>(&format!("{{\"viewer_count\":{text}}}"))
                .map(|u| u.viewer_count)
        };
        assert_eq!(count("3").unwrap(), Some(3));
        assert_eq!(count("3.0").unwrap(), Some(3));
        assert_eq!(count("-2").unwrap(), Some(-2));
        assert_eq!(count("null").unwrap(), None);
        for bad in ["3.5", "1e300", "9007199254740992", "18446744073709551615", "\"3\"", "[]"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
