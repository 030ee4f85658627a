//! The media of one publisher, without I/O: which packet is due when, retransmissions, sender reports.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtp::rtcp::{self, Compound, RtcpPacket, SenderInfo};
use rtp::{AudioLevel, Header, HeaderWriter};

use crate::call::MERGED;
use crate::call::seat::{Seat, Tag};
use crate::epoch::{Epoch, STAMP_LEN};
use crate::scenario::{Publish, Spacing, duration};
use crate::source::{Clip, Frame, Source, sound};

/// Packets kept of each encoding for retransmission.
const HISTORY: usize = 1_024;
/// Packets kept of the sound: two seconds, and no more than the transport lets repeat.
const AUDIO_HISTORY: usize = 100;
/// Retransmissions that wait; more are not sent, and asked for again.
const MAX_RESENDS: usize = 512;
/// A publisher that is later than this leaves frames out rather than to send a burst.
const MAX_LATE: Duration = Duration::from_millis(500);
/// Keyframes that are asked for come no closer than this, as from real encoders.
const KEYFRAME_SPACING: Duration = Duration::from_millis(300);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const AUDIO_FRAME: Duration = Duration::from_millis(20);

/// Ids of the header extensions that were agreed on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExtensionIds {
    pub(crate) mid: Option<u8>,
    pub(crate) rid: Option<u8>,
    pub(crate) repaired_rid: Option<u8>,
    pub(crate) transport_cc: Option<u8>,
    pub(crate) capture_time: Option<u8>,
    pub(crate) level: Option<u8>,
}

/// One stream to send.
#[derive(Debug, Clone)]
pub(crate) struct StreamParams {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Payload type and SSRC of retransmissions.
    pub(crate) rtx: Option<(u8, u32)>,
    pub(crate) mid: String,
    pub(crate) rid: Option<String>,
    pub(crate) extensions: ExtensionIds,
    pub(crate) first_sequence: u16,
    pub(crate) first_timestamp: u32,
}

/// What a publisher sends.
#[derive(Debug)]
pub(crate) struct PublisherParams {
    /// Video encodings, the smallest first.
    pub(crate) video: Vec<StreamParams>,
    pub(crate) audio: Option<StreamParams>,
    pub(crate) cname: String,
    /// In a call: whose it is.
    pub(crate) seat: Option<Arc<Seat>>,
}

/// A packet that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Rtp,
    /// RTP of a stream without retransmissions: these very bytes may be sent again.
    Repeatable,
    Rtcp,
}

#[derive(Debug)]
struct Stored {
    sequence: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// One RTP stream, and what is needed to repeat its packets.
#[derive(Debug)]
struct Stream {
    params: StreamParams,
    clock_rate: u32,
    sequence: u16,
    rtx_sequence: u16,
    packets: u32,
    octets: u32,
    history: Vec<Option<Stored>>,
}

impl Stream {
    fn new(params: StreamParams, clock_rate: u32) -> Self {
        let history = if params.rtx.is_some() { HISTORY } else { 0 };
        Self {
            sequence: params.first_sequence,
            rtx_sequence: params.first_sequence,
            clock_rate,
            packets: 0,
            octets: 0,
            history: (0..history).map(|_| None).collect(),
            params,
        }
    }

