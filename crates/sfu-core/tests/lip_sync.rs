//! Lip sync: the picture of the stage and the voice of who is on it, whoever they show one after another.
//!
//! The receiver is a browser: it learns by sender reports how the timestamps of each slot lie on the server's clock, as a
//! line through the last 20 of them (libwebrtc, `RtpToNtpEstimator`), and plays at one moment what has one time.

mod common;

use std::collections::VecDeque;

use common::*;
use rtp::rtcp::{Compound, RtcpPacket, SenderInfo};
use rtp::{Extension, Extensions, RtpPacket};
use sfu_core::*;

/// Sound may lead by so much, and lag by so much (ITU-R BT.1359), in seconds.
const MOST_LEAD: f64 = 0.045;
const MOST_LAG: f64 = 0.125;
/// For so long after a cut sound may lead by so much: a picture that was captured before the last one of whom was shown
/// before cannot be shown before it.
const AFTER_CUT: f64 = 0.1;
const MOST_LEAD_AFTER_CUT: f64 = 0.1;
/// A microphone takes this long.
const MICROPHONE_TAKES: f64 = 0.020;
const PEER: Peer = Peer(9);
const STAGE: u32 = 5000;
const VOICE: u32 = 7000;

/// When the sender reports of somebody come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reports {
    /// As late as everything.
    InTime,
    /// The first is of this time, and held up for so many seconds longer than what comes after it.
    FirstLate(f64, f64),
    /// From this time on.
    From(f64),
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Person {
    /// How much faster the clock goes than the server's, in millionths.
    drift: f64,
    /// How far its time of day is ahead, in seconds.
    ahead: f64,
    /// How long everything is on its way at least, in seconds, and how much longer at most.
    delay: f64,
    jitter: f64,
    /// How long the camera and its encoder take, in seconds.
    camera: f64,
    reports: Reports,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Picture,
    Sound(u16),
    Reports,
}

/// Somebody at work.
struct Sender {
    is: Person,
    id: PublisherId,
    camera: Source,
}

impl Sender {
    /// What the own clock says at `at` seconds of the server's, from zero on.
    fn clock(is: &Person, at: f64) -> f64 {
        at * (1.0 + is.drift / 1e6)
    }
}

/// What a browser knows of the clock of a slot.
#[derive(Default)]
struct Line {
    /// Time and unwrapped timestamp of the last reports, newest first.
    reports: VecDeque<(f64, f64)>,
    newest: Option<(u32, i64)>,
}

impl Line {
    fn unwrap(&mut self, timestamp: u32) -> f64 {
        let (last, unwrapped) = *self.newest.get_or_insert((timestamp, 0));
        let unwrapped = unwrapped + i64::from(timestamp.wrapping_sub(last) as i32);
        self.newest = Some((timestamp, unwrapped));
        unwrapped as f64
    }

    fn report(&mut self, time: f64, timestamp: u32) {
        let timestamp = self.unwrap(timestamp);
        self.reports.push_front((time, timestamp));
        self.reports.truncate(20);
    }

    /// The time of a timestamp.
    fn time(&mut self, timestamp: u32, rate: f64) -> Option<f64> {
        let at = self.unwrap(timestamp);
        let count = self.reports.len() as f64;
        let first = *self.reports.front()?;
        if self.reports.len() == 1 {
            return Some(first.0 + (at - first.1) / rate);
        }
        let mean = |of: fn(&(f64, f64)) -> f64| self.reports.iter().map(of).sum::<f64>() / count;
        let (time, stamp) = (mean(|r| r.0), mean(|r| r.1));
        let both: f64 = self.reports.iter().map(|r| (r.1 - stamp) * (r.0 - time)).sum();
        let square: f64 = self.reports.iter().map(|r| (r.1 - stamp) * (r.1 - stamp)).sum();
        Some(time + (at - stamp) * both / square)
    }
}

/// The errors that were seen: how much later than its sound a picture is shown, in seconds, with the time.
struct Seen {
    errors: Vec<(f64, f64)>,
}

