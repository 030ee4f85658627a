//! A publisher: which packet belongs to which encoding, and what is kept of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rtp::rtcp::SenderInfo;
use rtp::seq::Seq;
use rtp::twcc::Recorder;
use rtp::{AudioLevel, Extension, Extensions, MediaKind, Mid, Rid, RtpPacket, ntp, unwrap_rtx};

use crate::clock::{ClockMapping, ClockOffset, WallClock};
use crate::config::{Gate, MAX_ENCODINGS, MAX_TRACKS, Origin, PublisherConfig};
use crate::early::EarlyReports;
use crate::encoding::{Repair, Way};
use crate::ids::{EncodingIndex, PublisherId, RoomId, SourceId, StreamId, TrackIndex, TrackName};
use crate::nack::RoundTrip;
use crate::packet::StreamView;
use crate::remb::RembEstimate;
use crate::sink::{ClockReport, Event, Sink, ToEdge};
use crate::stats::{PublisherStats, Totals};
use crate::timers::Deadline;
use crate::track::Track;
use crate::voices::level::Heard;

/// SSRCs that one publisher has: media and retransmissions of every encoding. A new one takes the place of the one that
/// its encoding had, so that there are never more.
const MAX_BINDINGS: usize = MAX_TRACKS * MAX_ENCODINGS * 2;
/// An SSRC that was silent for this long gives way to another one of the same encoding.
const REBIND_AFTER: Duration = Duration::from_millis(500);
/// Transport-wide feedback goes out this long after the first packet that it reports.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

/// What an SSRC is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Binding {
    track: u8,
    encoding: u8,
    retransmission: bool,
}

/// A packet that was taken in and not forwarded yet. Its bytes are in the ring of its encoding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh {
    pub(crate) stream: StreamId,
    pub(crate) seq: Seq,
}

/// What a packet of a microphone says, for its room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeardPacket {
    pub(crate) room: RoomId,
    pub(crate) name: TrackName,
    pub(crate) heard: Heard,
    /// Its owner says that it is off.
    pub(crate) is_off: bool,
}

/// What a publisher needs of its shard.
pub(crate) struct Context<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) rtcp: &'a mut Vec<u8>,
    /// What was taken in and waits to be forwarded.
    pub(crate) fresh: &'a mut Vec<Fresh>,
    /// What its room has to hear before that. No more than those.
    pub(crate) heard: &'a mut Vec<HeardPacket>,
    pub(crate) totals: &'a mut Totals,
    pub(crate) clock: WallClock,
    pub(crate) now: Instant,
    /// The SSRC that this shard reports under.
    pub(crate) ssrc: u32,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) id: PublisherId,
    pub(crate) room: RoomId,
    pub(crate) source_id: SourceId,
    /// `None` while the connection is lost.
    pub(crate) origin: Option<Origin>,
    pub(crate) ids: Extensions,
    pub(crate) tracks: Vec<Track>,
    bindings: HashMap<u32, Binding>,
    early_reports: EarlyReports,
    pub(crate) feedback: Recorder,
    pub(crate) feedback_due: Option<Instant>,
    pub(crate) numbered: bool,
    pub(crate) report_due: Instant,
    pub(crate) layers_due: Instant,
    pub(crate) reduced_size: bool,
    pub(crate) takes_remb: bool,
    pub(crate) remb: RembEstimate,
    pub(crate) round_trip: RoundTrip,
    pub(crate) clock_offset: ClockOffset,
    /// Other shards get its packets.
    pub(crate) pulled: bool,
    pub(crate) first_media: Option<Instant>,
    pub(crate) deadline: Deadline,
}

impl Publisher {
    pub(crate) fn new(id: PublisherId, config: PublisherConfig, now: Instant) -> Self {
        let mut publisher = Self {
            id,
            room: config.room,
            source_id: config.source_id,
            origin: Some(config.origin),
            ids: config.extensions,
            tracks: Vec::new(),
            bindings: HashMap::new(),
            early_reports: EarlyReports::default(),
            feedback: Recorder::new(now),
            feedback_due: None,
            numbered: false,
            report_due: now,
            layers_due: now,
            reduced_size: config.reduced_size,
            takes_remb: config.remb,
            remb: RembEstimate::default(),
            round_trip: RoundTrip::default(),
            clock_offset: ClockOffset::default(),
            pulled: false,
            first_media: None,
            deadline: Deadline::default(),
        };
        publisher.tracks = config.tracks.into_iter().map(Track::new).collect();
        publisher.bind_announced();
        publisher
    }

