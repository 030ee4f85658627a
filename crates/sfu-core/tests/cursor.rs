//! Reading the ring from outside: in order, with a bounded wait for what is missing, and with words for what is not
//! there.

mod common;

use common::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtp::RtpPacket;
use sfu_core::*;

/// What a cursor said, with packets as their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Packet(u32, u64),
    StartedOver,
    Gap(u64),
    Lag(u64),
}

struct Tap {
    world: World,
    publisher: PublisherId,
    cursor: Cursor,
    said: Vec<Said>,
    /// When it has to be read again, if nothing comes before.
    until: Option<std::time::Instant>,
}

impl Tap {
    fn new(from: ReadFrom) -> Self {
        let mut world = World::new();
        let publisher = world.shard.add_publisher(video_publisher(1, 1), world.now).unwrap();
        let cursor = open(&world, publisher, from);
        Self { world, publisher, cursor, said: Vec::new(), until: None }
    }

    /// Reads until there is nothing.
    fn read(&mut self) {
        loop {
            let said = match self.world.shard.read(&mut self.cursor, self.world.now) {
                Read::Packet { run, number, packet, .. } => {
                    assert_eq!(RtpPacket::parse(packet).unwrap().sequence, number as u16);
                    Said::Packet(run, number)
                }
                Read::StartedOver => Said::StartedOver,
                Read::Gap(packets) => Said::Gap(packets),
                Read::Lag(packets) => Said::Lag(packets),
                Read::Wait(until) => return self.until = until,
                Read::Gone => panic!("the publisher is there"),
            };
            self.said.push(said);
        }
    }

    /// The sequence numbers that were read since the last call.
    fn take(&mut self) -> Vec<u16> {
        let numbers = std::mem::take(&mut self.said).into_iter();
        numbers
            .map(|said| if let Said::Packet(_, number) = said { number as u16 } else { panic!("{said:?}") })
            .collect()
    }
}

fn open(world: &World, publisher: PublisherId, from: ReadFrom) -> Cursor {
    let (track, encoding) = (TrackIndex(0), EncodingIndex(0));
    world.shard.open_cursor(publisher, track, encoding, from, TAP_PATIENCE, world.now).unwrap()
}

#[test]
fn packets_come_in_order_and_once_from_the_keyframe_or_from_now() {
    let mut tap = Tap::new(ReadFrom::Live);
    let mut source = Source::new(1000, "0");
    let first = source.sequence + 1;
    tap.world.send_frame(tap.publisher, &mut source);
    tap.read();
    assert_eq!(tap.take(), (first..first + 9).collect::<Vec<_>>());
    tap.world.advance(ms(40));
    tap.world.send_frame(tap.publisher, &mut source);
    tap.read();
    tap.read();
    assert_eq!(tap.take(), (first + 9..first + 12).collect::<Vec<_>>());
    // Who comes later begins with the keyframe, or with what comes next.
    tap.cursor = open(&tap.world, tap.publisher, ReadFrom::Keyframe);
    tap.read();
    assert_eq!(tap.take(), (first..first + 12).collect::<Vec<_>>());
    tap.cursor = open(&tap.world, tap.publisher, ReadFrom::Live);
    tap.read();
    assert_eq!((tap.take(), tap.until), (vec![], None));
    tap.world.shard.remove_publisher(tap.publisher, tap.world.now);
    assert_eq!(tap.world.shard.read(&mut tap.cursor, tap.world.now), Read::Gone);
}

#[test]
fn a_hole_is_waited_for_until_it_is_repaired() {
    let mut tap = Tap::new(ReadFrom::Live);
    let mut source = Source::new(1000, "0");
    tap.world.send_frame(tap.publisher, &mut source);
    let frame = source.frame(tap.world.now);
    let lost = source.sequence - 1;
    tap.world.rtp(tap.publisher, &frame[0]);
    tap.world.rtp(tap.publisher, &frame[2]);
    tap.read();
    assert_eq!(tap.take().last(), Some(&(lost - 1)));
    assert_eq!(tap.until, Some(tap.world.now + TAP_PATIENCE));
    tap.world.advance(ms(250));
    tap.read();
    assert_eq!(tap.take(), [0u16; 0]);
    let answer = source.retransmit(lost).unwrap();
    tap.world.rtp(tap.publisher, &answer);
    tap.read();
    assert_eq!(tap.take(), [lost, lost + 1]);
}

