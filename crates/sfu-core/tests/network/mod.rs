//! A publisher of three encodings and viewers behind narrow lines, on virtual time, around a real shard.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::common::*;
use rtp::rtcp;
use rtp::twcc::Recorder;
use rtp::{Extension, Header, HeaderWriter, RtpPacket, unwrap_rtx};
use sfu_core::*;

/// Tags of the encodings, worst first: about 170, 500 and 1,460 kbit/s.
pub const LOW: u8 = 10;
pub const MIDDLE: u8 = 20;
pub const TOP: u8 = 30;

const FRAME: Duration = Duration::from_micros(33_333);

/// What a client says about what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Feedback,
    Remb,
    /// As aiortc does: after three seconds what comes, counted without headers; less after each moment of jitter.
    ModestRemb,
    Reports,
    /// Not even reports.
    Nothing,
}

/// A line to a viewer and back: a rate with a queue that drops what is too long, a delay, and what else happens.
#[derive(Debug, Clone)]
pub struct Line {
    /// Bits per second.
    pub rate: u64,
    /// Longest queue.
    pub queue: Duration,
    /// One way.
    pub delay: Duration,
    pub jitter: Duration,
    /// In percent, each way.
    pub loss: u64,
    /// Bits per second of somebody else's.
    pub cross: u64,
    free: Option<Instant>,
    crossed: f64,
    rng: Rng,
    /// The longest queue since [`Line::take_longest`].
    longest: Duration,
}

impl Line {
    pub fn new(rate: u64, delay_ms: u64) -> Self {
        Self {
            rate,
            queue: ms(500),
            delay: ms(delay_ms),
            jitter: Duration::ZERO,
            loss: 0,
            cross: 0,
            free: None,
            crossed: 0.0,
            rng: Rng(rate + delay_ms),
            longest: Duration::ZERO,
        }
    }

    pub fn take_longest(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }

    fn occupy(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let start = self.free.map_or(now, |free| free.max(now));
        let free = start + Duration::from_nanos(bytes as u64 * 8_000_000_000 / self.rate);
        let wait = free.duration_since(now);
        if wait > self.queue {
            return None;
        }
        self.free = Some(free);
        self.longest = self.longest.max(wait);
        Some(free)
    }

    /// When a packet that is sent now arrives, if it does.
    pub fn send(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        // With UDP, IP and the authentication tag.
        let free = self.occupy(bytes + 44, now)?;
        let lost = self.rng.below(100) < self.loss;
        let jitter = self.rng.below(self.jitter.as_micros() as u64 + 1);
        (!lost).then_some(free + self.delay + Duration::from_micros(jitter))
    }

    /// One ms of somebody else's packets.
    pub fn pass_cross(&mut self, now: Instant) {
        self.crossed += self.cross as f64 / 8_000.0;
        while self.crossed >= 1_000.0 {
            self.crossed -= 1_000.0;
            self.occupy(1_000, now);
        }
    }

    pub fn back(&mut self, now: Instant) -> Option<Instant> {
        let lost = self.rng.below(100) < self.loss;
        (!lost).then_some(now + self.delay)
    }
}

/// A viewer with its line: what a browser does about what it gets.
pub struct Client {
    pub subscriber: SubscriberId,
    pub subscription: SubscriptionId,
    pub line: Line,
    pub says: Says,
    /// Frames that could be shown: when, and of which encoding.
    pub shown: Vec<(Instant, u8)>,
    pub paddings: usize,
    /// Packets of sound that came.
    pub sounds: usize,
    pub bytes: usize,
    peer: Peer,
    ssrc: u32,
    down: VecDeque<(Instant, Vec<u8>)>,
    up: VecDeque<(Instant, Vec<u8>)>,
    recorder: Recorder,
    feedback_due: Instant,
    report_due: Instant,
    packets: BTreeMap<u64, Vec<u8>>,
    highest: Option<u64>,
    next: Option<u64>,
    asked: BTreeMap<u64, (u32, Instant)>,
    stalled: Option<Instant>,
    keyframe_asked: Option<Instant>,
    /// The last sender report: the middle of its time, and when it came.
    sender_report: Option<(u32, Instant)>,
    /// It drops what is sent again and padding until a packet of that stream has named its media section, as Firefox does.
    pub drops_unnamed: bool,
    named: bool,
    /// How long it waits for a packet before it asks for a keyframe.
    pub patience: Duration,
    received: (u64, u64),
    reported: (u64, u64),
    window: usize,
    seconds: u32,
    remb: f64,
    late: Duration,
}

