use proptest::prelude::*;

use super::*;

fn pair(port: u16) -> AddressPair {
    AddressPair {
        protocol: Protocol::Udp,
        local: ([127, 0, 0, 1], 1).into(),
        remote: ([127, 0, 0, 1], port).into(),
    }
}

const STALE: Duration = Duration::from_secs(15);
const CHECK: Check = Check { nominates: false, proves: false };
const NOMINATION: Check = Check { nominates: true, proves: false };

#[test]
fn before_the_peer_is_known_the_first_check_selects_and_a_nomination_moves() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    let first = pairs.checked(pair(10), CHECK, STALE, now);
    assert_eq!((first.added, first.selected), (Some(pair(10)), Some(pair(10))));
    let second = pairs.checked(pair(11), CHECK, STALE, now);
    assert_eq!((second.added, second.selected), (Some(pair(11)), None));
    assert_eq!(pairs.checked(pair(11), NOMINATION, STALE, now).selected, Some(pair(11)));
    assert_eq!(pairs.checked(pair(11), NOMINATION, STALE, now), PairChange::default());
    assert!(pairs.allows(pair(10)) && !pairs.allows(pair(12)));
}

/// Media begins where the handshake ended, and moves when the peer is heard at the place that it nominated.
#[test]
fn media_moves_to_where_the_peer_is_heard() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    assert_eq!(pairs.connected(pair(10)), PairChange::default());
    assert_eq!(pairs.checked(pair(11), NOMINATION, STALE, now).selected, None, "only a check says so");
    assert_eq!(pairs.heard(pair(10)), PairChange::default(), "what was under way");
    assert_eq!(pairs.selected(), Some(pair(10)));
    assert_eq!(pairs.heard(pair(11)).selected, Some(pair(11)));
    assert_eq!(pairs.heard(pair(10)).selected, None, "what was under way does not move it back");
    // Back to where it has been before, it need not be heard again.
    assert_eq!(pairs.checked(pair(10), NOMINATION, STALE, now).selected, Some(pair(10)));
}

#[test]
fn a_nomination_that_is_taken_back_moves_nothing() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    pairs.connected(pair(10));
    pairs.checked(pair(11), NOMINATION, STALE, now);
    pairs.checked(pair(10), NOMINATION, STALE, now);
    assert_eq!(pairs.heard(pair(11)).selected, None);
}

#[test]
fn the_handshake_may_end_elsewhere_than_was_nominated() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), CHECK, STALE, now);
    pairs.checked(pair(11), NOMINATION, STALE, now);
    assert_eq!(pairs.connected(pair(10)).selected, Some(pair(10)));
    assert_eq!(pairs.heard(pair(11)).selected, Some(pair(11)), "where it was nominated");
}

/// A router that gives the client another port: its checks come from there, without a nomination of their own.
#[test]
fn a_silent_selected_pair_gives_way_to_one_where_the_peer_is() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    pairs.connected(pair(10));
    pairs.checked(pair(11), CHECK, STALE, now + STALE / 2);
    assert_eq!(pairs.heard(pair(11)).selected, None);
    assert_eq!(pairs.checked(pair(11), CHECK, STALE, now + STALE).selected, None);
    assert_eq!(pairs.heard(pair(11)).selected, Some(pair(11)));
}

#[test]
fn an_answer_to_a_check_of_ours_is_proof_enough() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    pairs.connected(pair(10));
    let answer = Check { nominates: true, proves: true };
    assert_eq!(pairs.checked(pair(11), answer, STALE, now).selected, Some(pair(11)));
}

#[test]
fn an_address_is_held_while_it_is_proven_and_checked() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    assert!(!pairs.holds(pair(10).remote, now), "nobody is authenticated yet");
    pairs.connected(pair(10));
    pairs.checked(pair(11), NOMINATION, STALE, now);
    assert!(pairs.holds(pair(10).remote, now) && !pairs.holds(pair(11).remote, now));
    let late = now + HOLD_TIME;
    assert!(!pairs.holds(pair(10).remote, late), "silent for too long");
    pairs.checked(pair(10), CHECK, STALE, late);
    assert!(pairs.holds(pair(10).remote, late));
}