#[test]
fn a_hole_that_stays_is_given_up_after_300_ms_and_others_in_it_are_not_waited_for_longer() {
    let mut tap = Tap::new(ReadFrom::Live);
    let mut source = Source::new(1000, "0");
    source.packets_per_frame = 6;
    tap.world.send_frame(tap.publisher, &mut source);
    tap.read();
    tap.said.clear();
    let frame = source.frame(tap.world.now);
    let base = source.sequence - 5;
    // Of six the second, third and fifth are lost; the third comes again late, and does not prolong the wait.
    [0, 3, 5].into_iter().for_each(|index: usize| tap.world.rtp(tap.publisher, &frame[index]));
    let missed = tap.world.now;
    tap.world.advance(ms(200));
    let answer = source.retransmit(base + 2).unwrap();
    tap.world.rtp(tap.publisher, &answer);
    tap.read();
    assert_eq!(tap.take(), [base]);
    assert_eq!(tap.until, Some(missed + TAP_PATIENCE));
    tap.world.advance(ms(99));
    tap.read();
    assert_eq!(tap.take(), [0u16; 0]);
    tap.world.advance(ms(1));
    tap.read();
    let said: Vec<Said> = std::mem::take(&mut tap.said);
    let [Said::Gap(1), Said::Packet(run, third), rest @ ..] = &said[..] else { panic!("{said:?}") };
    assert_eq!(*third as u16, base + 2);
    assert_eq!(rest, [Said::Packet(*run, third + 1), Said::Gap(1), Said::Packet(*run, third + 3)]);
}

#[test]
fn where_nothing_is_repaired_only_reordering_is_waited_for() {
    let mut world = World::new();
    let publisher = world.shard.add_publisher(publisher(1, 1, vec![audio_track("0")]), world.now).unwrap();
    let cursor = open(&world, publisher, ReadFrom::Live);
    let mut tap = Tap { world, publisher, cursor, said: Vec::new(), until: None };
    for number in [1, 2, 4] {
        tap.world.rtp(publisher, &sound_packet("0", number));
    }
    tap.read();
    assert_eq!((tap.take(), tap.until), (vec![1, 2], Some(tap.world.now + REORDER_TOLERANCE)));
    tap.world.rtp(publisher, &sound_packet("0", 3));
    tap.read();
    assert_eq!(tap.take(), [3, 4]);
    tap.world.rtp(publisher, &sound_packet("0", 6));
    tap.world.advance(REORDER_TOLERANCE);
    tap.read();
    let [Said::Gap(1), Said::Packet(_, six)] = tap.said[..] else { panic!("{:?}", tap.said) };
    assert_eq!(six as u16, 6);
}

#[test]
fn what_is_left_of_a_run_comes_before_the_next() {
    let mut tap = Tap::new(ReadFrom::Live);
    let mut source = Source::new(1000, "0");
    tap.world.send_frame(tap.publisher, &mut source);
    tap.read();
    assert_eq!(tap.take().len(), 9);
    tap.world.send_frame(tap.publisher, &mut source);
    tap.world.shard.publisher_lost(tap.publisher, tap.world.now);
    tap.world.advance(ms(100));
    tap.world.shard.resume_publisher(tap.publisher, video_publisher(1, 1), tap.world.now).unwrap();
    let mut again = Source::new(2000, "0");
    tap.world.send_frame(tap.publisher, &mut again);
    tap.read();
    let said = std::mem::take(&mut tap.said);
    let over = said.iter().position(|said| *said == Said::StartedOver).unwrap();
    assert_eq!((over, said.len()), (3, 3 + 1 + 9));
    let [Said::Packet(before, last), _, Said::Packet(after, first)] = said[over - 1..=over + 1] else {
        panic!("{said:?}")
    };
    assert!(after > before && first > last, "{said:?}");
}

