//! Bodies of calls: joining a group's room with one exchange, and what travels on the data channel
//! [`CALL_CHANNEL`] of its receive connection.
//!
//! ```text
//! POST   /rooms/{group}/sessions            JoinCall    -> 201 JoinedCall, Location, ETag
//! PATCH  /rooms/{group}/sessions/{session}  PatchCall   -> 200 PatchedCall, ETag
//! DELETE /rooms/{group}/sessions/{session}              -> 200
//! CALL_CHANNEL                              Wants ->, <- CallEvent
//! ```
//! A session has up to two connections. The publish connection has one m-line for each source, from the start. The
//! receive connection has a fixed number of slots, each a recvonly m-line: what a slot shows changes without
//! negotiation. Each packet of a slot names what it shows as its only CSRC, which is the `csrc` of a [`CallSource`].

use serde::{Deserialize, Serialize};

use crate::id::{ParticipantId, SessionId};
use crate::layer::EncodingsWanted;
use crate::rest::IceServer;
use crate::room_state::RoomSnapshot;
use crate::source::Source;

/// Label of the data channel of the receive connection that carries [`Wants`] and [`CallEvent`]. Labels that begin with
/// `-/` are reserved: nothing that is sent on them reaches other people.
pub const CALL_CHANNEL: &str = "-/call";
/// Beginning of reserved labels.
pub const RESERVED_LABEL: &str = "-/";

/// Most slots of a receive connection. More are refused.
pub const MAX_SLOTS: usize = 24;
/// Most m-lines of a publish connection that name a source: one for each source. More are refused.
pub const MAX_SOURCES: usize = 4;
/// Most entries of [`Wants`]: pages ask for what they show. More are refused.
pub const MAX_WANTS: usize = 64;
/// Largest [`JoinCall`] or [`PatchCall`] in bytes. An offer of twenty slots in all codecs of a browser has 80 KiB, in the
/// two that pages should choose 30; as JSON each line end is longer by two.
pub const MAX_CALL_BODY: usize = 192 * 1024;
/// Longest message on [`CALL_CHANNEL`] in bytes, either way.
pub const MAX_CALL_MESSAGE: usize = 16 * 1024;
/// Longest display name in Unicode scalar values; a longer one is refused. Characters that nobody sees
/// ([`crate::text`]) are taken out.
pub const MAX_DISPLAY_NAME_CHARS: usize = 64;
/// How long a session whose connections are lost may be resumed, in seconds.
pub const RESUME_SECS: u64 = 30;

/// What a slot is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A picture of the grid: any camera, also a screen that is shown small.
    Tile,
    /// The large picture: a camera or a screen. In sync with the first voice slot.
    Stage,
    /// A shared screen.
    Screen,
    /// A voice. The server chooses who is heard; nobody hears itself.
    Voice,
    /// The sound of a shared screen; never goes back to who shares it.
    ScreenAudio,
}

impl SlotKind {
    /// Whether it carries sound.
    #[must_use]
    pub fn is_audio(self) -> bool {
        matches!(self, Self::Voice | Self::ScreenAudio)
    }
}

/// One m-line of a publish connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferedSource {
    /// Its `a=mid`.
    #[schema(max_length = 16)]
    pub mid: String,
    /// What it will carry. Each source at most once.
    pub source: Source,
}

/// One m-line of a receive connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferedSlot {
    /// Its `a=mid`.
    #[schema(max_length = 16)]
    pub mid: String,
    /// What it is for.
    pub kind: SlotKind,
}

/// The offer of the publish connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishOffer {
    /// Its SDP.
    pub sdp: String,
    /// Which m-line is which source. An m-line that is not named is rejected in the answer.
    #[schema(max_items = 4)]
    pub sources: Vec<OfferedSource>,
}

/// The offer of the receive connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveOffer {
    /// Its SDP.
    pub sdp: String,
    /// Which m-line is which kind of slot. An m-line that is not named is rejected in the answer.
    #[schema(max_items = 24)]
    pub slots: Vec<OfferedSlot>,
}

/// Body of `POST /rooms/{group}/sessions`, with a join token of that room as bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinCall {
    /// What is published; none for who only watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishOffer>,
    /// What is received; none for who only publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<ReceiveOffer>,
    /// The first wants.
    #[serde(default)]
    pub wants: Wants,
    /// Display name; ignored where the token carries a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub name: Option<String>,
    /// The secret of a session that was lost, at most [`RESUME_SECS`] ago: it goes on, as the same participant with the
    /// same `csrc` for each source, and keeps its secret. The bearer is then not asked for. To repeat a resume whose
    /// answer was lost does no harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<SessionId>,
}

