//! One encoding of a published track, with everything that is kept of it.

use std::time::{Duration, Instant};

use media::dependency::{References, Structure};
use media::{VideoCodec, picture_size};
use rtp::ntp::Ntp;
use rtp::seq::{Seq, timestamp_before};
use rtp::{Codec, Extension, Extensions, MediaKind, RtpPacket};

use crate::clock::ClockMapping;
use crate::codec::{self, FrameInfo};
use crate::config::{EncodingConfig, Format};
use crate::crossing::Crossing;
use crate::group::{Group, Patience};
use crate::interest::Interest;
use crate::keyframe::KeyframeRequests;
use crate::layers::ladder::{Candidate, Flow};
use crate::layers::{self, Layers};
use crate::membership::Numbers;
use crate::meter::Meter;
use crate::nack::NackTracker;
use crate::pace::{self, Pace};
use crate::receive::{Arrival, ReceiveStats};
use crate::ring::{KEEP, MAX_AUDIO_BYTES, MAX_VIDEO_BYTES, PacketRing};
use crate::sink::KeyframePurpose;
use crate::slides;
use crate::stats::EncodingStats;

/// An encoding whose siblings have gone on without it for this long was stopped.
const STOPPED: Duration = Duration::from_millis(400);
/// The layers that there are, are those that were seen in a window of this length or the one before.
const LAYERS_WINDOW: Duration = Duration::from_secs(1);
/// Packets of a publisher that does not answer keyframe requests are kept this long: the usual distance of its
/// keyframes is 2 s.
const KEEP_DEAF: Duration = Duration::from_secs(3);

/// A timestamp that lies further than this before the last one, or after where it could have got to since, is of a stream
/// that started over, though its numbers go on. Less is what a source does that stood still or had a hiccup.
const MAX_TIMESTAMP_JUMP: Duration = Duration::from_secs(10);

/// How much time is squeezed when a piece begins with packets of the ring: 16 ms of stream become 1 ms, more where they
/// span so much time (a still picture) that what follows would be shown late. Not so much that two frames of 60 a second
/// get one timestamp.
const SQUEEZE_SHIFT: u32 = 4;
const MAX_SQUEEZE_SHIFT: u32 = 10;
/// Packets of sound in a second.
const SOUND_PACKETS: u32 = 50;
/// What is squeezed takes a tenth of a second at most, where that is possible.
const SQUEEZED_PARTS: u32 = 10;

/// Where the last keyframe begins.
#[derive(Debug, Clone, Copy)]
struct Keyframe {
    seq: Seq,
    timestamp: u32,
    picture: Option<u64>,
    tl0: Option<u8>,
    frame: Option<u16>,
    template: Option<u8>,
}

/// A point of a stream where a subscription can begin with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// First packet.
    pub(crate) seq: Seq,
    /// Its timestamp.
    pub(crate) timestamp: u32,
    /// The newest timestamp that is there already: later than `timestamp` if the piece begins in the ring.
    pub(crate) live: u32,
    /// When that was on this node's clock, by the publisher's reports.
    pub(crate) live_at: Option<Ntp>,
    /// Picture number of the first packet, without its wrap, and TL0PICIDX.
    pub(crate) picture: Option<u64>,
    pub(crate) tl0: Option<u8>,
    /// Its frame number, and the first template id of its structure.
    pub(crate) frame: Option<u16>,
    pub(crate) template: Option<u8>,
    pub(crate) clock_rate: u32,
    /// It is sound, which is caught up with by playing faster: its packets stay as far apart as they are.
    pub(crate) is_sound: bool,
}

impl Entry {
    /// By how many bits the time before what is there now is squeezed.
    pub(crate) fn squeeze(&self) -> u32 {
        if self.is_sound {
            return 0;
        }
        let span = self.live.wrapping_sub(self.timestamp);
        let fits = |&shift: &u32| span >> shift <= self.clock_rate / SQUEEZED_PARTS;
        (SQUEEZE_SHIFT..MAX_SQUEEZE_SHIFT).find(fits).unwrap_or(MAX_SQUEEZE_SHIFT)
    }

    /// How far after the packet before its first one has to be: what sounds is not cut into.
    pub(crate) fn least_step(&self) -> u32 {
        if self.is_sound { self.clock_rate / SOUND_PACKETS } else { 1 }
    }