    /// The publisher is back, with a new negotiation for the same tracks. Tracks that it does not have any
    /// more stay, silent.
    pub(crate) fn resume(&mut self, config: PublisherConfig, now: Instant) {
        self.origin = Some(config.origin);
        self.ids = config.extensions;
        self.reduced_size = config.reduced_size;
        self.takes_remb = config.remb;
        self.feedback = Recorder::new(now);
        self.feedback_due = None;
        self.numbered = false;
        self.round_trip = RoundTrip::default();
        self.clock_offset = ClockOffset::default();
        for (index, track) in config.tracks.into_iter().enumerate() {
            match self.tracks.get_mut(index) {
                Some(old) => old.resume(track),
                None => self.tracks.push(Track::new(track)),
            }
        }
        self.bind_announced();
    }

    /// The connection is lost: nothing is asked of it any more.
    pub(crate) fn lose(&mut self) {
        self.origin = None;
        self.feedback_due = None;
        for encoding in self.tracks.iter_mut().flat_map(|track| &mut track.encodings) {
            encoding.nack.clear();
            encoding.keyframes.satisfied();
        }
    }

    /// The names of its microphones that are on.
    pub(crate) fn microphones(&self) -> impl Iterator<Item = TrackName> {
        let is_open = |track: &Track| track.is_microphone && track.gate == Gate::Open;
        let tracks = self.tracks.iter().zip(0u8..).filter(move |(track, _)| is_open(track));
        tracks.map(|(_, index)| TrackName { source: self.source_id, track: TrackIndex(index) })
    }