impl Client {
    fn receive(&mut self, at: Instant, sent: Duration, bytes: &[u8]) {
        let packet = RtpPacket::parse(bytes).unwrap();
        if packet.ssrc == self.ssrc + 5 {
            self.sounds += 1;
            return;
        }
        if packet.ssrc == self.ssrc + 1 && self.drops_unnamed {
            self.named |= packet.extension(&viewer_extensions(), Extension::Mid).is_some();
            if !self.named {
                return;
            }
        }
        if let Some(number) = packet.extension(&viewer_extensions(), Extension::TransportCc) {
            self.recorder.record(u16::from_be_bytes([number[0], number[1]]), at);
        }
        self.bytes += bytes.len();
        self.window += if self.says == Says::ModestRemb { packet.payload().len() } else { bytes.len() };
        self.late = self.late.max(sent);
        let mut original = vec![0; 2000];
        let bytes = if packet.ssrc == self.ssrc + 1 {
            let Some(len) = unwrap_rtx(bytes, self.ssrc, VIEWER_VIDEO_PT, &mut original) else {
                assert!(packet.payload().is_empty());
                self.paddings += 1;
                return;
            };
            original.truncate(len);
            original
        } else {
            self.received.0 += 1;
            bytes.to_vec()
        };
        let wire = RtpPacket::parse(&bytes).unwrap().sequence;
        let highest = self.highest.unwrap_or((1 << 16) + u64::from(wire));
        let seq = highest.wrapping_add_signed(i64::from(wire.wrapping_sub(highest as u16) as i16));
        self.highest = Some(highest.max(seq));
        self.next.get_or_insert(seq);
        self.packets.insert(seq, bytes);
        self.show(at);
    }

    /// Shows what can be decoded: frames in order, or from a complete keyframe on.
    fn show(&mut self, at: Instant) {
        let mut next = self.next.unwrap();
        loop {
            while self.frame(next).is_some_and(|(last, tag)| {
                next = last + 1;
                self.shown.push((at, tag));
                true
            }) {}
            let keyframe = self.packets.range(next..).map(|(&seq, _)| seq).find(|&seq| {
                let payload = RtpPacket::parse(&self.packets[&seq]).unwrap().payload().to_vec();
                payload[0] & 0x10 != 0 && payload[4] & 1 == 0 && self.frame(seq).is_some()
            });
            let Some(keyframe) = keyframe else { break };
            next = keyframe;
        }
        if Some(next) != self.next {
            (self.next, self.stalled) = (Some(next), None);
            self.packets.retain(|&seq, _| seq >= next);
        }
        if !self.packets.is_empty() {
            self.stalled.get_or_insert(at);
        }
    }

    /// The last packet and the tag of the frame that begins at `seq`, if it is complete.
    fn frame(&self, seq: u64) -> Option<(u64, u8)> {
        let first = RtpPacket::parse(self.packets.get(&seq)?).unwrap();
        let mut last = seq;
        loop {
            let packet = RtpPacket::parse(self.packets.get(&last)?).unwrap();
            if packet.marker {
                return Some((last, first.payload()[5]));
            }
            last += 1;
        }
    }

