//! One outgoing stream of a subscriber: its numbers, its retransmissions and its statistics.
//!
//! It belongs to the subscriber and keeps its SSRC whatever it shows. What it shows comes from a [`crate::feed::Feed`],
//! if the track is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtp::ntp::{Ntp, interval};
use rtp::seq::{Seq, extend};
use rtp::{CSRC_LEN, Codec, Extension, Extensions, HeaderWriter, MediaKind, Mid};

use crate::bindings::HOLD;
use crate::budget::{RetransmissionBudget, Spend};
use crate::clock::WallClock;
use crate::config::{Format, SlotKind, SubscriptionConfig, Wanted};
use crate::downlink::{Downlink, PADDING};
use crate::encoding::Entry;
use crate::ids::{Peer, PublisherId, StreamId, SubscriptionId, TrackName};
use crate::layers::Layers;
use crate::membership::Numbers;
use crate::packet::{Media, StreamView};
use crate::rewrite::{Dress, write, write_filler, write_padding};
use crate::sink::{Event, Outgoing, Sink};
use crate::splice::{Mapped, Original, SpliceMap};
use crate::stats::SubscriptionStats;

/// Packets that carry the media section's name before the first receiver report shows that the subscriber
/// knows the SSRC.
const MID_PACKETS: u64 = 200;

/// What every video codec counts in.
pub(crate) const VIDEO_CLOCK: u32 = 90_000;

/// How long it usually takes from the camera, and from the microphone, to the packet: the sound that comes with a picture
/// was captured after it.
const PICTURE_TAKES: Duration = Duration::from_millis(60);
const SOUND_TAKES: Duration = Duration::from_millis(20);

/// Most padding that makes a packet as long as the others of its frame: what it costs the line is less than one more
/// message costs the kernel.
const MAX_EQUALIZING: usize = 16;

/// What a subscription needs of its shard to send.
pub(crate) struct Outlet<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) writer: &'a mut HeaderWriter,
    pub(crate) clock: WallClock,
    pub(crate) now: Instant,
}

/// The output format for an input format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resolved {
    /// The publisher's format.
    input: Format,
    /// How it goes out; `None` if the subscriber takes no such format.
    output: Option<Output>,
}

/// How packets of a format go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Output {
    payload_type: u8,
    /// That of its retransmissions.
    rtx: Option<u8>,
    /// Without what was sent before.
    strips: bool,
}

/// Where the feed of a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedPlace {
    pub(crate) publisher: PublisherId,
    pub(crate) track: u8,
    /// In the track's feeds.
    pub(crate) key: usize,
}

/// The source that the packets of a slot are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) track: TrackName,
    pub(crate) csrc: Option<u32>,
    /// The timestamp of the first packet.
    pub(crate) from: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    pub(crate) peer: Peer,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) cname: Arc<str>,
    mid: Mid,
    ids: Extensions,
    formats: Box<[Format]>,
    resolved: Option<Resolved>,
    pub(crate) map: SpliceMap,
    budget: RetransmissionBudget,
    rtx_sequence: u16,
    /// The subscriber wants nothing for now.
    pub(crate) paused: bool,
    /// What was asked for.
    pub(crate) wanted: Wanted,
    /// The track that it shows, whether its publisher is there or not.
    pub(crate) shows: Option<TrackName>,
    /// Its feed, while that track is there.
    pub(crate) feed: Option<FeedPlace>,
    /// What it is for, if it is a slot.
    pub(crate) slot: Option<SlotKind>,
    /// When it was given something to show last.
    turned_at: Option<Instant>,
    /// A voice that has just come in is heard from here on, out of the ring.
    pub(crate) hear_from: Option<Instant>,
    /// How much it is wanted, among slots of its kind: greater goes first.
    pub(crate) wanted_rank: u16,
    /// Of a slot: what its packets are of, since it shows that.
    bound: Option<Bound>,
    /// Whether the next packet is the first of another source.
    binds: bool,
    known: bool,
    pub(crate) stats: SubscriptionStats,
    /// Payload bytes sent, for sender reports.
    pub(crate) octets: u32,
}

impl Subscription {
    /// A subscription that has sent nothing. `random` chooses where its numbers begin.
    pub(crate) fn new(
        id: SubscriptionId,
        peer: Peer,
        ids: Extensions,
        config: SubscriptionConfig,
        random: u64,
    ) -> Self {
        Self {
            id,
            peer,
            ssrc: config.ssrc,
            rtx_ssrc: config.rtx_ssrc,
            cname: config.cname,
            mid: config.mid,
            ids,
            formats: config.formats.into_boxed_slice(),
            resolved: None,
            // In the lower half: a first packet that is lost does not make the receiver guess a wrap. Not near zero:
            // libdatachannel would count what is missing from there on as lost.
            map: SpliceMap::new((random >> 49) as u16 | 0x1000, random as u32),
            budget: RetransmissionBudget::new(),
            rtx_sequence: (random >> 34) as u16 & 0x7fff,
            paused: false,
            wanted: Wanted::default(),
            shows: None,
            feed: None,
            slot: config.slot,
            turned_at: None,
            hear_from: None,
            wanted_rank: 0,
            bound: None,
            binds: false,
            known: false,
            stats: SubscriptionStats::default(),
            octets: 0,
        }
    }