    /// Whether nobody gets what comes of a track.
    pub(crate) fn is_closed(&self, track: u8) -> bool {
        self.tracks.get(usize::from(track)).is_some_and(|track| track.gate == Gate::Closed)
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self.origin, Some(Origin::Local(_)))
    }

    /// Takes a packet of the publisher's own connection. Returns the track that it was for.
    pub(crate) fn take_packet<S: Sink>(&mut self, bytes: &[u8], cx: &mut Context<'_, S>) -> Option<u8> {
        let packet = RtpPacket::parse(bytes).ok().filter(|_| self.is_local())?;
        if let Some(&number) =
            packet.extension(&self.ids, Extension::TransportCc).and_then(<[u8]>::first_chunk::<2>)
        {
            self.numbered = true;
            self.feedback.record(u16::from_be_bytes(number), cx.now);
            self.feedback_due.get_or_insert(cx.now + FEEDBACK_INTERVAL);
        }
        let (binding, is_new) = self.bind(&packet, cx.now)?;
        if self.is_closed(binding.track) {
            return None;
        }
        if !binding.retransmission {
            self.take_media(binding.track, binding.encoding, bytes, &packet, Way::Direct, cx);
            if is_new {
                self.take_early_report(packet.ssrc, cx);
            }
            return Some(binding.track);
        }
        let track = self.tracks.get(usize::from(binding.track))?;
        let format = track.retransmitted(packet.payload_type)?;
        let ssrc = track.encodings.get(usize::from(binding.encoding))?.ssrc.unwrap_or_default();
        let scratch = std::mem::take(&mut cx.scratch);
        if let Some(original) = unwrap_rtx(bytes, ssrc, format.payload_type, scratch)
            .and_then(|len| scratch.get(..len))
            .and_then(|bytes| Some((bytes, RtpPacket::parse(bytes).ok()?)))
        {
            self.take_media(binding.track, binding.encoding, original.0, &original.1, Way::Recovered, cx);
        }
        cx.scratch = scratch;
        Some(binding.track)
    }

    /// Takes in a media packet that is known to belong to this encoding.
    pub(crate) fn take_media<S: Sink>(
        &mut self,
        track_index: u8,
        encoding_index: u8,
        bytes: &[u8],
        packet: &RtpPacket<'_>,
        way: Way,
        cx: &mut Context<'_, S>,
    ) {
        let (id, local, now) = (self.id, self.is_local(), cx.now);
        let Some(track) = self.tracks.get_mut(usize::from(track_index)) else { return };
        let (is_heard, is_off) = (track.is_microphone, track.gate == Gate::Off);
        let format = track.media_format(packet);
        let Some(encoding) = track.encodings.get_mut(usize::from(encoding_index)) else { return };
        let was_active = encoding.active(now);
        // Browsers repeat sound only if that was negotiated, and do not offer it by themselves. Video is asked
        // for in any case: it cannot go on without. Another shard repeats whatever it has.
        let repair = match track.config.kind {
            MediaKind::Audio if local && !encoding.is_repeated(format.as_ref()) => Repair::None,
            MediaKind::Audio | MediaKind::Video => Repair::Ask,
        };
        let Some(accepted) = encoding.accept(packet, bytes, format.as_ref(), way, repair, now) else {
            cx.totals.refused += 1;
            return;
        };
        cx.totals.recovered += u64::from(way == Way::Recovered);
        cx.totals.crossing_repaired += u64::from(accepted.repaired && !local);
        if let Some(sample) = accepted.round_trip {
            self.round_trip.sample(sample);
        }
        let run = encoding.run;
        let stream = StreamId { publisher: id, track: track_index, encoding: encoding_index, run };
        let began = encoding.began.unwrap_or(accepted.seq);
        let fresh = Fresh { stream, seq: accepted.seq };
        let Some(format) = format else {
            if accepted.late {
                // Viewers were kept a place for it, which is filled.
                cx.fresh.push(fresh);
            }
            self.hand_on(&fresh, began, bytes, cx);
            return;
        };
        let top = encoding.top();
        let info = encoding.inspect(packet, accepted.seq, &format, &self.ids);
        let other_layers = encoding.top() != top;
        if info.keyframe {
            encoding.keyframe_begins(accepted.seq, packet.timestamp, &info, now);
        }
        if other_layers || !was_active {
            track.mark_all();
        }
        if !track.active {
            track.active = true;
            let first = self.first_media.is_none();
            self.first_media.get_or_insert(now);
            cx.sink.event(Event::TrackActive { publisher: id, track: TrackIndex(track_index), first });
        }
        for (sibling, index) in track.encodings.iter_mut().zip(0u8..) {
            if index != encoding_index {
                sibling.sibling_flowed(now);
            }
        }
        self.hand_on(&fresh, began, bytes, cx);
        cx.fresh.push(fresh);
        if is_heard && !accepted.late {
            let level = packet.extension(&self.ids, Extension::AudioLevel).and_then(AudioLevel::read);
            let size = format.primary(packet.payload()).map_or(0, <[u8]>::len);
            let heard = level.map_or(Heard::Size(size), Heard::Level);
            let name = TrackName { source: self.source_id, track: TrackIndex(track_index) };
            cx.heard.push(HeardPacket { room: self.room, name, heard, is_off });
        }
    }

    /// Gives a packet to the other shards that want this publisher.
    fn hand_on<S: Sink>(&self, fresh: &Fresh, began: Seq, packet: &[u8], cx: &mut Context<'_, S>) {
        if self.pulled && self.is_local() {
            let &Fresh { stream: StreamId { track, encoding, run, .. }, seq: number } = fresh;
            let (track, encoding) = (TrackIndex(track), EncodingIndex(encoding));
            cx.sink.to_edges(self.id, ToEdge::Packet { track, encoding, run, began, number, packet });
        }
    }

    /// Takes a sender report: the publisher's clock, and how its timestamps lie on it.
    pub(crate) fn take_report<S: Sink>(&mut self, ssrc: u32, info: &SenderInfo, cx: &mut Context<'_, S>) {
        let binding = match self.bindings.get(&ssrc) {
            Some(binding) if !binding.retransmission => *binding,
            Some(_) => return,
            None => return self.early_reports.keep(ssrc, *info, cx.now),
        };
        let Some(track) = self.tracks.get_mut(usize::from(binding.track)) else { return };
        let Some(encoding) = track.encodings.get_mut(usize::from(binding.encoding)) else { return };
        encoding.receive.sender_report(ntp::compact(info.ntp), cx.now);
        if info.ntp == 0 {
            // A sender without a wall clock (RFC 3550, section 6.4.1).
            return;
        }
        let clock = ClockMapping { ntp: info.ntp, rtp: info.rtp, offset: 0 };
        if let Some((at, captured)) = encoding.heard(&clock, cx.now) {
            self.clock_offset.update(cx.now, cx.clock.ntp(at), captured);
        }
        let offset = self.clock_offset.update(cx.now, cx.clock.ntp(cx.now), info.ntp);
        let clock = ClockMapping { offset, ..clock };
        encoding.clock = Some(clock);
        if self.pulled {
            let (track, encoding) = (TrackIndex(binding.track), EncodingIndex(binding.encoding));
            cx.sink.to_edges(self.id, ToEdge::Report(ClockReport { track, encoding, clock }));
        }
    }

    /// Takes the report that came before the first packet of its stream, as of when it came.
    fn take_early_report<S: Sink>(&mut self, ssrc: u32, cx: &mut Context<'_, S>) {
        if let Some((info, came)) = self.early_reports.take(ssrc) {
            let now = std::mem::replace(&mut cx.now, came);
            self.take_report(ssrc, &info, cx);
            cx.now = now;
        }
    }

    /// Takes the clock of a remote publisher.
    pub(crate) fn take_clock(&mut self, report: &ClockReport, now: Instant) {
        let track = self.tracks.get_mut(usize::from(report.track.0));
        if let Some(encoding) =
            track.and_then(|track| track.encodings.get_mut(usize::from(report.encoding.0)))
        {
            encoding.clock = Some(report.clock);
            self.clock_offset.set(now, report.clock.offset);
        }
    }

    /// A stream of this publisher as its ring has it; `None` if there is no such encoding any more.
    pub(crate) fn view(&self, id: StreamId) -> Option<StreamView<'_>> {
        let track = self.tracks.get(usize::from(id.track))?;
        let encoding = track.encodings.get(usize::from(id.encoding))?;
        let (formats, ids, clock_offset) =
            (track.config.formats.as_slice(), &self.ids, self.clock_offset.get());
        Some(StreamView { id, encoding, formats, ids, clock_offset, csrc: track.config.csrc })
    }

    /// Binds the SSRCs that the SDP names.
    fn bind_announced(&mut self) {
        self.bindings.clear();
        self.early_reports.clear();
        for (track, index) in self.tracks.iter().zip(0u8..) {
            for (encoding, number) in track.encodings.iter().zip(0u8..) {
                let binding = |retransmission| Binding { track: index, encoding: number, retransmission };
                if let Some(ssrc) = encoding.config.ssrc {
                    self.bindings.entry(ssrc).or_insert(binding(false));
                }
                if let Some(ssrc) = encoding.config.rtx_ssrc {
                    self.bindings.entry(ssrc).or_insert(binding(true));
                }
            }
        }
    }

    /// What the SSRC of a packet is, and whether this is its first: the media section or encoding that it was first
    /// seen with counts for good.
    fn bind(&mut self, packet: &RtpPacket<'_>, now: Instant) -> Option<(Binding, bool)> {
        if let Some(binding) = self.bindings.get(&packet.ssrc) {
            return Some((*binding, false));
        }
        let binding = self.identify(packet)?;
        let track = self.tracks.get_mut(usize::from(binding.track))?;
        let encoding = track.encodings.get_mut(usize::from(binding.encoding))?;
        let recent = |last: Instant| now.saturating_duration_since(last) < REBIND_AFTER;
        if !binding.retransmission && encoding.ssrc.is_some() && encoding.last_media.is_some_and(recent) {
            // Two streams claim one encoding: the one that flows keeps it.
            return None;
        }
        let place = if binding.retransmission { &mut encoding.rtx_ssrc } else { &mut encoding.ssrc };
        if let Some(old) = place.replace(packet.ssrc) {
            // An SDP may name one SSRC twice: the place that it was not bound to does not take it away.
            if self.bindings.get(&old) == Some(&binding) {
                self.bindings.remove(&old);
            }
            if !binding.retransmission {
                encoding.restart();
            }
        }
        self.bindings.insert(packet.ssrc, binding);
        debug_assert!(self.bindings.len() <= MAX_BINDINGS, "an encoding has two SSRCs");
        Some((binding, true))
    }

    /// Finds the encoding of a packet with an unknown SSRC by its header extensions (RFC 8843, RFC 8852), or
    /// by a payload type that only one track has.
    fn identify(&self, packet: &RtpPacket<'_>) -> Option<Binding> {
        let value = |extension| packet.extension(&self.ids, extension);
        let has_format = |track: &Track| {
            track.format(packet.payload_type).is_some() || track.retransmitted(packet.payload_type).is_some()
        };
        let track = match value(Extension::Mid).and_then(|mid| Mid::new(mid).ok()) {
            Some(mid) => self.tracks.iter().position(|track| track.config.mid == mid && has_format(track))?,
            None => {
                let mut fitting = self.tracks.iter().enumerate().filter(|(_, track)| has_format(track));
                let (index, _) = fitting.next()?;
                if fitting.next().is_some() {
                    return None;
                }
                index
            }
        };
        let encodings = &self.tracks.get(track)?.encodings;
        let by_rid = |rid: &[u8]| {
            let rid = Rid::new(rid).ok()?;
            encodings.iter().position(|encoding| encoding.config.rid == Some(rid))
        };
        let retransmission = self.tracks.get(track)?.retransmitted(packet.payload_type).is_some();
        let named = if retransmission { value(Extension::RepairedRid) } else { value(Extension::Rid) };
        let encoding = match (named, encodings.as_slice()) {
            (Some(rid), _) if encodings.len() > 1 => by_rid(rid)?,
            (_, [_only]) => 0,
            _ => return None,
        };
        Some(Binding {
            track: u8::try_from(track).ok()?,
            encoding: u8::try_from(encoding).ok()?,
            retransmission,
        })
    }

    pub(crate) fn stats(&self, now: Instant) -> PublisherStats {
        PublisherStats {
            tracks: self.tracks.iter().map(|track| track.stats(now)).collect(),
            first_media: self.first_media,
            last_media: self.tracks.iter().filter_map(Track::last_media).max(),
            round_trip: self.round_trip.get(),
        }
    }
}