    /// How long before what is there now it begins.
    pub(crate) fn age(&self) -> Duration {
        let ticks = u64::from(self.live.wrapping_sub(self.timestamp));
        Duration::from_micros(ticks * 1_000_000 / u64::from(self.clock_rate.max(1)))
    }
}

/// One encoding of a track.
#[derive(Debug)]
pub(crate) struct Encoding {
    pub(crate) config: EncodingConfig,
    /// The SSRC that is bound to it.
    pub(crate) ssrc: Option<u32>,
    /// The SSRC that its retransmissions are bound to.
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) receive: ReceiveStats,
    /// Counts the times that the stream started over: a new connection, SSRC or codec, or a jump.
    pub(crate) run: u32,
    /// The first number of this run, once a packet of it has come.
    pub(crate) began: Option<Seq>,
    /// The run before, and its newest number: what a reader may still have to get.
    pub(crate) ended: Option<(u32, Seq)>,
    /// Of a remote publisher: the run that flows, and what its numbers become here.
    pub(crate) crossing: Option<Crossing>,
    pub(crate) nack: NackTracker,
    pub(crate) ring: PacketRing,
    pub(crate) keyframes: KeyframeRequests,
    keyframe: Option<Keyframe>,
    /// What has come since the keyframe.
    group: Group,
    newest: Option<(Seq, u32)>,
    /// Which numbers belong to which layers.
    pub(crate) numbers: Numbers,
    /// The last structure of the dependency descriptor.
    structure: Option<Box<Structure>>,
    meter: Meter,
    pub(crate) interest: Interest,
    /// Width and height of the last keyframe.
    size: Option<(u16, u16)>,
    /// The highest spatial and temporal layer of the last second or two: in this window and the one before.
    layers_seen: [(u8, u8); 2],
    /// Spatial layers do not need each other between keyframes.
    pub(crate) separate: bool,
    pub(crate) clock: Option<ClockMapping>,
    pub(crate) format: Option<Format>,
    pub(crate) last_media: Option<Instant>,
    /// How far apart its frames are, and so after what time it counts as silent.
    pace: Pace,
    /// Since when other encodings of the track have gone on without it.
    overtaken: Option<Instant>,
    stats: EncodingStats,
    /// When the window of the layers that were seen began.
    seen_since: Option<Instant>,
}

/// What is done about missing packets, and so which late ones are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repair {
    /// The publisher is asked: only what was missing is taken late.
    Ask,
    /// Nothing: what was just overtaken is taken late.
    None,
}

/// The way that a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// On the publisher's connection, as it was sent first.
    Direct,
    /// In a retransmission.
    Recovered,
    /// From the shard that has the publisher, with its run and its number there.
    Crossed { run: u32, began: u64, number: u64 },
}

/// What a packet means for its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) seq: Seq,
    /// Whether newer packets came before it.
    pub(crate) late: bool,
    /// How long after the request that it answers it came, if that is known.
    pub(crate) round_trip: Option<Duration>,
    /// It had been missed.
    pub(crate) repaired: bool,
}

impl Encoding {
    pub(crate) fn new(config: EncodingConfig, kind: MediaKind) -> Self {
        let max_bytes = if kind == MediaKind::Video { MAX_VIDEO_BYTES } else { MAX_AUDIO_BYTES };
        Self {
            config,
            ssrc: config.ssrc,
            rtx_ssrc: config.rtx_ssrc,
            receive: ReceiveStats::default(),
            run: 0,
            began: None,
            ended: None,
            crossing: None,
            nack: NackTracker::default(),
            ring: PacketRing::new(max_bytes),
            keyframes: KeyframeRequests::default(),
            keyframe: None,
            group: Group::default(),
            newest: None,
            numbers: Numbers::default(),
            structure: None,
            meter: Meter::default(),
            interest: Interest::default(),
            size: None,
            layers_seen: [(0, 0); 2],
            separate: false,
            clock: None,
            format: None,
            last_media: None,
            pace: Pace::new(kind),
            overtaken: None,
            stats: EncodingStats::default(),
            seen_since: None,
        }
    }

    /// The stream starts over: what follows does not go on from what was.
    pub(crate) fn restart(&mut self) {
        self.receive.restart();
        self.next_run();
        self.crossing = None;
        self.clock = None;
    }

    fn next_run(&mut self) {
        if let Some((newest, _)) = self.newest {
            self.ended = Some((self.run, newest));
        }
        self.run = self.run.wrapping_add(1);
        self.began = None;
        self.keyframe = None;
        self.group = Group::default();
        self.ring.hold(None);
        self.newest = None;
        self.numbers.restart();
        self.separate = false;
        self.nack.clear();
    }