    /// The RTCP that is due.
    fn rtcp(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.says == Says::Feedback && now >= self.feedback_due {
            self.feedback_due = now + ms(80);
            let mut bytes = Vec::new();
            while self.recorder.is_pending() && self.recorder.write(&mut bytes, 99, self.ssrc) {}
            out.push(bytes);
        }
        let Some(highest) = self.highest else { return out };
        if now >= self.report_due && self.says != Says::Nothing {
            self.report_due = now + ms(1000);
            let (expected, received) = (highest - self.reported.1, self.received.0 - self.reported.0);
            let lost = expected.saturating_sub(received);
            self.reported = (self.received.0, highest);
            let fraction = if self.received.1 == 0 { 0 } else { (lost * 256 / expected.max(1)).min(255) };
            self.received.1 += 1;
            let (last_report, delay) = self.sender_report.map_or((0, 0), |(ntp, came)| {
                (ntp, (now.saturating_duration_since(came).as_micros() * 65_536 / 1_000_000) as u32)
            });
            let (fraction_lost, highest) = (fraction as u8, highest as u32);
            let ssrc = self.ssrc;
            let block =
                rtcp::ReportBlock { ssrc, fraction_lost, highest, last_report, delay, ..Default::default() };
            let mut bytes = Vec::new();
            rtcp::write::receiver_report(&mut bytes, 99, &[block]);
            if self.says == Says::Remb {
                // What receivers do: 1.5 times what comes, less when the queue is long.
                let received = (std::mem::take(&mut self.window) * 8) as f64;
                self.remb = if std::mem::take(&mut self.late) > self.line.delay + ms(150) {
                    0.85 * received
                } else {
                    (self.remb * 1.08).max(received).min(1.5 * received + 10_000.0)
                };
                rtcp::write::remb(&mut bytes, 99, self.remb as u64, &[self.ssrc]);
            }
            if self.says == Says::ModestRemb {
                self.seconds += 1;
                let received = (std::mem::take(&mut self.window) * 8) as f64;
                let late = std::mem::take(&mut self.late) > self.line.delay + ms(100);
                // It takes keyframes of others for a queue now and then.
                self.remb = match self.seconds {
                    0..=3 => received,
                    second if late || second % 7 == 0 => 0.85 * received,
                    _ => (self.remb + 4_000.0).min((1.5 * received + 10_000.0).max(self.remb)),
                };
                if self.seconds >= 3 && received > 0.0 {
                    rtcp::write::remb(&mut bytes, 99, self.remb as u64, &[self.ssrc]);
                }
            }
            out.push(bytes);
        }
        let missing: BTreeSet<u64> =
            (self.next.unwrap()..highest).filter(|seq| !self.packets.contains_key(seq)).collect();
        self.asked.retain(|seq, _| missing.contains(seq));
        let mut list = Vec::new();
        for seq in missing {
            let (tries, due) = self.asked.entry(seq).or_insert((0, now + ms(10)));
            if *tries < 10 && *due <= now {
                (*tries, *due) = (*tries + 1, now + ms(60).max(self.line.delay * 2));
                list.push(seq as u16);
            }
        }
        if !list.is_empty() {
            let mut bytes = Vec::new();
            rtcp::write::nack(&mut bytes, 99, self.ssrc, &list);
            out.push(bytes);
        }
        let asked = self.keyframe_asked.is_some_and(|at| now < at + ms(300));
        if self.stalled.is_some_and(|since| now > since + self.patience) && !asked {
            self.keyframe_asked = Some(now);
            let mut bytes = Vec::new();
            rtcp::write::pli(&mut bytes, 99, self.ssrc);
            out.push(bytes);
        }
        out
    }

    /// Frames shown from `from` to `to`, counted from `start`.
    pub fn between(&self, start: Instant, from: u64, to: u64) -> impl Iterator<Item = (Instant, u8)> + '_ {
        let span = start + ms(from)..start + ms(to);
        self.shown.iter().copied().filter(move |(at, _)| span.contains(at))
    }
}