    /// The timestamp of what happens `elapsed` after the start.
    fn timestamp(&self, elapsed: Duration) -> u32 {
        let units = elapsed.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000;
        self.params.first_timestamp.wrapping_add(units as u32)
    }
}

#[derive(Debug)]
struct Encoding {
    stream: Stream,
    source: Source,
    frame: Frame,
    /// Number of the frame that is being sent, and of its next packet.
    index: u64,
    next: usize,
    picture_id: u16,
    key_wanted: bool,
    last_key: Option<Instant>,
    /// When the server last asked for a keyframe.
    last_asked: Option<Instant>,
    /// Nobody watches it.
    is_off: bool,
}

/// A publisher's media. Drain [`Publisher::poll`] whenever [`Publisher::poll_timeout`] has come.
#[derive(Debug)]
pub(crate) struct Publisher {
    start: Instant,
    epoch: Epoch,
    publish: Arc<Publish>,
    clip: Arc<Clip>,
    frame_time: Duration,
    encodings: Vec<Encoding>,
    audio: Option<(Stream, u64)>,
    /// The last packets of the sound, by sequence number.
    audio_history: Vec<Option<(u16, Vec<u8>)>>,
    cname: String,
    seat: Option<Arc<Seat>>,
    /// The utterance that is being said, and its next packet.
    utterance: (Option<u16>, u16),
    transport_sequence: u16,
    next_report: Instant,
    /// Encoding (none is the sound) and sequence number.
    resends: VecDeque<(Option<usize>, u16)>,
    writer: Box<HeaderWriter>,
    /// Frames that were left out because the machine was too slow.
    pub(crate) skipped: u64,
    /// Packets that were sent again.
    pub(crate) resent: u64,
    /// Keyframes of the picture that were sent.
    pub(crate) keys: u64,
    /// Utterances that began.
    pub(crate) utterances: u64,
}

impl Publisher {
    pub(crate) fn new(
        params: PublisherParams,
        publish: Arc<Publish>,
        clip: Arc<Clip>,
        epoch: Epoch,
        now: Instant,
    ) -> Self {
        let count = params.video.len();
        let encoding = |(index, params): (usize, StreamParams)| Encoding {
            picture_id: params.first_sequence & 0x7FFF,
            stream: Stream::new(params, 90_000),
            source: Source::new(&publish, &clip, (count - 1 - index) as u32),
            frame: Frame::default(),
            index: 0,
            next: 0,
            key_wanted: true,
            last_key: None,
            last_asked: None,
            is_off: false,
        };
        Self {
            start: now,
            epoch,
            frame_time: Duration::from_secs(1) / publish.fps.max(1),
            encodings: params.video.into_iter().enumerate().map(encoding).collect(),
            audio: params.audio.map(|params| (Stream::new(params, 48_000), 0)),
            audio_history: vec![None; AUDIO_HISTORY],
            publish,
            clip,
            cname: params.cname,
            seat: params.seat,
            utterance: (None, 0),
            transport_sequence: 0,
            next_report: now,
            resends: VecDeque::new(),
            writer: Box::default(),
            skipped: 0,
            resent: 0,
            keys: 0,
            utterances: 0,
        }
    }

