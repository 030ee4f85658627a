//! What a subscription gets of the track that it shows: its place in the track's fan-out.
//!
//! A feed belongs to its track and lives as long as the subscription shows it. It says which encoding and layers go
//! out, and how far that has come; the numbers that the subscriber sees are the [`Subscription`]'s, which goes on
//! with them whatever it shows.

use std::time::{Duration, Instant};

use rtp::seq::Seq;
use rtp::{FIXED_HEADER, MediaKind};

use crate::codec::{FrameInfo, Up};
use crate::downlink::Downlink;
use crate::encoding::{Encoding, Entry};
use crate::ids::{StreamId, SubscriptionId};
use crate::layers::allocate::Allowance;
use crate::layers::decide::{Plan, Target};
use crate::layers::ladder::Step;
use crate::layers::{EncodingSet, Layers};
use crate::packet::{Media, StreamView};
use crate::sink::Sink;
use crate::slides::SlideShow;
use crate::subscription::{Outlet, Subscription};

/// A stream is left in the middle of a picture only if the rest of it does not come for this long.
const UNFINISHED: Duration = Duration::from_millis(100);
/// What a new stream may send at once from the ring while another one goes on, in packets.
const SWITCH_BACKLOG: u64 = 60;
/// Higher layers of the same encoding that did not begin by themselves for this long get a keyframe.
const LATE: Duration = Duration::from_millis(600);
/// What waits because a line is full goes out in steps of this.
pub(crate) const STEP: Duration = Duration::from_millis(5);
/// And the longest time that this may take the line.
const MAX_SWITCH_BACKLOG: Duration = Duration::from_millis(100);
/// What a viewer gets of the ring after a pause takes the line this long at most; else the next keyframe is better.
const MAX_BACKLOG: Duration = Duration::from_millis(300);
/// Longest time that media waits for the line: then it goes out all the same, and shows how full the line is.
const MAX_WAIT: Duration = Duration::from_millis(150);
/// What a viewer starts with may wait longer if it is old: it leaves this many times as fast as it was sent.
const CATCH_UP: u32 = 4;
const MAX_WAIT_AT_START: Duration = Duration::from_millis(750);

/// A feed whose line was full: the ring keeps for it what follows.
#[derive(Debug, Clone, Copy)]
struct Behind {
    /// The packet that is sent next.
    next: Seq,
    /// When everything before the newest packet has to be sent.
    until: Instant,
}

/// What became of a start.
pub(crate) enum Start {
    Done,
    /// The picture that goes out from another stream has to be finished first.
    Later,
    NeedsKeyframe,
    /// A slow line has room for the next slide.
    NeedsSlide,
    /// Nothing to do for now: a slow line has no room yet, or the viewer does not take the format.
    NotYet,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Whose it is.
    pub(crate) subscription: SubscriptionId,
    /// The stream that goes out; the newest piece of the subscription's numbers is of it.
    current: Option<StreamId>,
    /// What is to go out; nothing if it is paused, or if the line leaves nothing for it.
    target: Option<Target>,
    /// What it should get, were everything there.
    aim: Option<Step>,
    /// What the line of the subscriber leaves for it.
    allowance: Allowance,
    /// What its publisher should send because of it.
    interest: EncodingSet,
    /// Something else has begun to go out since its layers were chosen.
    has_switched: bool,
    /// Something changed since its layers were chosen.
    pub(crate) marked: bool,
    /// Since when higher layers are waited for.
    rising: Option<Instant>,
    /// What waits because the line was full.
    behind: Option<Behind>,
    /// Only single keyframes go out: the line is too slow for more.
    slides: Option<Box<SlideShow>>,
    /// The picture before was one after which higher temporal layers may begin.
    may_rise: bool,
}

impl Feed {
    /// A feed that nothing was decided for.
    pub(crate) fn new(subscription: SubscriptionId) -> Self {
        Self {
            subscription,
            current: None,
            target: None,
            aim: None,
            allowance: Allowance::Unbounded,
            interest: EncodingSet::default(),
            has_switched: false,
            marked: false,
            rising: None,
            behind: None,
            slides: None,
            may_rise: false,
        }
    }

    /// See [`crate::Shard::check`].
    pub(crate) fn check(&self) {
        assert!(self.target.is_some() || self.current.is_none(), "what is not to go out does not");
        assert!(self.current.is_some() || self.behind.is_none(), "what waits is of the stream that goes out");
    }

    /// Whether only single keyframes go out.
    pub(crate) fn has_slides(&self) -> bool {
        self.slides.is_some()
    }

