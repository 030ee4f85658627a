//! What a board refuses, and that what it refuses changes nothing: neither the document nor what is known of it.

use board::{Author, Board, ClientId, Malformed, Refusal, Room, What};
use proptest::prelude::*;

/// Writes updates by hand.
#[derive(Default, Clone, Debug)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn number(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(0x80 | (number & 0x7f) as u8);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn numbers(self, numbers: &[u64]) -> Self {
        numbers.iter().fold(self, |bytes, number| bytes.number(*number))
    }

    fn string(self, string: &str) -> Self {
        let mut bytes = self.number(string.len() as u64);
        bytes.0.extend_from_slice(string.as_bytes());
        bytes
    }

    fn raw(mut self, raw: &[u8]) -> Self {
        self.0.extend_from_slice(raw);
        self
    }

    /// `operations` of one client from a number on, and nothing deleted.
    fn update(client: u64, clock: u64, operations: &[Bytes]) -> Vec<u8> {
        let head = Self::default().numbers(&[1, operations.len() as u64, client, clock]);
        operations.iter().fold(head, |bytes, operation| bytes.raw(&operation.0)).number(0).0
    }

    /// An operation under a key of a root.
    fn under(root: &str, key: &str, kind: u8) -> Self {
        Self::default().raw(&[0x20 | kind]).number(1).string(root).string(key)
    }

    /// An operation under a key of a shared map.
    fn inside(client: u64, clock: u64, key: &str, kind: u8) -> Self {
        Self::default().raw(&[0x20 | kind]).numbers(&[0, client, clock]).string(key)
    }

    /// An operation next to others.
    fn beside(left: Option<(u64, u64)>, right: Option<(u64, u64)>, kind: u8) -> Self {
        let info = kind | if left.is_some() { 0x80 } else { 0 } | if right.is_some() { 0x40 } else { 0 };
        let ids = [left, right].into_iter().flatten();
        ids.fold(Self::default().raw(&[info]), |bytes, (client, clock)| bytes.numbers(&[client, clock]))
    }

    fn map(self) -> Self {
        self.raw(&[1])
    }

    fn text_type(self) -> Self {
        self.raw(&[2])
    }

    /// One whole number.
    fn value(self) -> Self {
        self.raw(&[1, 125, 7])
    }
}

const VALUES: u8 = 8;
const TYPE: u8 = 7;
const TEXT: u8 = 4;
const DELETED: u8 = 1;

fn anna() -> Author {
    Author("par_anna".into())
}

fn opened() -> (Board, ClientId) {
    let mut board = Board::new(1);
    let id = board.admit(anna()).unwrap();
    (board, id)
}

/// That it is refused with `expected` and nothing has changed by it.
#[track_caller]
fn refused(board: &mut Board, id: ClientId, update: &[u8], expected: &Refusal) {
    let before = (board.whole(), board.has(id));
    assert_eq!(board.apply(&anna(), id, update).as_ref(), Err(expected));
    assert_eq!((board.whole(), board.has(id)), before);
}

#[track_caller]
fn malformed(update: &[u8], what: What) {
    let (mut board, id) = opened();
    match board.apply(&anna(), id, update) {
        Err(Refusal::Malformed(Malformed { what: found, .. })) => assert_eq!(found, what),
        other => panic!("{other:?}"),
    }
    assert_eq!(board.has(id), 0);
}

#[test]
fn an_honest_update_is_taken() {
    let (mut board, id) = opened();
    let update = Bytes::update(id.0, 0, &[Bytes::under("objects", "a", VALUES).value()]);
    assert_eq!(board.apply(&anna(), id, &update), Ok(Room::Free));
    assert_eq!(board.has(id), 1);
    assert_eq!(board.entries("objects")["a"], 7);
}

#[test]
fn lists_inside_of_lists_end_at_the_limit() {
    let nested = |depth: usize| {
        let mut bytes = Bytes::under("objects", "a", VALUES).number(1);
        for _ in 0..depth {
            bytes = bytes.raw(&[117, 1]);
        }
        Bytes::update(2, 0, &[bytes.raw(&[126])])
    };
    malformed(&nested(6_000), What::Depth);
    malformed(&nested(usize::from(board::MAX_DEPTH) + 1), What::Depth);
    let (mut board, id) = opened();
    assert_eq!(id, ClientId(2));
    assert_eq!(board.apply(&anna(), id, &nested(usize::from(board::MAX_DEPTH))), Ok(Room::Free));
}