    /// When the next packet is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        if !self.resends.is_empty() {
            return self.start;
        }
        let video = self.encodings.iter().map(|encoding| self.due(encoding)).min();
        let audio = self.audio.as_ref().map(|(_, index)| self.audio_due(*index));
        [video, audio].into_iter().flatten().min().map_or(self.next_report, |due| due.min(self.next_report))
    }

    /// Writes the next packet that is due at `now` into `out`.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Due> {
        out.clear();
        while let Some((encoding, sequence)) = self.resends.pop_front() {
            let due = match encoding {
                Some(encoding) => self.write_resend(encoding, sequence, now, out).then_some(Due::Rtp),
                None => self.write_again(sequence, out).then_some(Due::Repeatable),
            };
            if due.is_some() {
                self.resent += 1;
                return due;
            }
        }
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            self.write_reports(now, out);
            return Some(Due::Rtcp);
        }
        if let Some((_, index)) = self.audio.as_ref()
            && self.audio_due(*index) <= now
        {
            self.write_audio(now, out);
            return Some(Due::Repeatable);
        }
        let due = (0..self.encodings.len())
            .find(|index| self.encodings.get(*index).is_some_and(|encoding| self.due(encoding) <= now))?;
        self.write_video(due, now, out).then_some(Due::Rtp)
    }

    /// Takes what the server asks for.
    pub(crate) fn handle_rtcp(&mut self, compound: &[u8], now: Instant) {
        for packet in Compound::new(compound) {
            match packet {
                RtcpPacket::Pli { media_ssrc } => self.want_key(media_ssrc, now),
                RtcpPacket::Fir(list) => list.iter().for_each(|ssrc| self.want_key(ssrc, now)),
                RtcpPacket::Nack { media_ssrc, missing } => {
                    let is_sound = self.audio.as_ref().is_some_and(|(a, _)| a.params.ssrc == media_ssrc);
                    let encoding = self.encodings.iter().position(|e| e.stream.params.ssrc == media_ssrc);
                    if encoding.is_none() && !is_sound {
                        continue;
                    }
                    let room = MAX_RESENDS.saturating_sub(self.resends.len());
                    self.resends.extend(missing.iter().take(room).map(|sequence| (encoding, sequence)));
                }
                _ => {}
            }
        }
    }

    fn want_key(&mut self, ssrc: u32, now: Instant) {
        for encoding in self.encodings.iter_mut().filter(|e| e.stream.params.ssrc == ssrc) {
            encoding.key_wanted = true;
            let before = encoding.last_asked.replace(now);
            let is_soon = before.is_some_and(|before| now.saturating_duration_since(before) < MERGED);
            if let Some(seat) = &self.seat {
                seat.asked_for_key(is_soon);
            }
        }
    }

    fn due(&self, encoding: &Encoding) -> Instant {
        let frame = self.start + self.frame_time * u32::try_from(encoding.index).unwrap_or(u32::MAX);
        match self.publish.spacing {
            Spacing::Frames => frame,
            Spacing::Even => {
                let count = encoding.frame.payloads.len().max(1) as u32;
                frame + self.frame_time * encoding.next as u32 / count
            }
        }
    }

    fn audio_due(&self, index: u64) -> Instant {
        self.start + AUDIO_FRAME * u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn write_video(&mut self, index: usize, now: Instant, out: &mut Vec<u8>) -> bool {
        let elapsed = now.saturating_duration_since(self.start);
        let frame_time = self.frame_time;
        let interval = duration(self.publish.keyframe_interval_s);
        let is_wanted = self.seat.as_ref().is_none_or(|seat| seat.is_wanted(index));
        let Some(encoding) = self.encodings.get_mut(index) else { return false };
        if encoding.next == 0 {
            if !is_wanted {
                let current = (elapsed.as_nanos() / frame_time.as_nanos().max(1)) as u64;
                encoding.index = current + 1;
                encoding.is_off = true;
                return false;
            }
            // Encoders begin anew with a keyframe.
            encoding.key_wanted |= std::mem::take(&mut encoding.is_off);
            let current = (elapsed.as_nanos() / frame_time.as_nanos().max(1)) as u64;
            if frame_time * (current.saturating_sub(encoding.index) as u32) > MAX_LATE {
                self.skipped += current - encoding.index;
                encoding.index = current;
            }
            let since_key = encoding.last_key.map(|last| now.saturating_duration_since(last));
            let key = since_key
                .is_none_or(|since| since >= interval || encoding.key_wanted && since >= KEYFRAME_SPACING);
            encoding.frame = encoding.source.frame(key, encoding.picture_id);
            encoding.picture_id = (encoding.picture_id + 1) & 0x7FFF;
            if encoding.frame.is_key {
                encoding.key_wanted = false;
                encoding.last_key = Some(now);
                self.keys += 1;
            }
        }
        let count = encoding.frame.payloads.len();
        let Some(mut payload) = encoding.frame.payloads.get_mut(encoding.next).map(std::mem::take) else {
            // A clip may have an empty frame.
            encoding.index += 1;
            encoding.next = 0;
            return false;
        };
        let stamped = encoding.frame.stamped;
        let at = frame_time * u32::try_from(encoding.index).unwrap_or(u32::MAX);
        encoding.next += 1;
        let marker = encoding.next == count;
        if marker {
            encoding.index += 1;
            encoding.next = 0;
        }
        let timestamp = encoding.stream.timestamp(at);
        if let Some(seat) = self.seat.as_ref().filter(|_| stamped) {
            Tag { caller: seat.number, utterance: 0, packet: 0 }.write(&mut payload, STAMP_LEN);
        }
        let stream = &mut encoding.stream;
        let number = &mut self.transport_sequence;
        let about = About { timestamp, marker, stamped, level: None };
        write(stream, &mut self.writer, number, self.epoch, now, about, payload, out);
        true
    }

    fn write_audio(&mut self, now: Instant, out: &mut Vec<u8>) {
        let elapsed = now.saturating_duration_since(self.start);
        let Some((stream, index)) = &mut self.audio else { return };
        let current = (elapsed.as_nanos() / AUDIO_FRAME.as_nanos()) as u64;
        if AUDIO_FRAME * (current.saturating_sub(*index) as u32) > MAX_LATE {
            *index = current;
        }
        let timestamp = stream.timestamp(AUDIO_FRAME * u32::try_from(*index).unwrap_or(u32::MAX));
        let mut payload = sound(&self.publish, &self.clip, *index);
        let sequence = stream.sequence;
        let stamped = self.publish.video != crate::scenario::Video::Clip;
        *index += 1;
        let level = self.seat.as_ref().map(|seat| {
            let saying = seat.conversation.says(seat.voice, self.epoch.since(now));
            if saying.utterance != self.utterance.0 {
                self.utterance = (saying.utterance, 0);
                self.utterances += u64::from(saying.utterance.is_some());
            }
            if saying.utterance.is_some() {
                self.utterance.1 = self.utterance.1.saturating_add(1);
            }
            let (utterance, packet) = (saying.utterance.unwrap_or_default(), self.utterance.1);
            if stamped {
                Tag { caller: seat.number, utterance, packet }.write(&mut payload, STAMP_LEN);
            }
            saying.level
        });
        let number = &mut self.transport_sequence;
        let about = About { timestamp, marker: false, stamped, level };
        write(stream, &mut self.writer, number, self.epoch, now, about, payload, out);
        if let Some(slot) = self.audio_history.get_mut(usize::from(sequence) % AUDIO_HISTORY) {
            *slot = Some((sequence, out.clone()));
        }
    }

    /// Writes a packet of the sound as it was.
    fn write_again(&self, sequence: u16, out: &mut Vec<u8>) -> bool {
        let slot = self.audio_history.get(usize::from(sequence) % AUDIO_HISTORY).and_then(Option::as_ref);
        let Some((_, bytes)) = slot.filter(|(stored, _)| *stored == sequence) else { return false };
        out.extend_from_slice(bytes);
        true
    }

    /// Writes a retransmission (RFC 4588, section 4).
    fn write_resend(&mut self, encoding: usize, sequence: u16, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(stream) = self.encodings.get_mut(encoding).map(|encoding| &mut encoding.stream) else {
            return false;
        };
        let Some((payload_type, ssrc)) = stream.params.rtx else { return false };
        let slot = stream.history.get(usize::from(sequence) % HISTORY).and_then(Option::as_ref);
        let Some(stored) = slot.filter(|stored| stored.sequence == sequence) else { return false };
        let header = Header {
            marker: stored.marker,
            payload_type,
            sequence: stream.rtx_sequence,
            timestamp: stored.timestamp,
            ssrc,
            padded: false,
        };
        stream.rtx_sequence = stream.rtx_sequence.wrapping_add(1);
        self.writer.start(&header, false);
        let ids = stream.params.extensions;
        elements(
            &mut self.writer,
            &stream.params,
            ids.repaired_rid,
            &mut self.transport_sequence,
            self.epoch,
            now,
            None,
        );
        out.extend_from_slice(self.writer.bytes());
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&stored.payload);
        true
    }

    fn write_reports(&self, now: Instant, out: &mut Vec<u8>) {
        let elapsed = now.saturating_duration_since(self.start);
        let streams = self.encodings.iter().map(|encoding| &encoding.stream);
        for stream in streams.chain(self.audio.iter().map(|(stream, _)| stream)) {
            let info = SenderInfo {
                ntp: self.epoch.ntp(now),
                rtp: stream.timestamp(elapsed),
                packets: stream.packets,
                octets: stream.octets,
            };
            rtcp::write::sender_report(out, stream.params.ssrc, &info);
            rtcp::write::cname(out, stream.params.ssrc, self.cname.as_bytes());
        }
    }
}