/// Answer to [`JoinCall`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinedCall {
    /// Who one is in the room: the subject of the join token.
    pub participant: ParticipantId,
    /// The secret of the session: it ends the URL of the session, and resumes it.
    pub session: SessionId,
    /// How long a lost session may be resumed, in seconds.
    pub resume_secs: u64,
    /// The answer to the publish offer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_sdp: Option<String>,
    /// The answer to the receive offer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_sdp: Option<String>,
    /// One's own sources, as others see them.
    pub sources: Vec<CallSource>,
    /// Who else is there, with what they publish.
    pub people: Vec<CallPerson>,
    /// The state of the room, to which `/topic/-/room/{room}` brings the changes. The caller itself may come with the next
    /// one.
    pub room: RoomSnapshot,
    /// The first bindings.
    pub bound: Bound,
    /// In which codec to send one's pictures, where the publish answer leaves a choice; see [`Pictures`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureCodec>,
    /// STUN and TURN servers with time-limited credentials.
    pub ice_servers: Vec<IceServer>,
}

/// Somebody in a room, as media sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallPerson {
    /// Who.
    pub participant: ParticipantId,
    /// Display name, may be empty.
    pub name: String,
    /// What it can publish.
    pub sources: Vec<CallSource>,
}

/// A source that somebody publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallSource {
    /// What it is.
    pub source: Source,
    /// Its number, unique in the room and the same after a resume: the CSRC of its packets.
    pub csrc: u32,
}

/// What a page wants to see: the whole of it; a later generation replaces an earlier one, and of two that cross the
/// greater holds. On [`CALL_CHANNEL`] this object is a message of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// Counts what the page has said in this session, resumed ones included; it only grows.
    pub generation: u32,
    /// The most wanted first, among those of one priority. What is named twice for one kind of slot counts once.
    #[schema(max_items = 64)]
    pub sources: Vec<Want>,
}

/// A picture, or the sound of a screen. Voices are not wanted: the server chooses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// The `csrc` of a [`CallSource`]. One that is not there, or not yet, takes no slot.
    pub source: u32,
    /// In which kind of slot.
    pub slot: SlotKind,
    /// How high it is shown, in physical pixels: nothing is sent that is much larger. 0 is any height.
    #[serde(default)]
    pub height: u16,
    /// Greater goes first, for slots and for bandwidth.
    #[serde(default)]
    pub priority: u8,
    /// It keeps its slot and quality before all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

/// Which slot shows what: the whole of it. The latest generation counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bound {
    /// Counts what the server has said in this session.
    pub generation: u32,
    /// The generation of the [`Wants`] that this follows.
    pub wants: u32,
    /// The slots that show something, or will; those that are not named show nothing.
    pub slots: Vec<Binding>,
    /// What was wanted and is in no slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingSource>,
}

/// What a slot shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Binding {
    /// The slot: `a=mid` of the receive connection.
    pub mid: String,
    /// The source: the CSRC of its packets.
    pub source: u32,
    /// Whose source that is.
    pub participant: ParticipantId,
    /// The RTP timestamp of the first packet that shows it; none until there was one. Until then the slot shows what it
    /// showed before, or nothing: keep it covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
}

/// A source that was wanted and is in no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MissingSource {
    /// The source.
    pub source: u32,
    /// In which kind of slot it was wanted.
    pub slot: SlotKind,
    /// Why it is in no slot.
    pub why: WhyMissing,
}

/// Why a wanted source is in no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyMissing {
    /// Nobody in the room publishes it. It is bound when somebody does.
    Absent,
    /// All slots of its kind show what is wanted more, or there are none.
    Slots,
    /// It does not fit that kind of slot, or it is one's own sound.
    Kind,
    /// The receiver did not offer the codec that it is sent in.
    Codec,
    /// The line is full: nothing is bound anew for a moment.
    Line,
}

/// Most people who are said to speak at once; the others are left out.
pub const MAX_SPEAKING: usize = 16;

/// Who speaks now: the whole of it. The latest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Speakers {
    /// The microphones at which somebody speaks, by their `csrc`: said 100 ms after somebody begins, and not any more
    /// 600 ms after the last word. At most [`MAX_SPEAKING`].
    pub speaking: Vec<u32>,
    /// The microphone of who speaks mainly, for the stage. Another one comes after two seconds at the earliest, and nobody
    /// only where that one is muted or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
}

