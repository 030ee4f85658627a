//! One subscriber's view of one track.

use std::time::{Duration, Instant};

use rtp::seq::{Seq, extend};
use rtp::{Codec, Extension, Extensions, HeaderWriter, Mid};

use crate::allocate::Step;
use crate::budget::{RetransmissionBudget, Spend};
use crate::clock::WallClock;
use crate::codec::{FrameInfo, Up};
use crate::config::{Format, SubscriptionConfig, Wanted};
use crate::forward::Behind;
use crate::ids::{Peer, SubscriptionId};
use crate::layers::{Layers, Share};
use crate::link::{Link, PADDING};
use crate::rewrite::{Dress, Media, write, write_filler, write_padding};
use crate::sink::{Event, Outgoing, Sink};
use crate::splice::{Entry, Mapped, Numbers, Original, Source, SpliceMap};
use crate::stats::SubscriptionStats;
use crate::track::Encoding;

/// Packets that carry the media section's name before the first receiver report shows that the subscriber
/// knows the SSRC.
const MID_PACKETS: u64 = 200;

/// A source is left in the middle of a picture only if the rest of it does not come for this long.
const UNFINISHED: Duration = Duration::from_millis(100);
/// What a new source may send at once from the ring while another one goes on, in packets.
const SWITCH_BACKLOG: u64 = 60;
/// Higher layers of the same encoding that did not begin by themselves for this long get a keyframe.
const LATE: Duration = Duration::from_millis(600);

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
    /// The subscriber's payload type and that of its retransmissions; `None` if it takes no such format.
    output: Option<(u8, Option<u8>)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    pub(crate) peer: Peer,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: Option<u32>,
    mid: Mid,
    ids: Extensions,
    formats: Box<[Format]>,
    resolved: Option<Resolved>,
    pub(crate) map: SpliceMap,
    budget: RetransmissionBudget,
    rtx_sequence: u16,
    pub(crate) paused: bool,
    /// What was asked for.
    pub(crate) wanted: Wanted,
    /// What the line of the subscriber leaves for it.
    pub(crate) share: Share,
    /// The line leaves nothing: it is paused until there is more.
    pub(crate) held: bool,
    /// What it should get, were everything there.
    pub(crate) aim: Option<Step>,
    /// The encoding that should be forwarded now, and its layers.
    pub(crate) target: u8,
    layers: Layers,
    /// Since when higher layers are waited for.
    rising: Option<Instant>,
    /// What waits because the line was full.
    pub(crate) behind: Option<Behind>,
    /// The picture before was one after which higher temporal layers may begin.
    may_rise: bool,
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
            share: Share::Unbounded,
            held: false,
            aim: None,
            target: 0,
            layers: Layers::ALL,
            rising: None,
            behind: None,
            may_rise: false,
            known: false,
            stats: SubscriptionStats::default(),
            octets: 0,
        }
    }

    /// Whether it gets nothing, by request or because the line carries nothing.
    pub(crate) fn is_silent(&self) -> bool {
        self.paused || self.held
    }

    /// Gets nothing until [`Subscription::head_for`] says otherwise.
    pub(crate) fn hold(&mut self) {
        if !self.held {
            self.held = true;
            self.map.end();
        }
    }

    /// What should be forwarded from now on.
    pub(crate) fn head_for(&mut self, target: u8, layers: Layers) {
        self.held = false;
        (self.target, self.layers) = (target, layers);
    }

    /// The highest spatial layer that the subscriber can decode. Without the dependency descriptor a receiver of AV1
    /// takes the frame of each spatial layer for a picture of its own, and decodes none.
    pub(crate) fn most_spatial(&self, codec: Option<Codec>) -> u8 {
        let described = self.ids.id(Extension::DependencyDescriptor).is_some();
        if codec == Some(Codec::Av1) && !described { 0 } else { u8::MAX }
    }

    /// Whether it waits for a point to start or switch.
    pub(crate) fn waits(&self, run: u32) -> bool {
        !self.is_silent() && self.map.source() != Some(Source { encoding: self.target, run })
    }

    /// Whether another source may follow here: a picture that has begun is finished first, if it goes on at all.
    pub(crate) fn may_leave(&self, now: Instant) -> bool {
        let stuck = |at: Instant| now.saturating_duration_since(at) >= UNFINISHED;
        self.map.source().is_none() || self.map.is_whole() || self.map.last_at().is_none_or(stuck)
    }

    /// Whether it may begin with `entry`, whose encoding has come to `newest`. While another source goes on, the next
    /// keyframe is better than a burst of old packets.
    pub(crate) fn may_begin(&self, entry: &Entry, newest: Seq) -> bool {
        self.map.source().is_none() || newest.saturating_sub(entry.seq) <= SWITCH_BACKLOG
    }

    /// Whether this packet, and so what is before it, waits for the line. Older ones that came late do not.
    pub(crate) fn is_behind(&self, seq: Seq) -> bool {
        self.behind.is_some_and(|behind| seq >= behind.next)
    }

    /// The packet `next`, the first that was not sent, and what follows waits for the line, until then at most.
    pub(crate) fn fall_behind(&mut self, next: Seq, until: Instant) {
        let until = self.behind.map_or(until, |behind| behind.until);
        self.behind = Some(Behind { next, until });
    }

    /// Begins to forward the encoding that it waits for.
    pub(crate) fn begin(&mut self, source: Source, entry: &Entry, now: Instant) {
        (self.rising, self.may_rise, self.behind) = (None, false, None);
        // What layers there are may not be known yet.
        let codec = self.resolved.map(|resolved| resolved.input.codec);
        if self.layers == Layers::ALL && self.most_spatial(codec) == 0 {
            self.layers = Layers::new(0, u8::MAX);
        }
        self.map.begin(source, self.layers, entry, now);
    }

    /// Whether the layers that it should get do not begin by themselves: `now` and then a keyframe is needed.
    pub(crate) fn needs_keyframe_to_rise(&mut self, encoding: &Encoding, now: Instant) -> bool {
        let Some(current) = self.map.layers().filter(|&current| current != self.layers) else {
            self.rising = None;
            return false;
        };
        let since = *self.rising.get_or_insert(now);
        let (have, want) = (encoding.known(current), encoding.known(self.layers));
        let temporal_only = have.0 == want.0;
        have != want && (!temporal_only || now.saturating_duration_since(since) >= LATE)
    }

    /// Goes over to the layers that it should get, if that can be done with this packet.
    pub(crate) fn adapt(&mut self, media: &Media<'_>, encoding: &Encoding) {
        let Some(current) = self.map.layers() else { return };
        let info = &media.info;
        if current == self.layers && info.up != Up::Next {
            return;
        }
        let next = if current == self.layers || !self.map.is_newest(media.seq) {
            None
        } else {
            self.next_layers(info, current, encoding).map(|next| {
                // Everything would bring back lower spatial layers that were left out and that nothing here needs.
                let back = next == Layers::ALL && encoding.separate && !info.keyframe;
                let (spatial, temporal) = encoding.known(next);
                if back { Layers::new(spatial, temporal) } else { next }
            })
        };
        let next = next.filter(|&next| next != current);
        if let Some(next) = next {
            self.map.change_layers(next, media.seq, media.picture, &encoding.numbers);
        }
        if info.begins && info.spatial == 0 {
            let temporal = encoding.known(next.unwrap_or(current)).1;
            self.may_rise = info.up == Up::Next && info.temporal <= temporal;
        }
    }

    /// The layers that can be forwarded from this packet on, if others than now: those that it should get, or some on
    /// the way to them.
    fn next_layers(&self, info: &FrameInfo, current: Layers, encoding: &Encoding) -> Option<Layers> {
        if info.keyframe {
            return Some(self.layers);
        }
        if !info.begins {
            return None;
        }
        let (have, want) = (encoding.known(current), encoding.known(self.layers));
        let reached = |temporal: u8| if temporal >= want.1 { want.1 } else { temporal };
        if let Some((number, (switch, references))) = info.described.and_then(|d| Some((d.number, d.switch?)))
        {
            // The lower layers of this picture have gone out as a picture that is complete.
            let too_late = info.spatial > 0 && want.0 > have.0;
            if too_late || !encoding.has_references(number, &references, current) {
                return None;
            }
            if switch.contains(self.layers) {
                return Some(self.layers);
            }
            let step = Layers::new(self.layers.spatial(), reached(info.temporal));
            let rises = have.0 == want.0 && info.temporal > have.1 && switch.contains(step);
            return rises.then_some(step);
        }
        if info.spatial != 0 {
            return None;
        }
        // Upwards, spatial layers begin with keyframes only; downwards too, if they do not build on each other and
        // the lower ones were left out.
        let lower = want.0 < have.0 && (!encoding.separate || current == Layers::ALL);
        let spatial = if lower { want.0 } else { have.0 };
        let gap = (have.1 + 1..info.temporal).any(|temporal| encoding.has_temporal(temporal));
        let temporal = match info.up {
            _ if want.1 <= have.1 => want.1,
            Up::Always => want.1,
            Up::Here if info.temporal > have.1 && !gap => reached(info.temporal),
            _ if self.may_rise => want.1,
            _ => have.1,
        };
        let next = if (spatial, temporal) == want { self.layers } else { Layers::new(spatial, temporal) };
        (next != current && ((spatial, temporal) != have || next == self.layers)).then_some(next)
    }

    /// Whether the subscriber takes packets of this format. A change to one that it does not take is said once.
    pub(crate) fn accepts(&mut self, format: &Format, sink: &mut impl Sink) -> bool {
        self.resolve(format, Some(sink)).is_some()
    }

    fn resolve(&mut self, format: &Format, sink: Option<&mut impl Sink>) -> Option<(u8, Option<u8>)> {
        if let Some(resolved) = self.resolved.filter(|resolved| resolved.input == *format) {
            return resolved.output;
        }
        let same_codec = |f: &&Format| f.codec == format.codec && f.clock_rate == format.clock_rate;
        let exact = self.formats.iter().filter(same_codec).find(|f| f.profile == format.profile);
        // Decoders take more profiles than they announce; a picture that may come is better than none.
        let found = exact.or_else(|| self.formats.iter().find(same_codec));
        let output = found.map(|found| (found.payload_type, found.rtx));
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
        batch.map(|media| media.len(&self.ids, own)).max().unwrap_or(0)
    }

    /// Sends a packet of the piece that goes on, if it is of its layers. `link` is the connection that it goes over.
    /// A packet that is a little shorter than `length` is padded.
    pub(crate) fn forward<S: Sink>(
        &mut self,
        media: &Media<'_>,
        numbers: &Numbers,
        length: usize,
        link: &mut Link,
        out: &mut Outlet<'_, S>,
    ) {
        let Some((payload_type, rtx)) = self.resolve(&media.format, Some(&mut *out.sink)) else { return };
        let Some(mapped) = self.map.map(media, numbers, out.now) else { return };
        let repeatable = self.retransmits(rtx).is_none();
        let dress = self.dress(payload_type, self.ssrc, mapped.seq as u16, repeatable, link, out.now);
        let dress = Dress { length: if repeatable { 0 } else { length }, ..dress };
        let len = self.send(media, &mapped, &dress, false, link, out);
        self.budget.earn(len);
        if mapped.seq + 1 < self.map.next() {
            self.budget.sent_late(mapped.seq as u16, out.now);
        }
        self.octets = self.octets.wrapping_add(media.packet.payload().len() as u32);
        self.stats.packets += 1;
        self.stats.bytes += len as u64;
        if self.stats.packets == 1 {
            let subscriber = self.id.subscriber;
            out.sink.event(Event::Forwarding { subscriber, subscription: self.id });
        }
    }

    /// Sends `media` again, with the numbers that the subscriber saw it under.
    pub(crate) fn repeat<S: Sink>(
        &mut self,
        media: &Media<'_>,
        mapped: &Mapped,
        round_trip: Option<Duration>,
        link: &mut Link,
        out: &mut Outlet<'_, S>,
    ) {
        let left = media.source.encoding != self.target && link.has_fallen(out.now);
        if left || link.is_jammed(out.now) {
            // Of an encoding that was too much for the line, or to come behind the queue that it was lost in.
            self.stats.unanswered += 1;
            return;
        }
        let len = media.packet.padded_payload().len() + 40;
        let Some((payload_type, rtx)) = self.resolve(&media.format, None::<&mut S>) else { return };
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
            let dress = self.dress(payload_type, self.ssrc, mapped.seq as u16, true, link, out.now);
            let len = self.send(media, mapped, &dress, true, link, out);
            self.stats.count_repeated(len);
            return;
        };
        // On a line that may lose this one, too, a second copy costs less than another round trip.
        let copies = if link.is_lossy() && self.budget.spend_more(len) { 2 } else { 1 };
        for _ in 0..copies {
            self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
            let dress = self.dress(payload_type, ssrc, self.rtx_sequence, false, link, out.now);
            let dress = Dress { original: Some(mapped.seq as u16), ..dress };
            let len = self.send(media, mapped, &dress, true, link, out);
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
        link: &mut Link,
        now: Instant,
    ) -> Dress {
        let needs_mid = self.needs_mid(repeatable);
        let numbered = !repeatable && self.ids.id(Extension::TransportCc).is_some();
        Dress {
            ids: self.ids,
            mid: needs_mid.then_some(self.mid),
            ssrc,
            payload_type,
            sequence,
            original: None,
            transport: numbered.then(|| link.number(now)),
            repeatable,
            length: 0,
        }
    }

    fn send<S: Sink>(
        &self,
        media: &Media<'_>,
        mapped: &Mapped,
        dress: &Dress,
        retransmission: bool,
        link: &mut Link,
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
        link.sent(packet.len(), dress.transport.is_some(), out.now);
        link.pace(packet.len(), out.now);
        packet.len()
    }

    /// Sends one packet of padding in the stream of retransmissions, where a receiver does not miss what is never
    /// repeated. False if it has no such stream.
    pub(crate) fn pad<S: Sink>(&mut self, link: &mut Link, out: &mut Outlet<'_, S>) -> bool {
        let rtx = self.resolved.and_then(|resolved| resolved.output).and_then(|(_, rtx)| rtx);
        // Not only while something flows: one that the line leaves nothing for gets more when padding has shown that
        // there is more.
        let Some((ssrc, payload_type)) = self.retransmits(rtx).filter(|_| !self.paused) else { return false };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let dress = self.dress(payload_type, ssrc, self.rtx_sequence, false, link, out.now);
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
        link.sent(packet.len(), dress.transport.is_some(), out.now);
        true
    }

    /// The number that the subscriber means by `wire`, and where that packet came from. `numbers` gives what is known
    /// of an encoding.
    pub(crate) fn original<'a>(
        &self,
        wire: u16,
        numbers: impl FnOnce(u8) -> Option<&'a Numbers>,
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
    fn a_subscription_is_a_kilobyte() {
        assert!(size_of::<Subscription>() <= 1_024, "{}", size_of::<Subscription>());
    }
}
