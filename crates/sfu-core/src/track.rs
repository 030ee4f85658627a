//! A published track: its encodings with everything that is kept of them, and its subscriptions.

use std::time::{Duration, Instant};

use slab::Slab;

use crate::clock::ClockMapping;
use crate::codec::Picture;
use crate::config::{EncodingConfig, Format, MAX_ENCODINGS, MediaKind, TrackConfig};
use crate::keyframe::KeyframeRequests;
use crate::layers::Candidate;
use crate::nack::{NackTracker, RoundTrip};
use crate::receive::{Arrival, ReceiveStats};
use crate::ring::{MAX_AUDIO_BYTES, MAX_VIDEO_BYTES, PacketRing};
use crate::rtp::RtpPacket;
use crate::seq::{Seq, timestamp_before};
use crate::splice::Entry;
use crate::stats::{EncodingStats, TrackStats};
use crate::subscription::Subscription;

/// A track with no media for this long is inactive.
pub const ACTIVE: Duration = Duration::from_secs(1);
/// An encoding that is silent for this long while another one of its track flows was stopped.
const STOPPED: Duration = Duration::from_millis(400);
/// A subscriber who joins starts with a keyframe of the ring if it is at most this old: what came since is
/// sent at once, so it must not be much.
const MAX_BACKLOG_AGE: Duration = Duration::from_secs(1);
/// The same in packets.
const MAX_BACKLOG_PACKETS: u64 = 600;

/// Where the last keyframe begins.
#[derive(Debug, Clone, Copy)]
struct Keyframe {
    seq: Seq,
    timestamp: u32,
    picture: Picture,
    at: Instant,
}

/// One encoding of a track.
#[derive(Debug)]
pub(crate) struct Encoding {
    pub(crate) config: EncodingConfig,
    /// The SSRC that is bound to it.
    pub(crate) ssrc: Option<u32>,
    pub(crate) receive: ReceiveStats,
    /// Counts the times that the stream started over: a new connection, SSRC or codec, or a jump.
    pub(crate) run: u32,
    pub(crate) nack: NackTracker,
    pub(crate) ring: PacketRing,
    pub(crate) keyframes: KeyframeRequests,
    keyframe: Option<Keyframe>,
    newest: Option<(Seq, u32)>,
    pub(crate) clock: Option<ClockMapping>,
    pub(crate) format: Option<Format>,
    pub(crate) last_media: Option<Instant>,
    stats: EncodingStats,
    window_start: Option<Instant>,
    window_bytes: u64,
}

/// What is done about missing packets, and so which late ones are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repair {
    /// The publisher is asked: only what was missing is taken late.
    Ask,
    /// Nothing: what was just overtaken is taken late.
    None,
    /// The publisher's own shard asks and drops duplicates: everything is taken.
    Trust,
}

/// What a packet means for its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) seq: Seq,
    /// How long after its only request it came.
    pub(crate) round_trip: Option<Duration>,
}

impl Encoding {
    fn new(config: EncodingConfig, kind: MediaKind) -> Self {
        let max_bytes = if kind == MediaKind::Video { MAX_VIDEO_BYTES } else { MAX_AUDIO_BYTES };
        Self {
            config,
            ssrc: config.ssrc,
            receive: ReceiveStats::default(),
            run: 0,
            nack: NackTracker::default(),
            ring: PacketRing::new(max_bytes),
            keyframes: KeyframeRequests::default(),
            keyframe: None,
            newest: None,
            clock: None,
            format: None,
            last_media: None,
            stats: EncodingStats::default(),
            window_start: None,
            window_bytes: 0,
        }
    }

    /// The stream starts over: what follows does not go on from what was.
    pub(crate) fn restart(&mut self) {
        self.receive.restart();
        self.next_run();
        self.clock = None;
    }

    fn next_run(&mut self) {
        self.run = self.run.wrapping_add(1);
        self.keyframe = None;
        self.newest = None;
        self.nack.clear();
    }