    /// Takes a packet: `None` if it is a duplicate, or far from the stream. Without a `format` it carries nothing for
    /// viewers (padding, forward error correction, comfort noise), but it has a number of the stream, which therefore
    /// is not missing.
    pub(crate) fn accept(
        &mut self,
        packet: &RtpPacket<'_>,
        bytes: &[u8],
        format: Option<&Format>,
        way: Way,
        repair: Repair,
        now: Instant,
    ) -> Option<Accepted> {
        let expected = self.receive.highest().map(|highest| highest + 1);
        let jumped = format.is_some_and(|format| self.jumps(packet.timestamp, format.clock_rate, now));
        let recovered = way == Way::Recovered;
        let arrival = match way {
            Way::Direct | Way::Recovered => self.receive.arrive(packet.sequence, recovered),
            Way::Crossed { run, began, number } => {
                let (crossing, receive) = (&mut self.crossing, &mut self.receive);
                Crossing::place(crossing, receive, (run, began, number), packet.sequence)
            }
        };
        let (mut round_trip, mut repeated, mut was_missing) = (None, recovered, false);
        let seq = match arrival {
            Arrival::Stray => return None,
            Arrival::First(seq) => {
                self.next_run();
                if let Some(missed) = self.crossing.as_mut().and_then(|crossing| crossing.missed.take())
                    && !self.nack.gap(missed, seq, now)
                {
                    self.keyframes.want(now);
                }
                seq
            }
            Arrival::Newer(seq) => {
                let asks = repair == Repair::Ask;
                if let Some(expected) = expected.filter(|&expected| asks && expected < seq)
                    && !self.nack.gap(expected, seq, now)
                {
                    self.keyframes.want(now);
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
                was_missing = repaired.is_some_and(|repaired| repaired.asked);
                // Without a retransmission stream it comes as it was, at another time than it was sent first.
                repeated |= repaired.is_some_and(|repaired| repaired.asked);
                let expected = match repair {
                    Repair::Ask => repaired.is_some() || self.receive.just_before_start(seq),
                    Repair::None => self.receive.just_overtaken(seq),
                };
                if !expected {
                    return None;
                }
                if repair == Repair::Ask && seq < self.receive.base() {
                    let ring = &self.ring;
                    self.nack.gap_before(seq + 1, self.receive.base(), |seq| ring.contains(seq), now);
                }
                seq
            }
        };
        let late = matches!(arrival, Arrival::Older(_));
        self.ring.keep(match self.keyframes.is_deaf() {
            _ if self.keyframes.has_slides(now) => slides::KEEP,
            true => KEEP_DEAF,
            false => KEEP,
        });
        self.ring.insert(seq, bytes, now);
        let Some(format) = format else {
            self.numbers.packets.note(seq, layers::Mask::NONE);
            self.begins_at(seq);
            return Some(Accepted { seq, late, round_trip, repaired: was_missing });
        };
        // The shard that has the publisher sees a jump and tells the others; they get a backlog all at once.
        let starts_over =
            jumped && matches!(arrival, Arrival::Newer(_)) && !matches!(way, Way::Crossed { .. });
        if starts_over || self.format.is_some_and(|old| old.codec != format.codec) {
            self.next_run();
        }
        if jumped && self.newest.is_none() {
            // How the old timestamps lay on the publisher's clock.
            self.clock = None;
        }
        self.format = Some(*format);
        if !repeated {
            self.receive.transit(packet.timestamp, format.clock_rate, now);
        }
        self.begins_at(seq);
        self.stats.packets += 1;
        self.stats.bytes += bytes.len() as u64;
        self.stats.recovered += u64::from(recovered);
        let mut begins = false;
        if self.newest.is_none_or(|(newest, _)| newest < seq) {
            begins = self.newest.is_none_or(|(_, timestamp)| timestamp != packet.timestamp);
            self.stats.frames += u64::from(begins);
            self.newest = Some((seq, packet.timestamp));
        }
        self.flowed(begins, bytes.len(), now);
        Some(Accepted { seq, late, round_trip, repaired: was_missing })
    }

    /// Whether a packet with this timestamp does not go on from the newest one.
    fn jumps(&self, timestamp: u32, clock_rate: u32, now: Instant) -> bool {
        let (Some((_, newest)), Some(last)) = (self.newest, self.last_media) else { return false };
        let ticks = |time: Duration| {
            i64::try_from(time.as_millis()).unwrap_or(i64::MAX).saturating_mul(i64::from(clock_rate)) / 1_000
        };
        let (elapsed, most) = (ticks(now.saturating_duration_since(last)), ticks(MAX_TIMESTAMP_JUMP));
        let step = i64::from(timestamp.wrapping_sub(newest) as i32);
        // After hours of silence the timestamp may have come round.
        elapsed < i64::from(i32::MAX / 2) && !(-most..=elapsed + most).contains(&step)
    }

    /// A packet of this run has come.
    fn begins_at(&mut self, seq: Seq) {
        self.began = Some(self.began.map_or(seq, |began| began.min(seq)));
    }

    /// Media of `bytes` came, perhaps the first of its frame.
    fn flowed(&mut self, begins: bool, bytes: usize, now: Instant) {
        if begins {
            self.pace.frame(self.last_media, now);
        }
        self.last_media = Some(now);
        self.overtaken = None;
        self.keyframes.media_came();
        if self.keyframe.is_some() {
            self.group.add(begins, bytes);
            if !self.group.is_worth_holding(&self.pace) {
                self.ring.hold(None);
            }
        }
    }

    /// Whether the publisher repeats what is lost, given the format of a packet, or of what flowed before it.
    pub(crate) fn is_repeated(&self, format: Option<&Format>) -> bool {
        format.or(self.format.as_ref()).is_some_and(|format| format.nack)
    }

    /// Another encoding of the track goes on.
    pub(crate) fn sibling_flowed(&mut self, now: Instant) {
        self.overtaken.get_or_insert(now);
    }

    /// How long other encodings of the track, the last of which came at `newest`, have gone on without this one; `None`
    /// if it never flowed. Silence of all of them is no lag: a still picture has a frame now and then in each.
    fn lag(&self, newest: Option<Instant>) -> Option<Duration> {
        self.last_media?;
        let since =
            |at: Instant| newest.map_or(Duration::ZERO, |newest| newest.saturating_duration_since(at));
        Some(self.overtaken.map_or(Duration::ZERO, since))
    }

    /// The last structure of the dependency descriptor.
    pub(crate) fn structure(&self) -> Option<&Structure> {
        self.structure.as_deref()
    }

    /// Understands a packet that was accepted: notes its layers, and the structure and the picture size that it
    /// may bring.
    pub(crate) fn inspect(
        &mut self,
        packet: &RtpPacket<'_>,
        seq: Seq,
        format: &Format,
        ids: &Extensions,
    ) -> FrameInfo {
        let descriptor = packet.extension(ids, Extension::DependencyDescriptor);
        let info = codec::inspect(format.codec, packet.payload(), descriptor, self.structure());
        if info.described.is_some_and(|described| described.templates.is_some()) {
            let read = descriptor.and_then(|value| media::dependency::Descriptor::read(value, None));
            if let Some((_, Some(structure))) = read {
                let sizes = (0..layers::MAX_LAYERS).rev().find_map(|spatial| structure.size(spatial));
                self.size = sizes.or(self.size);
                for target in structure.targets() {
                    self.saw(target.spatial, target.temporal);
                }
                match &mut self.structure {
                    Some(known) => **known = structure,
                    None => self.structure = Some(Box::new(structure)),
                }
            }
        }
        if info.keyframe
            && let Some(codec) = video_codec(format.codec)
            && let Some(size) = picture_size(codec, packet.payload())
        {
            self.size = Some(size);
        }
        self.meter.count(packet.padded_payload().len(), info.mask);
        self.separate |= info.separate;
        self.saw(info.spatial, info.temporal);
        self.numbers.packets.note(seq, info.mask);
        if let Some((_, id)) = info.picture.id {
            let picture = self.numbers.picture(id);
            // Only VP8 wants its ids without gaps; of the others the highest is kept, to know them over the wrap.
            let mask = if format.codec == Codec::Vp8 { info.mask } else { layers::Mask::ALL };
            self.numbers.pictures.note(picture, mask);
        }
        if let Some(described) = &info.described {
            let frame = self.numbers.frame(described.number);
            self.numbers.frames.note(frame, info.mask);
        }
        info
    }

    fn saw(&mut self, spatial: u8, temporal: u8) {
        let [seen, _] = &mut self.layers_seen;
        *seen = (seen.0.max(spatial), seen.1.max(temporal));
    }

    /// The highest spatial and temporal layer that was seen lately.
    pub(crate) fn top(&self) -> (u8, u8) {
        let [now, before] = self.layers_seen;
        let most = layers::MAX_LAYERS - 1;
        (now.0.max(before.0).min(most), now.1.max(before.1).min(most))
    }

    /// The spatial and temporal layer that `layers` go up to here.
    pub(crate) fn known(&self, layers: Layers) -> (u8, u8) {
        let (spatial, temporal) = self.top();
        (layers.spatial().min(spatial), layers.temporal().min(temporal))
    }

    /// Whether frames of this temporal layer, which is not the lowest, were seen lately.
    pub(crate) fn has_temporal(&self, temporal: u8) -> bool {
        let spatial = layers::MAX_LAYERS - 1;
        let rate = |temporal| self.meter.rate(Layers::new(spatial, temporal));
        temporal > 0 && rate(temporal) > rate(temporal - 1)
    }

    /// Whether a subscriber of `layers` has got all that a frame needs.
    pub(crate) fn has_references(&self, number: u16, references: &References, layers: Layers) -> bool {
        let frame = self.numbers.frame(number);
        let mut references = references.differences().iter();
        references.all(|&back| self.numbers.frames.contains(frame.saturating_sub(u64::from(back)), layers))
    }

    /// Notes that a keyframe, perhaps the last one, begins with this packet.
    pub(crate) fn keyframe_begins(&mut self, seq: Seq, timestamp: u32, info: &FrameInfo, now: Instant) {
        let begins = Keyframe {
            seq,
            timestamp,
            picture: info.picture.id.map(|(_, id)| self.numbers.picture(id)),
            tl0: info.picture.tl0.map(|(_, tl0)| tl0),
            frame: info.described.map(|described| described.number),
            template: info.described.and_then(|described| described.templates).map(|(first, _)| first),
        };
        match &mut self.keyframe {
            // Parameter sets and slices of one picture, or the packets of its spatial layers.
            Some(last) if last.timestamp == timestamp => {
                if seq < last.seq {
                    *last = begins;
                    self.ring.hold(Some(seq));
                }
            }
            Some(last) if seq < last.seq => {}
            _ => {
                self.keyframe = Some(begins);
                self.group = Group::default();
                self.ring.hold(Some(seq));
                self.keyframes.came(now);
                self.stats.keyframes += 1;
            }
        }
    }

    /// Whether media came lately, by its own pace.
    pub(crate) fn active(&self, now: Instant) -> bool {
        self.silent_at().is_some_and(|at| now < at)
    }

    /// When it counts as silent unless media comes; `None` if none ever came.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        self.last_media.map(|last| last + self.pace.silent_after())
    }

