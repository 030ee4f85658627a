//! What the control plane tells a shard, and what a shard tells the control plane.

use std::sync::Arc;
use std::time::Instant;

use contract::call::{Bound, PictureCodec, Wants};
use contract::destination::Source;
use contract::id::ParticipantId;
use contract::layer::{EncodingsWanted, LayerList, LayerRequest};
use contract::room_state::{Quality, SourceState};
use rtp::Extensions;
use sfu_core::SourceId;
use tokio::sync::oneshot;
use transport::{DataParameters, Fingerprint, IceCredentials};

use super::member::Member;
use super::section::{LayerError, MediaSection};
use crate::end::EndReason;
use crate::published::{Published, RoomKey, SessionKey, TrackState};

/// A new session for a shard.
#[derive(Debug)]
pub(crate) struct Join {
    /// Its key.
    pub(crate) key: SessionKey,
    /// Its room.
    pub(crate) room: RoomKey,
    /// Its name there.
    pub(crate) participant: ParticipantId,
    /// Our ICE credentials.
    pub(crate) local: IceCredentials,
    /// The client's ICE credentials.
    pub(crate) remote: IceCredentials,
    /// The client's certificate.
    pub(crate) remote_fingerprint: Fingerprint,
    /// The client listens for the DTLS handshake: it is ours to open.
    pub(crate) dtls_client: bool,
    /// What the client says about data channels, if it has them.
    pub(crate) data: Option<DataParameters>,
    /// What it sends or receives.
    pub(crate) role: JoinRole,
}

/// What a new session sends or receives.
#[derive(Debug)]
pub(crate) enum JoinRole {
    /// A publisher; this shard is its home.
    Publisher {
        /// Its name in the room.
        source: SourceId,
        /// What it sends.
        published: Arc<Published>,
    },
    /// A viewer.
    Viewer {
        /// What the publishers of the room send, or sent before they were lost.
        published: Vec<(SourceId, Arc<Published>)>,
        /// Header extension ids.
        extensions: Extensions,
        /// It takes RTCP of reduced size.
        reduced_size: bool,
        /// What it gets.
        sections: Vec<MediaSection>,
    },
    /// The receiving connection of a participant of a call.
    Member {
        /// What the publishers of the room send, or sent before they were lost.
        published: Vec<(SourceId, Arc<Published>)>,
        /// What it gets.
        member: Box<Member>,
    },
}

/// The answer to a [`Command::Join`] or [`Command::RestartIce`]: why not, in words for the log.
pub(crate) type Reply = oneshot::Sender<Result<(), String>>;

/// What a shard is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// A new session.
    Join(Box<Join>, Reply),
    /// A session ends, and why.
    Leave(SessionKey, EndReason),
    /// A session's ICE starts over.
    RestartIce {
        /// The session.
        key: SessionKey,
        /// Our new credentials.
        local: IceCredentials,
        /// The client's new credentials.
        remote: IceCredentials,
        /// The answer.
        reply: Reply,
    },
    /// What a viewer's video sections get, after `change` if there is one.
    ChooseLayers {
        /// The viewer's session.
        key: SessionKey,
        /// What it asks for.
        change: Option<LayerRequest>,
        /// The answer.
        reply: oneshot::Sender<Result<LayerList, LayerError>>,
    },
    /// What the slots of a participant of a call show, after `wants` if there are any.
    ChooseSlots {
        /// Its receiving connection.
        key: SessionKey,
        /// What its page wants to see.
        wants: Option<Wants>,
        /// The answer: what holds now. Wants that come too fast are read a moment later, the latest.
        reply: oneshot::Sender<Option<Bound>>,
    },
    /// Which of the encodings that a participant of a call publishes are watched.
    EncodingsWatched {
        /// Its receiving connection: there it is told.
        key: SessionKey,
        /// Its encodings.
        wanted: EncodingsWanted,
    },
    /// In which codec a participant of a call is to send its pictures.
    Pictures {
        /// Its receiving connection: there it is told.
        key: SessionKey,
        /// The codec.
        codec: PictureCodec,
        /// Of two such commands the one with the greater number counts.
        number: u64,
    },
    /// What a source of a publisher does from now on; one that is muted goes to nobody.
    Gate {
        /// Its publishing connection.
        key: SessionKey,
        /// The source.
        source: Source,
        /// What it does.
        state: SourceState,
        /// Of two such commands the one with the greater number counts.
        number: u64,
    },
    /// A publisher of a call has left for good; its name is not used again.
    Gone {
        /// The room.
        room: RoomKey,
        /// Its name there.
        source: SourceId,
    },
    /// Shut down: end every session, then the thread.
    Stop,
}

/// What a shard tells the control plane. Never lost: what the channel does not take waits in the shard, which has at
/// most three a session and two a publisher.
#[derive(Debug)]
pub(crate) enum ShardEvent {
    /// ICE and DTLS are done.
    Connected(SessionKey),
    /// The session is gone.
    Ended(SessionKey, EndReason),
    /// Which of a publisher's encodings are watched.
    Encodings {
        /// The publisher.
        key: SessionKey,
        /// Its encodings.
        wanted: EncodingsWanted,
    },
    /// How good a connection of a call is.
    Quality {
        /// Publishing or receiving.
        key: SessionKey,
        /// How good.
        quality: Quality,
    },
    /// What a publisher's tracks do.
    Media {
        /// The publisher.
        key: SessionKey,
        /// Its tracks.
        states: Vec<TrackState>,
        /// When media came last.
        last_media: Option<Instant>,
        /// It was heard and is not any more, although its session is there.
        silent: bool,
    },
}

impl ShardEvent {
    /// Whether `earlier`, which waits before this one, need not be said any more.
    pub(super) fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Media { key, .. }, Self::Media { key: of, .. }) => key == of,
            (Self::Encodings { key, .. }, Self::Encodings { key: of, .. }) => key == of,
            (Self::Quality { key, .. }, Self::Quality { key: of, .. }) => key == of,
            _ => false,
        }
    }
}
