use contract::id::BroadcastId;
use contract::key::SecretKey;

use super::*;
use crate::record::Owner;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn record(status: Status) -> Record {
    let owner = Owner { key: SecretKey::owner(&mut rand::rng()).hash(), subject: None };
    Record {
        broadcast: Broadcast {
            id: BroadcastId(7),
            name: "n".into(),
            description: "d".into(),
            status,
            viewer_count: if status == Status::Closed { 0 } else { 3 },
            started_at: (status != Status::Ready).then(|| at(0)),
            ended_at: (status == Status::Closed).then(|| at(50)),
            planned_at: None,
            created_at: at(-10),
            modified_at: at(0),
        },
        version: 4,
        key: SecretKey::stream(&mut rand::rng()).hash(),
        key_revision: 2,
        owner,
        seen_at: (status != Status::Ready).then(|| at(40)),
        last_media_at: (status != Status::Ready).then(|| at(38)),
    }
}

fn report(state: MediaState) -> MediaReport {
    MediaReport {
        broadcast_id: BroadcastId(7),
        key_revision: 2,
        state,
        started_at: at(1),
        last_media_at: at(41),
    }
}

#[test]
fn a_planned_broadcast_waits_until_a_day_after_its_plan() {
    let planned = |planned_at: Option<i64>| {
        let mut record = record(Status::Ready);
        record.broadcast.planned_at = planned_at.map(at);
        record
    };
    let day = 86_400;
    let closes = |planned_at, now| idle(&planned(planned_at), at(now)).is_some();
    assert!(closes(None, day));
    assert!(!closes(Some(3 * day), day) && !closes(Some(3 * day), 4 * day - 1));
    assert!(closes(Some(3 * day), 4 * day));
    // A plan from before it was made shortens nothing.
    assert!(!closes(Some(-day), day - 11) && closes(Some(-day), day));
}

#[test]
fn a_plan_is_set_moved_and_taken_back_and_never_years_away() {
    let mut record = record(Status::Ready);
    let plan = |record: &Record, to: Option<i64>| {
        let patch = UpdateBroadcast { planned_at: Some(to.map(at)), ..UpdateBroadcast::default() };
        edit(record, &patch, Editor::Owner, at(60)).map(|change| change.map(|change| change.planned_at))
    };
    assert_eq!(plan(&record, None), Ok(None));
    assert_eq!(plan(&record, Some(3_600)), Ok(Some(Some(at(3_600)))));
    record.broadcast.planned_at = Some(at(3_600));
    assert_eq!(plan(&record, Some(3_600)), Ok(None));
    assert_eq!(plan(&record, None), Ok(Some(None)));
    for far in [-86_400, 367 * 86_400] {
        assert!(matches!(plan(&record, Some(far)), Err(EditError::Plan(_))), "{far}");
    }
    // One that has passed may be sent back as it was read.
    record.broadcast.planned_at = Some(at(-30 * 86_400));
    assert_eq!(plan(&record, Some(-30 * 86_400)), Ok(None));
}

#[test]
fn first_media_starts_with_the_time_of_the_node() {
    let outcome = media(Some(&record(Status::Ready)), &report(MediaState::Live), at(42));
    let change = outcome.change.unwrap();
    assert_eq!((change.status, change.started_at, change.ended_at), (Status::Streaming, Some(at(1)), None));
    assert_eq!(change.seen_at, Some(at(42)));
    assert!(outcome.seen.unwrap().present);
    assert!(outcome.order.is_none());
}

#[test]
fn a_node_whose_clock_is_ahead_starts_and_ends_nothing_in_the_future() {
    let change = media(Some(&record(Status::Ready)), &report(MediaState::Ended), at(0)).change.unwrap();
    assert_eq!((change.started_at, change.ended_at), (Some(at(0)), Some(at(0))));
}

#[test]
fn live_media_is_a_sign_of_life_and_no_change() {
    let outcome = media(Some(&record(Status::Streaming)), &report(MediaState::Live), at(42));
    assert!(outcome.change.is_none() && outcome.order.is_none());
    let seen = outcome.seen.unwrap();
    assert_eq!((seen.present, seen.last_media_at), (true, at(41)));
}

