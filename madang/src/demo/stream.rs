//! What is sent when: the clip as two RTP streams, paced, with reports, keyframes on request and retransmissions. Pure:
//! reads no clock, does no I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::vp9;
use rtp::ntp::{self, Ntp};
use rtp::rtcp::{self, Compound, RtcpPacket, SenderInfo};
use rtp::{Header, HeaderWriter, Mid, wrap_rtx};

use super::clip::{AUDIO_TICK, Clip, VIDEO_TICK};

/// Largest RTP payload: with header, extensions, SRTP and IPv6 it stays below the 1,280 bytes that every path carries.
const MAX_PAYLOAD: usize = 1_120;

/// Packets of a frame go out in groups of this size ...
const BURST: usize = 8;
/// ... with this much time between, so that a keyframe does not overflow a socket buffer.
const BURST_GAP: Duration = Duration::from_millis(2);

/// Packets that wait for their group. A frame of the clip has at most about 60; beyond the limit the oldest go.
const MAX_QUEUE: usize = 256;

/// Video packets that can be sent again: about 8 s. The oldest are overwritten.
const RING: usize = 512;
/// Times that one packet is sent again.
const MAX_RESENDS: u8 = 4;
/// Packets looked up for one compound of requests; more are ignored.
const MAX_REQUESTS: usize = 128;

/// A keyframe on request comes at most this often.
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(1);
/// A request this close after a keyframe is answered by that keyframe.
const KEYFRAME_FRESH: usize = 3;

/// Time between sender reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Who is later than this (a suspended machine) leaves out what was due instead of sending it in a burst.
const MAX_LATE: Duration = Duration::from_millis(500);

/// One negotiated track.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    /// Payload type and SSRC of retransmissions.
    pub(super) rtx: Option<(u8, u32)>,
    /// Extension id and value of the mid.
    pub(super) mid: Option<(u8, Mid)>,
    /// Extension id of the capture time.
    pub(super) capture_time: Option<u8>,
    pub(super) first_sequence: u16,
    pub(super) first_timestamp: u32,
}

/// Both tracks.
#[derive(Debug, Clone)]
pub(super) struct Params {
    pub(super) video: Track,
    pub(super) audio: Track,
    pub(super) cname: String,
    /// First picture id and first sequence number of retransmissions.
    pub(super) seed: u16,
}

/// Something to protect and send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    Rtp(Vec<u8>),
    Rtcp(Vec<u8>),
}

/// The clip being sent, from `start` on without end.
pub(super) struct Stream {
    clip: Arc<Clip>,
    cname: String,
    start: Instant,
    start_ntp: Ntp,
    video: Sender,
    audio: Sender,
    packetizer: vp9::Packetizer,
    /// Position in the clip of the next frame; its time is `video.ticks`.
    position: usize,
    frames_since_key: usize,
    keyframe_wanted: bool,
    last_jump: Option<Instant>,
    queue: VecDeque<Vec<u8>>,
    next_burst: Option<Instant>,
    ready: VecDeque<Outgoing>,
    ring: Vec<Option<Sent>>,
    rtx_sequence: u16,
    next_report: Instant,
    writer: Box<HeaderWriter>,
}

/// A video packet that may be asked for again.
struct Sent {
    sequence: u16,
    packet: Vec<u8>,
    resends: u8,
}

/// Counters of one RTP stream.
struct Sender {
    track: Track,
    tick: Duration,
    clock_rate: u32,
    /// Frames that were due so far: the time of the next one.
    ticks: u64,
    sequence: u16,
    packets: u32,
    octets: u32,
}

impl Sender {
    fn new(track: Track, tick: Duration, clock_rate: u32) -> Self {
        let sequence = track.first_sequence;
        Self { track, tick, clock_rate, ticks: 0, sequence, packets: 0, octets: 0 }
    }

    /// Time of the next frame, from the start.
    fn due(&self) -> Duration {
        Duration::from_micros(self.ticks.saturating_mul(micros(self.tick)))
    }

