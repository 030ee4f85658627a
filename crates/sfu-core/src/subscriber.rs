//! A connection that receives: what its RTCP says, and the sender reports that it gets.

use std::time::{Duration, Instant};

use rtp::rtcp::{self, NackList, ReportBlock, SenderInfo, SsrcList};
use rtp::{Extension, Extensions};

use crate::cc::{Controller, START_BITRATE, Sent};
use crate::clock::{ClockMapping, WallClock, compact, compact_duration};
use crate::config::SubscriberConfig;
use crate::forward::{Feed, STEP};
use crate::ids::{Peer, PublisherId, Room, SubscriberId, SubscriptionId};
use crate::link::Link;
use crate::publisher::{Context, Publisher};
use crate::sink::Sink;
use crate::slots::Slots;
use crate::stats::{SubscriberStats, SubscriptionStats};
use crate::subscription::{Outlet, Subscription};
use crate::timers::{Deadline, Owner, Timers};
use crate::track::Track;

/// Sender reports go out this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A compound is sent when it has grown to this.
const FULL_COMPOUND: usize = 1_000;
/// Sequence numbers answered of one NACK.
const MAX_NACKED: usize = 1_000;
/// Most subscriptions of one subscriber: a hundred participants with all their sources, and some.
pub const MAX_SUBSCRIPTIONS: usize = 512;
/// What every video codec counts in.
const VIDEO_CLOCK: u32 = 90_000;
const CNAME: &[u8] = b"madang";

/// An estimate that has grown by this part is shared out anew.
const MOVED: u64 = 20;

/// What a line carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bandwidth {
    /// Bits per second.
    pub(crate) bitrate: u64,
    /// Whether the client has said anything about it; if not it is a first guess.
    pub(crate) proven: bool,
    /// Whether the picture may be paused where even the least of it does not fit.
    pub(crate) may_starve: bool,
}

/// Where a subscription is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) publisher: PublisherId,
    pub(crate) track: u8,
    pub(crate) key: usize,
    pub(crate) generation: u16,
    ssrc: u32,
    rtx_ssrc: Option<u32>,
}

/// What a subscriber needs of its shard to report.
pub(crate) struct Reports<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) rtcp: &'a mut Vec<u8>,
    pub(crate) clock: WallClock,
    pub(crate) now: Instant,
    /// The SSRC that this shard reports under.
    pub(crate) ssrc: u32,
}

#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) id: SubscriberId,
    pub(crate) peer: Peer,
    pub(crate) room: Room,
    pub(crate) ids: Extensions,
    reduced_size: bool,
    /// By [`SubscriptionId::index`]; places are used again.
    places: Vec<(u16, Option<Place>)>,
    pub(crate) link: Link,
    pub(crate) round_trip: Option<Duration>,
    remb: Option<u64>,
    /// What its line carried when that was last shared out.
    bandwidth: Option<Bandwidth>,
    /// Who asked for its delay, the compact time it gave, and when.
    reference: Option<(u32, u32, Instant)>,
    report_due: Instant,
    /// When the next part of what waits for the line goes out.
    catch_up_due: Option<Instant>,
    pub(crate) deadline: Deadline,
}

impl Subscriber {
    /// `spread` (0 to 1 s) keeps the reports of many subscribers apart.
    pub(crate) fn new(id: SubscriberId, config: &SubscriberConfig, spread: Duration, now: Instant) -> Self {
        Self {
            id,
            peer: config.peer,
            room: config.room,
            ids: config.extensions,
            reduced_size: config.reduced_size,
            places: Vec::new(),
            link: Link::default(),
            round_trip: None,
            remb: None,
            bandwidth: None,
            reference: None,
            report_due: now + spread,
            catch_up_due: None,
            deadline: Deadline::default(),
        }
    }

    /// Reserves a place for a subscription.
    pub(crate) fn reserve(&mut self) -> Option<SubscriptionId> {
        let index = match self.places.iter().position(|(_, place)| place.is_none()) {
            Some(index) => index,
            None if self.places.len() < MAX_SUBSCRIPTIONS => {
                self.places.push((0, None));
                self.places.len() - 1
            }
            None => return None,
        };
        let (generation, _) = *self.places.get(index)?;
        Some(SubscriptionId { subscriber: self.id, index: u16::try_from(index).ok()?, generation })
    }

    /// Fills the place that was reserved for `subscription`.
    pub(crate) fn fill(
        &mut self,
        publisher: PublisherId,
        track: u8,
        key: usize,
        subscription: &Subscription,
    ) {
        if let Some((generation, place)) = self.places.get_mut(usize::from(subscription.id.index)) {
            let (ssrc, rtx_ssrc) = (subscription.ssrc, subscription.rtx_ssrc);
            *place = Some(Place { publisher, track, key, generation: *generation, ssrc, rtx_ssrc });
        }
    }