#[test]
fn counts_and_lengths_are_not_believed() {
    malformed(&[0x80, 0x84, 0xaf, 0x5f], What::Length);
    malformed(&Bytes::default().numbers(&[1, 100_000_000, 2, 0]).0, What::Length);
    malformed(&Bytes::default().numbers(&[0, 100_000_000]).0, What::Length);
    malformed(&Bytes::default().numbers(&[0, 1, 2, 90_000_000]).0, What::Length);
    for kind in [116, 117, 118, 119] {
        let value = Bytes::under("objects", "a", VALUES).raw(&[1, kind]).number(1 << 40);
        malformed(&Bytes::update(2, 0, &[value]), What::Length);
    }
    let values = Bytes::under("objects", "a", VALUES).number(u64::from(u32::MAX));
    malformed(&Bytes::update(2, 0, &[values]), What::Length);
    malformed(&[0xff; 12], What::Number);
    malformed(&[], What::Short);
    malformed(&[0, 0, 0], What::Trailing);
}

#[test]
fn what_is_on_no_board_is_refused() {
    // JSON, embedded things, marks of formatted text, documents, a part that is left out, and what there is not.
    for kind in [2, 5, 6, 9, 10, 11, 31] {
        malformed(&Bytes::update(2, 0, &[Bytes::under("objects", "a", kind).string("{}")]), What::Kind);
    }
    // Arrays, XML, weak links.
    for shared in [0, 3, 4, 5, 6, 7, 9, 15] {
        malformed(&Bytes::update(2, 0, &[Bytes::under("objects", "a", TYPE).raw(&[shared])]), What::Kind);
    }
    malformed(&Bytes::update(2, 0, &[Bytes::under("objects", &"k".repeat(200), VALUES).value()]), What::Name);
    malformed(&Bytes::update(2, 0, &[]), What::Part);
    let bad = Bytes::under("objects", "a", VALUES).raw(&[1, 119, 2, 0xc3, 0x28]);
    malformed(&Bytes::update(2, 0, &[bad]), What::Utf8);
    let (mut board, id) = opened();
    let root = Bytes::update(id.0, 0, &[Bytes::under("elsewhere", "a", VALUES).value()]);
    refused(&mut board, id, &root, &Refusal::Root);
}

#[test]
fn nobody_draws_as_somebody_else() {
    let (mut board, id) = opened();
    let other = board.admit(Author("par_bert".into())).unwrap();
    let update = Bytes::update(other.0, 0, &[Bytes::under("objects", "a", VALUES).value()]);
    refused(&mut board, id, &update, &Refusal::Foreign);
    refused(&mut board, other, &update, &Refusal::NotAdmitted);
    refused(&mut board, ClientId(99), &update, &Refusal::NotAdmitted);
    refused(&mut board, ClientId(1), &update, &Refusal::NotAdmitted);
    // Also beside operations of one's own.
    let own = Bytes::under("objects", "a", VALUES).value();
    let both = Bytes::default().numbers(&[2, 1, id.0, 0]).raw(&own.0).numbers(&[1, other.0, 0]).raw(&own.0);
    refused(&mut board, id, &both.number(0).0, &Refusal::Foreign);
}

#[test]
fn nothing_waits_for_what_may_never_come() {
    let (mut board, id) = opened();
    let value = || Bytes::under("objects", "a", VALUES).value();
    refused(&mut board, id, &Bytes::update(id.0, 1, &[value()]), &Refusal::Gap { has: 0 });
    let inside = |client, clock| Bytes::update(id.0, 0, &[Bytes::inside(client, clock, "k", VALUES).value()]);
    refused(&mut board, id, &inside(7, 3), &Refusal::Unknown((7, 0)));
    refused(&mut board, id, &inside(id.0, 0), &Refusal::Unknown((id.0, 0)));
    refused(&mut board, id, &inside(id.0, 5), &Refusal::Unknown((id.0, 5)));
    let beside = Bytes::update(id.0, 0, &[Bytes::beside(Some((9, 0)), None, VALUES).value()]);
    refused(&mut board, id, &beside, &Refusal::Unknown((9, 0)));
    // Deleting what is not there.
    let deletes = Bytes::default().numbers(&[0, 1, id.0, 1, 0, 1]).0;
    refused(&mut board, id, &deletes, &Refusal::Unknown((id.0, 0)));
    // Numbers that end beyond what they can be.
    let far =
        Bytes::default().numbers(&[1, 1, id.0, u64::from(board::MAX_CLOCK)]).raw(&value().0).number(0).0;
    malformed(&far, What::Number);
    let long = Bytes::default().raw(&[0]).number(u64::from(u32::MAX));
    malformed(&Bytes::update(id.0, 0, &[long]), What::Number);
}

