//! What the control plane and other shards tell a shard, and what a shard tells the control plane.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use contract::id::{BroadcastId, ParticipantId};
use contract::layer::{
    EncodingWanted, EncodingsWanted, LayerList, LayerRequest, MediaEncodings, WantedLayer,
};
use mio::Waker;
use rtp::Extensions;
use sfu_core::{SourceId, SubscriptionId, TrackConfig, TrackName};
use tokio::sync::oneshot;
use transport::{DataParameters, Fingerprint, IceCredentials};

use super::message::ShardMessage;
use crate::end::EndReason;
use crate::registry::{Formats, SessionKey, TrackState};

/// Commands that may wait for a shard besides departures, of which there is at most one a session. Beyond, new
/// sessions are refused: the shard does not keep up.
const MAX_COMMANDS: usize = 1_024;
/// Messages that may wait from all other shards together. When it is full, packets are dropped, and states wait where
/// they come from (see `lane`).
pub(super) const MAX_MESSAGES: usize = 1_024;

/// A new session for a shard.
#[derive(Debug)]
pub(crate) struct Join {
    /// Its key.
    pub(crate) key: SessionKey,
    /// Its room.
    pub(crate) room: BroadcastId,
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
}

/// What a publisher sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Header extension ids.
    pub(crate) extensions: Extensions,
    /// Its tracks by slot.
    pub(crate) tracks: Vec<TrackConfig>,
    /// Its codecs by slot; none where it sends nothing.
    pub(crate) formats: Formats,
    /// It listens to `goog-remb`.
    pub(crate) remb: bool,
    /// It takes RTCP of reduced size.
    pub(crate) reduced_size: bool,
}

impl Published {
    /// Every encoding of its simulcast tracks, wanted: what a publisher starts with.
    pub(crate) fn every_encoding(&self) -> EncodingsWanted {
        self.wanted(|_, _| true)
    }

    /// The encodings of its simulcast tracks, by index of track and encoding.
    pub(crate) fn wanted(&self, is_wanted: impl Fn(usize, usize) -> bool) -> EncodingsWanted {
        let simulcast = self.tracks.iter().enumerate().filter(|(_, track)| track.encodings.len() > 1);
        let media = simulcast.map(|(slot, track)| {
            let encodings = track.encodings.iter().enumerate().filter_map(|(index, encoding)| {
                let encoding_id = encoding.rid?.to_string();
                Some(EncodingWanted { encoding_id, wanted: is_wanted(slot, index) })
            });
            MediaEncodings { media_id: track.mid.to_string(), encodings: encodings.collect() }
        });
        EncodingsWanted { media: media.collect() }
    }
}

/// One m-line of a viewer.
#[derive(Debug, Clone)]
pub(crate) struct MediaSection {
    /// Which track of which publisher.
    pub(crate) shows: TrackName,
    /// Its m-line.
    pub(crate) mid: rtp::Mid,
    /// SSRC of the media.
    pub(crate) ssrc: u32,
    /// SSRC of retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
    /// Whose clock its timestamps are of, as the answer says it: the owner of what it shows.
    pub(crate) cname: Arc<str>,
    /// What the viewer decodes.
    pub(crate) formats: Vec<sfu_core::Format>,
    /// Its id in the core, once the viewer is connected.
    pub(crate) id: Option<SubscriptionId>,
    /// The publisher sends what the viewer does not decode.
    pub(crate) mismatch: bool,
    /// What the viewer asked for.
    pub(crate) choice: LayerChoice,
}

impl MediaSection {
    /// Slot of its source.
    pub(crate) fn slot(&self) -> usize {
        usize::from(self.shows.track.0)
    }
}

/// What a viewer asked for on one m-line.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerChoice {
    pub(crate) wanted: WantedLayer,
    pub(crate) paused: bool,
}

impl LayerChoice {
    /// Takes over a request.
    pub(crate) fn change(&mut self, request: &LayerRequest) {
        self.wanted = WantedLayer {
            encoding_id: request.encoding_id.clone(),
            max_height: request.max_height,
            max_temporal_layer_id: request.max_temporal_layer_id,
        };
        self.paused = request.paused.unwrap_or(self.paused);
    }
}

/// Why layers are not shown or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayerError {
    /// There is no such viewer on this shard any more.
    #[error("the session has ended")]
    Ended,
    /// No video section has the name that was asked for.
    #[error("there is no video section with this `mediaId`")]
    NoMedia,
    /// The publisher does not send the rid that was asked for.
    #[error("the publisher sends no encoding with this `encodingId`")]
    NoEncoding,
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
    /// Shut down: end every session, then the thread.
    Stop,
}

/// The sending side of a shard's inbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ShardHandle {
    commands: Arc<Commands>,
    messages: SyncSender<ShardMessage>,
    waker: Arc<Waker>,
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: Arc<Commands>,
    messages: Receiver<ShardMessage>,
}

#[derive(Debug, Default)]
struct Commands {
    /// So that a shard looks at the lock only when something is there.
    waiting: AtomicBool,
    queue: Mutex<VecDeque<Command>>,
}

/// The inbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InboxFull;

/// A shard's inbox.
pub(crate) fn inbox(waker: Arc<Waker>) -> (ShardHandle, Inbox) {
    let commands = Arc::new(Commands::default());
    let (sender, receiver) = sync_channel(MAX_MESSAGES);
    (
        ShardHandle { commands: commands.clone(), messages: sender, waker },
        Inbox { commands, messages: receiver },
    )
}

impl ShardHandle {
    /// Hands over a command and wakes the shard. Departures are always taken: there is one a session at most.
    pub(crate) fn send(&self, command: Command) -> Result<(), InboxFull> {
        {
            let mut queue = self.commands.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let may_wait = matches!(
                command,
                Command::Join(..) | Command::RestartIce { .. } | Command::ChooseLayers { .. }
            );
            if may_wait && queue.len() >= MAX_COMMANDS {
                return Err(InboxFull);
            }
            queue.push_back(command);
        }
        self.commands.waiting.store(true, Ordering::Release);
        self.wake();
        Ok(())
    }

    /// Hands over a message of another shard without waking: that one wakes once a batch. It is given back if there is
    /// no room.
    pub(crate) fn post(&self, message: ShardMessage) -> Option<ShardMessage> {
        match self.messages.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Some(message),
        }
    }

    /// Wakes the shard.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a media thread cannot be woken");
        }
    }
}

impl Inbox {
    /// The next command.
    pub(crate) fn command(&self) -> Option<Command> {
        if !self.commands.waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut queue = self.commands.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let command = queue.pop_front();
        if command.is_none() {
            self.commands.waiting.store(false, Ordering::Release);
        }
        command
    }

    /// The next message of another shard.
    pub(crate) fn message(&self) -> Option<ShardMessage> {
        self.messages.try_recv().ok()
    }
}

/// What a shard tells the control plane. Never lost: what the channel does not take waits in the shard, which has at
/// most two a session and two a publisher.
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
    /// What a publisher's tracks do.
    Media {
        /// The publisher.
        key: SessionKey,
        /// Its tracks.
        states: Vec<TrackState>,
        /// When media came last.
        last_media: Option<Instant>,
    },
}

impl ShardEvent {
    /// Whether `earlier`, which waits before this one, need not be said any more.
    pub(super) fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Media { key, .. }, Self::Media { key: of, .. }) => key == of,
            (Self::Encodings { key, .. }, Self::Encodings { key: of, .. }) => key == of,
            _ => false,
        }
    }
}