    /// Whether media comes right now, so that a keyframe request finds somebody who encodes.
    pub(crate) fn flows(&self, now: Instant) -> bool {
        self.last_media.is_some_and(|last| now.saturating_duration_since(last) < pace::FLOWS)
    }

    /// When its next keyframe request is due. Before the first packet there is nobody to ask.
    pub(crate) fn request_due(&self, now: Instant) -> Option<Instant> {
        self.keyframes.due(self.flows(now), now).filter(|_| self.last_media.is_some())
    }

    /// What to send a keyframe request for now, if one is due; it counts as sent.
    pub(crate) fn poll_request(&mut self, now: Instant) -> Option<KeyframePurpose> {
        let flows = self.flows(now);
        self.last_media.and_then(|_| self.keyframes.poll(flows, now))
    }

    /// Whether it was switched off, and is not back yet: what the ring has of it is from before.
    fn is_off(&self, now: Instant) -> bool {
        !self.flows(now) && (self.interest.is_off() || self.interest.is_coming(now))
    }

    /// Where a subscription can start now: the last keyframe, if it and what followed is still kept and costs less than
    /// to wait for the next one.
    pub(crate) fn entry(&self, now: Instant) -> Option<Entry> {
        if self.is_off(now) {
            return None;
        }
        let entry = self.keyframe_entry()?;
        let slow = self.pace.is_slow() || !self.pace.is_on_time(self.last_media, now);
        let span = entry.live.wrapping_sub(entry.timestamp) / entry.clock_rate.max(1);
        let worth = |patience| self.group.is_worth_sending(patience, span);
        let worth = worth(Patience::Usual)
            || (slow && worth(Patience::Slow))
            || (self.keyframes.is_deaf() && worth(Patience::Deaf));
        worth.then_some(entry)
    }