    /// The RTP timestamp of the moment `elapsed` after the start. The same line for frames and for reports: this is
    /// what keeps sound and picture together at the receiver.
    fn timestamp(&self, elapsed: Duration) -> u32 {
        let ticks = elapsed.as_micros() * u128::from(self.clock_rate) / 1_000_000;
        // The modulus of RTP timestamps is 2^32.
        self.track.first_timestamp.wrapping_add((ticks & u128::from(u32::MAX)) as u32)
    }

    /// Header and extensions of the next packet; the payload is appended by the caller.
    fn packet(&mut self, writer: &mut HeaderWriter, marker: bool, captured: Duration, ntp: Ntp) -> Vec<u8> {
        let Track { ssrc, payload_type, mid, capture_time, .. } = &self.track;
        let header = Header {
            payload_type: *payload_type,
            marker,
            sequence: self.sequence,
            timestamp: self.timestamp(captured),
            ssrc: *ssrc,
            padded: false,
        };
        writer.start(&header, false);
        if let Some((id, mid)) = mid {
            writer.element(*id, mid.as_bytes());
        }
        if let Some(id) = capture_time {
            writer.element(*id, &ntp.to_be_bytes());
        }
        writer.finish();
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = Vec::with_capacity(writer.bytes().len() + MAX_PAYLOAD);
        packet.extend_from_slice(writer.bytes());
        packet
    }

    fn count(&mut self, payload: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(payload).unwrap_or_default());
    }

    /// Appends a sender report, and the name that binds the streams of one clock together.
    fn report(&self, elapsed: Duration, ntp: Ntp, cname: &str, out: &mut Vec<u8>) {
        let (packets, octets) = (self.packets, self.octets);
        let info = SenderInfo { ntp, rtp: self.timestamp(elapsed), packets, octets };
        rtcp::write::sender_report(out, self.track.ssrc, &info);
        rtcp::write::cname(out, self.track.ssrc, cname.as_bytes());
    }

    /// Leaves out what was due before `elapsed`. Returns whether there was anything.
    fn skip_to(&mut self, elapsed: Duration) -> bool {
        let target = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).div_ceil(micros(self.tick));
        let behind = target > self.ticks;
        self.ticks = self.ticks.max(target);
        behind
    }
}

fn micros(tick: Duration) -> u64 {
    u64::try_from(tick.as_micros()).unwrap_or(u64::MAX).max(1)
}

impl Stream {
    /// Starts at `start`, which is `start_ntp` on the wall clock.
    pub(super) fn new(clip: Arc<Clip>, params: Params, start: Instant, start_ntp: Ntp) -> Self {
        Self {
            clip,
            cname: params.cname,
            start,
            start_ntp,
            video: Sender::new(params.video, VIDEO_TICK, 90_000),
            audio: Sender::new(params.audio, AUDIO_TICK, 48_000),
            packetizer: vp9::Packetizer::new(params.seed, MAX_PAYLOAD),
            position: 0,
            frames_since_key: 0,
            keyframe_wanted: false,
            last_jump: None,
            queue: VecDeque::new(),
            next_burst: None,
            ready: VecDeque::new(),
            ring: (0..RING).map(|_| None).collect(),
            rtx_sequence: params.seed,
            next_report: start,
            writer: Box::default(),
        }
    }