    pub(crate) fn place(&self, id: SubscriptionId) -> Option<Place> {
        self.places.get(usize::from(id.index))?.1.filter(|place| place.generation == id.generation)
    }

    /// Empties the place of a subscription; its id is stale from here on.
    pub(crate) fn vacate(&mut self, id: SubscriptionId) -> Option<Place> {
        let place = self.place(id)?;
        let (generation, slot) = self.places.get_mut(usize::from(id.index))?;
        *generation = generation.wrapping_add(1);
        *slot = None;
        Some(place)
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.places.iter().filter_map(|(_, place)| *place)
    }

    /// The subscription that an SSRC of this subscriber is.
    pub(crate) fn by_ssrc(&self, ssrc: u32) -> Option<Place> {
        self.places().find(|place| place.ssrc == ssrc || place.rtx_ssrc == Some(ssrc))
    }

    /// The subscription whose media, not its retransmissions, has this SSRC.
    pub(crate) fn by_media_ssrc(&self, ssrc: u32) -> Option<Place> {
        self.places().find(|place| place.ssrc == ssrc)
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let probe = self.link.controller().and_then(Controller::poll_timeout);
        [probe, self.catch_up_due, Some(self.report_due)].into_iter().flatten().min()
    }

    /// Takes a report block about one of its streams.
    pub(crate) fn take_block(
        &mut self,
        block: &ReportBlock,
        publishers: &mut Slots<Publisher>,
        now_compact: u32,
        now: Instant,
    ) {
        let Some(place) = self.by_ssrc(block.ssrc) else { return };
        if block.last_report != 0 {
            let round_trip =
                compact_duration(now_compact.wrapping_sub(block.last_report).wrapping_sub(block.delay));
            self.round_trip = Some(self.round_trip.map_or(round_trip, |mean| (mean * 7 + round_trip) / 8));
        }
        let Some((track, subscription)) = find(publishers, &place) else { return };
        if subscription.ssrc != block.ssrc {
            // About the retransmissions: their loss is not the stream's.
            return;
        }
        let clock_rate = track.first().map_or(90_000, |format| format.clock_rate);
        // libdatachannel counts what comes twice as loss, and then says itself that nothing is missing.
        let lost = if block.lost > 0 { block.fraction_lost } else { 0 };
        let of_sound = clock_rate != VIDEO_CLOCK;
        self.link.update(|controller| controller.on_loss(lost, of_sound, now));
        subscription.reported();
        subscription.stats.fraction_lost = f32::from(block.fraction_lost) / 256.0;
        subscription.stats.lost = block.lost.max(0).unsigned_abs();
        subscription.stats.jitter =
            Duration::from_micros(u64::from(block.jitter) * 1_000_000 / u64::from(clock_rate.max(1)));
    }

    pub(crate) fn take_remb(
        &mut self,
        bitrate: u64,
        streams: SsrcList<'_>,
        publishers: &Slots<Publisher>,
        now: Instant,
    ) {
        self.remb = Some(bitrate);
        let (mut sent, names_all) = (Sent::default(), streams.iter().next().is_none());
        for place in self.places() {
            let Some(stats) = subscription_stats(publishers, &place) else { continue };
            let named = |ssrc: u32| streams.iter().any(|stream| stream == ssrc);
            let of = if names_all || named(place.ssrc) || place.rtx_ssrc.is_some_and(named) {
                &mut sent.named
            } else {
                &mut sent.others
            };
            *of = of.saturating_add(stats.bytes).saturating_add(stats.retransmitted_bytes);
        }
        self.link.update(|controller| controller.on_remb(bitrate, sent, now));
    }

    /// Bits per second that the line carries, noted as what is shared out; `None` if there is no bound.
    pub(crate) fn share_bandwidth(&mut self, now: Instant) -> Option<Bandwidth> {
        self.bandwidth = self.bandwidth(now);
        self.bandwidth
    }

    /// Whether the line carries something else than what was shared out: less, or notably more.
    pub(crate) fn bandwidth_moved(&self, now: Instant) -> bool {
        match (self.bandwidth, self.bandwidth(now)) {
            (None, None) => false,
            (Some(shared), Some(known)) => {
                let enough = shared.bitrate.saturating_add(shared.bitrate / MOVED);
                let same = (known.proven, known.may_starve) == (shared.proven, shared.may_starve);
                known.bitrate < shared.bitrate || known.bitrate > enough || !same
            }
            _ => true,
        }
    }

