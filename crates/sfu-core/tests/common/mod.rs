//! A publisher, a viewer and a lossy link on virtual time, around a real shard.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rtp::rtcp::{Compound, RtcpPacket};
use rtp::{Codec, Extension, Extensions, Header, HeaderWriter, MediaKind, RtpPacket, unwrap_rtx};
use sfu_core::*;

pub const VIDEO_PT: u8 = 96;
pub const RTX_PT: u8 = 97;
pub const AUDIO_PT: u8 = 111;
/// Payload types and extension ids of viewers differ from those of publishers.
pub const VIEWER_VIDEO_PT: u8 = 120;
pub const VIEWER_RTX_PT: u8 = 121;
pub const VIEWER_AUDIO_PT: u8 = 100;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Everything that a shard handed out.
#[derive(Debug, Default)]
pub struct Out {
    pub rtp: Vec<Sent>,
    pub rtcp: Vec<(Peer, Vec<u8>)>,
    pub events: Vec<Event>,
    pub to_edges: Vec<(PublisherId, ToEdgeOwned)>,
}

#[derive(Debug, Clone)]
pub struct Sent {
    pub repeatable: bool,
    pub peer: Peer,
    pub subscription: SubscriptionId,
    pub bytes: Vec<u8>,
    pub retransmission: bool,
}

#[derive(Debug, Clone)]
pub enum ToEdgeOwned {
    Packet { track: TrackIndex, encoding: EncodingIndex, run: u32, began: u64, number: u64, packet: Vec<u8> },
    Report(ClockReport),
}

impl ToEdgeOwned {
    pub fn borrow(&self) -> ToEdge<'_> {
        match self {
            &Self::Packet { track, encoding, run, began, number, ref packet } => {
                ToEdge::Packet { track, encoding, run, began, number, packet }
            }
            Self::Report(report) => ToEdge::Report(*report),
        }
    }
}

impl From<ToEdge<'_>> for ToEdgeOwned {
    fn from(what: ToEdge<'_>) -> Self {
        match what {
            ToEdge::Packet { track, encoding, run, began, number, packet } => {
                Self::Packet { track, encoding, run, began, number, packet: packet.to_vec() }
            }
            ToEdge::Report(report) => Self::Report(report),
        }
    }
}

impl Sink for Out {
    fn rtp(&mut self, packet: Outgoing<'_>) {
        let mut bytes = vec![0; 2000];
        let len = packet.write(&mut bytes);
        assert_eq!(len, packet.len());
        bytes.truncate(len);
        let Outgoing { peer, subscription, retransmission, repeatable, .. } = packet;
        self.rtp.push(Sent { repeatable, peer, subscription, bytes, retransmission });
    }

    fn rtcp(&mut self, peer: Peer, packet: &[u8]) {
        assert!(!packet.is_empty() && packet.len() <= 1200, "an RTCP packet of {} bytes", packet.len());
        self.rtcp.push((peer, packet.to_vec()));
    }