    /// Takes a packet: `None` if it is a duplicate, or far from the stream.
    pub(crate) fn accept(
        &mut self,
        packet: &RtpPacket<'_>,
        bytes: &[u8],
        format: &Format,
        recovered: bool,
        repair: Repair,
        now: Instant,
    ) -> Option<Accepted> {
        let expected = self.receive.highest().map(|highest| highest + 1);
        let arrival = self.receive.arrive(packet.sequence, recovered);
        let (mut round_trip, mut repeated) = (None, recovered);
        let seq = match arrival {
            Arrival::Stray => return None,
            Arrival::First(seq) => {
                self.next_run();
                seq
            }
            Arrival::Newer(seq) => {
                let asks = repair == Repair::Ask;
                if let Some(expected) = expected.filter(|&expected| asks && expected < seq)
                    && !self.nack.gap(expected, seq, now)
                {
                    self.keyframes.want();
                }
                seq
            }
            Arrival::Older(seq) => {
                // A duplicate must not pass, not even one that the ring has forgotten: sent on, it would be
                // encrypted twice under one SRTP index. Browsers probe with old packets.
                if self.ring.contains(seq) {
                    return None;
                }
                let repaired = self.nack.arrived(seq, now);
                round_trip = repaired.and_then(|repaired| repaired.round_trip);
                // Without a retransmission stream it comes as it was, at another time than it was sent first.
                repeated |= repaired.is_some_and(|repaired| repaired.asked);
                let expected = match repair {
                    Repair::Ask => repaired.is_some() || self.receive.just_before_start(seq),
                    Repair::None => self.receive.just_overtaken(seq),
                    Repair::Trust => true,
                };
                if !expected {
                    return None;
                }
                seq
            }
        };
        if self.format.is_some_and(|old| old.codec != format.codec || old.profile != format.profile) {
            self.next_run();
        }
        self.format = Some(*format);
        if !repeated {
            self.receive.transit(packet.timestamp, format.clock_rate, now);
        }
        self.ring.insert(seq, bytes, now);
        self.count(bytes.len(), recovered, now);
        if self.newest.is_none_or(|(newest, _)| newest < seq) {
            let begins = self.newest.is_none_or(|(_, timestamp)| timestamp != packet.timestamp);
            self.stats.frames += u64::from(begins);
            self.newest = Some((seq, packet.timestamp));
        }
        Some(Accepted { seq, round_trip })
    }

    fn count(&mut self, bytes: usize, recovered: bool, now: Instant) {
        self.stats.packets += 1;
        self.stats.bytes += bytes as u64;
        self.stats.recovered += u64::from(recovered);
        self.window_bytes += bytes as u64;
        self.last_media = Some(now);
    }

    /// Notes that a keyframe begins with this packet; true if it is another one than the last.
    pub(crate) fn keyframe_begins(
        &mut self,
        seq: Seq,
        timestamp: u32,
        picture: Picture,
        now: Instant,
    ) -> bool {
        match &mut self.keyframe {
            // Parameter sets and slices of one picture, or the packets of its spatial layers.
            Some(last) if last.timestamp == timestamp => {
                if seq < last.seq {
                    (last.seq, last.picture) = (seq, picture);
                }
                false
            }
            Some(last) if seq < last.seq => false,
            _ => {
                self.keyframe = Some(Keyframe { seq, timestamp, picture, at: now });
                self.keyframes.satisfied();
                self.stats.keyframes += 1;
                true
            }
        }
    }

    /// Whether media came within the last second.
    pub(crate) fn active(&self, now: Instant) -> bool {
        self.last_media.is_some_and(|last| now.saturating_duration_since(last) < ACTIVE)
    }

    /// Where a subscription can start now: the last keyframe, if it and what followed is still kept.
    pub(crate) fn entry(&self, now: Instant) -> Option<Entry> {
        let keyframe = self.keyframe?;
        let (newest, live) = self.newest?;
        let recent = now.saturating_duration_since(keyframe.at) <= MAX_BACKLOG_AGE;
        let short = newest.saturating_sub(keyframe.seq) <= MAX_BACKLOG_PACKETS;
        if !recent || !short || !self.ring.contains(keyframe.seq) {
            return None;
        }
        let live = if timestamp_before(live, keyframe.timestamp) { keyframe.timestamp } else { live };
        let clock_rate = self.format?.clock_rate;
        let Keyframe { seq, timestamp, picture, .. } = keyframe;
        Some(Entry { seq, timestamp, live, picture, clock_rate })
    }

    /// The number of the newest packet.
    pub(crate) fn newest(&self) -> Option<Seq> {
        self.newest.map(|(seq, _)| seq)
    }