pub struct Scene {
    pub world: World,
    pub publisher: PublisherId,
    pub sources: [Source; 3],
    pub clients: Vec<Client>,
    frame_due: Instant,
    /// A keyframe of all encodings this often, as others join.
    pub keyframes: Option<Duration>,
    keyframe_due: Instant,
    sound: Option<(PublisherId, u32)>,
    /// The publisher's own line; without one its packets are there at once.
    pub uplink: Option<Uplink>,
    /// When the publisher was asked for keyframes.
    pub requests: Vec<Instant>,
}

/// The line of a publisher.
pub struct Uplink {
    line: Line,
    up: VecDeque<(Instant, Vec<u8>)>,
    down: VecDeque<(Instant, Vec<u8>)>,
    /// When each packet was sent again: browsers do that once in a round trip.
    repeated: BTreeMap<(u32, u16), Instant>,
}

impl Uplink {
    pub fn new(line: Line) -> Self {
        Self { line, up: VecDeque::new(), down: VecDeque::new(), repeated: BTreeMap::new() }
    }

    fn send(&mut self, packet: Vec<u8>, now: Instant) {
        if let Some(at) = self.line.send(packet.len(), now) {
            let place = self.up.partition_point(|(other, _)| *other <= at);
            self.up.insert(place, (at, packet));
        }
    }

    /// Takes an answer to a NACK.
    fn repeat(&mut self, packet: Vec<u8>, now: Instant) {
        let view = RtpPacket::parse(&packet).unwrap();
        let number = u16::from_be_bytes([view.payload()[0], view.payload()[1]]);
        let last = self.repeated.insert((view.ssrc, number), now);
        match last.filter(|&last| now < last + 2 * self.line.delay) {
            Some(last) => drop(self.repeated.insert((view.ssrc, number), last)),
            None => self.send(packet, now),
        }
    }
}

fn due(queue: &mut VecDeque<(Instant, Vec<u8>)>, now: Instant) -> Option<Vec<u8>> {
    queue.pop_front_if(|(at, _)| *at <= now).map(|(_, bytes)| bytes)
}

impl Scene {
    /// The publisher alone, for two seconds.
    pub fn new() -> Self {
        let mut world = World::new();
        let tracks = vec![video_track("0", vec![rid("q"), rid("h"), rid("f")])];
        let publisher = world.shard.add_publisher(publisher(1, 1, tracks), world.now).unwrap();
        let mut sources = [
            Source::new(u32::from(LOW), "0").with_rid("q"),
            Source::new(u32::from(MIDDLE), "0").with_rid("h"),
            Source::new(u32::from(TOP), "0").with_rid("f"),
        ];
        for (source, (packets, len)) in sources.iter_mut().zip([(1, 650), (2, 1000), (6, 980)]) {
            (source.packets_per_frame, source.payload_len) = (packets, len);
        }
        let (frame_due, keyframe_due) = (world.now, world.now);
        let clients = Vec::new();
        let mut scene = Self {
            world,
            publisher,
            sources,
            clients,
            frame_due,
            keyframes: None,
            keyframe_due,
            sound: None,
            uplink: None,
            requests: Vec::new(),
        };
        scene.run(2_000);
        scene
    }

    /// Sound for all viewers who are there: it shares their lines.
    pub fn add_sound(&mut self) {
        let tracks = vec![audio_track("1")];
        let speaker = SourceId(2);
        let config = PublisherConfig { source_id: speaker, ..publisher(1, 1, tracks) };
        let id = self.world.shard.add_publisher(config, self.world.now).unwrap();
        for client in &self.clients {
            let config = audio_subscription(speaker, 0, client.ssrc + 5);
            self.world.shard.subscribe(client.subscriber, config, self.world.now).unwrap();
        }
        self.sound = Some((id, 0));
    }

    /// The publisher's clock, so that viewers get sender reports.
    fn report(&mut self) {
        let now = self.world.now;
        let ntp = (now.duration_since(self.world.start).as_secs() + 3_900_000_000) << 32;
        for source in &mut self.sources {
            let info = rtcp::SenderInfo { ntp, rtp: source.timestamp(now), packets: 0, octets: 0 };
            let mut bytes = Vec::new();
            rtcp::write::sender_report(&mut bytes, source.ssrc, &info);
            self.world.shard.handle_publisher_rtcp(self.publisher, &bytes, now, &mut self.world.out);
        }
    }