/// A codec of pictures in calls. The publish answer may take several for one m-line: the first is sent until a choice is
/// told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum PictureCodec {
    /// What every browser decodes (RFC 7742, section 5).
    #[serde(rename = "VP8")]
    Vp8,
    /// What phones encode and decode in hardware, and some browsers do not know.
    #[serde(rename = "H264")]
    H264,
}

/// In which codec to send one's pictures from now on: the one of those agreed to that everybody in the room decodes. The
/// latest counts. A publisher that cannot change it goes on as before: everybody decodes the first one of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pictures {
    /// The codec.
    pub codec: PictureCodec,
}

/// What the server says on [`CALL_CHANNEL`]: one object a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CallEvent {
    /// Which slot shows what.
    Bound(Bound),
    /// Which of one's own encodings are watched; the others may be switched off. `media_id` is an `a=mid` of the publish
    /// connection.
    Encodings(EncodingsWanted),
    /// Who speaks.
    Speakers(Speakers),
    /// In which codec to send one's pictures.
    Pictures(Pictures),
}

/// ICE credentials of one side, of a restart (RFC 8445, section 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IceRestart {
    /// `a=ice-ufrag`.
    #[schema(min_length = 4, max_length = 256)]
    pub ufrag: String,
    /// `a=ice-pwd`.
    #[schema(min_length = 22, max_length = 256)]
    pub pwd: String,
}

/// Body of PATCH of a session: any part of it. An ICE restart needs `If-Match` with the entity tag of the session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchCall {
    /// The client's new ICE credentials of the publish connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<IceRestart>,
    /// The client's new ICE credentials of the receive connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<IceRestart>,
    /// What the page wants to see now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<Wants>,
}

/// Answer to [`PatchCall`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PatchedCall {
    /// The server's new ICE credentials of the publish connection, if it was restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<IceRestart>,
    /// Those of the receive connection, if it was restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<IceRestart>,
    /// The bindings now.
    pub bound: Bound,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_can_say_little() {
        let join: JoinCall = serde_json::from_value(json!({
            "receive": {"sdp": "v=0", "slots": [{"mid": "0", "kind": "screen_audio"}]},
        }))
        .unwrap();
        assert_eq!((join.wants.generation, join.resume, join.publish), (0, None, None));
        assert_eq!(join.receive.unwrap().slots[0].kind, SlotKind::ScreenAudio);
        let wants: Wants =
            serde_json::from_value(json!({"generation": 3, "sources": [{"source": 7, "slot": "tile"}]}))
                .unwrap();
        let want = Want { source: 7, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false };
        assert_eq!(wants.sources, [want]);
    }

    #[test]
    fn what_is_not_described_is_refused() {
        for bad in [
            json!({"offer": ""}),
            json!({"resume": "par_1"}),
            json!({"wants": {"generation": -1, "sources": []}}),
            json!({"wants": {"generation": 4_294_967_296_u64, "sources": []}}),
            json!({"wants": {"generation": 1, "sources": [{"source": 7, "slot": "wall"}]}}),
            json!({"receive": {"sdp": "v=0", "slots": [{"mid": "0", "kind": "tile", "ssrc": 1}]}}),
        ] {
            assert!(serde_json::from_value::<JoinCall>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_say_their_type() {
        let participant: ParticipantId = "par_a".parse().unwrap();
        let bound = Bound {
            generation: 2,
            wants: 3,
            slots: vec![Binding { mid: "4".into(), source: 7, participant, from: Some(90) }],
            missing: vec![MissingSource { source: 9, slot: SlotKind::Tile, why: WhyMissing::Codec }],
        };
        let json = json!({
            "type": "bound", "generation": 2, "wants": 3,
            "slots": [{"mid": "4", "source": 7, "participant": "par_a", "from": 90}],
            "missing": [{"source": 9, "slot": "tile", "why": "codec"}],
        });
        assert_eq!(serde_json::to_value(CallEvent::Bound(bound)).unwrap(), json);
        let speakers = CallEvent::Speakers(Speakers { speaking: vec![4, 8], stage: Some(8) });
        let json = json!({"type": "speakers", "speaking": [4, 8], "stage": 8});
        assert_eq!(serde_json::to_value(speakers).unwrap(), json);
        let pictures = CallEvent::Pictures(Pictures { codec: PictureCodec::H264 });
        assert_eq!(serde_json::to_value(pictures).unwrap(), json!({"type": "pictures", "codec": "H264"}));
        let encodings = CallEvent::Encodings(EncodingsWanted::default());
        assert_eq!(serde_json::to_value(encodings).unwrap(), json!({"type": "encodings", "media": []}));
    }
}