    fn to_edges(&mut self, publisher: PublisherId, what: ToEdge<'_>) {
        self.to_edges.push((publisher, what.into()));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Out {
    /// RTP packets to `peer`, taken out.
    pub fn take_rtp(&mut self, peer: Peer) -> Vec<Sent> {
        let (taken, rest) = std::mem::take(&mut self.rtp).into_iter().partition(|sent| sent.peer == peer);
        self.rtp = rest;
        taken
    }

    /// RTCP packets to `peer`, taken out.
    pub fn take_rtcp(&mut self, peer: Peer) -> Vec<Vec<u8>> {
        let (taken, rest): (Vec<_>, _) =
            std::mem::take(&mut self.rtcp).into_iter().partition(|sent| sent.0 == peer);
        self.rtcp = rest;
        taken.into_iter().map(|(_, bytes)| bytes).collect()
    }
}

/// A shard with its clock and what it handed out.
pub struct World {
    pub shard: Shard,
    pub start: Instant,
    pub now: Instant,
    pub out: Out,
}

impl World {
    pub fn new() -> Self {
        Self::at(Instant::now(), 1)
    }

    pub fn at(start: Instant, seed: u64) -> Self {
        let shard = Shard::new(ShardConfig { epoch: start, unix: Duration::from_secs(1_700_000_000), seed });
        Self { shard, start, now: start, out: Out::default() }
    }

    /// Lets `step` pass, doing what is due on the way.
    pub fn advance(&mut self, step: Duration) {
        let end = self.now + step;
        let mut turns = 0;
        while let Some(due) = self.shard.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.shard.handle_timeout(self.now, &mut self.out);
            turns += 1;
            assert!(turns < 100_000, "the shard is always due");
        }
        self.now = end;
    }

    /// Does what is due now.
    pub fn settle(&mut self) {
        self.advance(Duration::ZERO);
    }

    pub fn rtp(&mut self, publisher: PublisherId, packet: &[u8]) {
        self.rtp_batch(publisher, &[packet]);
    }

    /// Packets that the shell received together.
    pub fn rtp_batch(&mut self, publisher: PublisherId, packets: &[&[u8]]) {
        for packet in packets {
            self.shard.handle_rtp(publisher, packet, self.now, &mut self.out);
        }
        self.shard.forward(self.now, &mut self.out);
        self.settle();
    }

    pub fn send_frame(&mut self, publisher: PublisherId, source: &mut Source) {
        for packet in source.frame(self.now) {
            self.rtp(publisher, &packet);
        }
    }

    pub fn viewer_rtcp(&mut self, subscriber: SubscriberId, packet: &[u8]) {
        self.shard.handle_subscriber_rtcp(subscriber, packet, self.now, &mut self.out);
        self.settle();
    }
}

pub fn publisher_extensions() -> Extensions {
    Extensions::new()
        .with(Extension::Mid, 4)
        .with(Extension::Rid, 10)
        .with(Extension::RepairedRid, 11)
        .with(Extension::TransportCc, 3)
        .with(Extension::AbsCaptureTime, 8)
        .with(Extension::VideoOrientation, 13)
}

pub fn viewer_extensions() -> Extensions {
    Extensions::new()
        .with(Extension::Mid, 1)
        .with(Extension::AbsSendTime, 2)
        .with(Extension::TransportCc, 5)
        .with(Extension::AbsCaptureTime, 9)
        .with(Extension::VideoOrientation, 6)
}

pub fn video_format(payload_type: u8, rtx: u8) -> Format {
    Format {
        payload_type,
        rtx: Some(rtx),
        nack: true,
        codec: Codec::Vp8,
        clock_rate: 90_000,
        redundant: None,
    }
}

pub fn audio_format(payload_type: u8) -> Format {
    Format { payload_type, rtx: None, nack: false, codec: Codec::Opus, clock_rate: 48_000, redundant: None }
}

/// An encoding with this name.
pub fn rid(rid: &str) -> EncodingConfig {
    EncodingConfig { rid: Some(rid.parse().unwrap()), ..EncodingConfig::default() }
}

/// This encoding and no other.
pub fn only(rid: &str) -> Wanted {
    Wanted { encoding: WantedEncoding::Rid(rid.parse().unwrap()), max_temporal: None }
}

pub fn video_track(mid: &str, encodings: Vec<EncodingConfig>) -> TrackConfig {
    let formats = vec![video_format(VIDEO_PT, RTX_PT)];
    TrackConfig { kind: MediaKind::Video, mid: mid.parse().unwrap(), formats, encodings, csrc: None }
}

pub fn audio_track(mid: &str) -> TrackConfig {
    let (formats, encodings) = (vec![audio_format(AUDIO_PT)], vec![EncodingConfig::default()]);
    TrackConfig { kind: MediaKind::Audio, mid: mid.parse().unwrap(), formats, encodings, csrc: None }
}

pub fn publisher(room: u64, peer: u32, tracks: Vec<TrackConfig>) -> PublisherConfig {
    PublisherConfig {
        room: RoomId(room),
        source_id: SourceId(peer),
        origin: Origin::Local(Peer(peer)),
        extensions: publisher_extensions(),
        tracks,
        reduced_size: true,
        remb: true,
    }
}

/// A publisher of one video track with the mid "0".
pub fn video_publisher(room: u64, peer: u32) -> PublisherConfig {
    publisher(room, peer, vec![video_track("0", vec![EncodingConfig::default()])])
}

pub fn subscriber(room: u64, peer: u32) -> SubscriberConfig {
    SubscriberConfig {
        peer: Peer(peer),
        room: RoomId(room),
        extensions: viewer_extensions(),
        reduced_size: true,
        own: None,
    }
}

/// The first publisher of most tests: its handle is its name.
pub const FIRST: SourceId = SourceId(1);

pub fn track(source: SourceId, track: u8) -> TrackName {
    TrackName { source, track: TrackIndex(track) }
}

pub fn video_subscription(source: SourceId, ssrc: u32) -> SubscriptionConfig {
    SubscriptionConfig {
        shows: Some(track(source, 0)),
        mid: "v".parse().unwrap(),
        ssrc,
        cname: "owner".into(),
        rtx_ssrc: Some(ssrc + 1),
        formats: vec![video_format(VIEWER_VIDEO_PT, VIEWER_RTX_PT)],
        slot: None,
    }
}

pub fn audio_subscription(source: SourceId, index: u8, ssrc: u32) -> SubscriptionConfig {
    SubscriptionConfig {
        shows: Some(track(source, index)),
        mid: "a".parse().unwrap(),
        ssrc,
        cname: "owner".into(),
        rtx_ssrc: None,
        formats: vec![audio_format(VIEWER_AUDIO_PT)],
        slot: None,
    }
}

/// A packet of 20 ms as a browser's microphone sends it, its number as payload.
pub fn sound_packet(mid: &str, number: u16) -> Vec<u8> {
    let mut writer = HeaderWriter::new();
    let timestamp = u32::from(number) * 960;
    let (payload_type, ssrc) = (AUDIO_PT, 77);
    let header = Header { marker: false, payload_type, sequence: number, timestamp, ssrc, padded: false };
    writer.start(&header, false);
    writer.element(publisher_extensions().id(Extension::Mid).unwrap(), mid.as_bytes());
    writer.finish();
    [writer.bytes(), &[number as u8; 80]].concat()
}

/// One VP8 encoder with its packetizer: what a browser sends for one encoding.
#[derive(Debug, Clone)]
pub struct Source {
    pub ssrc: u32,
    pub mid: &'static str,
    pub rid: Option<&'static str>,
    pub sequence: u16,
    pub timestamp_start: u32,
    pub picture: u16,
    pub packets_per_frame: usize,
    pub payload_len: usize,
    pub keyframe_wanted: bool,
    pub transport: u16,
    pub tag: u8,
    /// Width and height, if its keyframes say them.
    pub size: Option<(u16, u16)>,
    rtx_sequence: u16,
    start: Option<Instant>,
    history: BTreeMap<u16, Vec<u8>>,
}

impl Source {
    pub fn new(ssrc: u32, mid: &'static str) -> Self {
        Self {
            ssrc,
            mid,
            rid: None,
            sequence: (ssrc as u16).wrapping_mul(7919),
            timestamp_start: ssrc.wrapping_mul(2_654_435_761),
            picture: (ssrc as u16) & 0x7fff,
            packets_per_frame: 3,
            payload_len: 900,
            keyframe_wanted: true,
            transport: 0,
            tag: ssrc as u8,
            size: None,
            rtx_sequence: 100,
            start: None,
            history: BTreeMap::new(),
        }
    }