    fn bandwidth(&self, now: Instant) -> Option<Bandwidth> {
        let numbered = self.ids.id(Extension::TransportCc).is_some();
        let Some(controller) = self.link.controller() else {
            // Feedback will come with the first packets.
            let bitrate = START_BITRATE as u64;
            return numbered.then_some(Bandwidth { bitrate, proven: false, may_starve: false });
        };
        let (bitrate, proven) = (controller.target(now)?, controller.is_proven());
        let may_starve = controller.may_starve(now);
        (proven || numbered).then_some(Bandwidth { bitrate, proven, may_starve })
    }

    pub(crate) fn take_feedback(&mut self, body: &[u8], now: Instant) {
        self.link.take_feedback(body, self.round_trip, now);
    }

    /// A subscription has fallen behind.
    pub(crate) fn catch_up_soon(&mut self, now: Instant, timers: &mut Timers) {
        let due = *self.catch_up_due.get_or_insert(now + STEP);
        timers.arm(Owner::Subscriber(self.id.key()), &mut self.deadline, Some(due));
    }

    /// Sends what waited for the line, as much as it takes now.
    pub(crate) fn catch_up<S: Sink>(&mut self, publishers: &mut Slots<Publisher>, out: &mut Outlet<'_, S>) {
        if self.catch_up_due.take_if(|due| *due <= out.now).is_none() {
            return;
        }
        for (_, place) in &self.places {
            let Some(place) = place else { continue };
            let Some(publisher) = publishers.get_mut(place.publisher.key()) else { continue };
            let clock_offset = publisher.clock_offset.get();
            let Some(track) = publisher.tracks.get_mut(usize::from(place.track)) else { continue };
            let Track { config, encodings, subscriptions, .. } = track;
            let Some(subscription) = subscriptions.get_mut(place.key) else { continue };
            let Some(source) = subscription.map.source().filter(|_| subscription.behind.is_some()) else {
                continue;
            };
            let Some(encoding) = encodings.get(usize::from(source.encoding)) else { continue };
            let feed = Feed { encoding, source, formats: &config.formats, ids: &publisher.ids, clock_offset };
            feed.catch_up(subscription, &mut self.link, out);
            if subscription.behind.is_some() {
                self.catch_up_due = Some(out.now + STEP);
            }
        }
    }

    /// Sends the padding of a probe, where one is made.
    pub(crate) fn probe<S: Sink>(&mut self, publishers: &mut Slots<Publisher>, out: &mut Outlet<'_, S>) {
        let count = self.link.paddings(out.now);
        if count == 0 {
            return;
        }
        for index in 0..self.places.len() {
            let Some(place) = self.places.get(index).and_then(|(_, place)| *place) else { continue };
            let Some((_, subscription)) = find(publishers, &place) else { continue };
            if (0..count).all(|_| subscription.pad(&mut self.link, out)) {
                return;
            }
        }
    }

    pub(crate) fn take_reference(&mut self, ssrc: u32, ntp: u64, now: Instant) {
        self.reference = Some((ssrc, compact(ntp), now));
    }

    /// Sends the sender reports that are due, and the answer to a receiver reference time; whether it was time
    /// for them.
    pub(crate) fn tick<S: Sink>(&mut self, publishers: &Slots<Publisher>, out: &mut Reports<'_, S>) -> bool {
        if self.report_due > out.now {
            return false;
        }
        self.report_due = out.now + REPORT_INTERVAL;
        self.link.update(|controller| controller.on_tick(out.now));
        out.rtcp.clear();
        let ntp = out.clock.ntp(out.now);
        for place in self.places() {
            let Some(info) = sender_info(publishers, &place, ntp) else { continue };
            rtcp::write::sender_report(out.rtcp, place.ssrc, &info);
            rtcp::write::cname(out.rtcp, place.ssrc, CNAME);
            if out.rtcp.len() >= FULL_COMPOUND {
                out.sink.rtcp(self.peer, out.rtcp);
                out.rtcp.clear();
            }
        }
        if let Some((receiver, last, at)) = self.reference.take() {
            if out.rtcp.is_empty() && !self.reduced_size {
                rtcp::write::receiver_report(out.rtcp, out.ssrc, &[]);
            }
            let delay = out.now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            // In the name of a stream that it gets, like its sender reports.
            let sender = self.places().next().map_or(out.ssrc, |place| place.ssrc);
            rtcp::write::delay_since_last_rr(out.rtcp, sender, receiver, last, delay as u32);
        }
        if !out.rtcp.is_empty() {
            out.sink.rtcp(self.peer, out.rtcp);
            out.rtcp.clear();
        }
        true
    }

    pub(crate) fn stats(&self, publishers: &Slots<Publisher>) -> SubscriberStats {
        SubscriberStats {
            subscriptions: self.places().filter_map(|place| subscription_stats(publishers, &place)).collect(),
            round_trip: self.round_trip,
            remb: self.remb,
            bandwidth: self.bandwidth.map(|known| known.bitrate),
            queue: self.link.controller().map_or(Duration::ZERO, Controller::queue),
            loss: self.link.controller().map_or(0.0, Controller::loss),
        }
    }
}

