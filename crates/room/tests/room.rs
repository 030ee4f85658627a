//! Single stories of a room.

mod support;

use contract::destination::Source;
use contract::room_state::{
    Gone, Quality, ReactionKind, Right, RoomCommand, RoomUpdate, SourceState, WhyGone,
};
use room::{Change, JoinRefused, MAX_REACTIONS, MAX_WRITES, Refused, Replica, Room, Rules};
use support::{House, all_but_moderate, everything, par};

fn house(people: usize) -> House {
    let mut house = House::new(100);
    house.join(0, everything()).unwrap();
    (1..people).for_each(|who| house.join(who, all_but_moderate()).unwrap());
    house
}

fn mute(who: usize, source: Source) -> RoomCommand {
    RoomCommand::Mute { participant: par(who), source }
}

fn remove(who: usize) -> RoomCommand {
    RoomCommand::Remove { participant: par(who) }
}

fn states(house: &House, who: usize) -> Vec<SourceState> {
    house.room.person(&par(who)).unwrap().sources.iter().map(|source| source.state).collect()
}

/// `people` join within `ms` milliseconds; their connections come up and they publish half a second later each. Gives
/// back how many messages that was, and how many bytes.
fn joins(people: usize, ms: u64) -> (usize, usize) {
    let mut house = House::new(people);
    let (mut messages, mut bytes) = (0, 0);
    let mut at = 0;
    let count = u64::try_from(people).unwrap();
    while at < ms || house.room.poll_timeout().is_some() {
        for who in 0..people {
            let joins_at = ms * u64::try_from(who).unwrap() / count;
            if at == joins_at {
                house.join(who, all_but_moderate()).unwrap();
                (0..4).for_each(|source| house.publish(who, source, source < 2));
            }
        }
        if let Some(delta) = house.delta() {
            messages += 1;
            bytes += serde_json::to_vec(&RoomUpdate::Delta(delta)).unwrap().len();
        }
        house.pass(1);
        at += 1;
    }
    assert_eq!(house.room.snapshot().people.len(), people);
    (messages, bytes)
}

#[test]
fn thirty_people_who_join_at_once_are_ten_messages() {
    for ms in [1, 100, 600, 1_500] {
        let (messages, _) = joins(30, ms);
        assert!(messages <= 10, "{messages} messages of 30 joins in {ms} ms");
    }
}

#[test]
fn the_bytes_of_joins_grow_as_the_joins() {
    let [(_, some), (_, many)] = [joins(25, 1_000), joins(100, 4_000)];
    assert!(many < some * 5 && many < 100 * 600, "{some} and {many} bytes");
}

#[test]
fn what_comes_and_goes_within_one_gathering_is_not_told() {
    let mut house = house(2);
    house.next_delta().unwrap();
    house.join(5, all_but_moderate()).unwrap();
    house.leave(5);
    house.ask(1, "up", RoomCommand::Hand { up: true, participant: None }).unwrap();
    house.ask(1, "down", RoomCommand::Hand { up: false, participant: None }).unwrap();
    house.pass(1_000);
    assert_eq!(house.delta(), None);
    assert_eq!(house.room.poll_timeout(), None);
    assert_eq!(house.room.snapshot().seq, 1);
}

#[test]
fn hands_are_in_the_order_in_which_they_were_raised() {
    let mut house = house(4);
    let hand = |up| RoomCommand::Hand { up, participant: None };
    for (request, (who, up)) in
        [(2, true), (1, true), (3, true), (2, false), (2, true), (1, true)].into_iter().enumerate()
    {
        house.ask(who, &request.to_string(), hand(up)).unwrap();
    }
    let number = |who| house.room.person(&par(who)).unwrap().hand;
    assert!(0 < number(1) && number(1) < number(3) && number(3) < number(2));
    let lowered = RoomCommand::Hand { up: false, participant: Some(par(1)) };
    assert_eq!(house.ask(2, "other", lowered.clone()), Err(Refused::NotAllowed));
    assert_eq!(house.ask(0, "host", lowered), Ok(()));
    assert_eq!(house.room.person(&par(1)).unwrap().hand, 0);
}