    pub fn with_rid(mut self, rid: &'static str) -> Self {
        self.rid = Some(rid);
        self
    }

    pub fn timestamp(&mut self, now: Instant) -> u32 {
        let start = *self.start.get_or_insert(now);
        let ticks = now.duration_since(start).as_micros() * 90_000 / 1_000_000;
        self.timestamp_start.wrapping_add(ticks as u32)
    }

    /// The packets of one frame: a keyframe if one is wanted.
    pub fn frame(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let keyframe = std::mem::take(&mut self.keyframe_wanted);
        let timestamp = self.timestamp(now);
        let count = self.packets_per_frame * if keyframe { 3 } else { 1 };
        self.picture = (self.picture + 1) & 0x7fff;
        let packets = (0..count).map(|i| self.packet(timestamp, keyframe, i, i + 1 == count)).collect();
        while self.history.len() > 600 {
            // The oldest in the order of the wrap.
            let oldest = *self.history.keys().max_by_key(|&&s| self.sequence.wrapping_sub(s)).unwrap();
            self.history.remove(&oldest);
        }
        packets
    }

    fn packet(&mut self, timestamp: u32, keyframe: bool, index: usize, last: bool) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let [p0, p1] = (self.picture | 0x8000).to_be_bytes();
        let first = if index == 0 { 0x90 } else { 0x80 };
        let mut payload = vec![first, 0x80, p0, p1, u8::from(!keyframe), self.tag, index as u8];
        if let Some((width, height)) = self.size.filter(|_| keyframe && index == 0) {
            payload.extend([0x9d, 0x01, 0x2a]);
            payload.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        }
        payload.resize(self.payload_len, self.sequence as u8);
        let packet = self.wrap(VIDEO_PT, self.sequence, timestamp, self.ssrc, last, false, &payload);
        self.history.insert(self.sequence, packet.clone());
        packet
    }

