use contract::call::{Binding, MissingSource};

use super::super::settings::Call;
use super::super::talk::Conversation;
use super::*;

const OWN: u32 = 1;

struct Bench {
    slots: Slots,
    totals: Totals,
    now: Instant,
    sequence: u64,
}

fn bench() -> Bench {
    let owners = Arc::default();
    let seat = Seat::new(OWN, 0, &Arc::new(Conversation::new(&Call::default())), &owners, false);
    for (csrc, owner) in [(10, 5), (12, 6), (14, 7), (2, OWN)] {
        owners.add(csrc, owner);
    }
    let kinds = [
        ("0".to_owned(), SlotKind::Tile),
        ("1".to_owned(), SlotKind::Tile),
        ("2".to_owned(), SlotKind::Voice),
    ];
    let mut slots = Slots::new(Arc::new(seat), kinds);
    slots.hears();
    Bench { slots, totals: Totals::default(), now: Instant::now(), sequence: 100 }
}

impl Bench {
    fn bind(&mut self, generation: u32, slots: &[(&str, u32, Option<u32>)]) {
        let binding = |(mid, source, from): &(&str, u32, Option<u32>)| Binding {
            mid: (*mid).into(),
            source: *source,
            participant: "par_x".parse().unwrap(),
            from: *from,
        };
        let slots = slots.iter().map(binding).collect();
        let bound = Bound { generation, slots, ..Bound::default() };
        self.slots.bind(&bound, self.now, &mut self.totals);
    }

    /// A frame of one packet that was shown.
    fn frame(&mut self, slot: usize, csrc: u32, timestamp: u32, starts_key: bool) {
        self.sequence += 1;
        let (sequence, shown) = (self.sequence, self.sequence);
        self.packet(Taken { csrc: Some(csrc), timestamp, starts_key, shown, ..taken(slot, sequence) });
    }

    fn packet(&mut self, taken: Taken) {
        self.slots.take(taken, self.now, &mut self.totals);
    }

    fn aim(&mut self, pictures: &[u32], voices: usize) {
        let goal = Goal { asked: self.now, pictures: pictures.to_vec(), voices, kind: GoalKind::Join };
        self.slots.aim(goal, self.now, &mut self.totals);
    }
}

fn taken(slot: usize, sequence: u64) -> Taken {
    Taken {
        slot,
        csrc: None,
        timestamp: 0,
        sequence,
        starts_key: false,
        ends_frame: true,
        shown: 0,
        tag: None,
        delay: None,
    }
}

#[test]
fn a_join_is_complete_with_whole_keyframes_of_what_was_bound_and_the_voices() {
    let mut bench = bench();
    bench.aim(&[10, 12], 1);
    bench.bind(1, &[("0", 10, None), ("1", 12, None)]);
    bench.frame(0, 10, 5, true);
    bench.frame(1, 12, 5, false);
    bench.frame(2, 14, 5, true);
    assert!(bench.slots.is_waiting(), "a picture has no keyframe, and the voice is not bound");
    bench.bind(2, &[("0", 10, None), ("1", 12, None), ("2", 14, None)]);
    let begun = Taken { csrc: Some(12), starts_key: true, shown: 0, ..taken(1, 500) };
    bench.packet(begun);
    assert!(bench.slots.is_waiting(), "it has begun and is not whole");
    bench.packet(Taken { csrc: Some(12), shown: 501, ..taken(1, 501) });
    assert!(!bench.slots.is_waiting());
    assert_eq!(bench.totals.join_time.count(), 1);
}

#[test]
fn who_is_not_there_is_not_waited_for() {
    let mut bench = bench();
    bench.aim(&[10, 12], 0);
    bench.bind(1, &[("0", 10, None)]);
    bench.frame(0, 10, 5, true);
    assert!(bench.slots.is_waiting());
    let missing = vec![MissingSource { source: 12, slot: SlotKind::Tile, why: WhyMissing::Absent }];
    let bound = Bound { generation: 2, missing, ..Bound::default() };
    let slots =
        vec![Binding { mid: "0".into(), source: 10, participant: "par_x".parse().unwrap(), from: None }];
    bench.slots.bind(&Bound { slots, ..bound }, bench.now, &mut bench.totals);
    assert!(!bench.slots.is_waiting());
}

#[test]
fn a_slot_shows_what_it_showed_until_the_timestamp_of_the_next() {
    let mut bench = bench();
    bench.bind(1, &[("0", 10, Some(0))]);
    bench.frame(0, 10, 100, true);
    bench.bind(2, &[("0", 12, None)]);
    bench.frame(0, 10, 200, false);
    bench.bind(3, &[("0", 12, Some(300))]);
    bench.frame(0, 10, 299, false);
    bench.frame(0, 12, 300, true);
    assert_eq!(bench.totals.early_frames, 0);
    bench.frame(0, 10, 301, false);
    assert_eq!((bench.totals.early_frames, bench.totals.unnamed_sources), (1, 0));
    // An old message changes nothing.
    bench.bind(2, &[("0", 10, None)]);
    bench.frame(0, 12, 400, true);
    assert_eq!((bench.totals.early_frames, bench.totals.judged_frames), (1, 6));
}

#[test]
fn what_comes_ahead_of_its_message_is_named_by_it_or_never() {
    let mut bench = bench();
    bench.frame(0, 10, 100, true);
    bench.frame(0, 12, 200, true);
    bench.bind(1, &[("0", 12, Some(200))]);
    assert_eq!((bench.totals.early_frames, bench.totals.unnamed_sources), (2, 1));
    bench.packet(taken(0, 900));
    assert_eq!(bench.totals.nameless, 1);
}

#[test]
fn the_payload_says_whose_it_is() {
    let mut bench = bench();
    bench.bind(1, &[("2", 10, None)]);
    let of = |caller, utterance, packet| Taken {
        csrc: Some(10),
        tag: Some(Tag { caller, utterance, packet }),
        ..taken(2, 700)
    };
    bench.packet(of(5, 1, 0));
    bench.packet(of(5, 1, 3));
    bench.packet(of(5, 1, 4));
    bench.packet(of(5, 2, 1));
    assert_eq!((bench.totals.foreign_packets, bench.totals.utterances_heard), (0, 2));
    assert_eq!(bench.totals.onset_lost.count(), 2);
    assert!(bench.totals.onset_lost.quantile(1.0).is_some_and(|us| (40_000..42_000).contains(&us)));
    bench.packet(of(6, 9, 0));
    assert_eq!((bench.totals.foreign_packets, bench.totals.heard_itself), (1, 0));
    bench.packet(Taken { csrc: Some(2), ..of(OWN, 9, 0) });
    assert_eq!((bench.totals.foreign_packets, bench.totals.heard_itself), (1, 1));
}