    /// Measures the bitrate, once a second.
    pub(crate) fn measure(&mut self, now: Instant) {
        let start = *self.window_start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start);
        if elapsed >= Duration::from_millis(500) {
            let bits = u128::from(self.window_bytes) * 8_000_000 / elapsed.as_micros().max(1);
            self.stats.bitrate = u64::try_from(bits).unwrap_or(u64::MAX);
            self.window_bytes = 0;
            self.window_start = Some(now);
        }
    }

    pub(crate) fn bitrate(&self) -> u64 {
        self.stats.bitrate
    }

    pub(crate) fn stats(&self, now: Instant) -> EncodingStats {
        EncodingStats {
            active: self.active(now),
            wanted: true,
            ssrc: self.ssrc,
            codec: self.format.map(|format| format.codec),
            lost: self.receive.lost().saturating_sub(self.stats.recovered),
            jitter: self.receive.jitter(),
            keyframe_requests: self.keyframes.count,
            nacked: self.nack.nacked,
            ..self.stats
        }
    }
}

/// The encodings of a track as candidates.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    candidates: [Candidate; MAX_ENCODINGS],
    len: usize,
}

impl Candidates {
    pub(crate) fn as_slice(&self) -> &[Candidate] {
        self.candidates.get(..self.len).unwrap_or_default()
    }
}

/// A published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) config: TrackConfig,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) subscriptions: Slab<Subscription>,
    pub(crate) active: bool,
    /// A subscription may have to start or to switch.
    pub(crate) unsettled: bool,
}

impl Track {
    pub(crate) fn new(config: TrackConfig) -> Self {
        let encodings =
            config.encodings.iter().map(|&encoding| Encoding::new(encoding, config.kind)).collect();
        Self { config, encodings, subscriptions: Slab::new(), active: false, unsettled: false }
    }

    /// The publisher came back with this negotiation: the streams start over, the subscriptions stay.
    pub(crate) fn resume(&mut self, config: TrackConfig) {
        self.encodings.truncate(config.encodings.len());
        for (index, &negotiated) in config.encodings.iter().enumerate() {
            match self.encodings.get_mut(index) {
                Some(encoding) => {
                    encoding.restart();
                    encoding.keyframes.restart();
                    encoding.config = negotiated;
                    encoding.ssrc = negotiated.ssrc;
                }
                None => self.encodings.push(Encoding::new(negotiated, config.kind)),
            }
        }
        self.config = config;
        self.unsettled = true;
    }

    /// The format under a payload type of the publisher.
    pub(crate) fn format(&self, payload_type: u8) -> Option<Format> {
        self.config.formats.iter().find(|format| format.payload_type == payload_type).copied()
    }

    /// The format whose retransmissions have this payload type.
    pub(crate) fn retransmitted(&self, payload_type: u8) -> Option<Format> {
        self.config.formats.iter().find(|format| format.rtx == Some(payload_type)).copied()
    }

    /// When its last packet came.
    pub(crate) fn last_media(&self) -> Option<Instant> {
        self.encodings.iter().filter_map(|encoding| encoding.last_media).max()
    }

    /// The encodings as candidates. One flows if it does not lag behind its siblings: a still screen has a
    /// frame now and then in all of them, an encoding that the browser stopped has none while others go on.
    pub(crate) fn candidates(&self) -> Candidates {
        let newest = self.last_media();
        let mut list = Candidates::default();
        for (slot, encoding) in list.candidates.iter_mut().zip(&self.encodings) {
            let lag =
                encoding.last_media.zip(newest).map(|(last, newest)| newest.saturating_duration_since(last));
            let active = lag.is_some_and(|lag| lag < STOPPED);
            *slot = Candidate { rid: encoding.config.rid, active, bitrate: encoding.bitrate() };
            list.len += 1;
        }
        list
    }

    /// The first time after `now` that something is due for this track.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let encodings = self.encodings.iter().flat_map(|encoding| {
            // Nobody answers a request while nothing flows; the next packet brings it up again.
            let keyframe = encoding.keyframes.due(now).filter(|_| encoding.active(now));
            [encoding.nack.due(), keyframe]
        });
        let silence = self.last_media().filter(|_| self.active).map(|last| last + ACTIVE);
        let settle = self.unsettled.then_some(now);
        encodings.chain([silence, settle]).flatten().min()
    }

    pub(crate) fn stats(&self, now: Instant) -> TrackStats {
        TrackStats {
            active: self.encodings.iter().any(|encoding| encoding.active(now)),
            encodings: self.encodings.iter().map(|encoding| encoding.stats(now)).collect(),
        }
    }
}

/// The round trip to a publisher, from a packet that came after its only request.
pub(crate) fn learn(round_trip: &mut RoundTrip, accepted: &Accepted) {
    if let Some(sample) = accepted.round_trip {
        round_trip.sample(sample);
    }
}
