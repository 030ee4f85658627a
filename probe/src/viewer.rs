//! The media of one viewer, without I/O: what came, what is missing, when frames can be shown, and what is said
//! back (receiver reports, transport-wide feedback, NACKs, keyframe requests).

use std::time::{Duration, Instant};

use media::{VideoCodec, starts_keyframe};
use rtp::rtcp::{self, Compound, ReportBlock, RtcpPacket};
use rtp::{RtpPacket, ntp, twcc, unwrap_rtx};
use transport::sdp::CodecFormat;

use crate::call::seat::Tag;
use crate::call::slots::Taken;
use crate::epoch::{Epoch, STAMP_LEN};
use crate::reception::{Packet, Reception};
use crate::scenario::{Decrypt, Pli, View};
use crate::stats::{FreezeMeter, Jitter};
use crate::totals::Totals;

/// Most missing packets that are asked for; further ones stay lost.
const MAX_MISSING: usize = 256;
/// A packet that is this late may still be on its way by itself.
const REORDER: Duration = Duration::from_millis(10);
/// Between two requests for one packet.
const NACK_RETRY: Duration = Duration::from_millis(60);
const MAX_NACKS: u8 = 10;
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Media without a picture for so long asks for a keyframe, and again after [`PLI_RETRY`].
const PLI_AFTER: Duration = Duration::from_millis(200);
const PLI_RETRY: Duration = Duration::from_millis(500);
/// Longest packet that is unwrapped from a retransmission.
const MAX_PACKET: usize = 1_500;
/// Most blocks of a receiver report (RFC 3550, section 6.4.1).
const MAX_BLOCKS: usize = 31;

/// One m-line to receive.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamConfig {
    /// As declared; servers that declare none are recognised by payload type.
    pub(crate) ssrc: Option<u32>,
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) codecs: Vec<(u8, CodecFormat)>,
    pub(crate) rtx_payload_types: Vec<u8>,
}

/// What was agreed with the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ViewerConfig {
    pub(crate) ssrc: u32,
    pub(crate) streams: Vec<StreamConfig>,
    pub(crate) transport_cc: Option<u8>,
    pub(crate) capture_time: Option<u8>,
}

/// What one viewer saw in the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct ViewerSummary {
    /// Interarrival jitter of the picture (of the sound, where there is no picture).
    pub jitter: Duration,
    /// Freezes of the picture.
    pub freezes: crate::stats::Freezes,
    /// It got a frame.
    pub served: bool,
    /// Its picture stands still.
    pub frozen: bool,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    seq: u64,
    tries: u8,
    next: Instant,
}

#[derive(Debug)]
struct Stream {
    config: StreamConfig,
    ssrc: Option<u32>,
    rtx_ssrc: Option<u32>,
    /// Of the last packet; `None` is sound, of which every packet is a frame.
    codec: Option<VideoCodec>,
    is_video: bool,
    /// Its frames are those of the viewer: the picture's, or the sound's where there is no picture.
    is_shown: bool,
    reception: Reception,
    jitter: Jitter,
    freezes: FreezeMeter,
    missing: Vec<Missing>,
    has_frame: bool,
    /// Since the last receiver report.
    expected: u64,
    arrived: u64,
    lost_in_all: i64,
    last_sender_report: Option<(u32, Instant)>,
}

/// A viewer's media.
#[derive(Debug)]
pub(crate) struct Viewer {
    streams: Vec<Stream>,
    ssrc: u32,
    transport_cc: Option<u8>,
    capture_time: Option<u8>,
    epoch: Epoch,
    /// When the POST was made.
    asked: Instant,
    decrypt: Decrypt,
    skipped: u32,
    nacks: bool,
    pli: Pli,
    recorder: Option<Box<twcc::Recorder>>,
    first_packet: Option<Instant>,
    next_feedback: Option<Instant>,
    next_report: Instant,
    next_pli: Option<Instant>,
}

