//! Congestion control as a sender, for one connection: how much its line carries.
//!
//! After Google congestion control (draft-ietf-rmcat-gcc-02), with what its best known implementation added
//! since: [`Controller::target`] is the least of what the delay allows, what the loss allows and what the receiver
//! says (REMB). Clients without transport-wide feedback are served by REMB and receiver reports alone.
//!
//! ```text
//! packets sent -> history ----+
//!                             v
//! feedback ---> arrivals -> delay detector -> increase, hold or decrease -+
//!                  |------> acknowledged rate ----------^                 |-> least -> target
//!                  |------> loss ---------------------------> bound ------+
//!                  '------> probe -> proven rate: raises both             |
//! REMB ------------------------------------------------------> cap -------'
//! ```
//!
//! The reference is libwebrtc's own controller, beside which this one is tested (`tests/reference.rs`); it takes 65 KB for
//! each connection.
//!
//! Pure: no clock, no I/O, a bounded amount of memory ([`Controller::memory`]).

mod aimd;
mod blind;
mod delay;
mod history;
mod loss;
mod pacer;
mod probe;
mod rate;

use std::time::{Duration, Instant};

use aimd::Aimd;
pub use blind::Sent;
use blind::{Blind, Verdict};
use delay::{DelayDetector, Usage};
use history::History;
use loss::LossBound;
use pacer::Pacer;
use probe::Prober;
use rate::{LONG, RateWindow, SHORT};
use rtp::twcc::Feedback;

/// What a line is taken to carry before anything is known of it, in bits per second.
pub const START_BITRATE: f32 = 500_000.0;
/// The estimate never falls below this.
pub const MIN_BITRATE: f32 = 50_000.0;
/// The estimate never rises above this.
pub const MAX_BITRATE: f32 = 50_000_000.0;

/// Bytes of a packet beside RTP: IPv4, UDP, and the tag of the encryption. A line is filled by them too, and padding
/// in small packets more than media in large ones.
const OVERHEAD: usize = 44;
/// What is left of a line for RTP.
const MEDIA: f32 = 0.96;

/// A client that negotiated feedback and sends none for this long is served without it.
const FIRST_FEEDBACK: i64 = 3_000_000;
/// Where less is sent, in bits per second, it is sound without a picture.
const SOUND_ALONE: f32 = 150_000.0;
/// Feedback that was regular and stops for this long means that nothing arrives.
const SILENCE_US: i64 = 700_000;
const SILENCE_FACTOR: f32 = 0.7;
/// Packets sent without an answer before silence means something.
const SILENT_PACKETS: u64 = 10;
/// A REMB older than this says nothing.
const REMB_US: i64 = 5_000_000;
/// What shows that the picture does not fit a line counts for this long where there is no feedback.
const NARROW_US: i64 = 10_000_000;
/// Packets without a number are counted with the next one that has one over this time at most.
const UNNUMBERED_US: i64 = 50_000;
/// Those that were not counted matter for this long: what arrives is measured over half a second.
const UNCOUNTED_US: i64 = 700_000;
/// Reports that do not come for this long: the client has nothing to report on, because nothing is sent to it.
const UNREPORTED_US: i64 = 1_500_000;
/// A smaller queue is no reason to fall.
const MIN_QUEUE: Duration = Duration::from_millis(20);
/// A queue of this length, while less arrives than is sent, needs no trend.
const LONG_QUEUE: Duration = Duration::from_millis(70);
/// A queue of this length after a fall is a jam.
const JAM: Duration = Duration::from_millis(100);
/// A queue that overflows is shorter, and drains in this time.
const CUT_US: i64 = 150_000;
/// How long a fall is remembered.
const FALLEN_US: i64 = 1_000_000;
/// A measured rate, less what it may be wrong by.
const CERTAIN: f32 = 0.9;
/// A share of packets lost by the line itself from which on what is lost again matters.
const LOSSY: f32 = 0.02;
/// How much less has to arrive then.
const FALLING_BEHIND: f32 = 1.2;
/// A rate over the short span needs this many bytes.
const MIN_SHORT_BYTES: u32 = 4_000;
/// Feedback whose clock differs by more than this from what passed here is of another clock.
const MAX_CLOCK_JUMP_US: i64 = 10_000_000;
/// The reference time of feedback: 24 bits of 64 ms.
const REFERENCE_US: i64 = 64_000;
const REFERENCE_CYCLE: i64 = 1 << 24;

