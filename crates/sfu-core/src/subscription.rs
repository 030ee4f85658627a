//! One subscriber's view of one track.

use std::time::{Duration, Instant};

use crate::budget::{RetransmissionBudget, Spend};
use crate::clock::WallClock;
use crate::config::{Format, SubscriptionConfig};
use crate::extension::{Extension, Extensions};
use crate::ids::{Mid, Peer, Rid, SubscriptionId};
use crate::link::{Link, PADDING};
use crate::rewrite::{Dress, Media, write, write_padding};
use crate::rtp::HeaderWriter;
use crate::seq::{Seq, extend};
use crate::sink::{Event, Outgoing, Sink};
use crate::splice::{Mapped, Original, Source, SpliceMap};
use crate::stats::SubscriptionStats;

/// Packets that carry the media section's name before the first receiver report shows that the subscriber
/// knows the SSRC.
const MID_PACKETS: u64 = 200;

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
    /// The rid that was asked for; none is the best there is.
    pub(crate) wanted: Option<Rid>,
    /// The encoding that should be forwarded.
    pub(crate) target: u8,
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
            // In the lower half: a first packet that is lost does not make the receiver guess a wrap.
            map: SpliceMap::new((random >> 49) as u16, random as u32),
            budget: RetransmissionBudget::new(),
            rtx_sequence: (random >> 34) as u16 & 0x7fff,
            paused: false,
            wanted: None,
            target: 0,
            known: false,
            stats: SubscriptionStats::default(),
            octets: 0,
        }
    }

    /// Whether it waits for a point to start or switch.
    pub(crate) fn waits(&self, run: u32) -> bool {
        !self.paused && self.map.source() != Some(Source { encoding: self.target, run })
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

    /// Sends a packet of the piece that goes on. `link` is the connection that it goes over.
    pub(crate) fn forward<S: Sink>(
        &mut self,
        media: &Media<'_>,
        link: &mut Link,
        out: &mut Outlet<'_, S>,
    ) {
        let Some((payload_type, rtx)) = self.resolve(&media.format, Some(&mut *out.sink)) else { return };
        let mapped = self.map.map(media.seq, media.packet.timestamp, &media.info.picture, out.now);
        let Some(mapped) = mapped else { return };
        let repeatable = self.retransmits(rtx).is_none();
        let dress = self.dress(payload_type, self.ssrc, mapped.seq as u16, repeatable, link, out.now);
        let len = self.send(media, &mapped, &dress, false, link, out);
        self.budget.earn(len);
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
        let len = media.packet.padded_payload().len() + 40;
        match self.budget.spend(mapped.seq as u16, len, round_trip, out.now) {
            Spend::Allowed => {}
            Spend::OnItsWay => return,
            Spend::Refused => {
                self.stats.unanswered += 1;
                return;
            }
        }
        let Some((payload_type, rtx)) = self.resolve(&media.format, None::<&mut S>) else { return };
        let dress = match self.retransmits(rtx) {
            Some((ssrc, rtx)) => {
                self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
                let dress = self.dress(rtx, ssrc, self.rtx_sequence, false, link, out.now);
                Dress { original: Some(mapped.seq as u16), ..dress }
            }
            None => self.dress(payload_type, self.ssrc, mapped.seq as u16, true, link, out.now),
        };
        let len = self.send(media, mapped, &dress, true, link, out);
        self.stats.retransmitted += 1;
        self.stats.retransmitted_bytes += len as u64;
    }

    /// The stream in which packets of a format are sent again, given the format's payload type for that. A viewer
    /// may know retransmission for one codec and not for another.
    fn retransmits(&self, rtx: Option<u8>) -> Option<(u32, u8)> {
        self.rtx_ssrc.zip(rtx)
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
        let needs_mid = repeatable || (!self.known && self.stats.packets < MID_PACKETS);
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
        let payload = write(out.writer, media, mapped, dress, &out.clock, out.now);
        let header = out.writer.bytes();
        let (peer, subscription, repeatable) = (self.peer, self.id, dress.repeatable);
        let packet = Outgoing { peer, subscription, header, payload, retransmission, repeatable };
        out.sink.rtp(packet);
        link.sent(packet.len(), dress.transport.is_some(), out.now);
        packet.len()
    }

    /// Sends one packet of padding in the stream of retransmissions, where a receiver does not miss what is never
    /// repeated. False if it has no such stream.
    pub(crate) fn pad<S: Sink>(&mut self, link: &mut Link, out: &mut Outlet<'_, S>) -> bool {
        let rtx = self.resolved.and_then(|resolved| resolved.output).and_then(|(_, rtx)| rtx);
        let Some((ssrc, payload_type)) = self.retransmits(rtx).filter(|_| !self.paused) else { return false };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let dress = self.dress(payload_type, ssrc, self.rtx_sequence, false, link, out.now);
        write_padding(out.writer, &dress, &out.clock, out.now);
        let (header, payload) = (out.writer.bytes(), PADDING.as_slice());
        let (peer, subscription) = (self.peer, self.id);
        let packet =
            Outgoing { peer, subscription, header, payload, retransmission: true, repeatable: false };
        out.sink.rtp(packet);
        link.sent(packet.len(), dress.transport.is_some(), out.now);
        true
    }

    /// The number that the subscriber means by `wire`, and where that packet came from.
    pub(crate) fn original(&self, wire: u16) -> Option<(Seq, Original<'_>)> {
        let seq = extend(self.map.next().saturating_sub(1), wire);
        Some((seq, self.map.unmap(seq)?))
    }

    /// The subscriber reports on this stream, so it knows its SSRC.
    pub(crate) fn reported(&mut self) {
        self.known = true;
    }
}