    /// Shows something else, which has no feed yet.
    pub(crate) fn turn_to(&mut self, shows: Option<TrackName>, now: Instant) {
        (self.shows, self.feed, self.bound, self.hear_from) = (shows, None, None, None);
        if shows.is_some() {
            self.turned_at = Some(now);
        }
    }

    /// Its place among others in what the line carries: the stage, then what is wanted most.
    pub(crate) fn rank(&self) -> u16 {
        let is_large = self.slot == Some(SlotKind::Stage);
        u16::from(is_large) << 15 | self.wanted_rank
    }

    /// Until when it takes nothing new if its line is full.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.turned_at.map(|at| at + HOLD)
    }

    /// What the packets of a slot are of, once the first of what it shows has left.
    pub(crate) fn bound(&self) -> Option<Bound> {
        self.bound
    }

    /// Begins a piece of what it shows, at `now`, which is `ntp`.
    pub(crate) fn begin(
        &mut self,
        view: &StreamView<'_>,
        layers: Layers,
        entry: &Entry,
        now: Instant,
        ntp: Ntp,
    ) {
        let csrc = view.csrc.filter(|_| self.slot.is_some());
        // Sound and picture of a source whose clock is not known meet as far as that goes without.
        let guess = || {
            let is_sound = view.encoding.format?.codec.kind() == MediaKind::Audio;
            let takes = if is_sound { SOUND_TAKES } else { PICTURE_TAKES };
            (csrc != self.map.csrc()).then(|| ntp.wrapping_sub(interval(takes)))
        };
        let entry = Entry { live_at: entry.live_at.or_else(guess), ..*entry };
        self.map.begin(view.id, csrc, layers, &entry, now);
        self.binds = self.slot.is_some() && self.bound.is_none_or(|bound| bound.csrc != csrc);
    }

    /// The first packet of another source leaves with this timestamp.
    #[cold]
    fn bind(&mut self, from: u32, sink: &mut impl Sink) {
        self.binds = false;
        let Some(track) = self.shows else { return };
        let csrc = self.map.csrc();
        self.bound = Some(Bound { track, csrc, from });
        let (subscriber, subscription) = (self.id.subscriber, self.id);
        sink.event(Event::Bound { subscriber, subscription, track, csrc, from });
    }

    /// The highest spatial layer that the subscriber can decode. Without the dependency descriptor a receiver of AV1
    /// takes the frame of each spatial layer for a picture of its own, and decodes none.
    pub(crate) fn most_spatial(&self, codec: Option<Codec>) -> u8 {
        let described = self.ids.id(Extension::DependencyDescriptor).is_some();
        if codec == Some(Codec::Av1) && !described { 0 } else { u8::MAX }
    }

    /// The codec of what goes out, or went out last.
    pub(crate) fn codec(&self) -> Option<Codec> {
        self.resolved.map(|resolved| resolved.input.codec)
    }

    /// Timestamp units per second of what goes out, or of what it was made for.
    pub(crate) fn clock_rate(&self) -> u32 {
        let sent = self.resolved.map(|resolved| resolved.input.clock_rate);
        sent.or_else(|| self.formats.first().map(|format| format.clock_rate)).unwrap_or(VIDEO_CLOCK)
    }

    /// Whether what came last is of a format that the subscriber does not take.
    pub(crate) fn is_mismatched(&self) -> bool {
        self.resolved.is_some_and(|resolved| resolved.output.is_none())
    }

    /// Whether the subscriber takes packets of this format, or of another profile of it.
    pub(crate) fn takes(&self, format: &Format) -> bool {
        self.output(format).is_some()
    }

    fn output(&self, format: &Format) -> Option<Output> {
        // Decoders take more profiles than they announce, and a picture that may come is better than none: which profile
        // it is does not matter here.
        let same_codec = |f: &&Format| f.codec == format.codec && f.clock_rate == format.clock_rate;
        // The blocks of redundant audio say their payload type, which is therefore the same on both sides.
        let find = |redundant| self.formats.iter().filter(same_codec).find(|f| f.redundant == redundant);
        let whole = find(format.redundant).map(|found| (found, false));
        let found = whole.or_else(|| find(None).map(|found| (found, true)));
        found.map(|(found, strips)| Output { payload_type: found.payload_type, rtx: found.rtx, strips })
    }

    /// Whether the subscriber takes packets of this format. A change to one that it does not take is said once.
    pub(crate) fn accepts(&mut self, format: &Format, sink: &mut impl Sink) -> bool {
        self.resolve(format, Some(sink)).is_some()
    }

    fn resolve(&mut self, format: &Format, sink: Option<&mut impl Sink>) -> Option<Output> {
        if let Some(resolved) = self.resolved.filter(|resolved| resolved.input == *format) {
            return resolved.output;
        }
        let output = self.output(format);
        self.resolved = Some(Resolved { input: *format, output });
        if output.is_none()
            && let Some(sink) = sink
        {
            sink.event(Event::FormatMismatch {
                subscriber: self.id.subscriber,
                subscription: self.id,
                payload_type: format.payload_type,
            });
        }
        output
    }

    /// How long the packets of `batch` are to be made for them to leave as one message: as the longest, as far as it
    /// is known before they are written.
    pub(crate) fn length<'a>(&self, batch: impl Iterator<Item = &'a Media<'a>>) -> usize {
        let mid = self.needs_mid(false).then(|| self.mid.as_bytes().len() + 1);
        let own =
            [(Extension::Mid, mid), (Extension::AbsSendTime, Some(4)), (Extension::TransportCc, Some(3))];
        let own = own.iter().filter(|(extension, _)| self.ids.id(*extension).is_some());
        let own = own.filter_map(|(_, len)| *len).sum();
        let csrc = self.map.csrc().map_or(0, |_| CSRC_LEN);
        batch.map(|media| csrc + media.len(&self.ids, own)).max().unwrap_or(0)
    }

    /// Sends a packet of the piece that goes on, if it is of its layers. `downlink` is the connection that it goes over.
    /// A packet that is a little shorter than `length` is padded.
    pub(crate) fn forward<S: Sink>(
        &mut self,
        media: &Media<'_>,
        numbers: &Numbers,
        length: usize,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) {
        let Some(output) = self.resolve(&media.format, Some(&mut *out.sink)) else { return };
        let Some(mapped) = self.map.map(media, numbers, out.now) else { return };
        let repeatable = self.retransmits(output.rtx).is_none();
        let Output { payload_type, strips, .. } = output;
        let dress = self.dress(payload_type, self.ssrc, mapped.seq as u16, repeatable, downlink, out.now);
        let dress = Dress { length: if repeatable { 0 } else { length }, strips, ..dress };
        let len = self.send(media, &mapped, &dress, false, downlink, out);
        self.budget.earn(len);
        if mapped.seq + 1 < self.map.next() {
            self.budget.sent_late(mapped.seq as u16, out.now);
        }
        let padding = media.packet.padded_payload().len() - media.packet.payload().len();
        let octets = media.payload(strips).len() - padding;
        self.octets = self.octets.wrapping_add(octets as u32);
        if self.binds {
            self.bind(mapped.timestamp, out.sink);
        }
        self.stats.packets += 1;
        self.stats.bytes += len as u64;
        if self.stats.packets == 1 {
            let subscriber = self.id.subscriber;
            out.sink.event(Event::Forwarding { subscriber, subscription: self.id });
        }
    }

    /// Sends `media` again, with the numbers that the subscriber saw it under. It is of a stream that was `left` if
    /// another one is to go out now.
    pub(crate) fn repeat<S: Sink>(
        &mut self,
        media: &Media<'_>,
        mapped: &Mapped,
        left: bool,
        round_trip: Option<Duration>,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) {
        if (left && downlink.has_fallen(out.now)) || downlink.is_jammed(out.now) {
            // Of an encoding that was too much for the line, or to come behind the queue that it was lost in.
            self.stats.unanswered += 1;
            return;
        }
        let Some(output) = self.resolve(&media.format, None::<&mut S>) else { return };
        let Output { payload_type, rtx, strips } = output;
        let len = media.payload(strips).len() + 40;
        let repair = self.retransmits(rtx);
        match self.budget.spend(mapped.seq as u16, len, round_trip, out.now) {
            Spend::Allowed => {}
            Spend::OnItsWay => return,
            Spend::Refused => {
                self.stats.unanswered += 1;
                return;
            }
        }
        let Some((ssrc, payload_type)) = repair else {
            let dress = self.dress(payload_type, self.ssrc, mapped.seq as u16, true, downlink, out.now);
            let dress = Dress { strips, ..dress };
            let len = self.send(media, mapped, &dress, true, downlink, out);
            self.stats.count_repeated(len);
            return;
        };
        // On a line that may lose this one, too, a second copy costs less than another round trip.
        let copies = if downlink.is_lossy() && self.budget.spend_more(len) { 2 } else { 1 };
        for _ in 0..copies {
            self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
            let dress = self.dress(payload_type, ssrc, self.rtx_sequence, false, downlink, out.now);
            let dress = Dress { original: Some(mapped.seq as u16), strips, ..dress };
            let len = self.send(media, mapped, &dress, true, downlink, out);
            self.stats.count_repeated(len);
        }
    }

    /// The stream in which packets of a format are sent again, given the format's payload type for that. A viewer
    /// may know retransmission for one codec and not for another.
    fn retransmits(&self, rtx: Option<u8>) -> Option<(u32, u8)> {
        self.rtx_ssrc.zip(rtx)
    }

    fn needs_mid(&self, repeatable: bool) -> bool {
        repeatable || (!self.known && self.stats.packets < MID_PACKETS)
    }

    fn dress(
        &self,
        payload_type: u8,
        ssrc: u32,
        sequence: u16,
        repeatable: bool,
        downlink: &mut Downlink,
        now: Instant,
    ) -> Dress {
        // Firefox drops a stream that no packet has named. Nothing tells when it knows the one of what is sent again: it
        // does not report on it, and its first packet may come long after the reports on the media, or be lost.
        let needs_mid = self.needs_mid(repeatable) || self.rtx_ssrc == Some(ssrc);
        let numbered = !repeatable && self.ids.id(Extension::TransportCc).is_some();
        Dress {
            ids: self.ids,
            mid: needs_mid.then_some(self.mid),
            ssrc,
            payload_type,
            sequence,
            original: None,
            transport: numbered.then(|| downlink.number(now)),
            repeatable,
            length: 0,
            strips: false,
        }
    }

    fn send<S: Sink>(
        &self,
        media: &Media<'_>,
        mapped: &Mapped,
        dress: &Dress,
        retransmission: bool,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) -> usize {
        let whole = media.info.mask.contains(mapped.layers);
        let payload = if whole {
            write(out.writer, media, mapped, dress, &out.clock, out.now)
        } else {
            // It came late, and its place was kept free before it was known to be of no use here.
            write_filler(out.writer, mapped, dress, &out.clock, out.now);
            &[]
        };
        let header = out.writer.bytes();
        let (peer, subscription, repeatable) = (self.peer, self.id, dress.repeatable);
        let short = dress.length.saturating_sub(header.len() + payload.len());
        let pads = short <= MAX_EQUALIZING && whole && !media.packet.padded;
        let padding = if pads { short as u8 } else { 0 };
        let packet = Outgoing { peer, subscription, header, payload, padding, retransmission, repeatable };
        out.sink.rtp(packet);
        downlink.sent(packet.len(), dress.transport.is_some(), out.now);
        downlink.pace(packet.len(), out.now);
        packet.len()
    }

    /// Sends one packet of padding in the stream of retransmissions, where a receiver does not miss what is never
    /// repeated. False if it has no such stream.
    pub(crate) fn pad<S: Sink>(&mut self, downlink: &mut Downlink, out: &mut Outlet<'_, S>) -> bool {
        let rtx = self.resolved.and_then(|resolved| resolved.output).and_then(|output| output.rtx);
        // Not only while something flows: one that the line leaves nothing for gets more when padding has shown that
        // there is more.
        let Some((ssrc, payload_type)) = self.retransmits(rtx).filter(|_| !self.paused) else { return false };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let dress = self.dress(payload_type, ssrc, self.rtx_sequence, false, downlink, out.now);
        write_padding(out.writer, &dress, &out.clock, out.now);
        let (header, payload) = (out.writer.bytes(), PADDING.as_slice());
        let (peer, subscription) = (self.peer, self.id);
        let packet = Outgoing {
            peer,
            subscription,
            header,
            payload,
            padding: 0,
            retransmission: true,
            repeatable: false,
        };
        out.sink.rtp(packet);
        downlink.sent(packet.len(), dress.transport.is_some(), out.now);
        true
    }

    /// The number that the subscriber means by `wire`, and where that packet came from. `numbers` gives what is known
    /// of a stream, as long as it has not started over.
    pub(crate) fn original<'a>(
        &self,
        wire: u16,
        numbers: impl FnOnce(StreamId) -> Option<&'a Numbers>,
    ) -> Option<(Seq, Original)> {
        let seq = extend(self.map.next().saturating_sub(1), wire);
        Some((seq, self.map.unmap(seq, numbers)?))
    }

    /// The subscriber reports on this stream, so it knows its SSRC.
    pub(crate) fn reported(&mut self) {
        self.known = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_less_than_a_kilobyte() {
        assert!(size_of::<Subscription>() <= 1_024, "{}", size_of::<Subscription>());
    }
}