impl Viewer {
    /// A viewer that is connected at `now`; `number` spreads the reports of many viewers over the second.
    pub(crate) fn new(
        config: ViewerConfig,
        view: &View,
        number: u32,
        epoch: Epoch,
        asked: Instant,
        now: Instant,
    ) -> Self {
        let is_video =
            |config: &StreamConfig| config.codecs.iter().any(|(_, format)| *format != CodecFormat::Opus);
        let has_video = config.streams.iter().any(is_video);
        let stream = |config: StreamConfig| {
            let format = config.codecs.first().map_or(CodecFormat::Opus, |(_, format)| *format);
            Stream {
                ssrc: config.ssrc,
                rtx_ssrc: config.rtx_ssrc,
                codec: None,
                is_video: is_video(&config),
                is_shown: is_video(&config) == has_video,
                reception: Reception::default(),
                jitter: Jitter::new(format.clock_rate()),
                freezes: FreezeMeter::new(Duration::from_millis(view.freeze_ms)),
                missing: Vec::new(),
                has_frame: false,
                expected: 0,
                arrived: 0,
                lost_in_all: 0,
                last_sender_report: None,
                config,
            }
        };
        let spread = REPORT_INTERVAL * (number.wrapping_mul(617) % 1_000) / 1_000;
        // The share is of viewers by number, so that a run repeats.
        let nacks = f64::from(number.wrapping_mul(617) % 1_000) < view.nack_share * 1_000.0;
        Self {
            streams: config.streams.into_iter().map(stream).collect(),
            ssrc: config.ssrc,
            transport_cc: config.transport_cc,
            capture_time: config.capture_time,
            epoch,
            asked,
            decrypt: view.decrypt,
            skipped: 0,
            nacks,
            pli: view.pli,
            recorder: None,
            first_packet: None,
            next_feedback: None,
            next_report: now + spread,
            next_pli: match view.pli {
                Pli::Join => Some(now),
                Pli::Needed | Pli::Never => None,
            },
        }
    }

    /// Whether this packet's header is enough. Looks at the payload type only, which is in the clear.
    pub(crate) fn skips(&mut self, payload_type: u8) -> bool {
        let every = match self.decrypt {
            Decrypt::All => return false,
            Decrypt::First => u32::MAX,
            Decrypt::OneIn(n) => n,
        };
        let settled = self.streams.iter().all(|stream| {
            let is_rtx = stream.config.rtx_payload_types.contains(&payload_type);
            !is_rtx && (stream.has_frame || stream.reception.highest() == 0) && !stream.reception.is_blocked()
        });
        if !settled || self.first_packet.is_none() {
            return false;
        }
        self.skipped = self.skipped.wrapping_add(1);
        !self.skipped.is_multiple_of(every)
    }

    /// The stream that is sent under `ssrc`, and whether those are its retransmissions.
    pub(crate) fn stream_of(&self, ssrc: u32) -> Option<(usize, bool)> {
        self.streams.iter().enumerate().find_map(|(index, stream)| {
            let is_rtx = stream.rtx_ssrc == Some(ssrc);
            (is_rtx || stream.ssrc == Some(ssrc)).then_some((index, is_rtx))
        })
    }

    /// Whether the header of the next packet of a stream is enough: nothing stands still, and one in so many is looked at.
    pub(crate) fn skips_stream(&mut self, index: usize) -> bool {
        let every = match self.decrypt {
            Decrypt::All => return false,
            Decrypt::First => u32::MAX,
            Decrypt::OneIn(n) => n,
        };
        if self.streams.get(index).is_none_or(|stream| !stream.has_frame || stream.reception.is_blocked()) {
            return false;
        }
        self.skipped = self.skipped.wrapping_add(1);
        !self.skipped.is_multiple_of(every)
    }