#[test]
fn the_number_is_capped_and_the_selected_pair_survives() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(1000), NOMINATION, STALE, now);
    let mut removed = 0;
    for index in 1..100u16 {
        let at = now + Duration::from_millis(u64::from(index));
        let change = pairs.checked(pair(1000 + index), CHECK, STALE, at);
        assert_eq!(change.selected, None);
        removed += usize::from(change.removed.is_some());
    }
    assert_eq!(pairs.validated.len(), MAX_PAIRS);
    assert_eq!(removed, 100 - MAX_PAIRS);
    assert!(pairs.allows(pair(1000)) && pairs.allows(pair(1099)));
    assert!(!pairs.allows(pair(1001)));
}

#[test]
fn pairs_expire_but_never_the_selected_one() {
    let now = Instant::now();
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    pairs.checked(pair(11), CHECK, STALE, now);
    assert_eq!(pairs.next_expiry(), Some(now + PAIR_LIFETIME));
    assert_eq!(pairs.expire(now + PAIR_LIFETIME), Some(pair(11)));
    assert_eq!(pairs.expire(now + PAIR_LIFETIME), None);
    assert_eq!(pairs.next_expiry(), None);
    assert!(pairs.allows(pair(10)));
}

#[test]
fn one_address_counts_for_what_carried_the_check() {
    let now = Instant::now();
    let tcp = AddressPair { protocol: Protocol::Tcp, ..pair(10) };
    let mut pairs = Pairs::default();
    pairs.checked(pair(10), NOMINATION, STALE, now);
    pairs.connected(pair(10));
    assert!(!pairs.allows(tcp));
    assert_eq!(pairs.checked(tcp, NOMINATION, STALE, now).selected, Some(tcp), "a stream is proof enough");
    // The stream ends: media goes back to what is left, and then to nothing.
    let gone = pairs.forget(tcp);
    assert_eq!((gone.removed, gone.selected), (Some(tcp), Some(pair(10))));
    assert!(pairs.allows(pair(10)) && !pairs.allows(tcp));
    pairs.forget(pair(10));
    assert_eq!(pairs.selected(), None);
    assert_eq!(pairs.checked(pair(11), CHECK, STALE, now).selected, None);
    assert_eq!(pairs.heard(pair(11)).selected, Some(pair(11)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    /// Whatever checks come from wherever, in whatever order: once the peer is authenticated, media goes only where it
    /// has been heard, and what it is held by stays.
    #[test]
    fn checks_alone_move_nothing(steps in prop::collection::vec((0u16..40, any::<bool>(), any::<bool>(), 0u64..4_000), 1..200)) {
        let mut now = Instant::now();
        let mut pairs = Pairs::default();
        pairs.checked(pair(0), NOMINATION, STALE, now);
        pairs.connected(pair(0));
        let mut heard = vec![pair(0)];
        for (port, nominates, speaks, millis) in steps {
            now += Duration::from_millis(millis);
            let at = pair(port);
            let change = pairs.checked(at, Check { nominates, proves: false }, STALE, now);
            if let Some(selected) = change.selected {
                prop_assert!(heard.contains(&selected));
            }
            // Only the first three addresses are the peer's.
            if speaks && port < 3 && pairs.allows(at) {
                heard.push(at);
                pairs.heard(at);
            }
            while pairs.expire(now).is_some() {}
            prop_assert!(pairs.selected().is_some_and(|selected| heard.contains(&selected)));
            prop_assert!((3..40).all(|port| !pairs.holds(pair(port).remote, now)));
            prop_assert!(pairs.validated.len() <= MAX_PAIRS);
        }
    }
}
