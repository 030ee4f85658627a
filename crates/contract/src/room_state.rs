//! What the people in a call know of each other: the state of a room, as a snapshot and as deltas, and the commands
//! that change it. The machine that holds it is the crate `room`.
//!
//! ```text
//! /app/-/room/{room}         RoomCommand, with a request-id   ->  answered on /user/queue/replies
//! /topic/-/room/{room}       RoomUpdate: a snapshot first, then deltas
//! /app/-/sfu/{node}/rooms    NodeRoom: what the home of a room says of it
//! /app/-/sfu/{node}/replies  NodeReply: what it answers to a command
//! ```
//! A delta carries only what changed, and leads from `seq - 1` to `seq` of one `epoch`. Whoever finds that it missed one
//! subscribes again: a snapshot comes first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::destination::{Reply, Source};
use crate::group::RoomRules;
use crate::id::ParticipantId;
use crate::room::Room;
use crate::token::Grant;

/// How often a node repeats the snapshot of each room that it is the home of, in seconds: whatever was lost on the way is
/// known after that.
pub const SNAPSHOT_SECS: u64 = 5;

/// Something that a person may do in a room. The grants of its join token are the first ones; moderators give more and
/// take them back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Send the picture of a camera.
    Camera,
    /// Send sound.
    Microphone,
    /// Share a screen, and its sound.
    Screen,
    /// Write in the chat.
    Chat,
    /// Draw on the whiteboard.
    Draw,
    /// Moderate: mute, remove, lock, give rights and take them back.
    Moderate,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Camera, Self::Microphone, Self::Screen, Self::Chat, Self::Draw, Self::Moderate];

    /// The grant of a join token that gives it.
    #[must_use]
    pub fn grant(self) -> Grant {
        match self {
            Self::Camera => Grant::PublishCamera,
            Self::Microphone => Grant::PublishMicrophone,
            Self::Screen => Grant::PublishScreen,
            Self::Chat => Grant::Chat,
            Self::Draw => Grant::Draw,
            Self::Moderate => Grant::Moderate,
        }
    }

    /// What a join token with `grants` gives.
    #[must_use]
    pub fn of(grants: &[Grant]) -> Rights {
        let is_given = |right: &Self| grants.iter().any(|grant| grant.covers(right.grant()));
        Self::ALL.into_iter().filter(is_given).collect()
    }
}

/// What a person may do.
pub type Rights = BTreeSet<Right>;

/// What a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It is sent.
    On,
    /// Its owner has switched it off.
    Off,
    /// A moderator has switched it off, or taken the right to it: whatever its owner sends, nobody gets it. The owner may
    /// switch it on again if it has the right to it.
    Muted,
}

/// A source of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PersonSource {
    /// Camera, microphone, screen or screen audio: each at most once.
    pub source: Source,
    /// The CSRC of its packets, unique in the room.
    pub csrc: u32,
    /// What it does.
    pub state: SourceState,
}

/// How good somebody's connection is.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Nothing to say.
    #[default]
    Good,
    /// Others may notice.
    Fair,
    /// Others do notice.
    Poor,
    /// Lost: it may come back, or leave.
    Lost,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// Who.
    pub participant: ParticipantId,
    /// People in the order of this number are in the order in which they came.
    pub order: u64,
    /// Display name, may be empty.
    pub name: String,
    /// Runs the room by its own token: moderators who were made so in the room cannot remove it or take its rights.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// What it may do.
    #[schema(value_type = Vec<Right>)]
    pub rights: Rights,
    /// What it publishes.
    pub sources: Vec<PersonSource>,
    /// How good its connection is.
    pub quality: Quality,
    /// 0: its hand is down. Hands in the order of this number are in the order in which they were raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hand: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The whole state of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoomSnapshot {
    /// Grows whenever the state begins anew; a greater one counts.
    pub epoch: u64,
    /// The last delta that is in it.
    pub seq: u64,
    /// Nobody new comes in but moderators.
    pub locked: bool,
    /// Who is there, by participant id.
    pub people: Vec<Person>,
}

/// What is different about somebody: what is absent is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PersonChange {
    /// Who.
    pub participant: ParticipantId,
    /// [`Person::order`]: it left and came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// [`Person::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// [`Person::host`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<bool>,
    /// [`Person::rights`], all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Right>>)]
    pub rights: Option<Rights>,
    /// [`Person::sources`], all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<PersonSource>>,
    /// [`Person::quality`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// [`Person::hand`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand: Option<u64>,
}

/// Why somebody is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyGone {
    /// It left.
    Left,
    /// Its connection was lost and did not come back in time.
    Lost,
    /// A moderator removed it.
    Removed,
}

/// Somebody is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Gone {
    /// Who.
    pub participant: ParticipantId,
    /// Why.
    pub why: WhyGone,
}

/// What somebody shows for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReactionKind {
    /// A thumb up.
    Like,
    /// A thumb down.
    Dislike,
    /// Clapping hands.
    Applause,
    /// A heart.
    Heart,
    /// Laughter.
    Laugh,
    /// Surprise.
    Surprise,
    /// Sadness.
    Sad,
    /// A party popper.
    Party,
}