    /// The last keyframe, if the ring has it.
    pub(crate) fn keyframe_entry(&self) -> Option<Entry> {
        let keyframe = self.keyframe.filter(|keyframe| self.ring.contains(keyframe.seq))?;
        let (_, live) = self.newest?;
        let live = if timestamp_before(live, keyframe.timestamp) { keyframe.timestamp } else { live };
        let clock_rate = self.format?.clock_rate;
        let Keyframe { seq, timestamp, picture, tl0, frame, template, .. } = keyframe;
        let live_at = None;
        let is_sound = false;
        Some(Entry { seq, timestamp, live, live_at, picture, tl0, frame, template, clock_rate, is_sound })
    }

    /// Bytes that came since the last keyframe began.
    pub(crate) fn backlog_bytes(&self) -> u32 {
        self.group.bytes()
    }

    /// The number of the newest packet.
    pub(crate) fn newest(&self) -> Option<Seq> {
        self.newest.map(|(seq, _)| seq)
    }

    /// When the newest packet came, and when it was captured by the publisher's `clock`. It did not come before: so it
    /// shows a report that was held up, whose own arrival would say that what comes now is of the future.
    pub(crate) fn heard(&self, clock: &ClockMapping, now: Instant) -> Option<(Instant, Ntp)> {
        let at = self.last_media.filter(|_| self.flows(now))?;
        let (_, timestamp) = self.newest?;
        let clock_rate = self.format?.clock_rate;
        // A clock that has nothing to do with the timestamps says nothing.
        let ahead = timestamp.wrapping_sub(clock.rtp) as i32;
        let is_near = u64::from(ahead.unsigned_abs()) <= MAX_TIMESTAMP_JUMP.as_secs() * u64::from(clock_rate);
        is_near.then(|| (at, clock.ntp_at(timestamp, clock_rate)))
    }

