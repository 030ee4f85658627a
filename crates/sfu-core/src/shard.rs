//! The shard: who publishes, who subscribes, and what each input causes.

use std::time::{Duration, Instant};

use rtp::rtcp::{Compound, RtcpPacket};
use rtp::{HeaderWriter, MediaKind, RtpPacket};

use crate::clock::{WallClock, compact};
use crate::config::{
    MAX_ENCODINGS, MAX_TRACKS, PublisherConfig, ShardConfig, SubscriberConfig, SubscriptionConfig, Wanted,
};
use crate::cursor::{Cursor, Read, ReadFrom};
use crate::forward::{Fresh, MAX_FRESH};
use crate::ids::{EncodingIndex, PublisherId, SubscriberId, SubscriptionId, TrackIndex};
use crate::publisher::{Context, Publisher};
use crate::share::Shares;
use crate::sink::{ClockReport, Missing, Sink, ToEdge};
use crate::slots::Slots;
use crate::stats::{PublisherStats, SubscriberStats, SubscriptionStats, Totals};
use crate::subscriber::{Place, Reports, Subscriber, answer_nack, subscription_stats};
use crate::subscription::{Outlet, Subscription};
use crate::timers::{Owner, Timers};
use crate::track::{Encoding, Way};

/// Most publishers of one shard.
pub const MAX_PUBLISHERS: usize = 8_192;
/// Most subscribers of one shard.
pub const MAX_SUBSCRIBERS: usize = 32_768;
/// Most formats of one track or subscription.
const MAX_FORMATS: usize = 32;
/// Longest packet that is unwrapped from a retransmission.
const SCRATCH: usize = 2_048;
/// A deadline that comes back within this is not due again at once: no loop without progress.
const LEAST_STEP: Duration = Duration::from_millis(1);

/// Why something cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// More tracks, encodings or formats than a publisher or a subscription may have, or none.
    #[error("a publisher has at most 64 tracks of 1 to 3 encodings and 1 to 32 formats")]
    Shape,
    /// The shard, or the subscriber, has as many as it takes.
    #[error("the shard is full")]
    Full,
    /// There is no such publisher, track or subscriber on this shard.
    #[error("no such publisher, track or subscriber")]
    Unknown,
    /// The publisher is in another room than the subscriber.
    #[error("the publisher is in another room")]
    OtherRoom,
}

/// One shard's brain. See the crate's documentation for its contract.
#[derive(Debug)]
pub struct Shard {
    publishers: Slots<Publisher>,
    subscribers: Slots<Subscriber>,
    timers: Timers,
    clock: WallClock,
    random: u64,
    ssrc: u32,
    writer: HeaderWriter,
    scratch: Box<[u8]>,
    rtcp: Vec<u8>,
    /// At most [`MAX_FRESH`].
    fresh: Vec<Fresh>,
    shares: Shares,
    totals: Totals,
}