#[test]
fn a_lost_publisher_is_no_sign_of_life() {
    let outcome = media(Some(&record(Status::Streaming)), &report(MediaState::Lost), at(42));
    assert!(outcome.change.is_none());
    assert!(!outcome.seen.unwrap().present);
}

#[test]
fn an_ended_broadcast_closes_at_its_last_media() {
    let change = media(Some(&record(Status::Streaming)), &report(MediaState::Ended), at(60)).change.unwrap();
    assert_eq!(
        (change.status, change.ended_at, change.viewer_count),
        (Status::Closed, Some(at(41)), Some(0))
    );
}

#[test]
fn a_node_that_streams_what_is_over_or_unknown_is_told() {
    for known in [None, Some(record(Status::Closed))] {
        let outcome = media(known.as_ref(), &report(MediaState::Live), at(42));
        assert_eq!(outcome.order, Some(CloseReason::Closed));
        assert!(outcome.change.is_none() && outcome.seen.is_none());
    }
}

#[test]
fn an_old_key_is_no_sign_of_life_and_ends_nothing() {
    for state in [MediaState::Live, MediaState::Lost, MediaState::Ended] {
        let old = MediaReport { key_revision: 1, ..report(state) };
        let outcome = media(Some(&record(Status::Streaming)), &old, at(42));
        assert_eq!(outcome.order, Some(CloseReason::KeyRevoked));
        assert!(outcome.change.is_none() && outcome.seen.is_none());
    }
}

#[test]
fn silence_of_thirty_seconds_closes_at_the_last_media() {
    let streaming = record(Status::Streaming);
    assert_eq!(idle(&streaming, at(69)), None);
    let change = idle(&streaming, at(70)).unwrap();
    assert_eq!((change.status, change.ended_at), (Status::Closed, Some(at(38))));
    assert_eq!(change.unless_seen_after, Some(at(40)));
}

#[test]
fn a_day_without_media_closes() {
    let ready = record(Status::Ready);
    assert_eq!(idle(&ready, at(86_389)), None);
    let change = idle(&ready, at(86_390)).unwrap();
    assert_eq!((change.status, change.started_at), (Status::Closed, None));
    assert_eq!(idle(&record(Status::Closed), at(1_000_000)), None);
}

#[test]
fn a_peer_to_peer_streamer_starts_a_broadcast_and_never_reopens_one() {
    let outcome = peer_to_peer(&record(Status::Ready), at(5));
    assert_eq!(outcome.change.unwrap().started_at, Some(at(5)));
    let outcome = peer_to_peer(&record(Status::Streaming), at(5));
    assert!(outcome.change.is_none() && outcome.seen.unwrap().present);
    let outcome = peer_to_peer(&record(Status::Closed), at(60));
    assert!(outcome.change.is_none() && outcome.seen.is_none());
}

#[test]
fn statuses_only_move_forward() {
    use Status::{Closed, Ready, Streaming};
    for (from, to, allowed) in [
        (Ready, Ready, true),
        (Ready, Streaming, true),
        (Ready, Closed, true),
        (Streaming, Ready, false),
        (Streaming, Streaming, true),
        (Streaming, Closed, true),
        (Closed, Ready, false),
        (Closed, Streaming, false),
        (Closed, Closed, true),
    ] {
        let patch = UpdateBroadcast { status: Some(to), ..UpdateBroadcast::default() };
        let edited = edit(&record(from), &patch, Editor::Service, at(60));
        assert_eq!(edited.is_ok(), allowed, "{from:?} to {to:?}: {edited:?}");
        if from == to {
            assert_eq!(edited, Ok(None));
        }
    }
}

