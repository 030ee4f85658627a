//! The shard: who publishes, who subscribes, and what each input causes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rtp::rtcp::{Compound, RtcpPacket};
use rtp::{HeaderWriter, RtpPacket, ntp};

use crate::allocator::Allocator;
use crate::answers::{answer_nack, ask_keyframe};
use crate::choose::choose_layers;
use crate::clock::WallClock;
use crate::config::ShardConfig;
use crate::encoding::Way;
use crate::forward::{Egress, MAX_FRESH, catch_up, forward};
use crate::ids::{PublisherId, RoomId, SubscriberId, SubscriptionId, TrackIndex};
use crate::publisher::{Context, Fresh, HeardPacket, Publisher};
use crate::reports::{Reports, send_reports, subscriber_stats, subscription_stats};
use crate::room::Room;
use crate::sink::{Sink, ToEdge};
use crate::slots::{Key, Slots};
use crate::stats::{PublisherStats, SubscriberStats, SubscriptionStats, Totals};
use crate::subscriber::Subscriber;
use crate::subscription::Outlet;
use crate::timers::{Owner, Timers};

/// Most publishers of one shard.
pub const MAX_PUBLISHERS: usize = 8_192;
/// Most subscribers of one shard.
pub const MAX_SUBSCRIBERS: usize = 32_768;
/// Longest packet that is unwrapped from a retransmission.
const SCRATCH: usize = 2_048;
/// A deadline that comes back within this is not due again at once: no loop without progress.
const LEAST_STEP: Duration = Duration::from_millis(1);

/// Whom a shard works for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// A publisher, with what others get of it.
    Publisher(PublisherId),
    /// A subscriber.
    Subscriber(SubscriberId),
}

/// One shard's brain. See the crate's documentation for its contract.
#[derive(Debug)]
pub struct Shard {
    pub(crate) rooms: HashMap<RoomId, Room>,
    pub(crate) publishers: Slots<Publisher>,
    pub(crate) subscribers: Slots<Subscriber>,
    pub(crate) timers: Timers,
    clock: WallClock,
    random: u64,
    ssrc: u32,
    writer: HeaderWriter,
    scratch: Box<[u8]>,
    rtcp: Vec<u8>,
    /// At most [`MAX_FRESH`].
    fresh: Vec<Fresh>,
    /// What rooms have to hear before that is forwarded.
    pub(crate) heard: Vec<HeardPacket>,
    allocator: Allocator,
    /// Subscribers that something changed for since the last [`Shard::handle_timeout`], each once.
    changed: Vec<Key>,
    /// Subscribers whose slots are to be bound anew, each once.
    pub(crate) unbound: Vec<Key>,
    /// Keys of the feeds whose layers are being chosen; memory that is used again.
    chosen: Vec<usize>,
    totals: Totals,
    served: Option<Served>,
}

/// Splits a shard into what a publisher needs and the publishers themselves.
macro_rules! context {
    ($self:ident, $now:expr, $sink:expr) => {
        Context {
            sink: $sink,
            scratch: &mut $self.scratch,
            rtcp: &mut $self.rtcp,
            fresh: &mut $self.fresh,
            heard: &mut $self.heard,
            totals: &mut $self.totals,
            clock: $self.clock,
            now: $now,
            ssrc: $self.ssrc,
        }
    };
}

