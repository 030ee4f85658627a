//! A connection that receives: its subscriptions, its line, and what its RTCP says.

use std::time::{Duration, Instant};

use rtp::rtcp::{ReportBlock, SsrcList};
use rtp::{Extension, Extensions, ntp};

use crate::bindings::Wants;
use crate::cc::{Controller, START_BITRATE, Sent};
use crate::config::SubscriberConfig;
use crate::downlink::Downlink;
use crate::feed::STEP;
use crate::ids::{Peer, RoomId, SourceId, SubscriberId, SubscriptionId, TrackName};
use crate::sink::Sink;
use crate::slides::Comebacks;
use crate::slots::Slots;
use crate::subscription::{Outlet, Subscription, VIDEO_CLOCK};
use crate::timers::{Deadline, Owner, Timers};
use crate::voices::level::MAX_CATCH_UP;

/// Sender reports go out this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Most subscriptions of one subscriber: a hundred participants with all their sources, and some.
pub const MAX_SUBSCRIPTIONS: usize = 512;

/// Voices that went a moment ago: more are not chosen and left in a tenth of a second.
const MAX_LEFT: usize = 8;

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

#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) id: SubscriberId,
    pub(crate) peer: Peer,
    pub(crate) room: RoomId,
    pub(crate) ids: Extensions,
    pub(crate) reduced_size: bool,
    /// Who it is among the publishers of the room.
    pub(crate) own: Option<SourceId>,
    pub(crate) subscriptions: Slots<Subscription>,
    pub(crate) downlink: Downlink,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) remb: Option<u64>,
    /// What its line carried when that was last shared out.
    pub(crate) bandwidth: Option<Bandwidth>,
    /// How often the line was thought to carry a moving picture again, and did not.
    pub(crate) comebacks: Comebacks,
    /// Who asked for its delay, the compact time it gave, and when.
    pub(crate) reference: Option<(u32, u32, Instant)>,
    report_due: Instant,
    /// When the next part of what waits for the line goes out.
    catch_up_due: Option<Instant>,
    /// What it wants in its slots, if it is in a call.
    pub(crate) wants: Option<Box<Wants>>,
    /// Something changed since its line was last shared out.
    pub(crate) changed: bool,
    /// Voices that its slots carried until a moment ago. At most [`MAX_LEFT`]; the oldest goes first.
    left: Vec<(TrackName, Instant)>,
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
            own: config.own,
            subscriptions: Slots::new(MAX_SUBSCRIPTIONS),
            downlink: Downlink::default(),
            round_trip: None,
            remb: None,
            bandwidth: None,
            comebacks: Comebacks::default(),
            reference: None,
            report_due: now + spread,
            catch_up_due: None,
            wants: None,
            changed: false,
            left: Vec::new(),
            deadline: Deadline::default(),
        }
    }

    /// A voice slot carries this voice no more.
    pub(crate) fn leaves(&mut self, voice: TrackName, now: Instant) {
        self.left.retain(|(_, at)| now.saturating_duration_since(*at) < MAX_CATCH_UP);
        if self.left.len() >= MAX_LEFT {
            self.left.remove(0);
        }
        self.left.push((voice, now));
    }

    /// Until when a slot carried this voice, if that was a moment ago: what came before was heard.
    pub(crate) fn left(&self, voice: TrackName) -> Option<Instant> {
        self.left.iter().filter(|(other, _)| *other == voice).map(|(_, at)| *at).max()
    }

    pub(crate) fn subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(id.key())
    }

    pub(crate) fn subscription_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(id.key())
    }

    /// A subscription and the line that it goes over.
    pub(crate) fn outgoing(&mut self, id: SubscriptionId) -> Option<(&mut Subscription, &mut Downlink)> {
        Some((self.subscriptions.get_mut(id.key())?, &mut self.downlink))
    }

    /// The subscription that an SSRC of this subscriber is.
    pub(crate) fn by_ssrc(&self, ssrc: u32) -> Option<SubscriptionId> {
        let mut all = self.subscriptions.iter();
        let is_it = |s: &&Subscription| s.ssrc == ssrc || s.rtx_ssrc == Some(ssrc);
        all.find(is_it).map(|subscription| subscription.id)
    }

    /// The subscription whose media, not its retransmissions, has this SSRC.
    pub(crate) fn by_media_ssrc(&self, ssrc: u32) -> Option<SubscriptionId> {
        let mut all = self.subscriptions.iter();
        all.find(|subscription| subscription.ssrc == ssrc).map(|subscription| subscription.id)
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let probe = self.downlink.controller().and_then(Controller::poll_timeout);
        let bind = self.wants.as_ref().and_then(|wants| wants.due);
        [probe, self.catch_up_due, bind, Some(self.report_due)].into_iter().flatten().min()
    }

    /// Takes a report block about one of its streams.
    pub(crate) fn take_block(&mut self, block: &ReportBlock, now_compact: u32, now: Instant) {
        let Some(id) = self.by_ssrc(block.ssrc) else { return };
        if block.last_report != 0 {
            let round_trip =
                ntp::compact_duration(now_compact.wrapping_sub(block.last_report).wrapping_sub(block.delay));
            self.round_trip = Some(self.round_trip.map_or(round_trip, |mean| (mean * 7 + round_trip) / 8));
        }
        let Some((subscription, downlink)) = self.outgoing(id) else { return };
        if subscription.ssrc != block.ssrc {
            // About the retransmissions: their loss is not the stream's.
            return;
        }
        let clock_rate = subscription.clock_rate();
        // libdatachannel counts what comes twice as loss, and then says itself that nothing is missing.
        let lost = if block.lost > 0 { block.fraction_lost } else { 0 };
        let of_sound = clock_rate != VIDEO_CLOCK;
        downlink.update(|controller| controller.on_loss(lost, of_sound, now));
        subscription.reported();
        subscription.stats.fraction_lost = f32::from(block.fraction_lost) / 256.0;
        subscription.stats.lost = block.lost.max(0).unsigned_abs();
        subscription.stats.jitter =
            Duration::from_micros(u64::from(block.jitter) * 1_000_000 / u64::from(clock_rate.max(1)));
    }

    pub(crate) fn take_remb(&mut self, bitrate: u64, streams: SsrcList<'_>, now: Instant) {
        self.remb = Some(bitrate);
        let (mut sent, names_all) = (Sent::default(), streams.iter().next().is_none());
        for subscription in self.subscriptions.iter() {
            let named = |ssrc: u32| streams.iter().any(|stream| stream == ssrc);
            let of = if names_all || named(subscription.ssrc) || subscription.rtx_ssrc.is_some_and(named) {
                &mut sent.named
            } else {
                &mut sent.others
            };
            let stats = &subscription.stats;
            *of = of.saturating_add(stats.bytes).saturating_add(stats.retransmitted_bytes);
        }
        self.downlink.update(|controller| controller.on_remb(bitrate, sent, now));
    }

    /// Bits per second that the line carries, noted as what is shared out; `None` if there is no bound.
    pub(crate) fn take_bandwidth(&mut self, now: Instant) -> Option<Bandwidth> {
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
        let Some(controller) = self.downlink.controller() else {
            // Feedback will come with the first packets.
            let bitrate = START_BITRATE as u64;
            return numbered.then_some(Bandwidth { bitrate, proven: false, may_starve: false });
        };
        let (bitrate, proven) = (controller.target(now)?, controller.is_proven());
        let may_starve = controller.may_starve(now);
        (proven || numbered).then_some(Bandwidth { bitrate, proven, may_starve })
    }

    pub(crate) fn take_feedback(&mut self, body: &[u8], now: Instant) {
        self.downlink.take_feedback(body, self.round_trip, now);
    }

    /// A subscription has fallen behind.
    pub(crate) fn catch_up_soon(&mut self, now: Instant, timers: &mut Timers) {
        let due = *self.catch_up_due.get_or_insert(now + STEP);
        timers.arm(Owner::Subscriber(self.id.key()), &mut self.deadline, Some(due));
    }

    /// Whether what waits for the line may go on now. Who goes on waiting says so anew.
    pub(crate) fn takes_catch_up(&mut self, now: Instant) -> bool {
        self.catch_up_due.take_if(|due| *due <= now).is_some()
    }

    /// Sends the padding of a probe, where one is made.
    pub(crate) fn probe<S: Sink>(&mut self, out: &mut Outlet<'_, S>) {
        let count = self.downlink.paddings(out.now);
        if count == 0 {
            return;
        }
        let Self { subscriptions, downlink, .. } = self;
        for subscription in subscriptions.iter_mut() {
            if (0..count).all(|_| subscription.pad(downlink, out)) {
                return;
            }
        }
    }

    pub(crate) fn take_reference(&mut self, ssrc: u32, ntp: u64, now: Instant) {
        self.reference = Some((ssrc, ntp::compact(ntp), now));
    }

    /// Whether reports are due; they count as sent.
    pub(crate) fn takes_report(&mut self, now: Instant) -> bool {
        if self.report_due > now {
            return false;
        }
        self.report_due = now + REPORT_INTERVAL;
        self.downlink.update(|controller| controller.on_tick(now));
        true
    }
}