/// A reaction: passes, and is in no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reaction {
    /// Whose.
    pub participant: ParticipantId,
    /// What.
    pub reaction: ReactionKind,
}

/// What changed from `seq - 1` to `seq`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoomDelta {
    /// [`RoomSnapshot::epoch`].
    pub epoch: u64,
    /// Its number: one more than that of the state that it changes.
    pub seq: u64,
    /// [`RoomSnapshot::locked`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Who is new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Person>,
    /// Who changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<PersonChange>,
    /// Who is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
    /// Reactions, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
}

/// What `/topic/-/room/{room}` carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoomUpdate {
    /// The whole state.
    Snapshot(RoomSnapshot),
    /// What changed.
    Delta(RoomDelta),
}

/// What a participant sends to `/app/-/room/{room}`. To repeat one with its request-id does no harm: it is answered the
/// same, and done once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoomCommand {
    /// A source of one's own is on or off from now on.
    Switch {
        /// Which.
        source: Source,
        /// On, which needs the right to it, or off.
        on: bool,
    },
    /// One's own display name.
    Rename {
        /// Not empty, at most [`crate::call::MAX_DISPLAY_NAME_CHARS`].
        name: String,
    },
    /// A hand up or down.
    Hand {
        /// Up or down.
        up: bool,
        /// Whose, if not one's own: moderators take hands down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant: Option<ParticipantId>,
    },
    /// Shows a reaction to everybody.
    React {
        /// Which.
        reaction: ReactionKind,
    },
    /// Moderators: switches somebody's source off, a screen with its sound.
    Mute {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        source: Source,
    },
    /// Moderators: somebody has to leave and cannot come back.
    Remove {
        /// Who.
        participant: ParticipantId,
    },
    /// Moderators: nobody new comes in but moderators.
    Lock {
        /// Locked or open.
        on: bool,
    },
    /// Moderators: gives a right. `moderate` is given by hosts.
    Grant {
        /// To whom.
        participant: ParticipantId,
        /// Which.
        right: Right,
    },
    /// Moderators: takes a right. `moderate` is taken by hosts.
    Revoke {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        right: Right,
    },
}

/// Body of `/app/-/sfu/{node}/rooms`: what a node says of a room that it is the home of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoom {
    /// The room.
    pub room: Room,
    /// A delta when something changed; a snapshot when the node connects, and every [`SNAPSHOT_SECS`].
    pub update: RoomUpdate,
    /// What holds in the room beside the tokens, with each snapshot and as soon as it is stored: signaling holds those
    /// to it who are not in the room too. Nobody else is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RoomRules>,
}

/// Body of `/app/-/sfu/{node}/replies`: what a node answers to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReply {
    /// The connection that sent it: [`crate::destination::SENDER_CONNECTION`] of the command.
    pub connection: String,
    /// The answer.
    pub reply: Reply,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_only_what_changed() {
        let participant: ParticipantId = "par_a".parse().unwrap();
        let delta = RoomDelta {
            epoch: 7,
            seq: 3,
            changed: vec![PersonChange {
                participant: participant.clone(),
                order: None,
                name: None,
                host: None,
                rights: None,
                sources: None,
                quality: Some(Quality::Poor),
                hand: Some(0),
            }],
            ..RoomDelta::default()
        };
        let json = json!({
            "type": "delta", "epoch": 7, "seq": 3,
            "changed": [{"participant": "par_a", "quality": "poor", "hand": 0}],
        });
        assert_eq!(serde_json::to_value(RoomUpdate::Delta(delta.clone())).unwrap(), json);
        assert_eq!(serde_json::from_value::<RoomUpdate>(json).unwrap(), RoomUpdate::Delta(delta));
    }

    #[test]
    fn grants_give_rights() {
        use Right::{Camera, Chat, Microphone, Moderate, Screen};
        let rights = |grants: &[Grant]| Right::of(grants).into_iter().collect::<Vec<_>>();
        assert_eq!(rights(&[Grant::Subscribe]), []);
        assert_eq!(rights(&[Grant::Publish]), [Camera, Microphone, Screen]);
        assert_eq!(rights(&[Grant::Moderate, Grant::Chat, Grant::PublishScreen]), [Screen, Chat, Moderate]);
        for right in Right::ALL {
            assert_eq!(rights(&[right.grant()]), [right]);
        }
    }

    #[test]
    fn commands_say_their_type() {
        let grant: RoomCommand =
            serde_json::from_value(json!({"type": "grant", "participant": "par_a", "right": "screen"}))
                .unwrap();
        let participant: ParticipantId = "par_a".parse().unwrap();
        assert_eq!(grant, RoomCommand::Grant { participant, right: Right::Screen });
        let hand: RoomCommand = serde_json::from_value(json!({"type": "hand", "up": true})).unwrap();
        assert_eq!(hand, RoomCommand::Hand { up: true, participant: None });
        for bad in [
            json!({"type": "explode"}),
            json!({"type": "switch", "source": "camera"}),
            json!({"type": "mute", "participant": "grp_a", "source": "camera"}),
            json!({"type": "react", "reaction": "<img>"}),
        ] {
            assert!(serde_json::from_value::<RoomCommand>(bad.clone()).is_err(), "{bad}");
        }
    }
}