    /// When to call [`Stream::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Instant {
        let frames = (self.start + self.video.due()).min(self.start + self.audio.due());
        self.next_burst.map_or(frames, |burst| burst.min(frames)).min(self.next_report)
    }

    /// Prepares what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.start);
        if elapsed > self.video.due().min(self.audio.due()) + MAX_LATE {
            self.audio.skip_to(elapsed);
            if self.video.skip_to(elapsed) {
                self.position = self.clip.nearest_keyframe(self.position);
            }
        }
        while self.audio.due() <= elapsed {
            self.send_audio();
        }
        while self.video.due() <= elapsed {
            self.queue_frame(now);
        }
        if self.next_burst.is_some_and(|burst| burst <= now) {
            let group = self.queue.len().min(BURST);
            self.ready.extend(self.queue.drain(..group).map(Outgoing::Rtp));
            self.next_burst = (!self.queue.is_empty()).then(|| now + BURST_GAP);
        }
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            let ntp = self.ntp(elapsed);
            let mut reports = Vec::new();
            for sender in [&self.video, &self.audio] {
                sender.report(elapsed, ntp, &self.cname, &mut reports);
            }
            self.ready.push_back(Outgoing::Rtcp(reports));
        }
    }

    /// The next packet to protect and send.
    pub(super) fn poll_packet(&mut self) -> Option<Outgoing> {
        self.ready.pop_front()
    }

    /// Takes what the server asks for.
    pub(super) fn handle_rtcp(&mut self, compound: &[u8]) {
        let ours = self.video.track.ssrc;
        let mut left = MAX_REQUESTS;
        for packet in Compound::new(compound) {
            match packet {
                RtcpPacket::Pli { media_ssrc } if media_ssrc == ours => self.want_keyframe(),
                RtcpPacket::Fir(list) if list.iter().any(|ssrc| ssrc == ours) => self.want_keyframe(),
                RtcpPacket::Nack { media_ssrc, missing } if media_ssrc == ours => {
                    for sequence in missing.iter().take(left) {
                        left -= 1;
                        self.resend(sequence);
                    }
                }
                _ => {}
            }
        }
    }

    fn want_keyframe(&mut self) {
        self.keyframe_wanted |= self.frames_since_key > KEYFRAME_FRESH;
    }

    /// The wall clock `elapsed` after the start.
    fn ntp(&self, elapsed: Duration) -> Ntp {
        self.start_ntp.wrapping_add(ntp::interval(elapsed))
    }

    fn send_audio(&mut self) {
        let due = self.audio.due();
        let index = usize::try_from(self.audio.ticks).unwrap_or_default() % self.clip.audio.len().max(1);
        self.audio.ticks += 1;
        let Some(data) = self.clip.audio.get(index) else { return };
        let ntp = self.start_ntp.wrapping_add(ntp::interval(due));
        let mut packet = self.audio.packet(&mut self.writer, false, due, ntp);
        packet.extend_from_slice(data);
        self.audio.count(data.len());
        self.ready.push_back(Outgoing::Rtp(packet));
    }

    fn queue_frame(&mut self, now: Instant) {
        let due = self.video.due();
        self.video.ticks += 1;
        let may_jump =
            self.last_jump.is_none_or(|last| now.saturating_duration_since(last) >= KEYFRAME_INTERVAL);
        if self.keyframe_wanted && may_jump {
            // The encoder is long gone; but every two seconds of the clip can be joined, and nobody minds a jump of
            // at most one.
            self.position = self.clip.nearest_keyframe(self.position);
            self.last_jump = Some(now);
        }
        let Some(frame) = self.clip.video.get(self.position).copied() else { return };
        self.position = (self.position + 1) % self.clip.video.len().max(1);
        if frame.key {
            self.keyframe_wanted = false;
            self.frames_since_key = 0;
        } else {
            self.frames_since_key += 1;
        }
        let ntp = self.start_ntp.wrapping_add(ntp::interval(due));
        for payload in self.packetizer.frame(frame.data) {
            let mut packet = self.video.packet(&mut self.writer, payload.last, due, ntp);
            let header = packet.len();
            payload.write(&mut packet);
            self.video.count(packet.len() - header);
            self.queue.push_back(packet.clone());
            let sequence = self.video.sequence.wrapping_sub(1);
            if let Some(slot) = self.ring.get_mut(usize::from(sequence) % RING) {
                *slot = Some(Sent { sequence, packet, resends: 0 });
            }
        }
        while self.queue.len() > MAX_QUEUE {
            self.queue.pop_front();
        }
        self.next_burst.get_or_insert(now);
    }

    fn resend(&mut self, sequence: u16) {
        let Some((payload_type, ssrc)) = self.video.track.rtx else { return };
        let Some(Some(sent)) = self.ring.get_mut(usize::from(sequence) % RING) else { return };
        if sent.sequence != sequence || sent.resends >= MAX_RESENDS || self.ready.len() >= MAX_QUEUE {
            return;
        }
        sent.resends += 1;
        let mut bytes = Vec::with_capacity(sent.packet.len() + 2);
        wrap_rtx(&sent.packet, ssrc, payload_type, self.rtx_sequence, &mut bytes);
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        self.ready.push_back(Outgoing::Rtp(bytes));
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