/// Numbers of the subscription at `place`.
pub(crate) fn subscription_stats(publishers: &Slots<Publisher>, place: &Place) -> Option<SubscriptionStats> {
    let publisher = publishers.get((place.publisher.index, place.publisher.generation))?;
    let track = publisher.tracks.get(usize::from(place.track))?;
    let subscription = track.subscriptions.get(place.key)?;
    let encoding = subscription.map.source().map(|source| source.encoding);
    Some(SubscriptionStats { encoding, temporal: temporal_of(track, subscription), ..subscription.stats })
}

/// The highest temporal layer that a subscription gets, if there are several.
fn temporal_of(track: &Track, subscription: &Subscription) -> Option<u8> {
    let (source, layers) = subscription.map.source().zip(subscription.map.layers())?;
    let encoding = track.encodings.get(usize::from(source.encoding)).filter(|e| e.top().1 > 0)?;
    Some(encoding.known(layers).1)
}

fn find<'a>(
    publishers: &'a mut Slots<Publisher>,
    place: &Place,
) -> Option<(&'a [crate::config::Format], &'a mut Subscription)> {
    let publisher = publishers.get_mut((place.publisher.index, place.publisher.generation))?;
    let Track { config, subscriptions, .. } = publisher.tracks.get_mut(usize::from(place.track))?;
    Some((&config.formats, subscriptions.get_mut(place.key)?))
}

/// What the sender report of a subscription says at `ntp`: the publisher's timestamps on this node's clock, so
/// that sound and picture meet and the age of both can be told.
fn sender_info(publishers: &Slots<Publisher>, place: &Place, ntp: u64) -> Option<SenderInfo> {
    let publisher = publishers.get((place.publisher.index, place.publisher.generation))?;
    let track = publisher.tracks.get(usize::from(place.track))?;
    let subscription =
        track.subscriptions.get(place.key).filter(|subscription| subscription.stats.packets > 0)?;
    let source = subscription.map.source()?;
    let encoding = track.encodings.get(usize::from(source.encoding)).filter(|e| e.run == source.run)?;
    // The publisher's offset of now, not of the encoding's last report: one for sound and picture.
    let clock = ClockMapping { offset: publisher.clock_offset.get()?, ..encoding.clock? };
    let rtp = subscription.map.live_timestamp(clock.rtp_at(ntp, encoding.format?.clock_rate))?;
    Some(SenderInfo { ntp, rtp, packets: subscription.stats.packets as u32, octets: subscription.octets })
}

/// Answers a NACK about the subscription at `place`.
pub(crate) fn answer_nack<S: Sink>(
    publisher: &mut Publisher,
    place: &Place,
    missing: &NackList<'_>,
    cx: &mut Context<'_, S>,
) {
    let clock_offset = publisher.clock_offset.get();
    let Some(track) = publisher.tracks.get_mut(usize::from(place.track)) else { return };
    let Track { config, encodings, subscriptions, .. } = track;
    let Some(subscription) = subscriptions.get_mut(place.key) else { return };
    let subscriber = subscription.id.subscriber;
    let Some(subscriber) = cx.subscribers.get_mut((subscriber.index, subscriber.generation)) else { return };
    let round_trip = subscriber.round_trip;
    let mut out = Outlet { sink: &mut *cx.sink, writer: &mut *cx.writer, clock: cx.clock, now: cx.now };
    let before = subscription.stats;
    for wire in missing.iter().take(MAX_NACKED) {
        cx.totals.nacks_received += 1;
        let numbers_of =
            |encoding: u8| encodings.get(usize::from(encoding)).map(|encoding| &encoding.numbers);
        let Some((seq, original)) = subscription.original(wire, numbers_of) else {
            subscription.stats.unanswered += 1;
            continue;
        };
        let Some(encoding) = encodings.get(usize::from(original.source.encoding)) else { continue };
        let (source, formats, ids) = (original.source, &config.formats, &publisher.ids);
        let Some(media) = (Feed { encoding, source, formats, ids, clock_offset }).read(original.seq) else {
            // Not here yet: the publisher was asked for it, and it goes out when it comes.
            subscription.stats.unanswered += 1;
            continue;
        };
        let mapped = original.mapped(seq, &media, &encoding.numbers);
        subscription.repeat(&media, &mapped, round_trip, &mut subscriber.link, &mut out);
    }
    cx.totals.nacks_unanswered += subscription.stats.unanswered - before.unanswered;
    cx.totals.retransmitted += subscription.stats.retransmitted - before.retransmitted;
}