    /// 20 ms of sound, 48 kbit/s.
    fn say(&mut self) {
        let Some((speaker, number)) = &mut self.sound else { return };
        *number += 1;
        let (sequence, timestamp) = (*number as u16, *number * 960);
        let mut writer = HeaderWriter::new();
        let header =
            Header { marker: false, payload_type: AUDIO_PT, sequence, timestamp, ssrc: 77, padded: false };
        writer.start(&header, false);
        writer.element(publisher_extensions().id(Extension::Mid).unwrap(), b"1");
        writer.finish();
        let packet = [writer.bytes(), &[7; 120]].concat();
        self.world.rtp(*speaker, &packet);
    }

    pub fn join(&mut self, line: Line, says: Says) -> usize {
        let index = self.clients.len();
        let (peer, ssrc, now) = (Peer(index as u32 + 2), 5_000 + 10 * index as u32, self.world.now);
        let mut config = subscriber(1, peer.0);
        if says != Says::Feedback {
            // A reserved id: the extension is not there.
            config.extensions = config.extensions.with(Extension::TransportCc, 15);
        }
        let subscriber = self.world.shard.add_subscriber(config, now).unwrap();
        let subscription =
            self.world.shard.subscribe(subscriber, video_subscription(FIRST, ssrc), now).unwrap();
        self.clients.push(Client {
            subscriber,
            subscription,
            line,
            says,
            shown: Vec::new(),
            paddings: 0,
            sounds: 0,
            bytes: 0,
            peer,
            ssrc,
            down: VecDeque::new(),
            up: VecDeque::new(),
            recorder: Recorder::new(now),
            feedback_due: now,
            report_due: now + ms(300),
            packets: BTreeMap::new(),
            highest: None,
            next: None,
            asked: BTreeMap::new(),
            stalled: None,
            keyframe_asked: None,
            drops_unnamed: false,
            named: false,
            patience: ms(200),
            sender_report: None,
            received: (0, 0),
            reported: (0, 0),
            window: 0,
            seconds: 0,
            remb: 0.0,
            late: Duration::ZERO,
        });
        index
    }

    /// ms since the start.
    pub fn clock(&self) -> u64 {
        self.world.now.duration_since(self.world.start).as_millis() as u64
    }