#[test]
fn a_muted_source_reaches_nobody_until_its_owner_switches_it_on() {
    let mut house = house(2);
    house.publish(1, 1, true);
    assert_eq!(house.ask(1, "own", mute(0, Source::Microphone)), Err(Refused::NotAllowed));
    assert_eq!(house.ask(0, "none", mute(1, Source::Camera)), Err(Refused::NoSuchSource));
    assert_eq!(house.ask(0, "mute", mute(1, Source::Microphone)), Ok(()));
    assert_eq!(
        (states(&house, 1), house.gates[&(par(1), 1)]),
        (vec![SourceState::Muted], SourceState::Muted)
    );
    let switch = |on| RoomCommand::Switch { source: Source::Microphone, on };
    house.ask(1, "off", switch(false)).unwrap();
    assert_eq!(
        (states(&house, 1), house.gates[&(par(1), 1)]),
        (vec![SourceState::Muted], SourceState::Muted)
    );
    house.ask(1, "on", switch(true)).unwrap();
    assert_eq!((states(&house, 1), house.gates[&(par(1), 1)]), (vec![SourceState::On], SourceState::On));
    house.ask(1, "off again", switch(false)).unwrap();
    assert_eq!(house.gates[&(par(1), 1)], SourceState::Off);
}

#[test]
fn a_mute_of_what_says_that_it_is_off_holds_too() {
    let mut house = house(2);
    house.publish(1, 1, false);
    house.ask(0, "mute", mute(1, Source::Microphone)).unwrap();
    assert_eq!(house.gates[&(par(1), 1)], SourceState::Muted);
}

#[test]
fn a_screen_is_stopped_with_its_sound_and_without_the_camera() {
    let mut house = house(2);
    (0..4).for_each(|source| house.publish(1, source, true));
    house.ask(0, "stop", mute(1, Source::Screen)).unwrap();
    let muted = SourceState::Muted;
    assert_eq!(states(&house, 1), [SourceState::On, SourceState::On, muted, muted]);
}

#[test]
fn a_right_taken_closes_and_a_right_given_lets_its_owner_open() {
    let mut house = house(2);
    house.publish(1, 1, true);
    let right = Right::Microphone;
    house.ask(0, "take", RoomCommand::Revoke { participant: par(1), right }).unwrap();
    assert_eq!(house.gates[&(par(1), 1)], SourceState::Muted);
    let on = RoomCommand::Switch { source: Source::Microphone, on: true };
    assert_eq!(house.ask(1, "on", on.clone()), Err(Refused::NotAllowed));
    // Neither to leave nor a new session gives it back.
    house.leave(1);
    house.join(1, all_but_moderate()).unwrap();
    house.publish(1, 1, true);
    assert_eq!(
        (states(&house, 1), house.gates[&(par(1), 1)]),
        (vec![SourceState::Muted], SourceState::Muted)
    );
    house.ask(0, "give", RoomCommand::Grant { participant: par(1), right }).unwrap();
    assert_eq!(states(&house, 1), [SourceState::Muted]);
    assert_eq!(house.ask(1, "on again", on), Ok(()));
    assert_eq!(house.gates[&(par(1), 1)], SourceState::On);
}

#[test]
fn a_removal_is_done_and_answered_when_it_is_stored() {
    let mut house = house(3);
    house.next_delta();
    house.command(0, "out", remove(1));
    assert!(house.answers.is_empty() && house.ended.is_empty() && house.room.person(&par(1)).is_some());
    // It is asked again, by another connection: it is answered once, there.
    house.room.command(&par(0), "anew", "out", remove(1), house.now);
    house.drain();
    house.stored(true);
    assert_eq!(house.answers, [("anew".to_owned(), "out".to_owned(), Ok(()))]);
    assert_eq!(house.ended, [par(1)]);
    assert_eq!(house.disk.removed.iter().collect::<Vec<_>>(), [&par(1)]);
    assert_eq!(house.join(1, all_but_moderate()), Err(JoinRefused::Removed));
    let gone = house.next_delta().unwrap().gone;
    assert_eq!(gone, [Gone { participant: par(1), why: WhyGone::Removed }]);
    // Another home knows it.
    let room = Room::new(2, 100, house.disk.clone());
    assert_eq!(room.may_join(&par(1), &everything()), Err(JoinRefused::Removed));
}

#[test]
fn what_is_not_stored_is_not_done_and_may_be_tried_again() {
    let mut house = house(2);
    house.command(0, "out", remove(1));
    house.stored(false);
    assert_eq!(house.answers.last().unwrap().2, Err(Refused::NotStored));
    assert!(house.ended.is_empty() && house.room.rules() == &Rules::default());
    assert_eq!(house.ask(0, "out", remove(1)), Ok(()));
    assert_eq!(house.ended, [par(1)]);
}