    pub(crate) fn current(&self) -> Option<StreamId> {
        self.current
    }

    pub(crate) fn target(&self) -> Option<Target> {
        self.target
    }

    pub(crate) fn aim(&self) -> Option<Step> {
        self.aim
    }

    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance
    }

    pub(crate) fn interest(&self) -> EncodingSet {
        self.interest
    }

    /// Ends what goes out: what follows begins anew.
    pub(crate) fn stop(&mut self) {
        (self.current, self.behind, self.rising) = (None, None, None);
    }

    /// Nothing is to go out until this is decided anew.
    pub(crate) fn pause(&mut self) {
        self.stop();
        self.target = None;
    }

    /// Takes what comes first, as long as nothing is decided.
    pub(crate) fn expect_first(&mut self) {
        self.target.get_or_insert(Target::FIRST);
    }

    /// Takes what the line leaves for it; whether that is something else than before. On a `jammed` line an encoding
    /// that has to go ends at once: what is on its way takes longer than the keyframe of the new one, and more of the
    /// old would only come before it.
    pub(crate) fn allow(&mut self, allowance: Allowance, jammed: bool) -> bool {
        let changed = !self.allowance.is_same(allowance);
        self.allowance = allowance;
        if let (Allowance::Slides(rate), Some(slides)) = (allowance, &mut self.slides) {
            slides.set_rate(rate);
        }
        if let Allowance::Upto(step) = allowance
            && jammed
            && self.current.is_some_and(|current| current.encoding != step.encoding)
        {
            self.stop();
            return true;
        }
        changed
    }

    /// Takes a decision.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        (self.aim, self.target, self.interest) = (plan.aim, plan.target, plan.interest);
        (self.marked, self.has_switched) = (false, false);
        if plan.target.is_none() || plan.slides != self.slides.is_some() {
            self.stop();
        }
        match self.allowance {
            Allowance::Slides(rate) if plan.slides => {
                self.slides.get_or_insert_with(|| Box::new(SlideShow::new(rate)));
            }
            _ => self.slides = None,
        }
    }

    /// Whether something that was decided has not come about yet, or has just done so: then what went out before need
    /// not be sent any more.
    pub(crate) fn is_under_way(&self) -> bool {
        let target = self.target.map(|target| target.encoding);
        self.rising.is_some() || self.has_switched || self.current.map(|current| current.encoding) != target
    }

    /// Whether this is the stream that it should get next.
    pub(crate) fn waits_for(&self, view: &StreamView<'_>) -> bool {
        let meant = self.target.is_some_and(|target| target.encoding == view.id.encoding);
        meant && view.is_current() && self.current != Some(view.id)
    }

    /// Whether another stream may follow here: a picture that has begun is finished first, if it goes on at all.
    fn may_leave(&self, subscription: &Subscription, now: Instant) -> bool {
        let stuck = |at: Instant| now.saturating_duration_since(at) >= UNFINISHED;
        self.current.is_none() || subscription.map.is_whole() || subscription.map.last_at().is_none_or(stuck)
    }

    /// Whether it may begin at `entry`. While another stream goes on, the next keyframe is better than a burst of old
    /// packets.
    fn may_begin(
        &self,
        view: &StreamView<'_>,
        entry: &Entry,
        subscription: &Subscription,
        downlink: &Downlink,
        now: Instant,
    ) -> bool {
        let newest = view.encoding.newest().unwrap_or_default();
        let takes = downlink.time_for(view.encoding.backlog_bytes(), now);
        if self.current.is_some() {
            return newest.saturating_sub(entry.seq) <= SWITCH_BACKLOG && takes <= MAX_SWITCH_BACKLOG;
        }
        // Who had a picture before comes back after a pause, most often of a slow line: what came since the keyframe
        // would fill its queue.
        let is_first = subscription.stats.packets == 0;
        is_first || takes <= MAX_BACKLOG
    }

    /// Begins to forward a stream.
    pub(crate) fn begin<S: Sink>(
        &mut self,
        view: &StreamView<'_>,
        entry: &Entry,
        subscription: &mut Subscription,
        out: &Outlet<'_, S>,
    ) {
        (self.rising, self.may_rise, self.behind) = (None, false, None);
        let Some(target) = &mut self.target else { return };
        // What layers there are may not be known yet.
        if target.layers == Layers::ALL && subscription.most_spatial(subscription.codec()) == 0 {
            target.layers = Layers::new(0, u8::MAX);
        }
        subscription.begin(view, target.layers, entry, out.now, out.clock.ntp(out.now));
        self.has_switched = true;
        self.current = Some(view.id);
    }

    /// Starts, or switches, at the last keyframe: everything that the ring has from there on goes out, as fast as the
    /// line takes it.
    pub(crate) fn start<S: Sink>(
        &mut self,
        view: &StreamView<'_>,
        subscription: &mut Subscription,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) -> Start {
        if self.slides.is_some() {
            return self.start_slide(view, subscription, downlink, out);
        }
        let may_begin = |entry: &Entry| self.may_begin(view, entry, subscription, downlink, out.now);
        let Some(entry) = view.entry(out.now).filter(may_begin) else { return Start::NeedsKeyframe };
        if !self.may_leave(subscription, out.now) {
            return Start::Later;
        }
        self.begin(view, &entry, subscription, out);
        let wait = (entry.age() / CATCH_UP).clamp(MAX_WAIT, MAX_WAIT_AT_START);
        self.fall_behind(entry.seq, out.now + wait);
        self.catch_up(view, subscription, downlink, out);
        Start::Done
    }

    /// Starts the next slide, if there is a new keyframe and the line has room for it.
    fn start_slide<S: Sink>(
        &mut self,
        view: &StreamView<'_>,
        subscription: &mut Subscription,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) -> Start {
        let Some(slides) = &mut self.slides else { return Start::NotYet };
        let entry = view.keyframe().filter(|entry| slides.may_show(view.id, entry.seq, out.now));
        let Some(entry) = entry else {
            return if slides.needs_keyframe(out.now) { Start::NeedsSlide } else { Start::NotYet };
        };
        slides.begins(view.id, entry.seq, entry.timestamp, out.now);
        self.begin(view, &entry, subscription, out);
        self.behind = Some(Behind { next: entry.seq, until: out.now });
        self.show_slide(view, subscription, downlink, out);
        Start::Done
    }

    /// Sends what the line has room for of the slide that has begun. It ends with its last packet, or with the first of
    /// the next picture.
    fn show_slide<S: Sink>(
        &mut self,
        view: &StreamView<'_>,
        subscription: &mut Subscription,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) {
        let Some(Behind { next, until }) = self.behind.take() else { return };
        let end = view.encoding.newest().map_or(next, |newest| newest + 1);
        for seq in next..end {
            let Some(slides) = &mut self.slides else { return };
            if !slides.is_free(out.now) {
                self.behind = Some(Behind { next: seq, until });
                return;
            }
            let Some(media) = view.read(seq) else { continue };
            if !slides.is_of_slide(media.packet.timestamp) {
                return self.stop();
            }
            slides.sent(media.packet.padded_payload().len() + FIXED_HEADER, out.now);
            let is_last = subscription.map.layers().is_some_and(|layers| media.ends_picture(layers));
            subscription.forward(&media, &view.encoding.numbers, 0, downlink, out);
            if is_last {
                return self.stop();
            }
        }
        // The rest of it has not come yet.
        self.behind = Some(Behind { next: end, until });
    }

    /// Sends a packet that has just come, unless the line is full: then it waits, and what follows with it. Sound never
    /// does.
    pub(crate) fn pass<S: Sink>(
        &mut self,
        media: &Media<'_>,
        encoding: &Encoding,
        length: usize,
        subscription: &mut Subscription,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) {
        if media.format.codec.kind() == MediaKind::Video {
            if subscription.map.is_newest(media.seq) && !downlink.may_send(out.now) {
                self.fall_behind(media.seq, out.now + MAX_WAIT);
                return;
            }
            self.adapt(media, encoding, subscription);
        }
        let length = if media.packet.marker { 0 } else { length };
        subscription.forward(media, &encoding.numbers, length, downlink, out);
    }

    /// Whether something waits for the line.
    pub(crate) fn has_fallen_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// Whether this packet, and so what is before it, waits for the line. Older ones that came late do not.
    pub(crate) fn is_behind(&self, seq: Seq) -> bool {
        self.behind.is_some_and(|behind| seq >= behind.next)
    }

    /// The packet `next`, the first that was not sent, and what follows waits for the line, until then at most.
    fn fall_behind(&mut self, next: Seq, until: Instant) {
        debug_assert!(self.current.is_some(), "what waits is of the stream that goes out");
        let until = self.behind.map_or(until, |behind| behind.until);
        self.behind = Some(Behind { next, until });
    }

    /// Sends what has not been sent yet, as much as the line takes now and at least so much that the rest does not
    /// wait longer than it may.
    pub(crate) fn catch_up<S: Sink>(
        &mut self,
        view: &StreamView<'_>,
        subscription: &mut Subscription,
        downlink: &mut Downlink,
        out: &mut Outlet<'_, S>,
    ) {
        let Some(Behind { next, until }) = self.behind.take() else { return };
        debug_assert_eq!(self.current, Some(view.id), "what waits is of the stream that goes out");
        if !view.is_current() {
            // It goes on with something else.
            return;
        }
        if self.slides.is_some() {
            self.behind = Some(Behind { next, until });
            return self.show_slide(view, subscription, downlink, out);
        }
        let end = view.encoding.newest().map_or(next, |newest| newest + 1);
        let steps = until.saturating_duration_since(out.now).as_micros() / STEP.as_micros();
        let least = next + end.saturating_sub(next).div_ceil(steps.max(1) as u64);
        for seq in next..end {
            if seq >= least && !downlink.may_send(out.now) {
                self.behind = Some(Behind { next: seq, until });
                return;
            }
            let Some(media) = view.read(seq) else { continue };
            self.adapt(&media, view.encoding, subscription);
            subscription.forward(&media, &view.encoding.numbers, 0, downlink, out);
        }
    }

    /// Whether the layers that it should get do not begin by themselves: a keyframe is needed, at once or after a
    /// while.
    pub(crate) fn needs_keyframe_to_rise(
        &mut self,
        encoding: &Encoding,
        subscription: &Subscription,
        now: Instant,
    ) -> bool {
        let Some(want) = self.target.map(|target| target.layers) else { return false };
        let Some(current) = subscription.map.layers().filter(|&current| current != want) else {
            self.rising = None;
            return false;
        };
        let since = *self.rising.get_or_insert(now);
        let (have, want) = (encoding.known(current), encoding.known(want));
        let temporal_only = have.0 == want.0;
        have != want && (!temporal_only || now.saturating_duration_since(since) >= LATE)
    }

    /// Goes over to the layers that it should get, if that can be done with this packet.
    fn adapt(&mut self, media: &Media<'_>, encoding: &Encoding, subscription: &mut Subscription) {
        let Some(want) = self.target.map(|target| target.layers) else { return };
        let Some(current) = subscription.map.layers() else { return };
        let info = &media.info;
        if current == want && info.up != Up::Next {
            return;
        }
        let next = if current == want || !subscription.map.is_newest(media.seq) {
            None
        } else {
            self.next_layers(info, current, want, encoding).map(|next| {
                // Everything would bring back lower spatial layers that were left out and that nothing here needs.
                let back = next == Layers::ALL && encoding.separate && !info.keyframe;
                let (spatial, temporal) = encoding.known(next);
                if back { Layers::new(spatial, temporal) } else { next }
            })
        };
        let next = next.filter(|&next| next != current);
        if let Some(next) = next {
            subscription.map.change_layers(next, media.seq, media.picture, &encoding.numbers);
        }
        if info.begins && info.spatial == 0 {
            let temporal = encoding.known(next.unwrap_or(current)).1;
            self.may_rise = info.up == Up::Next && info.temporal <= temporal;
        }
    }

    /// The layers that can be forwarded from this packet on, if others than now: those that it should get (`all`), or
    /// some on the way to them.
    fn next_layers(
        &self,
        info: &FrameInfo,
        current: Layers,
        all: Layers,
        encoding: &Encoding,
    ) -> Option<Layers> {
        if info.keyframe {
            return Some(all);
        }
        if !info.begins {
            return None;
        }
        let (have, want) = (encoding.known(current), encoding.known(all));
        let reached = |temporal: u8| if temporal >= want.1 { want.1 } else { temporal };
        if let Some((number, (switch, references))) = info.described.and_then(|d| Some((d.number, d.switch?)))
        {
            // The lower layers of this picture have gone out as a picture that is complete.
            let too_late = info.spatial > 0 && want.0 > have.0;
            if too_late || !encoding.has_references(number, &references, current) {
                return None;
            }
            if switch.contains(all) {
                return Some(all);
            }
            let step = Layers::new(all.spatial(), reached(info.temporal));
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
        let next = if (spatial, temporal) == want { all } else { Layers::new(spatial, temporal) };
        (next != current && ((spatial, temporal) != have || next == all)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_three_cache_lines() {
        assert!(size_of::<Feed>() <= 192, "{}", size_of::<Feed>());
    }
}