/// What is written of a packet beside its payload.
#[derive(Debug, Clone, Copy)]
struct About {
    timestamp: u32,
    marker: bool,
    /// The payload ends with room for a stamp.
    stamped: bool,
    level: Option<AudioLevel>,
}

/// Writes a packet with `payload`, and remembers it if it may be asked for again.
#[allow(clippy::too_many_arguments, reason = "parts of a publisher that are borrowed apart")]
fn write(
    stream: &mut Stream,
    writer: &mut HeaderWriter,
    transport_sequence: &mut u16,
    epoch: Epoch,
    now: Instant,
    About { timestamp, marker, stamped, level }: About,
    mut payload: Vec<u8>,
    out: &mut Vec<u8>,
) {
    if stamped && payload.len() >= 2 * STAMP_LEN {
        epoch.stamp(&mut payload, now);
    }
    let sequence = stream.sequence;
    stream.sequence = sequence.wrapping_add(1);
    stream.packets = stream.packets.wrapping_add(1);
    stream.octets = stream.octets.wrapping_add(payload.len() as u32);
    let params = &stream.params;
    let (payload_type, ssrc) = (params.payload_type, params.ssrc);
    writer.start(&Header { marker, payload_type, sequence, timestamp, ssrc, padded: false }, false);
    elements(writer, params, params.extensions.rid, transport_sequence, epoch, now, level);
    out.extend_from_slice(writer.bytes());
    out.extend_from_slice(&payload);
    let count = stream.history.len().max(1);
    if let Some(slot) = stream.history.get_mut(usize::from(sequence) % count) {
        *slot = Some(Stored { sequence, timestamp, marker, payload });
    }
}

/// The header extensions of a packet; `rid` is the id under which the name of the encoding goes.
fn elements(
    writer: &mut HeaderWriter,
    params: &StreamParams,
    rid: Option<u8>,
    transport_sequence: &mut u16,
    epoch: Epoch,
    now: Instant,
    level: Option<AudioLevel>,
) {
    let ids = params.extensions;
    if let Some(id) = ids.mid {
        writer.element(id, params.mid.as_bytes());
    }
    if let Some((id, rid)) = rid.zip(params.rid.as_ref()) {
        writer.element(id, rid.as_bytes());
    }
    if let Some(id) = ids.transport_cc {
        writer.element(id, &transport_sequence.to_be_bytes());
        *transport_sequence = transport_sequence.wrapping_add(1);
    }
    if let Some(id) = ids.capture_time {
        writer.element(id, &epoch.ntp(now).to_be_bytes());
    }
    if let Some((id, level)) = ids.level.zip(level) {
        writer.element(id, &[level.to_byte()]);
    }
    writer.finish();
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