    /// Measures the bitrates; called a few times a second.
    pub(crate) fn measure(&mut self, now: Instant) {
        self.meter.close(now);
        let since = *self.seen_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= LAYERS_WINDOW && self.flows(now) {
            let [current, _] = self.layers_seen;
            self.layers_seen = [(0, 0), current];
            self.seen_since = Some(now);
        }
    }

    /// It as a candidate, when the newest packet of all encodings of its track came at `newest`. It flows if its siblings
    /// do not go on without it: a still screen has a frame now and then in all of them, an encoding that the browser
    /// stopped has none while others go on.
    pub(crate) fn candidate(&self, newest: Option<Instant>, now: Instant) -> Candidate {
        let lag = self.lag(newest);
        // Of one that never flowed nobody knows what it would be.
        let off = lag.is_some() && (self.interest.is_off() || self.interest.is_coming(now));
        let flow = match lag {
            // Where all of a track is off, none goes on without another.
            Some(lag) if lag < STOPPED && (self.flows(now) || !off) => Flow::Flows,
            _ if off => Flow::OnDemand,
            _ => Flow::Stopped,
        };
        let (rid, size, top) = (self.config.rid, self.size, self.top());
        Candidate { rid, flow, size, top, rates: self.meter.rates() }
    }

    /// Bits per second of everything.
    pub(crate) fn bitrate(&self, now: Instant) -> u64 {
        if self.active(now) { self.meter.rate(Layers::ALL) } else { 0 }
    }

    /// `newest` is when the last packet of the whole track came.
    pub(crate) fn stats(&self, newest: Option<Instant>, now: Instant) -> EncodingStats {
        EncodingStats {
            active: self.active(now) && self.lag(newest).is_some_and(|lag| lag < STOPPED),
            wanted: !self.interest.is_off(),
            width: self.size.map(|(width, _)| width),
            height: self.size.map(|(_, height)| height),
            bitrate: self.bitrate(now),
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

fn video_codec(codec: Codec) -> Option<VideoCodec> {
    match codec {
        Codec::Vp8 => Some(VideoCodec::Vp8),
        Codec::Vp9 => Some(VideoCodec::Vp9),
        Codec::H264 => Some(VideoCodec::H264),
        Codec::Av1 => Some(VideoCodec::Av1),
        Codec::Opus | Codec::OtherAudio => None,
    }
}