#[test]
fn changes_are_stored_one_after_the_other_and_a_late_word_counts_for_nothing() {
    let mut house = house(3);
    house.command(0, "one", remove(1));
    let (first, _, _) = house.waiting.clone().unwrap();
    house.command(0, "two", remove(2));
    house.stored(true);
    house.room.stored(first, true, house.now);
    assert_eq!(house.ended, [par(1)]);
    let (_, change, rules) = house.waiting.clone().unwrap();
    assert_eq!(change, Change::Remove(par(2)));
    assert_eq!(rules.removed.len(), 2);
    house.stored(true);
    assert_eq!(house.ended, [par(1), par(2)]);
}

#[test]
fn so_many_changes_wait_and_no_more() {
    let mut house = house(1);
    for number in 0..=MAX_WRITES {
        house.command(0, &number.to_string(), RoomCommand::Lock { on: number % 2 == 0 });
    }
    assert_eq!(house.answers, [("here".to_owned(), MAX_WRITES.to_string(), Err(Refused::Busy))]);
    (0..MAX_WRITES).for_each(|_| house.stored(true));
    assert_eq!(house.answers.len(), MAX_WRITES + 1);
    assert!(!house.room.rules().locked);
}

#[test]
fn who_was_in_when_it_was_locked_may_come_back_to_the_next_home() {
    let mut house = house(3);
    house.ask(0, "lock", RoomCommand::Lock { on: true }).unwrap();
    house.ask(0, "remove", RoomCommand::Remove { participant: par(2) }).unwrap();
    let rules = house.room.rules().clone();
    assert_eq!(rules.seated, [par(0), par(1)].into_iter().collect());
    // The next home knows the rules, and nobody.
    let next = Room::new(2, 100, rules);
    let granted = all_but_moderate();
    assert_eq!(next.may_join(&par(1), &granted), Ok(()));
    assert_eq!(next.may_join(&par(2), &granted), Err(JoinRefused::Removed));
    assert_eq!(next.may_join(&par(3), &granted), Err(JoinRefused::Locked));
    // Who has left by itself is new; who was waited for in vain is not.
    let now = house.now;
    house.room.leave(&par(1), WhyGone::Lost, now);
    assert_eq!(house.room.may_join(&par(1), &granted), Ok(()));
    house.join(1, all_but_moderate()).unwrap();
    let revision = house.room.rules_revision();
    house.room.leave(&par(1), WhyGone::Left, now);
    assert_eq!(house.room.may_join(&par(1), &granted), Err(JoinRefused::Locked));
    assert!(house.room.rules_revision() > revision, "signaling is told");
    house.ask(0, "open", RoomCommand::Lock { on: false }).unwrap();
    assert!(house.room.rules().seated.is_empty());
}

#[test]
fn a_locked_room_takes_who_was_there_and_who_moderates() {
    let mut house = house(2);
    house.ask(0, "lock", RoomCommand::Lock { on: true }).unwrap();
    assert_eq!(house.next_delta().unwrap().locked, Some(true));
    assert_eq!(house.join(2, all_but_moderate()), Err(JoinRefused::Locked));
    assert_eq!(house.join(1, all_but_moderate()), Ok(()));
    assert_eq!(house.join(3, everything()), Ok(()));
    // To lock what is locked needs no storing.
    house.command(0, "again", RoomCommand::Lock { on: true });
    assert_eq!(house.answers.last().unwrap().2, Ok(()));
    assert!(house.waiting.is_none());
    house.ask(0, "open", RoomCommand::Lock { on: false }).unwrap();
    assert_eq!(house.join(2, all_but_moderate()), Ok(()));
}

#[test]
fn a_full_room_takes_who_comes_back() {
    let mut house = house(2);
    house.room.set_most_people(2);
    assert_eq!(house.join(2, everything()), Err(JoinRefused::Full));
    house.publish(1, 0, true);
    assert_eq!(house.join(1, all_but_moderate()), Ok(()));
    assert!(house.room.person(&par(1)).unwrap().sources.is_empty(), "a new session begins anew");
    house.leave(0);
    assert_eq!(house.join(2, everything()), Ok(()));
}