#[test]
fn shared_types_inside_of_each_other_end_at_the_limit() {
    let (mut board, id) = opened();
    let first = Bytes::update(id.0, 0, &[Bytes::under("objects", "a", TYPE).map()]);
    assert_eq!(board.apply(&anna(), id, &first), Ok(Room::Free));
    for depth in 1..u64::from(board::MAX_DEPTH) {
        let next = Bytes::update(id.0, depth, &[Bytes::inside(id.0, depth - 1, "k", TYPE).map()]);
        assert_eq!(board.apply(&anna(), id, &next), Ok(Room::Free), "{depth}");
    }
    let depth = u64::from(board::MAX_DEPTH);
    let last = Bytes::update(id.0, depth, &[Bytes::inside(id.0, depth - 1, "k", TYPE).map()]);
    refused(&mut board, id, &last, &Refusal::Depth);
    // All of them in one update as well, and then none of it has been taken.
    let (mut board, id) = opened();
    let mut all = vec![Bytes::under("objects", "a", TYPE).map()];
    all.extend((0..40).map(|above| Bytes::inside(id.0, above, "k", TYPE).map()));
    refused(&mut board, id, &Bytes::update(id.0, 0, &all), &Refusal::Depth);
    let fine = Bytes::update(id.0, 0, &all[..2]);
    assert_eq!(board.apply(&anna(), id, &fine), Ok(Room::Free));
}

#[test]
fn places_are_not_tied_together() {
    let (mut board, id) = opened();
    let here = id.0;
    let start = Bytes::update(
        here,
        0,
        &[
            Bytes::under("objects", "a", TYPE).map(),
            Bytes::inside(here, 0, "x", VALUES).value(),
            Bytes::inside(here, 0, "y", VALUES).value(),
            Bytes::inside(here, 0, "t", TYPE).text_type(),
            Bytes::under("objects", "b", VALUES).value(),
        ],
    );
    assert_eq!(board.apply(&anna(), id, &start), Ok(Room::Free));
    let next = |operation: Bytes| Bytes::update(here, 5, &[operation]);
    // Keys of one map, maps, the text's list and the key that it is under.
    for (left, right) in [(1, 2), (1, 4), (0, 1), (0, 4), (3, 1)] {
        let tied = next(Bytes::beside(Some((here, left)), Some((here, right)), VALUES).value());
        refused(&mut board, id, &tied, &Refusal::Crossed);
    }
    // A value is no parent, a text takes no values and no keys, a map takes no text and nothing without a key.
    for wrong in [
        Bytes::inside(here, 1, "k", VALUES).value(),
        Bytes::inside(here, 3, "k", VALUES).value(),
        Bytes::inside(here, 3, "k", TEXT).string("a"),
        Bytes::inside(here, 0, "k", TEXT).string("a"),
        Bytes::default().raw(&[VALUES]).numbers(&[0, here, 3]).value(),
        Bytes::default().raw(&[VALUES]).numbers(&[0, here, 0]).value(),
        Bytes::default().raw(&[VALUES]).number(1).string("objects").value(),
    ] {
        refused(&mut board, id, &next(wrong), &Refusal::Misplaced);
    }
    // The rest of what is known in part goes where the known part is.
    let rest = Bytes::update(here, 4, &[Bytes::inside(here, 0, "x", VALUES).raw(&[2, 126, 126])]);
    refused(&mut board, id, &rest, &Refusal::Crossed);
    // All of these were fine but for their place.
    let text = next(Bytes::default().raw(&[TEXT]).numbers(&[0, here, 3]).string("\u{1f58a}"));
    assert_eq!(board.apply(&anna(), id, &text), Ok(Room::Free));
    assert_eq!(board.has(id), 7);
    // In the middle of what JavaScript takes for two letters.
    let middle = Bytes::update(here, 7, &[Bytes::beside(Some((here, 5)), Some((here, 6)), TEXT).string("x")]);
    assert_eq!(board.apply(&anna(), id, &middle), Ok(Room::Free));
    assert!(board.entries("objects")["a"]["t"].as_str().is_some_and(|text| text.contains('x')));
}