    #[allow(clippy::too_many_arguments)]
    fn wrap(
        &mut self,
        pt: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        marker: bool,
        rtx: bool,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut writer = HeaderWriter::new();
        writer.start(&Header { marker, payload_type: pt, sequence, timestamp, ssrc, padded: false }, false);
        let ids = publisher_extensions();
        writer.element(ids.id(Extension::Mid).unwrap(), self.mid.as_bytes());
        self.transport = self.transport.wrapping_add(1);
        writer.element(ids.id(Extension::TransportCc).unwrap(), &self.transport.to_be_bytes());
        if let Some(rid) = self.rid {
            let extension = if rtx { Extension::RepairedRid } else { Extension::Rid };
            writer.element(ids.id(extension).unwrap(), rid.as_bytes());
        }
        writer.finish();
        [writer.bytes(), payload].concat()
    }

    /// Answers RTCP of the SFU: retransmissions; a PLI makes the next frame a keyframe.
    pub fn handle_rtcp(&mut self, rtcp: &[u8]) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        for packet in Compound::new(rtcp) {
            match packet {
                RtcpPacket::Nack { media_ssrc, missing } if media_ssrc == self.ssrc => {
                    for sequence in missing.iter() {
                        answers.extend(self.retransmit(sequence));
                    }
                }
                RtcpPacket::Pli { media_ssrc } if media_ssrc == self.ssrc => self.keyframe_wanted = true,
                _ => {}
            }
        }
        answers
    }

    pub fn retransmit(&mut self, sequence: u16) -> Option<Vec<u8>> {
        let original = self.history.get(&sequence)?.clone();
        let packet = RtpPacket::parse(&original).unwrap();
        let payload = [&sequence.to_be_bytes(), packet.payload()].concat();
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let ssrc = self.ssrc ^ 0x8000_0000;
        Some(self.wrap(RTX_PT, self.rtx_sequence, packet.timestamp, ssrc, packet.marker, true, &payload))
    }
}

/// What a viewer received of one stream: unwrapped, by extended number.
#[derive(Debug, Default)]
pub struct Viewer {
    pub packets: BTreeMap<u64, Vec<u8>>,
    pub retransmitted: u64,
    pub duplicates: u64,
    pub highest: Option<u64>,
    asked: BTreeMap<u64, (u32, Instant)>,
    rtx_numbers: BTreeSet<u16>,
    complete: u64,
}

impl Viewer {
    /// Takes a packet as it left the shard.
    pub fn receive(&mut self, bytes: &[u8], ssrc: u32) {
        let packet = RtpPacket::parse(bytes).unwrap();
        let mut original = vec![0; 2000];
        let bytes = if packet.ssrc == ssrc + 1 {
            assert_eq!(packet.payload_type, VIEWER_RTX_PT);
            assert!(self.rtx_numbers.insert(packet.sequence), "an RTX number was used twice");
            self.retransmitted += 1;
            match unwrap_rtx(bytes, ssrc, VIEWER_VIDEO_PT, &mut original) {
                Some(len) => original.truncate(len),
                None => original = filler(&packet, ssrc),
            }
            original
        } else {
            bytes.to_vec()
        };
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!((packet.ssrc, packet.payload_type), (ssrc, VIEWER_VIDEO_PT));
        let highest = self.highest.unwrap_or((1 << 16) + u64::from(packet.sequence));
        let seq = highest.wrapping_add_signed(i64::from(packet.sequence.wrapping_sub(highest as u16) as i16));
        self.highest = Some(highest.max(seq));
        if self.packets.insert(seq, bytes).is_some() {
            self.duplicates += 1;
        }
    }