impl Seen {
    /// `turn` is how far apart cuts are.
    fn check(&self, turn: f64, name: &str) {
        assert!(self.errors.len() > 100, "{name}: something was compared");
        for (at, error) in &self.errors {
            let lead = if at % turn < AFTER_CUT { MOST_LEAD_AFTER_CUT } else { MOST_LEAD };
            assert!((-MOST_LAG..=lead).contains(error), "{name}: {:.1} ms at {at:.2} s", error * 1e3);
        }
    }
}

/// Two people talk for 30 s; every `turn` seconds the other one is on the stage, and its voice in the slot `lead` before.
fn play(people: [Person; 2], turn: f64, lead: f64) -> Seen {
    const SECONDS: f64 = 30.0;
    let mut world = World::new();
    let start = world.start;
    let mut senders: Vec<Sender> = people
        .iter()
        .zip(1u32..)
        .map(|(is, name)| {
            let tracks = [video_track("v", vec![EncodingConfig::default()]), audio_track("a")];
            let tracks = tracks.into_iter().zip(0..);
            let tracks = tracks.map(|(track, index)| TrackConfig { csrc: Some(name * 2 + index), ..track });
            let id = world.shard.add_publisher(publisher(1, name, tracks.collect()), world.now).unwrap();
            let mut camera = Source::new(100 * name, "v");
            (camera.packets_per_frame, camera.payload_len) = (1, 200);
            Sender { is: *is, id, camera }
        })
        .collect();
    let config =
        SubscriberConfig { extensions: Extensions::new().with(Extension::Mid, 1), ..subscriber(1, 9) };
    let viewer = world.shard.add_subscriber(config, world.now).unwrap();
    let stage = SubscriptionConfig { slot: Some(SlotKind::Stage), ..video_subscription(FIRST, STAGE) };
    let voice = SubscriptionConfig { slot: Some(SlotKind::Voice), ..audio_subscription(FIRST, 1, VOICE) };
    let stage = world.shard.subscribe(viewer, stage, world.now).unwrap();
    let voice = world.shard.subscribe(viewer, voice, world.now).unwrap();

    // Everything that arrives: when, whose, what, and when it was captured.
    let mut arrivals: Vec<(f64, usize, What, f64)> = Vec::new();
    let mut random = Rng(5);
    for (index, is) in people.iter().enumerate() {
        let rate = 1.0 + is.drift / 1e6;
        let mut last = [0.0f64; 2];
        // Nothing overtakes what is of the same kind.
        let mut arrive = |kind: usize, at: f64| {
            let held = is.jitter * random.below(1_000) as f64 / 1e3;
            last[kind] = last[kind].max(at + is.delay + held);
            last[kind]
        };
        for frame in 0..(SECONDS * 30.0) as u32 {
            let at = f64::from(frame) / 30.0 / rate;
            arrivals.push((arrive(0, at + is.camera), index, What::Picture, at));
        }
        for number in 0..(SECONDS * 50.0) as u16 {
            let at = f64::from(number) * 0.02 / rate;
            arrivals.push((arrive(1, at + MICROPHONE_TAKES), index, What::Sound(number), at));
        }
        for second in 0..SECONDS as u32 {
            let at = 0.3 + f64::from(second);
            let held = match is.reports {
                Reports::FirstLate(first, _) if at < first => continue,
                Reports::FirstLate(first, by) if at < first + 1.0 => by,
                Reports::From(from) if at < from => continue,
                Reports::Never => continue,
                _ => is.jitter * random.below(1_000) as f64 / 1e3,
            };
            arrivals.push((at + is.delay + held, index, What::Reports, at));
        }
    }
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));

    let (mut lines, mut seen) = ([Line::default(), Line::default()], Seen { errors: Vec::new() });
    let (mut on_stage, mut heard) = (0, 0);
    // The last sound: whose, its time as the receiver knows it, less that of its capture.
    let mut sound: Option<(usize, f64)> = None;
    for (at, index, what, captured) in arrivals {
        world.advance((start + std::time::Duration::from_secs_f64(at)).duration_since(world.now));
        let turn_of = |at: f64| (at / turn) as usize % 2;
        if turn_of(at) != on_stage {
            on_stage = turn_of(at);
            world.shard.show(stage, Some(track(SourceId(on_stage as u32 + 1), 0)), world.now);
        }
        if turn_of(at + lead) != heard {
            heard = turn_of(at + lead);
            world.shard.show(voice, Some(track(SourceId(heard as u32 + 1), 1)), world.now);
        }
        world.settle();
        let sender = &mut senders[index];
        let clock = Sender::clock(&sender.is, captured);
        let instant = start + std::time::Duration::from_secs_f64(clock);
        match what {
            What::Picture => {
                for rtcp in world.out.take_rtcp(Peer(index as u32 + 1)) {
                    sender.camera.handle_rtcp(&rtcp);
                }
                for packet in sender.camera.frame(instant) {
                    world.rtp(sender.id, &packet);
                }
            }
            What::Sound(number) => world.rtp(sender.id, &sound_packet("a", number)),
            What::Reports => {
                let day = 3_900_000_000.0 + sender.is.ahead + clock;
                let ntp = ((day as u64) << 32) | (day.fract() * 4_294_967_296.0) as u64;
                let sound = (clock * 48_000.0) as u32;
                for (ssrc, rtp) in [(sender.camera.ssrc, sender.camera.timestamp(instant)), (77, sound)] {
                    let mut report = Vec::new();
                    let info = SenderInfo { ntp, rtp, packets: 1, octets: 1 };
                    rtp::rtcp::write::sender_report(&mut report, ssrc, &info);
                    let World { shard, now, out, .. } = &mut world;
                    shard.handle_publisher_rtcp(sender.id, &report, *now, out);
                }
            }
        }
        for rtcp in world.out.take_rtcp(PEER) {
            for packet in Compound::new(&rtcp) {
                let RtcpPacket::SenderReport { ssrc, info, .. } = packet else { continue };
                let seconds = (info.ntp >> 32) as f64 - 3_900_000_000.0;
                let time = seconds + (info.ntp & 0xffff_ffff) as f64 / 4_294_967_296.0;
                lines[usize::from(ssrc == VOICE)].report(time, info.rtp);
            }
        }
        // The last packet is that which has just come; those before it came from the ring.
        let sent = world.out.take_rtp(PEER);
        let Some(sent) = sent.last() else { continue };
        let timestamp = RtpPacket::parse(&sent.bytes).unwrap().timestamp;
        if sent.subscription == voice {
            sound = lines[1].time(timestamp, 48_000.0).map(|time| (index, time - captured));
        } else if let Some((_, of_sound)) = sound.filter(|(whose, _)| *whose == index)
            && let Some(time) = lines[0].time(timestamp, 90_000.0)
        {
            seen.errors.push((at, time - captured - of_sound));
        }
    }
    seen
}