#[test]
fn an_owner_edits_texts_and_the_end_and_no_more() {
    let streaming = record(Status::Streaming);
    let owner = |patch: UpdateBroadcast| edit(&streaming, &patch, Editor::Owner, at(60));
    let none = UpdateBroadcast::default;
    let change = owner(UpdateBroadcast { name: Some("new".into()), ..none() }).unwrap().unwrap();
    assert_eq!((change.name.as_str(), change.description.as_str()), ("new", "d"));
    assert_eq!(
        owner(UpdateBroadcast { started_at: Some(at(9)), ..none() }),
        Err(EditError::Reserved("started_at"))
    );
    assert_eq!(
        owner(UpdateBroadcast { viewer_count: Some(9), ..none() }),
        Err(EditError::Reserved("viewer_count"))
    );
    let ready = record(Status::Ready);
    let go = UpdateBroadcast { status: Some(Status::Streaming), ..none() };
    assert!(matches!(edit(&ready, &go, Editor::Owner, at(60)), Err(EditError::Reserved(_))));
    // What was read may be sent back.
    let was = streaming.broadcast.clone();
    let echo = UpdateBroadcast {
        name: Some(was.name),
        description: Some(was.description),
        started_at: was.started_at,
        ended_at: was.ended_at,
        planned_at: Some(was.planned_at),
        status: Some(was.status),
        viewer_count: Some(was.viewer_count),
    };
    assert_eq!(owner(echo), Ok(None));
}

#[test]
fn an_owner_who_closes_ends_it_now_or_at_the_media_that_was_last() {
    let patch = UpdateBroadcast { status: Some(Status::Closed), ..UpdateBroadcast::default() };
    let streaming = record(Status::Streaming);
    let ended = |now| edit(&streaming, &patch, Editor::Owner, now).unwrap().unwrap().ended_at;
    assert_eq!(ended(at(42)), Some(at(42)));
    assert_eq!(ended(at(60)), Some(at(38)));
}

#[test]
fn texts_have_255_characters() {
    let streaming = record(Status::Streaming);
    let named = |name: String| {
        let patch = UpdateBroadcast { name: Some(name), ..UpdateBroadcast::default() };
        edit(&streaming, &patch, Editor::Owner, at(60)).is_ok()
    };
    assert!(named("한".repeat(255)));
    assert!(!named("x".repeat(256)));
    assert!(named(String::new()));
}

#[test]
fn the_end_is_never_before_the_start() {
    let patch = UpdateBroadcast { ended_at: Some(at(-5)), ..UpdateBroadcast::default() };
    assert!(matches!(
        edit(&record(Status::Streaming), &patch, Editor::Service, at(60)),
        Err(EditError::Invalid(_))
    ));
}

#[test]
fn silence_counts_only_after_thirty_seconds_of_steady_watching() {
    let mut watch = Watch::of_publishers();
    assert!((0..30).all(|second| !watch.good(at(second))));
    assert!(watch.good(at(30)));
    watch.bad();
    assert!(!watch.good(at(31)));
    assert!((32..61).all(|second| !watch.good(at(second))));
    assert!(watch.good(at(61)));
    // A step of the clock, forward or back, is not thirty seconds of watching.
    assert!(!watch.good(at(1_000)));
    assert!(!watch.good(at(900)));
}

#[test]
fn a_home_is_gone_only_after_it_could_have_spoken_for_a_lease() {
    let mut watch = Watch::of_homes();
    assert!(!watch.silence_counts(at(0)), "nobody has looked yet");
    assert!((0..10).all(|second| !watch.good(at(second))));
    assert!(watch.good(at(10)) && watch.silence_counts(at(15)));
    assert!(!watch.silence_counts(at(16)), "nobody looks any more: the process stood still");
    assert!(!watch.good(at(20)), "it goes on");
    watch.bad();
    assert!(!watch.silence_counts(at(21)));
    assert!((22..32).all(|second| !watch.good(at(second))));
    assert!(watch.good(at(32)));
}

#[test]
fn texts_lose_what_nobody_sees_and_are_never_cut() {
    assert_eq!(title("  Morning\u{202e}\n show\u{0}\u{2066} ").unwrap(), "Morning  show");
    assert_eq!(description("a\r\nb\u{2028}\u{7}").unwrap(), "a\nb");
    assert_eq!(title(&"한".repeat(255)).unwrap().chars().count(), 255);
    assert_eq!(title(&"한".repeat(256)), None);
    assert_eq!(description(&" ".repeat(256)), None);
    let patch = UpdateBroadcast { name: Some("a\u{202e}b".into()), ..UpdateBroadcast::default() };
    let change = edit(&record(Status::Ready), &patch, Editor::Owner, at(0)).unwrap().unwrap();
    assert_eq!(change.name, "ab");
}