    /// Takes a packet: decrypted, or its header only. Gives what a caller needs of one that came for the first time.
    pub(crate) fn handle_rtp(
        &mut self,
        bytes: &[u8],
        is_plain: bool,
        now: Instant,
        totals: &mut Totals,
    ) -> Option<Taken> {
        let Ok(packet) = RtpPacket::parse(bytes) else {
            totals.refused += 1;
            return None;
        };
        totals.packets += 1;
        if self.first_packet.is_none() {
            self.first_packet = Some(now);
            totals.first_packet_time.record(micros(self.asked, now));
        }
        let mut capture = None;
        for (id, value) in packet.elements() {
            if Some(id) == self.transport_cc
                && let Some(number) = value.first_chunk().copied().map(u16::from_be_bytes)
            {
                // Made at the first packet: it is large, and not every server speaks this.
                let recorder = self.recorder.get_or_insert_with(|| Box::new(twcc::Recorder::new(now)));
                recorder.record(number, now);
                self.next_feedback.get_or_insert(now + FEEDBACK_INTERVAL);
            } else if Some(id) == self.capture_time {
                capture = value.first_chunk().copied().map(u64::from_be_bytes);
            }
        }
        let (index, is_rtx) = self.find(&packet)?;
        let stream = self.streams.get_mut(index)?;
        if is_rtx {
            totals.bytes += bytes.len() as u64;
            let payload_type = stream.config.codecs.first().map_or(0, |(payload_type, _)| *payload_type);
            let mut buffer = [0; MAX_PACKET];
            let length = unwrap_rtx(bytes, stream.ssrc.unwrap_or_default(), payload_type, &mut buffer);
            let original = length.and_then(|length| RtpPacket::parse(buffer.get(..length)?).ok());
            let original = original?;
            let taken = stream.take(&original, true, true, now, self.asked, totals);
            return taken.map(|starts_key| stream.taken(index, &original, starts_key, true, None));
        }
        totals.bytes += bytes.len() as u64;
        let repeated = totals.recovered;
        let taken = stream.take(&packet, is_plain, false, now, self.asked, totals);
        let mut delay = None;
        if taken.is_some() && totals.recovered == repeated {
            let stamped = || is_plain.then(|| self.epoch.since_stamp(packet.payload(), now)).flatten();
            let captured = |capture| self.epoch.since_ntp(capture, now);
            delay = capture.and_then(captured).or_else(stamped);
            if let Some(delay) = delay {
                totals.delay.record(delay.as_micros() as u64);
            }
        }
        let taken = taken.map(|starts_key| stream.taken(index, &packet, starts_key, is_plain, delay));
        if self.nacks || self.pli != Pli::Never {
            self.look_for_trouble(index, now);
        }
        taken
    }