const NEAR: Person = Person {
    drift: 40.0,
    ahead: 3_600.0,
    delay: 0.015,
    jitter: 0.010,
    camera: 0.025,
    reports: Reports::InTime,
};
const FAR: Person = Person {
    drift: -60.0,
    ahead: -1_000.0,
    delay: 0.180,
    jitter: 0.030,
    camera: 0.065,
    reports: Reports::InTime,
};
/// Seconds of a turn, and how long before it the voice changes.
const TURNS: [(f64, f64); 3] = [(5.0, 0.0), (5.0, 1.0), (2.3, 0.5)];

#[test]
fn near_and_far_in_turns() {
    for (turn, lead) in TURNS {
        play([NEAR, FAR], turn, lead).check(turn, &format!("turns of {turn} s, {lead} s before"));
    }
}

#[test]
fn reports_that_come_late_or_never() {
    for reports in [
        Reports::FirstLate(0.3, 0.4),
        Reports::FirstLate(3.3, 0.6),
        Reports::FirstLate(4.3, 0.4),
        Reports::From(17.2),
        Reports::Never,
    ] {
        for (turn, lead) in TURNS {
            let name = format!("{reports:?}, turns of {turn} s, {lead} s before");
            play([NEAR, Person { reports, ..FAR }], turn, lead).check(turn, &format!("far: {name}"));
            play([Person { reports, ..NEAR }, FAR], turn, lead).check(turn, &format!("near: {name}"));
            let both = [NEAR, FAR].map(|person| Person { reports, ..person });
            if reports != Reports::Never {
                play(both, turn, lead).check(turn, &format!("both: {name}"));
            }
        }
    }
}
