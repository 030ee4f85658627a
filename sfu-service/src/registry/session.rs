//! What the registry keeps of a session, and what it is told of a new one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use contract::id::{BroadcastId, ParticipantId, SessionId, TrackId};
use contract::layer::EncodingsWanted;
use sfu_core::SourceId;
use tokio::sync::watch;
use transport::sdp::CodecFormat;

use crate::end::EndReason;
use crate::published::{Formats, Published, SOURCES, SessionKey};

/// SHA-256 of a bearer; what a session remembers of whoever opened it.
pub(crate) type BearerHash = [u8; 32];

/// Publisher or viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A WHIP session.
    Publisher {
        /// Its name in the room.
        source: SourceId,
        /// What it sends.
        published: Arc<Published>,
    },
    /// A WHEP session.
    Viewer {
        /// Subject of its token.
        subject: Option<String>,
        /// A preview on the Home page: not counted.
        preview: bool,
        /// The publisher that it watches.
        watches: SourceId,
        /// What it decodes in the slots that it gets.
        decodes: Vec<(usize, Vec<CodecFormat>)>,
    },
}

impl Kind {
    pub(super) fn is_publisher(&self) -> bool {
        matches!(self, Self::Publisher { .. })
    }

    /// The publisher that it is.
    pub(super) fn source(&self) -> Option<SourceId> {
        match self {
            Self::Publisher { source, .. } => Some(*source),
            Self::Viewer { .. } => None,
        }
    }

    /// Whether a viewer can go on when `source` sends `formats`.
    pub(super) fn can_play(&self, source: SourceId, formats: &Formats) -> bool {
        let Self::Viewer { watches, decodes, .. } = self else { return true };
        *watches != source
            || decodes.iter().all(|(slot, decoders)| match formats.get(*slot) {
                Some(Some(format)) => decoders.iter().any(|decoder| decoder.decodes(*format).is_some()),
                _ => true,
            })
    }
}

/// One WHIP or WHEP session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Its key in the shards.
    pub(crate) key: SessionKey,
    /// Its broadcast.
    pub(crate) broadcast: BroadcastId,
    /// The shard that serves it.
    pub(crate) shard: usize,
    /// Publisher or viewer.
    pub(crate) kind: Kind,
    /// Who opened it, if a bearer did.
    pub(crate) bearer: Option<BearerHash>,
    /// Entity tag of its ICE session, with quotes.
    pub(crate) etag: String,
    /// The client's ICE user fragment of now: another one in a fragment asks for an ICE restart.
    pub(crate) remote_ufrag: String,
    /// When it was opened.
    pub(crate) opened_at: Instant,
    /// Which of its encodings a publisher is asked for.
    pub(crate) wanted: Option<watch::Sender<EncodingsWanted>>,
    pub(super) source: IpAddr,
    pub(super) connected: bool,
}

/// A session to remove from its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The shard.
    pub(crate) shard: usize,
    /// The session.
    pub(crate) key: SessionKey,
    /// Why.
    pub(crate) reason: EndReason,
}

/// What a new session needs to know of its room.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Key of the new session.
    pub(crate) key: SessionKey,
    /// Shard that serves it.
    pub(crate) shard: usize,
}

/// What a viewer can get of a publisher.
#[derive(Debug, Clone)]
pub(crate) struct Playable {
    /// Its name in the room.
    pub(crate) source: SourceId,
    /// Owner of the tracks.
    pub(crate) owner: ParticipantId,
    /// Ids of the tracks, by slot.
    pub(crate) tracks: [TrackId; SOURCES.len()],
    /// What the publisher sends.
    pub(crate) published: Arc<Published>,
}

/// A new session.
#[derive(Debug)]
pub(crate) struct NewSession {
    /// Its id, the secret part of its URL.
    pub(crate) id: SessionId,
    /// The broadcast.
    pub(crate) broadcast: BroadcastId,
    /// Publisher or viewer.
    pub(crate) kind: Kind,
    /// Whom it counts for while it is not connected.
    pub(crate) source: IpAddr,
    /// Who opens it.
    pub(crate) bearer: Option<BearerHash>,
    /// Entity tag.
    pub(crate) etag: String,
    /// The client's ICE user fragment.
    pub(crate) remote_ufrag: String,
    /// Now.
    pub(crate) now: Instant,
}

/// Why no session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The node is at its limit of sessions.
    Full,
    /// The source has as many sessions that are not connected as one may have.
    HalfOpen,
}