    /// Takes what the server reports.
    pub(crate) fn handle_rtcp(&mut self, compound: &[u8], now: Instant) {
        for packet in Compound::new(compound) {
            if let RtcpPacket::SenderReport { ssrc, info, .. } = packet
                && let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == Some(ssrc))
            {
                stream.last_sender_report = Some((ntp::compact(info.ntp), now));
            }
        }
    }

    /// When to call [`Viewer::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Instant {
        let nack = self.streams.iter().flat_map(|stream| stream.missing.iter().map(|m| m.next)).min();
        let other = [nack, self.next_feedback, self.next_pli];
        other.into_iter().flatten().fold(self.next_report, Instant::min)
    }

    /// Appends what is due at `now` to `out`, as one compound packet; nothing if nothing is.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>, totals: &mut Totals) {
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            let mut blocks = [ReportBlock::default(); MAX_BLOCKS];
            let mut count = 0;
            for (block, stream) in
                blocks.iter_mut().zip(self.streams.iter_mut().filter(|s| s.reception.highest() != 0))
            {
                *block = stream.report(now);
                count += 1;
            }
            rtcp::write::receiver_report(out, self.ssrc, blocks.get(..count).unwrap_or_default());
        }
        if self.next_feedback.is_some_and(|at| at <= now) {
            // Armed again by the next packet.
            self.next_feedback = None;
            let media = self.streams.iter().find_map(|stream| stream.ssrc).unwrap_or_default();
            if let Some(recorder) = &mut self.recorder {
                while recorder.write(out, self.ssrc, media) && out.len() < MAX_PACKET / 2 {}
            }
        }
        for stream in &mut self.streams {
            stream.ask_again(self.ssrc, now, out, totals);
        }
        if self.next_pli.is_some_and(|at| at <= now) {
            // What never came is missed only where the first picture is asked for at once.
            let pli = self.pli;
            let stuck =
                |stream: &&Stream| stream.is_stuck() && (pli == Pli::Join || stream.reception.highest() != 0);
            let media = self.streams.iter().find(stuck).map(|stream| stream.ssrc);
            self.next_pli = media.map(|_| now + PLI_RETRY);
            if let Some(media) = media.flatten() {
                totals.plis += 1;
                rtcp::write::pli(out, self.ssrc, media);
            }
        }
    }

    /// What it saw so far.
    pub(crate) fn summary(&self, now: Instant) -> ViewerSummary {
        let Some(shown) = self.streams.iter().find(|stream| stream.is_shown && stream.has_frame) else {
            return ViewerSummary::default();
        };
        ViewerSummary {
            jitter: shown.jitter.duration(),
            freezes: shown.freezes.freezes(now),
            served: true,
            frozen: shown.freezes.is_frozen(now),
        }
    }

    /// Jitter of each stream of which something came.
    pub(crate) fn jitters(&self) -> impl Iterator<Item = Duration> + '_ {
        let streams = self.streams.iter().filter(|stream| stream.reception.highest() != 0);
        streams.map(|stream| stream.jitter.duration())
    }

    /// The stream of a packet, and whether it is a retransmission; learns SSRCs that were not declared.
    fn find(&mut self, packet: &RtpPacket<'_>) -> Option<(usize, bool)> {
        for (index, stream) in self.streams.iter().enumerate() {
            if stream.ssrc == Some(packet.ssrc) {
                return Some((index, false));
            }
            if stream.rtx_ssrc == Some(packet.ssrc) {
                return Some((index, true));
            }
        }
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if stream.config.codecs.iter().any(|(payload_type, _)| *payload_type == packet.payload_type) {
                stream.ssrc = Some(packet.ssrc);
                return Some((index, false));
            }
            if stream.config.rtx_payload_types.contains(&packet.payload_type) {
                stream.rtx_ssrc = Some(packet.ssrc);
                return Some((index, true));
            }
        }
        None
    }

    /// Asks for a keyframe a while after the picture stopped, or did not begin.
    fn look_for_trouble(&mut self, index: usize, now: Instant) {
        let Some(stream) = self.streams.get(index) else { return };
        if stream.is_stuck() && self.pli != Pli::Never {
            self.next_pli.get_or_insert(now + PLI_AFTER);
        } else if stream.is_video && self.next_pli.is_some() {
            let mut others = self.streams.iter().filter(|stream| stream.reception.highest() != 0);
            if !others.any(Stream::is_stuck) {
                self.next_pli = None;
            }
        }
        if !self.nacks
            && let Some(stream) = self.streams.get_mut(index)
        {
            stream.missing.clear();
        }
    }
}

impl Stream {
    /// Whether its picture stands still, or did not begin.
    fn is_stuck(&self) -> bool {
        self.is_video && (!self.has_frame || self.reception.is_blocked())
    }

    /// What a caller needs of a packet that was taken.
    fn taken(
        &self,
        slot: usize,
        packet: &RtpPacket<'_>,
        starts_key: bool,
        is_plain: bool,
        delay: Option<Duration>,
    ) -> Taken {
        Taken {
            slot,
            csrc: packet.contributing().next(),
            timestamp: packet.timestamp,
            sequence: self.reception.extend(packet.sequence),
            starts_key,
            ends_frame: packet.marker || !self.is_video,
            shown: self.reception.shown(),
            tag: is_plain.then(|| Tag::read(packet.payload(), STAMP_LEN)).flatten(),
            delay,
        }
    }