#[test]
fn who_reads_too_late_is_told_so() {
    let mut tap = Tap::new(ReadFrom::Live);
    let mut source = Source::new(1000, "0");
    tap.world.send_frame(tap.publisher, &mut source);
    tap.read();
    assert_eq!(tap.take().len(), 9);
    // Ten minutes of it: far more than a ring keeps.
    for _ in 0..6_000 {
        tap.world.advance(ms(100));
        tap.world.send_frame(tap.publisher, &mut source);
    }
    tap.read();
    let [Said::Lag(lost), rest @ ..] = &tap.said[..] else { panic!("{:?}", tap.said.first()) };
    assert!(rest.iter().all(|said| matches!(said, Said::Packet(..))));
    assert_eq!(*lost as usize + rest.len(), 18_000);
    assert!(rest.len() >= 30, "a second is kept");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(8), ..ProptestConfig::default() })]

    /// Whatever is lost, repaired, restarted and whenever it is read: numbers only go up, every number is a packet or
    /// part of a gap, and nothing is waited for longer than 300 ms.
    #[test]
    fn every_number_is_accounted_for(
        seed in any::<u64>(),
        loss in 0u64..50,
        runs in prop::collection::vec((1usize..60, any::<u32>()), 1..4),
        read_every in 1u64..400,
    ) {
        let mut tap = Tap::new(ReadFrom::Live);
        let mut rng = Rng(seed);
        let mut next_read = 0;
        let mut at = 0;
        let mut sent = 0;
        let several = runs.len() > 1;
        let all_seen = runs.iter().all(|(frames, _)| *frames as u64 * 33 > read_every);
        for (frames, ssrc) in runs {
            let mut source = Source::new(ssrc >> 1, "0");
            tap.world.shard.resume_publisher(tap.publisher, video_publisher(1, 1), tap.world.now).unwrap();
            let mut answers: Vec<(u64, Vec<u8>)> = Vec::new();
            for number in 0..frames {
                for packet in source.frame(tap.world.now) {
                    sent += 1;
                    // The first and the last of a run come, so that all its numbers are known.
                    if number == 0 || number + 1 == frames || rng.below(100) >= loss {
                        tap.world.rtp(tap.publisher, &packet);
                    }
                }
                for _ in 0..33 {
                    at += 1;
                    tap.world.advance(ms(1));
                    for rtcp in tap.world.out.take_rtcp(Peer(1)) {
                        for answer in source.handle_rtcp(&rtcp) {
                            if rng.below(100) < 70 {
                                answers.push((at + rng.below(400), answer));
                            }
                        }
                    }
                    let due: Vec<Vec<u8>> =
                        answers.extract_if(.., |(when, _)| *when <= at).map(|(_, answer)| answer).collect();
                    due.iter().for_each(|answer| tap.world.rtp(tap.publisher, answer));
                    if at >= next_read {
                        tap.read();
                        next_read = at + read_every;
                        prop_assert!(tap.until.is_none_or(|until| until <= tap.world.now + TAP_PATIENCE));
                    }
                }
            }
        }
        tap.world.advance(ms(300));
        tap.read();
        prop_assert_eq!(tap.until, None);
        let (mut last, mut accounted, mut passed) = (None, 0, 0);
        for said in &tap.said {
            match *said {
                Said::Packet(run, number) => {
                    if let Some((last_run, last)) = last {
                        prop_assert!(number > last && run >= last_run);
                        prop_assert!(run > last_run || number == last + passed + 1);
                    }
                    last = Some((run, number));
                    (accounted, passed) = (accounted + 1, 0);
                }
                Said::Gap(packets) | Said::Lag(packets) => {
                    accounted += packets;
                    passed += packets;
                }
                Said::StartedOver => passed = 0,
            }
        }
        // A run that came and went between two looks is one of those that have started over.
        prop_assert!(if all_seen { accounted == sent } else { accounted <= sent }, "{accounted} of {sent}");
        // The numbers of a new run may take the places of those before it, while a hole of that one is waited for.
        prop_assert!(several || !tap.said.iter().any(|said| matches!(said, Said::Lag(_))));
    }
}