#[test]
fn what_is_put_into_something_deleted_is_gone() {
    let (mut board, id) = opened();
    let here = id.0;
    let start = [Bytes::under("objects", "a", TYPE).map(), Bytes::inside(here, 0, "x", VALUES).value()];
    assert_eq!(board.apply(&anna(), id, &Bytes::update(here, 0, &start)), Ok(Room::Free));
    let other = board.admit(Author("par_bert".into())).unwrap();
    let erased = Bytes::default().numbers(&[0, 1, here, 1, 0, 2]).0;
    assert_eq!(board.apply(&Author("par_bert".into()), other, &erased), Ok(Room::Free));
    // Bert has erased what Anna, who has not heard of it, writes on: before and after a restart.
    let late = [
        Bytes::inside(here, 0, "y", TYPE).map(),
        Bytes::inside(here, 2, "z", VALUES).value(),
        Bytes::beside(Some((here, 1)), None, VALUES).value(),
    ];
    let whole = board.whole();
    let clients = [(id, anna()), (other, Author("par_bert".into()))];
    let mut again = Board::restored(1, [whole.as_slice()], clients).unwrap();
    for board in [&mut board, &mut again] {
        assert_eq!(board.apply(&anna(), id, &Bytes::update(here, 2, &late)), Ok(Room::Free));
        assert!(board.entries("objects").is_empty());
    }
    assert!(again.admit(anna()).unwrap() > other);
}

#[test]
fn a_full_board_takes_deletions_only() {
    let (mut board, id) = opened();
    let big = "x".repeat(board::MAX_UPDATE - 200);
    let (mut taken, mut has_said) = (0, false);
    let full = loop {
        let value = Bytes::under("objects", &format!("o{taken}"), VALUES).raw(&[1, 119]).string(&big);
        match board.apply(&anna(), id, &Bytes::update(id.0, taken, &[value])) {
            Ok(room) => has_said |= room == Room::NearlyFull,
            Err(refusal) => break refusal,
        }
        taken += 1;
        assert!(taken < 20);
    };
    assert_eq!(full, Refusal::Full);
    assert!(has_said && board.whole().len() <= board::MAX_BOARD);
    let erased = Bytes::default().numbers(&[0, 1, id.0, 1, 0, taken]).0;
    assert_eq!(board.apply(&anna(), id, &erased), Ok(Room::NearlyFull));
    let small = Bytes::update(id.0, taken, &[Bytes::under("objects", "s", VALUES).value()]);
    // Room is counted anew when it is needed.
    assert_eq!(board.apply(&anna(), id, &small).map(|_| ()), Ok(()));
    assert_eq!(board.entries("objects").len(), 1);
    let huge = vec![0; board::MAX_UPDATE + 1];
    refused(&mut board, id, &huge, &Refusal::TooLong);
}

#[test]
fn a_state_that_claims_much_is_refused() {
    let (board, _) = opened();
    for state in [&[0x80, 0x84, 0xaf, 0x5f][..], &[1], &[], &[0, 0], &[1, 2, 3, 4]] {
        assert!(board.missing(state).is_err(), "{state:?}");
    }
    assert!(board.missing(&[0]).is_ok());
}