    /// Numbers below the highest that are not there, from the first packet on.
    pub fn missing(&self) -> Vec<u64> {
        let Some((&first, _)) = self.packets.first_key_value() else { return Vec::new() };
        (first..=self.highest.unwrap()).filter(|seq| !self.packets.contains_key(seq)).collect()
    }

    /// The NACK that a viewer would send now: after 10 ms, in case it was reordered, and again every 60 ms.
    pub fn nack(&mut self, now: Instant, ssrc: u32) -> Option<Vec<u8>> {
        let (Some(highest), Some((&first, _))) = (self.highest, self.packets.first_key_value()) else {
            return None;
        };
        self.complete = self.complete.max(first);
        while self.packets.contains_key(&self.complete) {
            self.complete += 1;
        }
        let missing: BTreeSet<u64> =
            (self.complete..=highest).filter(|seq| !self.packets.contains_key(seq)).collect();
        self.asked.retain(|seq, _| missing.contains(seq));
        let mut list = Vec::new();
        for seq in missing {
            let (tries, due) = self.asked.entry(seq).or_insert((0, now + ms(10)));
            if *tries < 20 && *due <= now {
                (*tries, *due) = (*tries + 1, now + ms(60));
                list.push(seq as u16);
            }
        }
        let mut out = Vec::new();
        rtp::rtcp::write::nack(&mut out, 99, ssrc, &list);
        (!list.is_empty()).then_some(out)
    }

    /// Checks that what came is one stream: a keyframe first, and picture ids, timestamps and frames in order.
    pub fn check_continuity(&self) {
        let mut last: Option<(u32, u16)> = None;
        for (index, bytes) in self.packets.values().enumerate() {
            let packet = RtpPacket::parse(bytes).unwrap();
            let payload = packet.payload();
            let (start, keyframe) = (payload[0] & 0x10 != 0, payload[4] & 1 == 0);
            let picture = u16::from_be_bytes([payload[2] & 0x7f, payload[3]]);
            match last {
                None => assert!(start && keyframe, "the stream does not begin with a keyframe"),
                Some((timestamp, old)) if !start => {
                    assert_eq!(
                        (timestamp, old),
                        (packet.timestamp, picture),
                        "packet {index} of another frame"
                    );
                }
                Some((timestamp, old)) => {
                    assert!(
                        (packet.timestamp.wrapping_sub(timestamp) as i32) > 0,
                        "time goes back at {index}"
                    );
                    assert_eq!(picture, (old + 1) & 0x7fff, "picture ids jump at {index}");
                }
            }
            last = Some((packet.timestamp, picture));
        }
    }
}

/// The packet without a payload that a retransmission with nothing but a sequence number stands for.
fn filler(packet: &RtpPacket<'_>, ssrc: u32) -> Vec<u8> {
    let sequence = u16::from_be_bytes(packet.payload().try_into().unwrap());
    let (payload_type, timestamp) = (VIEWER_VIDEO_PT, packet.timestamp);
    let mut writer = HeaderWriter::new();
    let marker = packet.marker;
    writer.start(&Header { marker, payload_type, sequence, timestamp, ssrc, padded: true }, false);
    writer.finish();
    [writer.bytes(), &[1]].concat()
}

/// RTCP packets of one kind in many compounds.
pub fn count(compounds: &[Vec<u8>], wanted: impl Fn(&RtcpPacket<'_>) -> bool) -> usize {
    compounds.iter().map(|bytes| Compound::new(bytes).filter(|packet| wanted(packet)).count()).sum()
}

pub fn plis(compounds: &[Vec<u8>]) -> usize {
    count(compounds, |packet| matches!(packet, RtcpPacket::Pli { .. }))
}

/// Counts packets, and writes each where a shell would; whatever else the shard hands out is of no interest.
pub struct Wire {
    buffer: [u8; 1_500],
    pub packets: u64,
}

impl Wire {
    pub fn new() -> Self {
        Self { buffer: [0; 1_500], packets: 0 }
    }
}

impl Sink for Wire {
    fn rtp(&mut self, packet: Outgoing<'_>) {
        assert!(packet.write(&mut self.buffer) > 12);
        self.packets += 1;
    }

    fn rtcp(&mut self, _: Peer, _: &[u8]) {}

    fn to_edges(&mut self, _: PublisherId, _: ToEdge<'_>) {}

    fn event(&mut self, _: Event) {}
}