/// See the module.
#[derive(Debug)]
pub struct Controller {
    history: History,
    sent: RateWindow,
    /// Bytes of packets without a number since the last one with: they share the line. And when the first of them left.
    unnumbered: u32,
    unnumbered_us: i64,
    /// Bits per second of those that no packet was counted with, and when that was so.
    uncounted: (f32, i64),
    pacer: Pacer,
    prober: Prober,
    epoch: Instant,
    started_us: Option<i64>,
    acknowledged: RateWindow,
    delay: DelayDetector,
    aimd: Aimd,
    loss: LossBound,
    remb: Option<(f32, i64)>,
    blind: Blind,
    reported: bool,
    /// When REMB or loss last showed that the line carries less than what is sent.
    narrow_us: i64,
    clock: Option<ReceiverClock>,
    fell_us: i64,
    /// The last packet that feedback was about, and when that feedback came.
    answered: Option<(u64, i64)>,
}

/// The receiver's clock without the wrap of its reference time.
#[derive(Debug, Clone, Copy)]
struct ReceiverClock {
    reference: i32,
    unwrapped_us: i64,
    taken_us: i64,
}

impl Controller {
    /// A controller of a connection that has sent nothing; times count from `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            history: History::new(),
            sent: RateWindow::default(),
            unnumbered: 0,
            unnumbered_us: 0,
            uncounted: (0.0, i64::MIN / 2),
            pacer: Pacer::default(),
            prober: Prober::default(),
            epoch: now,
            started_us: None,
            acknowledged: RateWindow::default(),
            delay: DelayDetector::default(),
            aimd: Aimd::new(START_BITRATE),
            loss: LossBound::new(),
            remb: None,
            blind: Blind::default(),
            reported: false,
            narrow_us: i64::MIN / 2,
            clock: None,
            fell_us: i64::MIN / 2,
            answered: None,
        }
    }

    /// The transport-wide number of the next packet that has one.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.history.next() as u16
    }

    /// The packet with [`Controller::number`] leaves, `bytes` long.
    pub fn on_sent(&mut self, bytes: usize, now: Instant) {
        let now_us = self.us(now);
        let bytes = on_the_line(bytes);
        self.started_us.get_or_insert(now_us);
        self.sent.add(now_us, bytes);
        let probe = self.prober.sent(self.history.next(), bytes);
        let counted = bytes.saturating_add(self.take_unnumbered(now_us));
        self.history.push(now_us, u16::try_from(counted).unwrap_or(u16::MAX), probe);
    }

    /// A packet without a transport-wide number leaves.
    pub fn on_sent_unnumbered(&mut self, bytes: usize, now: Instant) {
        let (bytes, now_us) = (on_the_line(bytes), self.us(now));
        self.sent.add(now_us, bytes);
        if self.unnumbered == 0 {
            self.unnumbered_us = now_us;
        }
        self.unnumbered = self.unnumbered.saturating_add(bytes).min(u32::from(u16::MAX));
    }

    /// What packets without a number add to the next one that has one. Of a longer time than one packet may stand for only
    /// its part: seconds of sound that arrive with one packet would look like a far wider line.
    fn take_unnumbered(&mut self, now_us: i64) -> u32 {
        let bytes = std::mem::take(&mut self.unnumbered);
        let elapsed = (now_us - self.unnumbered_us).max(UNNUMBERED_US);
        let counted = (i64::from(bytes) * UNNUMBERED_US / elapsed) as u32;
        if counted < bytes {
            self.uncounted = ((bytes - counted) as f32 * 8e6 / elapsed as f32, now_us);
        }
        counted
    }

    /// Media of `bytes` leaves (padding waits for nobody, and nothing waits for it).
    pub fn pace(&mut self, bytes: usize, now: Instant) {
        let now_us = self.us(now);
        self.pacer.sent(on_the_line(bytes), now_us);
    }

    /// Whether more media may leave now, or would only fill the queue of the line.
    #[must_use]
    pub fn may_send(&self, now: Instant) -> bool {
        self.pacer.may_send(self.us(now))
    }

    /// Takes transport-wide feedback. Returns whether the target fell.
    pub fn on_feedback(
        &mut self,
        feedback: &Feedback<'_>,
        round_trip: Option<Duration>,
        now: Instant,
    ) -> bool {
        let now_us = self.us(now);
        let before = self.target(now);
        let offset = self.unwrap_clock(feedback.reference(), now_us);
        // What left before the last fall has had its effect.
        let fell_us = self.fell_us;
        let Self { history, prober, acknowledged, delay, loss, .. } = self;
        let (mut arrived, mut lost, mut late, mut reported) = (0, 0, 0, None);
        feedback.for_each(|number, arrival| match arrival {
            None => {
                let left = history.missing(number, now_us);
                lost += u32::from(left.is_some_and(|left| left > fell_us));
            }
            Some(arrival) => {
                let Some((seq, sent)) = history.arrived(number, now_us) else { return };
                let arrival = arrival.saturating_add(offset);
                if sent.at_us > fell_us {
                    arrived += 1;
                    late += u32::from(sent.was_missing);
                }
                acknowledged.add(arrival, sent.bytes);
                delay.packet(sent.at_us, arrival, sent.bytes);
                if sent.probe != 0 {
                    prober.arrived(&sent, arrival);
                }
                reported = reported.max(Some(seq));
            }
        });
        loss.count(arrived, lost, late);
        let Some(reported) = reported else { return false };
        self.answered = Some((self.answered.map_or(reported, |(seq, _)| seq.max(reported)), now_us));
        let round_trip = round_trip.unwrap_or(Duration::from_millis(100));
        self.judge(round_trip, now_us);
        if let Some(proven) = self.prober.result(reported, now_us)
            && self.delay.usage() != Usage::Over
        {
            self.aimd.prove(proven);
            self.loss.prove(proven);
        }
        self.set_pace(now);
        let fell = |target: u64| before.is_none_or(|before| target < before);
        self.target(now).is_some_and(fell)
    }

    /// What the feedback means for the rate.
    fn judge(&mut self, round_trip: Duration, now_us: i64) {
        let end = self.acknowledged.latest_us();
        let long = self.acknowledged.rate(LONG, end);
        let short = self
            .acknowledged
            .rate(SHORT, end)
            .filter(|_| self.acknowledged.bytes(SHORT, end) >= MIN_SHORT_BYTES);
        // Over half a second, in which a pause of a busy receiver counts for little. A line that is far slower than
        // what is sent shows as falling behind.
        let carried = long.or(short);
        let sent = self.sent.rate(LONG, now_us);
        let queue = self.delay.queue();
        let full = self.delay.full_rate().filter(|_| queue > LONG_QUEUE);
        let behind = full.filter(|&full| sent.is_some_and(|sent| sent > FALLING_BEHIND * full));
        match (self.delay.usage(), behind.or(carried)) {
            (_, Some(carried)) if behind.is_some() => self.fall(carried, Duration::ZERO, now_us),
            (Usage::Over, Some(carried)) if queue > MIN_QUEUE => {
                // After a pause half a second is mostly the pause: what a full line carries tells more.
                self.fall(full.map_or(carried, |full| full.max(carried)), round_trip, now_us);
            }
            (Usage::Normal, _) => {
                self.aimd.increase(long, round_trip, now_us);
                // A burst, or a stream that has no lower encoding: what has come without a queue is proven.
                if let Some(carried) = long.filter(|_| queue < LONG_QUEUE) {
                    self.aimd.prove(carried * CERTAIN);
                }
            }
            (Usage::Over | Usage::Under, _) => {}
        }
        if let Some(carried) = long {
            let target = self.aimd.bitrate().min(sent.unwrap_or(MAX_BITRATE));
            if self.loss.update(carried.min(short.unwrap_or(carried)), target, now_us) {
                self.fell(now_us);
            }
        }
    }

    /// `carried` is what is known to arrive; sound that no feedback is about arrives as well.
    fn fall(&mut self, carried: f32, round_trip: Duration, now_us: i64) {
        let (uncounted, at_us) = self.uncounted;
        let carried = if now_us - at_us < UNCOUNTED_US { carried + uncounted } else { carried };
        if self.aimd.decrease(carried, round_trip, now_us) {
            self.fell(now_us);
        }
    }

    fn fell(&mut self, now_us: i64) {
        self.fell_us = now_us;
        self.prober.hold(now_us);
    }

    /// Takes the share lost (in 1/256) of a receiver report; it counts where there is no feedback.
    pub fn on_loss(&mut self, fraction_lost: u8, of_sound: bool, now: Instant) {
        let now_us = self.us(now);
        let sent = self.sent.rate(LONG, now_us);
        // Sound that arrives says little of the line beside a picture. Without one it is all that can bring it back.
        let alone = self.reported && sent.is_some_and(|sent| sent < SOUND_ALONE);
        if self.answered.is_some() || (of_sound && fraction_lost == 0 && !alone) {
            return;
        }
        self.reported = true;
        if let Some(sent) = sent {
            self.loss.report(f32::from(fraction_lost) / 256.0, sent, now_us);
            if self.loss.is_congested() {
                self.narrow_us = now_us;
            }
        }
        self.set_pace(now);
    }

    /// Takes the bits per second of a REMB, and what was sent until now of the streams that it names and of the others.
    pub fn on_remb(&mut self, bitrate: u64, sent: Sent, now: Instant) {
        let now_us = self.us(now);
        let on_the_line = |bitrate: f32| (bitrate / MEDIA).clamp(MIN_BITRATE, MAX_BITRATE);
        let verdict = self.blind.remb(bitrate as f32, sent, now_us);
        let carries = match verdict {
            Verdict::Nothing => MAX_BITRATE,
            Verdict::AsSent(carries) => {
                // What is sent is measured over half a second only, and must not fall for that.
                let sent = self.sent.rate(LONG, now_us).unwrap_or(MAX_BITRATE);
                on_the_line(carries).max(sent * blind::FAR_ABOVE)
            }
            Verdict::Less(carries) | Verdict::Narrow(carries) => on_the_line(carries),
        };
        self.remb = Some((carries, now_us));
        if self.answered.is_none() {
            self.loss.cap(carries);
            if matches!(verdict, Verdict::Narrow(_)) {
                self.narrow_us = now_us;
            }
        }
        self.set_pace(now);
    }

    /// Whether the client has shown that its line does not carry everything that is sent, so that even the least of the
    /// picture may be too much. A client without feedback that only grew silent has not.
    #[must_use]
    pub fn may_starve(&self, now: Instant) -> bool {
        self.answered.is_some() || self.us(now) - self.narrow_us < NARROW_US
    }

    /// Bits per second of RTP that the line carries; `None` if nothing is known of it, so that there is no bound.
    #[must_use]
    pub fn target(&self, now: Instant) -> Option<u64> {
        let now_us = self.us(now);
        let remb = self.remb.filter(|(_, at)| now_us - at < REMB_US).map(|(bitrate, _)| bitrate);
        let estimate = if self.answered.is_some() {
            self.aimd.bitrate().min(self.loss.bitrate()).min(remb.unwrap_or(MAX_BITRATE))
        } else if self.remb.is_some() || self.reported {
            self.loss.bitrate()
        } else {
            self.started_us.filter(|start| now_us - start < FIRST_FEEDBACK).map(|_| START_BITRATE)?
        };
        Some((estimate.clamp(MIN_BITRATE, MAX_BITRATE) * MEDIA) as u64)
    }

    /// Whether the target is more than a first guess: the line was full once, a probe has told what it carries, or
    /// the client has.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let measured = self.prober.judged || self.fell_us > 0;
        (self.answered.is_some() && measured) || self.remb.is_some() || self.reported
    }

    /// What the next better choice of the allocation needs, and what the best one would, in bits per second; 0 if
    /// there is none. What is missing to them is probed.
    pub fn set_need(&mut self, next: u64, best: u64) {
        let on_the_line = |need: u64| (need as f32 / MEDIA).min(MAX_BITRATE);
        self.prober.set_need(on_the_line(next), on_the_line(best));
    }

    /// Bytes of padding to send now, each packet of it told by [`Controller::on_sent`].
    pub fn poll_padding(&mut self, now: Instant) -> u32 {
        let (now_us, estimate) = (self.us(now), self.estimate());
        if self.probes() { self.prober.poll(estimate, now_us) } else { 0 }
    }

    /// When [`Controller::poll_padding`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.prober.due_us(self.estimate()).filter(|_| self.probes())?;
        self.epoch.checked_add(Duration::from_micros(u64::try_from(due).unwrap_or(0)))
    }

    /// Once a second or so: a line on which everything stays without an answer carries less. A client that never gave
    /// such answers is tried with more after a while without reports.
    pub fn on_tick(&mut self, now: Instant) {
        let now_us = self.us(now);
        let Some((seq, at)) = self.answered else {
            self.loss.unreported(UNREPORTED_US, now_us);
            return self.set_pace(now);
        };
        let unanswered = self.history.next().saturating_sub(seq + 1);
        if now_us - at > SILENCE_US && unanswered > SILENT_PACKETS {
            // What was sent until now is given up: only more of it means more silence.
            self.answered = Some((self.history.next().saturating_sub(1), now_us));
            self.aimd.fade(SILENCE_FACTOR);
            self.fell(now_us);
        }
        self.set_pace(now);
    }

    /// Whether the line has just become slower and its queue is long, or short and overflows: what is not needed
    /// must not be sent.
    #[must_use]
    pub fn is_jammed(&self, now: Instant) -> bool {
        let since_us = self.us(now) - self.fell_us;
        (since_us < FALLEN_US && self.delay.queue() > JAM) || (since_us < CUT_US && self.loss.is_cut())
    }

    /// Whether the line has become slower within the last second.
    #[must_use]
    pub fn has_fallen(&self, now: Instant) -> bool {
        self.us(now) - self.fell_us < FALLEN_US
    }

    /// How long packets wait on the way, from the last feedback.
    #[must_use]
    pub fn queue(&self) -> Duration {
        self.delay.queue()
    }

    /// The share lost lately, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f32 {
        self.loss.share()
    }

    /// Whether the line loses so much, whatever is sent, that what is sent again may well be lost again.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.loss.inherent() >= LOSSY
    }

    /// Bytes that it takes, its history included: at most 18 KiB.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.history.memory()
    }

    /// Feedback tells what becomes of a probe, so only with it one is made, or to see whether it comes.
    fn probes(&self) -> bool {
        self.answered.is_some()
    }

    fn estimate(&self) -> f32 {
        self.aimd.bitrate().min(self.loss.bitrate())
    }

    /// The offset that makes times of feedback with this reference continuous.
    fn unwrap_clock(&mut self, reference: i32, now_us: i64) -> i64 {
        let raw_us = i64::from(reference) * REFERENCE_US;
        let continued = self.clock.and_then(|last| {
            let half = REFERENCE_CYCLE / 2;
            let steps =
                (i64::from(reference) - i64::from(last.reference) + half).rem_euclid(REFERENCE_CYCLE) - half;
            let passed = steps * REFERENCE_US;
            let jumped = (passed - (now_us - last.taken_us)).abs() > MAX_CLOCK_JUMP_US;
            (!jumped).then_some(last.unwrapped_us + passed)
        });
        if continued.is_none() && self.clock.is_some() {
            self.delay.reset();
            self.acknowledged = RateWindow::default();
        }
        let unwrapped_us = continued.unwrap_or(raw_us);
        self.clock = Some(ReceiverClock { reference, unwrapped_us, taken_us: now_us });
        unwrapped_us - raw_us
    }

    /// Before the client has said anything the pacer goes by its own first guess.
    fn set_pace(&mut self, now: Instant) {
        let target = self.target(now);
        if self.answered.is_some() || self.remb.is_some() || self.reported || target.is_none() {
            self.pacer.set_target(target.map(|target| target as f32));
        }
    }

    fn us(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.epoch).as_micros() as i64
    }
}

/// Length of an RTP packet with what the line adds.
fn on_the_line(bytes: usize) -> u32 {
    (bytes + OVERHEAD).min(usize::from(u16::MAX)) as u32
}
