//! What was negotiated, as values: the shell makes them from SDP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtp::{Codec, Extensions, MediaKind, Mid, Rid};

use crate::ids::{Peer, RoomId, SourceId, TrackName};

/// Most tracks that one publisher has; a published session has no more m-lines than this.
pub const MAX_TRACKS: usize = 64;
/// Most encodings (simulcast streams) that one track has.
pub const MAX_ENCODINGS: usize = 3;

/// What a shard is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardConfig {
    /// A moment, and the time of day at it: all shards of a node get the same pair.
    pub epoch: Instant,
    /// Time since 1970 at `epoch`.
    pub unix: Duration,
    /// Where the random numbers of the shard start (first sequence numbers and timestamps of streams).
    pub seed: u64,
}

/// One negotiated payload type with its retransmission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The payload type of its retransmissions (RFC 4588), if negotiated.
    pub rtx: Option<u8>,
    /// Whether lost packets may be asked for again (`a=rtcp-fb: nack`).
    pub nack: bool,
    /// The codec.
    pub codec: Codec,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// It is redundant audio (RFC 2198), whose blocks are of this payload type: the codec is theirs.
    pub redundant: Option<u8>,
}

impl Format {
    /// What a payload (without padding) carries that is new; `None` for what is not of this format, or empty.
    pub(crate) fn primary<'a>(&self, payload: &'a [u8]) -> Option<&'a [u8]> {
        let Some(of) = self.redundant else { return Some(payload).filter(|payload| !payload.is_empty()) };
        media::red::primary(payload)
            .filter(|primary| primary.payload_type == of)
            .map(|primary| primary.payload)
    }
}

/// One encoding of a track: a simulcast stream, or the only one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodingConfig {
    /// Its rid, with simulcast.
    pub rid: Option<Rid>,
    /// Its SSRC, if the SDP names it.
    pub ssrc: Option<u32>,
    /// The SSRC of its retransmissions, if the SDP names it (`a=ssrc-group:FID`).
    pub rtx_ssrc: Option<u32>,
}

/// One published track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackConfig {
    /// Audio or video.
    pub kind: MediaKind,
    /// Its media section.
    pub mid: Mid,
    /// The formats that were negotiated, the preferred one first.
    pub formats: Vec<Format>,
    /// Its encodings, worst first (1 to [`MAX_ENCODINGS`]); a track without simulcast has one with no rid.
    pub encodings: Vec<EncodingConfig>,
    /// The source that it is, in a call: unique in its room, the same on every shard and after a reconnect. Packets of
    /// slots say it as their CSRC.
    pub csrc: Option<u32>,
}

/// Where a publisher's connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// On this shard, under this handle.
    Local(Peer),
    /// On another shard or node: packets come through [`crate::Shard::handle_from_origin`], requests go out as
    /// [`crate::Event::KeyframeNeeded`].
    Remote,
}

/// Whether others get a source of somebody, as its room has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// Whatever comes of it.
    #[default]
    Open,
    /// Its owner says that it is off: it is not waited for, and nobody is kept waiting by it. Whoever is not told that it
    /// is on again hears and sees so: what comes of it flows.
    Off,
    /// It may not be sent: whatever comes of it, nobody gets it.
    Closed,
}

/// A publisher with its tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherConfig {
    /// The room it publishes in.
    pub room: RoomId,
    /// Its name in the room: what subscriptions show is said with it.
    pub source_id: SourceId,
    /// Where its connection is.
    pub origin: Origin,
    /// The ids of the header extensions that it sends (the same on all its m-lines).
    pub extensions: Extensions,
    /// Its tracks; the order is the identity of a track, on every shard and over reconnects.
    pub tracks: Vec<TrackConfig>,
    /// Whether RTCP to it may be reduced-size (RFC 5506, `a=rtcp-rsize`).
    pub reduced_size: bool,
    /// Whether it listens to `goog-remb`; used when it does not number its packets for transport-cc.
    pub remb: bool,
}

/// A connection that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriberConfig {
    /// The shell's handle of it.
    pub peer: Peer,
    /// The room it receives from.
    pub room: RoomId,
    /// The ids of the header extensions that it takes.
    pub extensions: Extensions,
    /// Whether RTCP to it may be reduced-size (RFC 5506, `a=rtcp-rsize`).
    pub reduced_size: bool,
    /// Who it is among the publishers of the room, if it publishes: it does not hear itself.
    pub own: Option<SourceId>,
}

/// What a subscriber asks for of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Which encoding.
    pub encoding: WantedEncoding,
    /// The highest temporal layer; none is all there are.
    pub max_temporal: Option<u8>,
}

/// Which encoding of a track a subscriber asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WantedEncoding {
    /// The best that the line carries.
    #[default]
    Auto,
    /// The one with this rid, while it flows.
    Rid(Rid),
    /// The best that is not higher than this, in pixels; the lowest there is if all are.
    MaxHeight(u16),
}

/// One outgoing stream of a subscriber, as its media section was negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionConfig {
    /// The media section of the subscriber.
    pub mid: Mid,
    /// The SSRC that the subscriber sees, for the life of the subscription.
    pub ssrc: u32,
    /// The SSRC of retransmissions; without it lost packets are repeated as they were.
    pub rtx_ssrc: Option<u32>,
    /// The clock that its timestamps are of, as the SDP says it (RFC 3550, section 6.5.1): streams of one name are in
    /// sync. Cut at 255 bytes.
    pub cname: Arc<str>,
    /// The formats that the subscriber takes. The packets of a format that it does not take are not sent.
    pub formats: Vec<Format>,
    /// The track that it shows, whose publisher may still have to come; none shows nothing.
    pub shows: Option<TrackName>,
    /// What it is for, if it is a slot of a call, which shows one source after another: its packets say whose they are
    /// as CSRC, 4 bytes each, and [`crate::Event::Bound`] says from which packet on.
    pub slot: Option<SlotKind>,
}

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlotKind {
    /// A camera among others.
    Tile,
    /// The camera that is shown large.
    Stage,
    /// A screen.
    Screen,
    /// A microphone.
    Voice,
    /// The sound of a screen.
    ScreenAudio,
}