/// Updates that nearly are what clients send.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let place = prop_oneof![
        Just(Bytes::under("objects", "a", 0)),
        Just(Bytes::under("objects", "b", 0)),
        (0_u64..8).prop_map(|clock| Bytes::inside(2, clock, "k", 0)),
        (0_u64..8, 0_u64..8).prop_map(|(left, right)| Bytes::beside(Some((2, left)), Some((2, right)), 0)),
        (0_u64..8).prop_map(|left| Bytes::beside(Some((2, left)), None, 0)),
        (0_u64..8).prop_map(|right| Bytes::beside(None, Some((2, right)), 0)),
        (0_u64..8).prop_map(|clock| Bytes::default().raw(&[0]).numbers(&[0, 2, clock])),
    ];
    let content = prop_oneof![
        Just((VALUES, Bytes::default().value())),
        Just((TYPE, Bytes::default().map())),
        Just((TYPE, Bytes::default().text_type())),
        (0_u64..4).prop_map(|length| (DELETED, Bytes::default().number(length))),
        "[ab\u{1f58a}]{0,3}".prop_map(|text| (TEXT, Bytes::default().string(&text))),
    ];
    let operation = (place, content).prop_map(|(mut place, (kind, content))| {
        place.0[0] |= kind;
        place.raw(&content.0)
    });
    let operation = prop_oneof![
        9 => operation,
        1 => (0_u64..4).prop_map(|length| Bytes::default().raw(&[0]).number(length)),
    ];
    let deletes = prop::collection::vec((0_u64..9, 0_u64..3), 0..3);
    (0_u64..3, prop::collection::vec(operation, 0..5), deletes, any::<(u8, u8)>()).prop_map(
        |(clock, operations, deletes, (at, flip))| {
            let clients = u64::from(!operations.is_empty());
            let mut bytes = Bytes::default().number(clients);
            if clients > 0 {
                bytes = bytes.numbers(&[operations.len() as u64, 2, clock]);
            }
            bytes = operations.iter().fold(bytes, |bytes, operation| bytes.raw(&operation.0));
            bytes = bytes.number(u64::from(!deletes.is_empty()));
            if !deletes.is_empty() {
                bytes = bytes.numbers(&[2, deletes.len() as u64]);
                bytes = deletes.iter().fold(bytes, |bytes, (from, length)| bytes.numbers(&[*from, *length]));
            }
            // One in eight is spoiled somewhere.
            if at < 32
                && let Some(byte) = bytes.0.get_mut(usize::from(at))
            {
                *byte ^= flip;
            }
            bytes.0
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    /// Whatever comes is refused without a trace, or taken so that the board can be stored and read again.
    #[test]
    fn what_is_taken_can_be_read_again(updates in prop::collection::vec(nearly(), 1..8)) {
        let (mut board, id) = opened();
        for update in &updates {
            // As a page does that goes on from where the board is.
            let mut update = update.clone();
            if update.first() == Some(&1) && let Some(clock) = update.get_mut(3) {
                *clock = clock.saturating_add(u8::try_from(board.has(id)).unwrap_or(100)).min(120);
            }
            let before = (board.whole(), board.has(id));
            if board.apply(&anna(), id, &update).is_err() {
                prop_assert_eq!((board.whole(), board.has(id)), before);
            }
        }
        let whole = board.whole();
        let again = Board::restored(1, [whole.as_slice()], []).unwrap();
        prop_assert_eq!(again.entries("objects"), board.entries("objects"));
        prop_assert_eq!(again.has(id), board.has(id));
        let compacted = board.compacted();
        prop_assert_eq!(compacted.entries("objects"), board.entries("objects"));
    }
}

#[test]
fn nothing_is_between_what_is_gone_and_what_is_there() {
    let (mut board, id) = opened();
    let gone = Bytes::default().raw(&[0]).number(1);
    let live = Bytes::under("objects", "b", TYPE).map();
    for (left, right) in [(1, 0), (0, 1)] {
        // Whoever takes it for gone counts nothing inside of it; whoever takes it for there nests without an end.
        let mut operations = vec![
            gone.clone(),
            live.clone(),
            Bytes::beside(Some((id.0, left)), Some((id.0, right)), TYPE).map(),
        ];
        operations.extend((2..90).map(|clock| Bytes::inside(id.0, clock, "k", TYPE).map()));
        refused(&mut board, id, &Bytes::update(id.0, 0, &operations), &Refusal::Crossed);
    }
    let two = [gone.clone(), gone, Bytes::beside(Some((id.0, 0)), Some((id.0, 1)), TYPE).map()];
    assert_eq!(board.apply(&anna(), id, &Bytes::update(id.0, 0, &two)), Ok(Room::Free));
    assert!(board.entries("objects").is_empty());
}

#[test]
fn what_is_deleted_is_named_in_order() {
    let (mut board, id) = opened();
    let text = Bytes::under("objects", "a", TYPE).text_type();
    let letters = Bytes::default().raw(&[TEXT]).numbers(&[0, id.0, 0]).string("abcdef");
    let update = Bytes::update(id.0, 0, &[text, letters]);
    assert_eq!(board.apply(&anna(), id, &update), Ok(Room::Free));
    let deleting = |ranges: &[[u64; 2]]| {
        let head = Bytes::default().numbers(&[0, 1, id.0, ranges.len() as u64]);
        ranges.iter().fold(head, |bytes, range| bytes.numbers(range)).0
    };
    for ranges in [[[5, 1], [3, 1]], [[3, 2], [4, 1]]] {
        let (whole, update) = (board.whole(), deleting(&ranges));
        let refusal = board.apply(&anna(), id, &update);
        assert!(matches!(refusal, Err(Refusal::Malformed(_))), "{refusal:?}");
        assert_eq!(board.whole(), whole);
    }
    assert_eq!(board.apply(&anna(), id, &deleting(&[[1, 1], [3, 2]])), Ok(Room::Free));
    assert_eq!(board.entries("objects")["a"], "bef");
}