/// Splits a shard into what sending needs and the publishers.
macro_rules! egress {
    ($self:ident, $now:expr, $sink:expr) => {
        Egress {
            subscribers: &mut $self.subscribers,
            timers: &mut $self.timers,
            out: Outlet { sink: $sink, writer: &mut $self.writer, clock: $self.clock, now: $now },
        }
    };
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let mut shard = Self {
            rooms: HashMap::new(),
            publishers: Slots::new(MAX_PUBLISHERS),
            subscribers: Slots::new(MAX_SUBSCRIBERS),
            timers: Timers::default(),
            clock: WallClock::new(config.epoch, config.unix),
            random: config.seed,
            ssrc: 0,
            writer: HeaderWriter::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            rtcp: Vec::with_capacity(SCRATCH),
            fresh: Vec::with_capacity(MAX_FRESH),
            heard: Vec::with_capacity(MAX_FRESH),
            allocator: Allocator::default(),
            changed: Vec::new(),
            unbound: Vec::new(),
            chosen: Vec::new(),
            totals: Totals::default(),
            served: None,
        };
        shard.ssrc = shard.next_random() as u32;
        shard
    }

    /// Takes in a decrypted RTP packet of a local publisher. Viewers get it with the next
    /// [`Shard::forward`].
    pub fn handle_rtp(&mut self, id: PublisherId, packet: &[u8], now: Instant, sink: &mut impl Sink) {
        self.make_room(now, sink);
        let Some(publisher) = self.publishers.get_mut(id.key()) else { return };
        let mut cx = context!(self, now, sink);
        if let Some(track) = publisher.take_packet(packet, &mut cx) {
            let due = publisher.due_after(track, now);
            let owner = Owner::Publisher(id.key());
            self.timers.arm(owner, &mut publisher.deadline, due);
        } else {
            self.totals.refused += 1;
        }
    }

    /// Takes decrypted RTCP that came on a publisher's connection.
    pub fn handle_publisher_rtcp(
        &mut self,
        id: PublisherId,
        packet: &[u8],
        now: Instant,
        sink: &mut impl Sink,
    ) {
        let Some(publisher) = self.publishers.get_mut(id.key()) else { return };
        let mut cx = context!(self, now, sink);
        for packet in Compound::new(packet) {
            if let RtcpPacket::SenderReport { ssrc, info, .. } = packet {
                publisher.take_report(ssrc, &info, &mut cx);
            }
        }
    }

    /// Takes decrypted RTCP that came on a subscriber's connection.
    pub fn handle_subscriber_rtcp(
        &mut self,
        id: SubscriberId,
        packet: &[u8],
        now: Instant,
        sink: &mut impl Sink,
    ) {
        let now_compact = ntp::compact(self.clock.ntp(now));
        for packet in Compound::new(packet) {
            let Some(subscriber) = self.subscribers.get_mut(id.key()) else { return };
            match packet {
                RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                    for block in blocks.iter() {
                        subscriber.take_block(&block, now_compact, now);
                    }
                }
                RtcpPacket::Nack { media_ssrc, missing } => {
                    // Retransmissions have numbers of their own, and are never sent again themselves.
                    let Some(subscription) = subscriber.by_media_ssrc(media_ssrc) else { continue };
                    let (publishers, totals) = (&self.publishers, &mut self.totals);
                    let mut egress = egress!(self, now, &mut *sink);
                    answer_nack(publishers, subscription, &missing, totals, &mut egress);
                }
                RtcpPacket::Pli { media_ssrc } => self.keyframe_asked(id, media_ssrc, now),
                RtcpPacket::Fir(streams) => {
                    streams.iter().for_each(|ssrc| self.keyframe_asked(id, ssrc, now))
                }
                RtcpPacket::Remb { bitrate, streams } => subscriber.take_remb(bitrate, streams, now),
                RtcpPacket::TransportFeedback { body } => subscriber.take_feedback(body, now),
                RtcpPacket::ReceiverReferenceTime { ssrc, ntp } => subscriber.take_reference(ssrc, ntp, now),
                RtcpPacket::SourceDescription | RtcpPacket::Bye(_) | RtcpPacket::Other => {}
            }
        }
        if self.subscribers.get(id.key()).is_some_and(|subscriber| subscriber.bandwidth_moved(now)) {
            self.mark_subscriber(id, now);
        }
        self.arm_subscriber(id);
    }

    /// Takes in what the shard of a remote publisher handed to [`Sink::to_edges`]. Viewers get a packet with the
    /// next [`Shard::forward`].
    pub fn handle_from_origin(
        &mut self,
        id: PublisherId,
        what: ToEdge<'_>,
        now: Instant,
        sink: &mut impl Sink,
    ) {
        self.make_room(now, sink);
        let Some(publisher) = self.publishers.get_mut(id.key()) else { return };
        match what {
            ToEdge::Packet { track, encoding, run, began, number, packet } => {
                // The connection may have come to this shard meanwhile.
                let Ok(view) = RtpPacket::parse(packet) else { return };
                if publisher.is_local() || publisher.is_closed(track.0) {
                    return;
                }
                let mut cx = context!(self, now, sink);
                publisher.take_media(
                    track.0,
                    encoding.0,
                    packet,
                    &view,
                    Way::Crossed { run, began, number },
                    &mut cx,
                );
                let due = publisher.due_after(track.0, now);
                let owner = Owner::Publisher(id.key());
                self.timers.arm(owner, &mut publisher.deadline, due);
            }
            ToEdge::Report(report) => publisher.take_clock(&report, now),
        }
    }

    /// Binds the slots anew that something changed for, and lets in who begins to speak (`Event::Rebound`), so that it can
    /// be told before anything of it goes out. [`Shard::forward`] and [`Shard::handle_timeout`], which send that, do this
    /// themselves where it was not done; there is nothing to do most of the time.
    pub fn rebind_slots(&mut self, now: Instant, sink: &mut impl Sink) {
        self.hear(now, sink);
        self.rebind_changed(now, sink);
    }

    /// Hands the packets that were taken in since the last call to the subscriptions, subscription by
    /// subscription. Call it after each batch of packets; without one it costs nothing.
    pub fn forward(&mut self, now: Instant, sink: &mut impl Sink) {
        // Whoever begins to speak is let in with the packet that says so.
        self.hear(now, sink);
        // Taken out: after a fault inside, the packets that caused it are not met again.
        let mut fresh = std::mem::take(&mut self.fresh);
        for (index, &Fresh { stream, .. }) in fresh.iter().enumerate() {
            let (done, rest) = fresh.split_at(index);
            let of_track =
                |f: &Fresh| (f.stream.publisher, f.stream.track) == (stream.publisher, stream.track);
            if done.iter().any(of_track) {
                continue;
            }
            let key = stream.publisher.key();
            self.served = Some(Served::Publisher(stream.publisher));
            let Some(publisher) = self.publishers.get_mut(key) else { continue };
            forward(publisher, stream.track, rest, &mut egress!(self, now, &mut *sink));
            let due = publisher.due_after(stream.track, now);
            self.timers.arm(Owner::Publisher(key), &mut publisher.deadline, due);
        }
        self.served = None;
        fresh.clear();
        self.fresh = fresh;
    }

    /// Whether as many packets wait for [`Shard::forward`] as may: the next one would be forwarded with the call that
    /// brings it. A shell that gives each session a boundary of its own calls `forward` before, outside of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.fresh.len() >= MAX_FRESH
    }

    /// After a fault in [`Shard::forward`] or [`Shard::handle_timeout`]: whom it was working for. A shell that contains
    /// such a fault ends that one, so that it is not met again.
    pub fn take_served(&mut self) -> Option<Served> {
        self.served.take()
    }

    /// Forwards what waits if nothing more may wait.
    fn make_room(&mut self, now: Instant, sink: &mut impl Sink) {
        if self.is_full() {
            self.forward(now, sink);
        }
    }

    /// A track shows a screen: it comes before cameras where bandwidth is short.
    pub fn set_screen(&mut self, id: PublisherId, track: TrackIndex, screen: bool) {
        let publisher = self.publishers.get_mut(id.key());
        if let Some(track) = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(track.0))) {
            track.screen = screen;
        }
    }

    /// When [`Shard::handle_timeout`] is due next; ask again after every call that changes something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due at `now`: reports, feedback, NACKs, keyframe requests, packets of the ring for those
    /// who join.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut impl Sink) {
        // Who starts from the ring gets all of it: nothing may wait besides.
        self.forward(now, sink);
        self.rebind_changed(now, sink);
        // Layers are chosen by what the lines leave.
        self.allocate_changed(now);
        while let Some((at, owner)) = self.timers.pop(now) {
            match owner {
                Owner::Publisher(key) => {
                    let (index, generation) = key;
                    self.served = Some(Served::Publisher(PublisherId { index, generation }));
                    self.tick_publisher(key, at, now, sink);
                }
                Owner::Subscriber(key) => {
                    let (index, generation) = key;
                    self.served = Some(Served::Subscriber(SubscriberId { index, generation }));
                    self.tick_subscriber(key, at, now, sink);
                }
                Owner::Room(room) => {
                    self.served = None;
                    self.tick_room(room, at, now, sink);
                }
            }
        }
        self.served = None;
    }

    /// Shares out anew the lines of the subscribers that something changed for.
    fn allocate_changed(&mut self, now: Instant) {
        while let Some(key) = self.changed.pop() {
            let Some(subscriber) = self.subscribers.get_mut(key) else { continue };
            subscriber.changed = false;
            self.totals.allocations += 1;
            self.allocator.allocate(subscriber, &mut self.publishers, &mut self.timers, now);
        }
    }

    fn tick_publisher(&mut self, key: Key, at: Instant, now: Instant, sink: &mut impl Sink) {
        debug_assert!(
            self.fresh.is_empty(),
            "who starts from the ring gets what came, too: it was forwarded"
        );
        let Some(publisher) = self.publishers.get_mut(key) else { return };
        if !publisher.deadline.take(at) {
            return;
        }
        let tick = publisher.start_tick(&mut context!(self, now, &mut *sink));
        for (track, index) in (0..publisher.tracks.len()).zip(0u8..) {
            let Some(track) = publisher.tracks.get(track) else { break };
            let routine = tick.chooses && track.chooses();
            if routine || track.is_marked() {
                let (chosen, totals) = (&mut self.chosen, &mut self.totals);
                choose_layers(publisher, index, routine, chosen, totals, &mut egress!(self, now, &mut *sink));
            }
        }
        publisher.finish_tick(tick, &mut context!(self, now, sink));
        let due = publisher.due(now).map(|due| due.max(now + LEAST_STEP));
        self.timers.arm(Owner::Publisher(key), &mut publisher.deadline, due);
    }

    fn tick_subscriber(&mut self, key: Key, at: Instant, now: Instant, sink: &mut impl Sink) {
        let Some(subscriber) = self.subscribers.get_mut(key) else { return };
        if !subscriber.deadline.take(at) {
            return;
        }
        self.rebind_due(key, now, sink);
        let Some(subscriber) = self.subscribers.get_mut(key) else { return };
        let second = subscriber.takes_report(now);
        if second {
            self.rebind_codecs(key, now, sink);
        }
        let Some(subscriber) = self.subscribers.get_mut(key) else { return };
        if second {
            let (rtcp, clock, ssrc) = (&mut self.rtcp, self.clock, self.ssrc);
            let mut out = Reports { sink: &mut *sink, rtcp, clock, now, ssrc };
            send_reports(subscriber, &self.publishers, &mut out);
        }
        let mut out = Outlet { sink, writer: &mut self.writer, clock: self.clock, now };
        catch_up(subscriber, &mut self.publishers, &mut self.timers, &mut out);
        subscriber.probe(&mut out);
        if second {
            self.totals.allocations += 1;
            self.allocator.allocate(subscriber, &mut self.publishers, &mut self.timers, now);
        }
        let due = subscriber.due().map(|due| due.max(now + LEAST_STEP));
        self.timers.arm(Owner::Subscriber(key), &mut subscriber.deadline, due);
    }

    /// The SSRC that this shard reports under.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Numbers of everybody since the shard was made.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// How many rooms have somebody on this shard.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Numbers of a publisher.
    #[must_use]
    pub fn publisher_stats(&self, id: PublisherId, now: Instant) -> Option<PublisherStats> {
        self.publishers.get(id.key()).map(|publisher| publisher.stats(now))
    }

    /// Numbers of a subscription.
    #[must_use]
    pub fn subscription_stats(&self, id: SubscriptionId) -> Option<SubscriptionStats> {
        let subscription = self.subscribers.get(id.subscriber.key())?.subscription(id)?;
        Some(subscription_stats(&self.publishers, subscription))
    }

    /// Numbers of a subscriber.
    #[must_use]
    pub fn subscriber_stats(&self, id: SubscriberId) -> Option<SubscriberStats> {
        self.subscribers.get(id.key()).map(|subscriber| subscriber_stats(&self.publishers, subscriber))
    }

    /// A subscriber asks for a keyframe of one of its streams.
    fn keyframe_asked(&mut self, id: SubscriberId, ssrc: u32, now: Instant) {
        let Some(subscriber) = self.subscribers.get_mut(id.key()) else { return };
        let Some(subscription) =
            subscriber.by_media_ssrc(ssrc).and_then(|id| subscriber.subscription_mut(id))
        else {
            return;
        };
        subscription.stats.keyframe_requests += 1;
        self.totals.keyframe_requests_received += 1;
        if let Some(place) = subscription.feed.filter(|place| ask_keyframe(&mut self.publishers, *place, now))
        {
            self.arm_publisher(place.publisher, now);
        }
    }

    /// Something changed for a subscriber: what its line carries is shared out anew, once for all that changes before
    /// the next [`Shard::handle_timeout`].
    pub(crate) fn mark_subscriber(&mut self, id: SubscriberId, now: Instant) {
        if let Some(subscriber) = self.subscribers.get_mut(id.key()) {
            if !std::mem::replace(&mut subscriber.changed, true) {
                self.changed.push(id.key());
            }
            self.timers.arm(Owner::Subscriber(id.key()), &mut subscriber.deadline, Some(now));
        }
    }

    /// Something changed for a feed of this publisher: it is due at once.
    pub(crate) fn wake_publisher(&mut self, id: PublisherId, now: Instant) {
        if let Some(publisher) = self.publishers.get_mut(id.key()) {
            self.timers.arm(Owner::Publisher(id.key()), &mut publisher.deadline, Some(now));
        }
    }

    pub(crate) fn arm_publisher(&mut self, id: PublisherId, now: Instant) {
        if let Some(publisher) = self.publishers.get_mut(id.key()) {
            let due = publisher.due(now);
            self.timers.arm(Owner::Publisher(id.key()), &mut publisher.deadline, due);
        }
    }

    pub(crate) fn arm_subscriber(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(id.key()) {
            let due = subscriber.due();
            self.timers.arm(Owner::Subscriber(id.key()), &mut subscriber.deadline, due);
        }
    }

    /// SplitMix64: where streams begin need not be secret, SRTP protects them.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