/// Splits a shard into what a publisher needs and the publishers themselves.
macro_rules! context {
    ($self:ident, $now:expr, $sink:expr) => {
        Context {
            sink: $sink,
            subscribers: &mut $self.subscribers,
            writer: &mut $self.writer,
            scratch: &mut $self.scratch,
            rtcp: &mut $self.rtcp,
            fresh: &mut $self.fresh,
            timers: &mut $self.timers,
            totals: &mut $self.totals,
            clock: $self.clock,
            now: $now,
            ssrc: $self.ssrc,
        }
    };
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let mut shard = Self {
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
            shares: Shares::default(),
            totals: Totals::default(),
        };
        shard.ssrc = shard.next_random() as u32;
        shard
    }

    /// Adds a publisher with its negotiated tracks.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Full`].
    pub fn add_publisher(&mut self, config: PublisherConfig, now: Instant) -> Result<PublisherId, AddError> {
        check_shape(&config)?;
        let make = |(index, generation)| Publisher::new(PublisherId { index, generation }, config, now);
        let (index, generation) = self.publishers.insert(make).ok_or(AddError::Full)?;
        let id = PublisherId { index, generation };
        self.arm_publisher(id, now);
        Ok(id)
    }

    /// The publisher is back on a new connection (or moved to another shard): its tracks go on under the same
    /// indexes, and so do their subscriptions, from the next keyframe. Tracks may be appended.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Unknown`]; [`AddError::OtherRoom`] if its room is not the one it had.
    pub fn resume_publisher(
        &mut self,
        id: PublisherId,
        config: PublisherConfig,
        now: Instant,
    ) -> Result<(), AddError> {
        check_shape(&config)?;
        let publisher = self.publishers.get_mut((id.index, id.generation)).ok_or(AddError::Unknown)?;
        if publisher.room != config.room {
            return Err(AddError::OtherRoom);
        }
        publisher.resume(config, now);
        self.arm_publisher(id, now);
        Ok(())
    }

    /// The publisher's connection is gone; its tracks and their subscriptions wait for it to come back.
    pub fn publisher_lost(&mut self, id: PublisherId) {
        if let Some(publisher) = self.publishers.get_mut((id.index, id.generation)) {
            publisher.lose();
        }
    }

    /// The publisher is gone for good, and with it the subscriptions to its tracks.
    pub fn remove_publisher(&mut self, id: PublisherId) {
        let Some(publisher) = self.publishers.remove((id.index, id.generation)) else { return };
        for (_, subscription) in publisher.tracks.iter().flat_map(|track| &track.subscriptions) {
            let SubscriberId { index, generation } = subscription.id.subscriber;
            if let Some(subscriber) = self.subscribers.get_mut((index, generation)) {
                subscriber.vacate(subscription.id);
            }
        }
    }

    /// Whether other shards want this publisher: its packets then also go to [`Sink::to_edges`].
    pub fn set_pulled(&mut self, id: PublisherId, pulled: bool) {
        if let Some(publisher) = self.publishers.get_mut((id.index, id.generation)) {
            publisher.pulled = pulled;
        }
    }

    /// A cursor to read an encoding with, or none if there is no such encoding. A hole is waited for `patience` long at
    /// most: [`crate::TAP_PATIENCE`], or nothing where whoever reads repairs it.
    #[must_use]
    pub fn open_cursor(
        &self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        from: ReadFrom,
        patience: Duration,
        now: Instant,
    ) -> Option<Cursor> {
        let of = self.encoding(id, track, encoding)?;
        Some(Cursor::open(id, (track, encoding), of, from, patience, now))
    }

    /// What `cursor` meets next. Read until it says [`Read::Wait`], or as much as there is room for: it goes on from
    /// there. Nothing is kept for it but what the ring keeps for everybody: about a second.
    pub fn read(&self, cursor: &mut Cursor, now: Instant) -> Read<'_> {
        match self.encoding(cursor.publisher, cursor.track, cursor.encoding) {
            Some(encoding) => cursor.read(encoding, now),
            None => Read::Gone,
        }
    }

    /// The clocks of a publisher's encodings as far as they are known, for a shard that begins to pull it.
    pub fn clocks(&self, id: PublisherId, mut take: impl FnMut(ToEdge<'_>)) {
        let Some(publisher) = self.publishers.get(id.key()) else { return };
        for (track, index) in publisher.tracks.iter().zip(0u8..) {
            for (encoding, number) in track.encodings.iter().zip(0u8..) {
                if let Some(clock) = encoding.clock {
                    let (track, encoding) = (TrackIndex(index), EncodingIndex(number));
                    take(ToEdge::Report(ClockReport { track, encoding, clock }));
                }
            }
        }
    }

    /// Hands out again what did not reach an edge ([`crate::Event::Missing`] there), as far as the ring has it.
    pub fn repeat(&self, id: PublisherId, missing: Missing, mut take: impl FnMut(ToEdge<'_>)) {
        let Missing { track, encoding, run, .. } = missing;
        let Some(of) = self.encoding(id, track, encoding).filter(|of| of.run == run) else { return };
        for number in missing.numbers() {
            if let Some(packet) = of.ring.get(number) {
                let began = of.began.unwrap_or(number);
                take(ToEdge::Packet { track, encoding, run, began, number, packet });
            }
        }
    }

    fn encoding(&self, id: PublisherId, track: TrackIndex, encoding: EncodingIndex) -> Option<&Encoding> {
        let track = self.publishers.get(id.key())?.tracks.get(usize::from(track.0))?;
        track.encodings.get(usize::from(encoding.0))
    }

    /// Adds a connection that receives.
    ///
    /// # Errors
    /// [`AddError::Full`].
    pub fn add_subscriber(
        &mut self,
        config: SubscriberConfig,
        now: Instant,
    ) -> Result<SubscriberId, AddError> {
        let spread = Duration::from_millis(self.next_random() % 1_000);
        let make =
            |(index, generation)| Subscriber::new(SubscriberId { index, generation }, &config, spread, now);
        let (index, generation) = self.subscribers.insert(make).ok_or(AddError::Full)?;
        let id = SubscriberId { index, generation };
        self.arm_subscriber(id);
        Ok(id)
    }

    /// Subscribes to a track. Video starts with the ring's last keyframe if that is recent, else with the next
    /// one, which is asked for.
    ///
    /// # Errors
    /// [`AddError::Shape`], [`AddError::Full`], [`AddError::Unknown`], [`AddError::OtherRoom`].
    pub fn subscribe(
        &mut self,
        subscriber: SubscriberId,
        config: SubscriptionConfig,
        now: Instant,
    ) -> Result<SubscriptionId, AddError> {
        if config.formats.is_empty() || config.formats.len() > MAX_FORMATS {
            return Err(AddError::Shape);
        }
        let random = self.next_random();
        let key = (subscriber.index, subscriber.generation);
        let receiver = self.subscribers.get_mut(key).ok_or(AddError::Unknown)?;
        let (publisher_id, track_index) = (config.publisher, config.track.0);
        let publisher_key = (publisher_id.index, publisher_id.generation);
        let publisher = self.publishers.get_mut(publisher_key).ok_or(AddError::Unknown)?;
        if publisher.room != receiver.room {
            return Err(AddError::OtherRoom);
        }
        let track = publisher.tracks.get_mut(usize::from(track_index)).ok_or(AddError::Unknown)?;
        let id = receiver.reserve().ok_or(AddError::Full)?;
        let subscription = Subscription::new(id, receiver.peer, receiver.ids, config, random);
        let entry = track.subscriptions.vacant_entry();
        receiver.fill(publisher_id, track_index, entry.key(), &subscription);
        entry.insert(subscription);
        track.unsettled = true;
        self.share(subscriber, now);
        self.arm_publisher(publisher_id, now);
        Ok(id)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        let key = (id.subscriber.index, id.subscriber.generation);
        let place = self.subscribers.get_mut(key).and_then(|subscriber| subscriber.vacate(id));
        if let Some(place) = place {
            self.remove_subscription(&place);
        }
    }

    /// Pauses or resumes a subscription: a paused one gets no media and costs nothing.
    pub fn set_paused(&mut self, id: SubscriptionId, paused: bool, now: Instant) {
        self.change(id, now, |subscription| {
            if subscription.paused != paused {
                subscription.paused = paused;
                subscription.map.end();
            }
        });
    }

    /// Which of the track's layers the subscriber wants.
    pub fn set_wanted(&mut self, id: SubscriptionId, wanted: Wanted, now: Instant) {
        self.change(id, now, |subscription| subscription.wanted = wanted);
    }

    /// Removes a subscriber with its subscriptions.
    pub fn remove_subscriber(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.remove((id.index, id.generation)) else { return };
        for place in subscriber.places() {
            self.remove_subscription(&place);
        }
    }

    /// Takes in a decrypted RTP packet of a local publisher. Viewers get it with the next
    /// [`Shard::forward`].
    pub fn handle_rtp(&mut self, id: PublisherId, packet: &[u8], now: Instant, sink: &mut impl Sink) {
        self.make_room(now, sink);
        let Some(publisher) = self.publishers.get_mut((id.index, id.generation)) else { return };
        let mut cx = context!(self, now, sink);
        if let Some(track) = publisher.take_packet(packet, &mut cx) {
            let due = publisher.due_after(track, now);
            let owner = Owner::Publisher((id.index, id.generation));
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
        let Some(publisher) = self.publishers.get_mut((id.index, id.generation)) else { return };
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
        let now_compact = compact(self.clock.ntp(now));
        for packet in Compound::new(packet) {
            let Some(subscriber) = self.subscribers.get_mut((id.index, id.generation)) else { return };
            match packet {
                RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                    for block in blocks.iter() {
                        subscriber.take_block(&block, &mut self.publishers, now_compact, now);
                    }
                }
                RtcpPacket::Nack { media_ssrc, missing } => {
                    // Retransmissions have numbers of their own, and are never sent again themselves.
                    let Some(place) = subscriber.by_media_ssrc(media_ssrc) else { continue };
                    let key = (place.publisher.index, place.publisher.generation);
                    if let Some(publisher) = self.publishers.get_mut(key) {
                        let mut cx = context!(self, now, &mut *sink);
                        answer_nack(publisher, &place, &missing, &mut cx);
                    }
                }
                RtcpPacket::Pli { media_ssrc } => self.keyframe_asked(id, media_ssrc, now),
                RtcpPacket::Fir(streams) => {
                    streams.iter().for_each(|ssrc| self.keyframe_asked(id, ssrc, now))
                }
                RtcpPacket::Remb { bitrate, streams } => {
                    subscriber.take_remb(bitrate, streams, &self.publishers, now)
                }
                RtcpPacket::TransportFeedback { body } => subscriber.take_feedback(body, now),
                RtcpPacket::ReceiverReferenceTime { ssrc, ntp } => subscriber.take_reference(ssrc, ntp, now),
                RtcpPacket::SourceDescription | RtcpPacket::Bye(_) | RtcpPacket::Other => {}
            }
        }
        if self.subscribers.get((id.index, id.generation)).is_some_and(|s| s.bandwidth_moved(now)) {
            self.share(id, now);
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
        let Some(publisher) = self.publishers.get_mut((id.index, id.generation)) else { return };
        match what {
            ToEdge::Packet { track, encoding, run, began, number, packet } => {
                // The connection may have come to this shard meanwhile.
                let Ok(view) = RtpPacket::parse(packet) else { return };
                if publisher.is_local() {
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
                let owner = Owner::Publisher((id.index, id.generation));
                self.timers.arm(owner, &mut publisher.deadline, due);
            }
            ToEdge::Report(report) => publisher.take_clock(&report, now),
        }
    }

    /// Hands the packets that were taken in since the last call to the subscriptions, subscription by
    /// subscription. Call it after each batch of packets; without one it costs nothing.
    pub fn forward(&mut self, now: Instant, sink: &mut impl Sink) {
        // Taken out: after a fault inside, the packets that caused it are not met again.
        let mut fresh = std::mem::take(&mut self.fresh);
        for (index, &Fresh { publisher: key, track, .. }) in fresh.iter().enumerate() {
            let (done, rest) = fresh.split_at(index);
            if done.iter().any(|earlier| (earlier.publisher, earlier.track) == (key, track)) {
                continue;
            }
            let Some(publisher) = self.publishers.get_mut(key) else { continue };
            publisher.forward(track, rest, &mut context!(self, now, &mut *sink));
            let due = publisher.due_after(track, now);
            self.timers.arm(Owner::Publisher(key), &mut publisher.deadline, due);
        }
        fresh.clear();
        self.fresh = fresh;
    }

    /// Whether as many packets wait for [`Shard::forward`] as may: the next one would be forwarded with the call that
    /// brings it. A shell that gives each session a boundary of its own calls `forward` before, outside of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.fresh.len() >= MAX_FRESH
    }

    /// Forwards what waits if nothing more may wait.
    fn make_room(&mut self, now: Instant, sink: &mut impl Sink) {
        if self.is_full() {
            self.forward(now, sink);
        }
    }

    /// Another shard wants a keyframe ([`crate::Event::KeyframeNeeded`] there).
    pub fn request_keyframe(
        &mut self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        now: Instant,
    ) {
        let publisher = self.publishers.get_mut((id.index, id.generation));
        let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(track.0)));
        let track = track.filter(|track| track.config.kind == MediaKind::Video);
        if let Some(encoding) = track.and_then(|track| track.encodings.get_mut(usize::from(encoding.0))) {
            encoding.keyframes.want(now);
            self.arm_publisher(id, now);
        }
    }

    /// Another shard, which gets this publisher's packets through [`Sink::to_edges`], wants an encoding or does not
    /// want it any more ([`crate::Event::EncodingWanted`] there). `shard` is its number, below 64. Until the first
    /// such call every encoding counts as wanted by whoever gets the packets.
    pub fn set_encoding_wanted(
        &mut self,
        id: PublisherId,
        track: TrackIndex,
        encoding: EncodingIndex,
        shard: u8,
        wanted: bool,
        now: Instant,
    ) {
        let publisher = self.publishers.get_mut((id.index, id.generation));
        let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(track.0)));
        let Some(track) = track else { return };
        if let Some(encoding) = track.encodings.get_mut(usize::from(encoding.0)) {
            encoding.interest.at_edge(shard, wanted);
            track.unsettled = true;
            self.arm_publisher(id, now);
        }
    }

    /// A track shows a screen: it comes before cameras where bandwidth is short.
    pub fn set_screen(&mut self, id: PublisherId, track: TrackIndex, screen: bool) {
        let publisher = self.publishers.get_mut((id.index, id.generation));
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
        while let Some((at, owner)) = self.timers.pop(now) {
            match owner {
                Owner::Publisher(key) => {
                    let Some(publisher) = self.publishers.get_mut(key) else { continue };
                    if publisher.deadline.take(at) {
                        publisher.tick(&mut context!(self, now, &mut *sink));
                        let due = publisher.due(now).map(|due| due.max(now + LEAST_STEP));
                        self.timers.arm(owner, &mut publisher.deadline, due);
                    }
                }
                Owner::Subscriber(key) => {
                    let Some(subscriber) = self.subscribers.get_mut(key) else { continue };
                    if subscriber.deadline.take(at) {
                        let (rtcp, clock, ssrc) = (&mut self.rtcp, self.clock, self.ssrc);
                        let second = subscriber.tick(
                            &self.publishers,
                            &mut Reports { sink: &mut *sink, rtcp, clock, now, ssrc },
                        );
                        let writer = &mut self.writer;
                        let mut out = Outlet { sink: &mut *sink, writer, clock, now };
                        subscriber.catch_up(&mut self.publishers, &mut out);
                        subscriber.probe(&mut self.publishers, &mut out);
                        if second {
                            self.shares.share(subscriber, &mut self.publishers, &mut self.timers, now);
                        }
                        let due = subscriber.due().map(|due| due.max(now + LEAST_STEP));
                        self.timers.arm(owner, &mut subscriber.deadline, due);
                    }
                }
            }
        }
    }

    /// Numbers of everybody since the shard was made.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Numbers of a publisher.
    #[must_use]
    pub fn publisher_stats(&self, id: PublisherId, now: Instant) -> Option<PublisherStats> {
        self.publishers.get((id.index, id.generation)).map(|publisher| publisher.stats(now))
    }

    /// Numbers of a subscription.
    #[must_use]
    pub fn subscription_stats(&self, id: SubscriptionId) -> Option<SubscriptionStats> {
        let subscriber = self.subscribers.get((id.subscriber.index, id.subscriber.generation))?;
        subscriber.place(id).and_then(|place| subscription_stats(&self.publishers, &place))
    }

    /// Numbers of a subscriber.
    #[must_use]
    pub fn subscriber_stats(&self, id: SubscriberId) -> Option<SubscriberStats> {
        self.subscribers.get((id.index, id.generation)).map(|subscriber| subscriber.stats(&self.publishers))
    }

    /// A subscriber asks for a keyframe of one of its streams.
    fn keyframe_asked(&mut self, id: SubscriberId, ssrc: u32, now: Instant) {
        let subscriber = self.subscribers.get((id.index, id.generation));
        let Some(place) = subscriber.and_then(|subscriber| subscriber.by_media_ssrc(ssrc)) else { return };
        let publisher = self.publishers.get_mut((place.publisher.index, place.publisher.generation));
        let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(place.track)));
        let Some(track) = track.filter(|track| track.config.kind == MediaKind::Video) else { return };
        let Some(subscription) = track.subscriptions.get_mut(place.key) else { return };
        subscription.stats.keyframe_requests += 1;
        self.totals.keyframe_requests_received += 1;
        let source = subscription.map.source().map_or(subscription.target, |source| source.encoding);
        if let Some(encoding) = track.encodings.get_mut(usize::from(source)) {
            encoding.keyframes.want(now);
            self.arm_publisher(place.publisher, now);
        }
    }

    fn change(&mut self, id: SubscriptionId, now: Instant, change: impl FnOnce(&mut Subscription)) {
        let subscriber = self.subscribers.get((id.subscriber.index, id.subscriber.generation));
        let Some(place) = subscriber.and_then(|subscriber| subscriber.place(id)) else { return };
        let publisher = self.publishers.get_mut((place.publisher.index, place.publisher.generation));
        let track = publisher.and_then(|publisher| publisher.tracks.get_mut(usize::from(place.track)));
        let Some(track) = track else { return };
        if let Some(subscription) = track.subscriptions.get_mut(place.key) {
            change(subscription);
            track.unsettled = true;
            self.share(id.subscriber, now);
            self.arm_publisher(place.publisher, now);
        }
    }

    /// Shares out anew what the line of a subscriber carries.
    fn share(&mut self, id: SubscriberId, now: Instant) {
        if let Some(subscriber) = self.subscribers.get_mut((id.index, id.generation)) {
            self.shares.share(subscriber, &mut self.publishers, &mut self.timers, now);
        }
    }

    fn remove_subscription(&mut self, place: &Place) {
        let publisher = self.publishers.get_mut((place.publisher.index, place.publisher.generation));
        if let Some(track) = publisher.and_then(|p| p.tracks.get_mut(usize::from(place.track))) {
            track.subscriptions.try_remove(place.key);
        }
    }

    fn arm_publisher(&mut self, id: PublisherId, now: Instant) {
        let key = (id.index, id.generation);
        if let Some(publisher) = self.publishers.get_mut(key) {
            let due = publisher.due(now);
            self.timers.arm(Owner::Publisher(key), &mut publisher.deadline, due);
        }
    }

    fn arm_subscriber(&mut self, id: SubscriberId) {
        let key = (id.index, id.generation);
        if let Some(subscriber) = self.subscribers.get_mut(key) {
            let due = subscriber.due();
            self.timers.arm(Owner::Subscriber(key), &mut subscriber.deadline, due);
        }
    }

    /// SplitMix64: where streams begin need not be secret, SRTP protects them.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn check_shape(config: &PublisherConfig) -> Result<(), AddError> {
    let fits = config.tracks.len() <= MAX_TRACKS
        && config.tracks.iter().all(|track| {
            (1..=MAX_ENCODINGS).contains(&track.encodings.len())
                && (1..=MAX_FORMATS).contains(&track.formats.len())
                && track.formats.iter().all(|f| f.clock_rate > 0 && f.codec.kind() == track.kind)
        });
    if fits { Ok(()) } else { Err(AddError::Shape) }
}