#[test]
fn reactions_pass_at_a_pace() {
    let mut house = house(40);
    house.next_delta();
    let react = RoomCommand::React { reaction: ReactionKind::Party };
    for number in 0..5 {
        assert_eq!(house.ask(1, &number.to_string(), react.clone()), Ok(()));
    }
    assert_eq!(house.ask(1, "more", react.clone()), Err(Refused::TooFast { retry_ms: 500 }));
    let delta = house.next_delta().unwrap();
    assert_eq!((delta.reactions.len(), delta.changed.len()), (5, 0));
    // They are in no snapshot, and a repeated message shows none again.
    let mut replica = Replica::default();
    replica.apply(&RoomUpdate::Snapshot(house.room.snapshot()));
    assert_eq!(replica.apply(&RoomUpdate::Delta(delta)), room::Applied::Stale);
    let shown = (0..39).flat_map(|who| (0..4).map(move |number| (who, format!("r{number}"))));
    let taken = shown.filter(|(who, request)| house.ask(*who, request, react.clone()).is_ok()).count();
    assert_eq!(taken, MAX_REACTIONS);
}

#[test]
fn names_are_cleaned_and_may_be_fixed() {
    let mut house = house(2);
    let rename = |name: &str| RoomCommand::Rename { name: name.into() };
    assert_eq!(house.ask(1, "1", rename(" A\u{202e}nn\n")), Ok(()));
    assert_eq!(house.room.person(&par(1)).unwrap().name, "Ann");
    assert_eq!(house.ask(1, "2", rename("\u{200b}")), Err(Refused::BadName));
    assert_eq!(house.ask(1, "3", rename(&"x".repeat(65))), Err(Refused::BadName));
    let joining = room::Joining {
        participant: par(2),
        name: "한".repeat(70),
        name_is_fixed: true,
        granted: all_but_moderate(),
    };
    house.room.join(joining, house.now).unwrap();
    assert_eq!(house.room.person(&par(2)).unwrap().name, "한".repeat(64));
    assert_eq!(house.ask(2, "4", rename("Bob")), Err(Refused::NotAllowed));
}

#[test]
fn a_connection_that_is_lost_and_comes_back_is_the_same_person() {
    let mut house = house(2);
    house.publish(1, 0, true);
    house.next_delta();
    house.room.set_quality(&par(1), Quality::Lost, house.now);
    let delta = house.next_delta().unwrap();
    assert_eq!(delta.changed.len(), 1);
    assert_eq!(delta.changed[0].quality, Some(Quality::Lost));
    assert!(delta.changed[0].sources.is_none() && delta.gone.is_empty());
    house.room.set_quality(&par(1), Quality::Good, house.now);
    assert!(house.next_delta().unwrap().joined.is_empty());
}

#[test]
fn strangers_and_bad_requests_are_answered_and_change_nothing() {
    let mut house = house(2);
    house.next_delta();
    let lock = RoomCommand::Lock { on: true };
    assert_eq!(house.ask(7, "a", lock.clone()), Err(Refused::NotHere));
    assert_eq!(house.ask(0, "", lock.clone()), Err(Refused::BadRequest));
    assert_eq!(house.ask(0, &"x".repeat(65), lock), Err(Refused::BadRequest));
    assert_eq!(house.ask(0, "b", remove(9)), Err(Refused::NoSuchPerson));
    let on = RoomCommand::Switch { source: Source::Camera, on: true };
    assert_eq!(house.ask(0, "c", on), Err(Refused::NoSuchSource));
    house.publish(9, 0, true);
    assert_eq!(house.room.poll_timeout(), None);
    assert!(house.room.poll_effect().is_none());
}

#[test]
fn who_comes_and_goes_while_nothing_is_told_leaves_nothing_behind() {
    let mut house = house(2);
    house.next_delta();
    house.leave(1);
    // What a room holds, by what it takes to write it down.
    let size = |house: &House| format!("{:?}", house.room).len();
    let before = size(&house);
    for who in 2..5_000 {
        house.join(who, all_but_moderate()).unwrap();
        house.publish(who, 0, true);
        house.leave(who);
    }
    assert!(size(&house) < before + 100, "{} bytes, {before} before", size(&house));
    let delta = house.next_delta().unwrap();
    let gone: Vec<_> = delta.gone.iter().map(|gone| &gone.participant).collect();
    assert_eq!((gone, delta.joined.len()), (vec![&par(1)], 0));
}