    pub fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.world.now;
        if let Some(interval) = self.keyframes.filter(|_| now >= self.keyframe_due) {
            self.keyframe_due = now + interval;
            self.sources.iter_mut().for_each(|source| source.keyframe_wanted = true);
        }
        if self.clock().is_multiple_of(20) {
            self.say();
        }
        if self.clock().is_multiple_of(1_000) {
            self.report();
        }
        if now >= self.frame_due {
            self.frame_due += FRAME;
            for source in &mut self.sources {
                match &mut self.uplink {
                    Some(uplink) => source.frame(now).into_iter().for_each(|packet| uplink.send(packet, now)),
                    None => self.world.send_frame(self.publisher, source),
                }
            }
        }
        while let Some(packet) = self.uplink.as_mut().and_then(|uplink| due(&mut uplink.up, now)) {
            self.world.rtp(self.publisher, &packet);
        }
        self.world.advance(ms(1));
        let now = self.world.now;
        let upstream =
            if self.world.out.rtcp.is_empty() { Vec::new() } else { self.world.out.take_rtcp(Peer(1)) };
        for client in &mut self.clients {
            for rtcp in self.world.out.take_rtcp(client.peer) {
                for packet in rtcp::Compound::new(&rtcp) {
                    if let rtcp::RtcpPacket::SenderReport { ssrc, info, .. } = packet
                        && ssrc == client.ssrc
                    {
                        client.sender_report = Some(((info.ntp >> 16) as u32, now + client.line.delay));
                    }
                }
            }
        }
        self.world.out.rtcp.clear();
        let asked = plis(&upstream);
        self.requests.extend(std::iter::repeat_n(now, asked));
        match &mut self.uplink {
            Some(uplink) => {
                for rtcp in upstream {
                    uplink.down.extend(uplink.line.back(now).map(|at| (at, rtcp)));
                }
                while let Some(rtcp) = due(&mut uplink.down, now) {
                    for packet in self.sources.iter_mut().flat_map(|source| source.handle_rtcp(&rtcp)) {
                        uplink.repeat(packet, now);
                    }
                }
            }
            None => upstream.iter().for_each(|rtcp| {
                self.sources.iter_mut().for_each(|source| drop(source.handle_rtcp(rtcp)));
            }),
        }
        for client in &mut self.clients {
            client.line.pass_cross(now);
            let sent =
                if self.world.out.rtp.is_empty() { Vec::new() } else { self.world.out.take_rtp(client.peer) };
            for sent in sent {
                if let Some(arrival) = client.line.send(sent.bytes.len(), now) {
                    let place = client.down.partition_point(|(at, _)| *at <= arrival);
                    let mut stamped =
                        (now.duration_since(self.world.start).as_micros() as u64).to_be_bytes().to_vec();
                    stamped.extend(sent.bytes);
                    client.down.insert(place, (arrival, stamped));
                }
            }
            while client.down.front().is_some_and(|(at, _)| *at <= now) {
                let (at, stamped) = client.down.pop_front().unwrap();
                let (stamp, bytes) = stamped.split_first_chunk::<8>().unwrap();
                let sent = self.world.start + Duration::from_micros(u64::from_be_bytes(*stamp));
                client.receive(at, at.duration_since(sent), bytes);
            }
            for rtcp in client.rtcp(now) {
                if let Some(at) = client.line.back(now).filter(|_| !rtcp.is_empty()) {
                    client.up.push_back((at, rtcp));
                }
            }
        }
        for index in 0..self.clients.len() {
            while self.clients[index].up.front().is_some_and(|(at, _)| *at <= now) {
                let (_, rtcp) = self.clients[index].up.pop_front().unwrap();
                self.world.viewer_rtcp(self.clients[index].subscriber, &rtcp);
            }
        }
    }

    /// The encoding shown last.
    pub fn current(&self, client: usize) -> Option<u8> {
        self.clients[client].shown.last().map(|&(_, tag)| tag)
    }

    /// Runs until `client` is shown `tag` and returns how many ms that took.
    pub fn until(&mut self, client: usize, tag: u8, most: u64) -> u64 {
        let start = self.clock();
        while self.current(client) != Some(tag) && self.clock() < start + most {
            self.step();
        }
        self.clock() - start
    }

    /// The longest time without a frame between two moments, in ms.
    pub fn freeze(&self, client: usize, from: u64, to: u64) -> u64 {
        let start = self.world.start;
        let mut last = start + ms(from);
        let mut longest = Duration::ZERO;
        for (at, _) in self.clients[client].between(start, from, to) {
            longest = longest.max(at.duration_since(last));
            last = at;
        }
        longest.max((start + ms(to)).duration_since(last)).as_millis() as u64
    }

    /// The share of frames of `tag` between two moments, in percent.
    pub fn share(&self, client: usize, tag: u8, from: u64, to: u64) -> u64 {
        let shown: Vec<_> = self.clients[client].between(self.world.start, from, to).collect();
        shown.iter().filter(|frame| frame.1 == tag).count() as u64 * 100 / (shown.len() as u64).max(1)
    }

    /// What the line of `client` is taken to carry, in kbit/s.
    pub fn bandwidth(&self, client: usize) -> Option<u64> {
        let stats = self.world.shard.subscriber_stats(self.clients[client].subscriber).unwrap();
        stats.bandwidth.map(|bits| bits / 1_000)
    }
}