    /// Takes a media packet. One that came for the first time tells whether a keyframe begins with it.
    fn take(
        &mut self,
        packet: &RtpPacket<'_>,
        is_plain: bool,
        is_repaired: bool,
        now: Instant,
        asked: Instant,
        totals: &mut Totals,
    ) -> Option<bool> {
        if self.is_video && self.codec.is_none() {
            let mut codecs = self.config.codecs.iter();
            let found = codecs.find(|(payload_type, _)| *payload_type == packet.payload_type);
            self.codec = found.and_then(|(_, format)| video_codec(*format));
        }
        let starts_key = match self.codec {
            Some(codec) => is_plain && starts_keyframe(codec, packet.payload()),
            None => true,
        };
        let ends_frame = packet.marker || !self.is_video;
        let before = self.reception.highest();
        let arrival = self.reception.packet(Packet { sequence: packet.sequence, ends_frame, starts_key });
        totals.expected += arrival.expected;
        self.expected += arrival.expected;
        if arrival.expected > 1 {
            self.note_missing(before + 1, self.reception.highest(), now);
        }
        if !arrival.is_new {
            totals.duplicates += 1;
            return None;
        }
        let seq = self.reception.extend(packet.sequence);
        let was_missing = match self.missing.iter().position(|missing| missing.seq == seq) {
            Some(place) => {
                let tries = self.missing.swap_remove(place).tries;
                // Sound comes again as the packet that it was.
                tries > 0
            }
            None => false,
        };
        self.arrived += 1;
        if is_repaired || was_missing {
            totals.recovered += 1;
        } else {
            totals.arrived += 1;
            if !arrival.is_late {
                self.jitter.record(packet.timestamp, now);
            }
        }
        if arrival.frames > 0 && self.is_shown {
            totals.frames += u64::from(arrival.frames);
            totals.freezes += u64::from(self.freezes.picture(now));
            if !self.has_frame {
                totals.first_frame_time.record(micros(asked, now));
            }
        }
        self.has_frame |= arrival.frames > 0;
        Some(starts_key)
    }

    /// The packets from `from` up to before `to` did not come.
    fn note_missing(&mut self, from: u64, to: u64, now: Instant) {
        let room = MAX_MISSING.saturating_sub(self.missing.len());
        self.missing.extend((from..to).take(room).map(|seq| Missing { seq, tries: 0, next: now + REORDER }));
    }

    fn ask_again(&mut self, ssrc: u32, now: Instant, out: &mut Vec<u8>, totals: &mut Totals) {
        let Some(media) = self.ssrc else { return };
        self.missing.retain(|missing| missing.tries < MAX_NACKS || missing.next > now);
        if self.missing.iter().all(|missing| missing.next > now) {
            return;
        }
        self.missing.sort_unstable_by_key(|missing| missing.seq);
        let mut due = Vec::with_capacity(self.missing.len());
        for missing in self.missing.iter_mut().filter(|missing| missing.next <= now) {
            missing.tries += 1;
            missing.next = now + NACK_RETRY;
            due.push(missing.seq as u16);
        }
        totals.nacked += due.len() as u64;
        rtcp::write::nack(out, ssrc, media, &due);
    }

    /// The report block since the last one.
    fn report(&mut self, now: Instant) -> ReportBlock {
        let lost = i64::try_from(self.expected).unwrap_or(0) - i64::try_from(self.arrived).unwrap_or(0);
        self.lost_in_all += lost;
        let share = (lost.max(0) * 256).checked_div(i64::try_from(self.expected).unwrap_or(0)).unwrap_or(0);
        (self.expected, self.arrived) = (0, 0);
        let (last_report, delay) = self.last_sender_report.map_or((0, 0), |(middle, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (middle, delay as u32)
        });
        ReportBlock {
            ssrc: self.ssrc.unwrap_or_default(),
            fraction_lost: share.min(255) as u8,
            lost: i32::try_from(self.lost_in_all).unwrap_or(i32::MAX),
            highest: self.reception.highest() as u32,
            jitter: self.jitter.units(),
            last_report,
            delay,
        }
    }
}

fn video_codec(format: CodecFormat) -> Option<VideoCodec> {
    Some(match format {
        CodecFormat::Opus | CodecFormat::Red => return None,
        CodecFormat::Vp8 => VideoCodec::Vp8,
        CodecFormat::Vp9 => VideoCodec::Vp9,
        CodecFormat::H264(_) => VideoCodec::H264,
        CodecFormat::Av1 => VideoCodec::Av1,
    })
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "viewer_tests.rs"]
mod tests;
