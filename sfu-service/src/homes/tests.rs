use std::time::Duration;

use contract::destination::{Reason, SENDER_ROLE};
use contract::group::{Group, PersonRule, RoomRules};
use contract::room_state::{Gone, Right, Rights, SourceState};

use super::*;

fn group() -> GroupId {
    "grp_a".parse().unwrap()
}

fn par(name: &str) -> ParticipantId {
    name.parse().unwrap()
}

fn joining(who: &str, rights: &[Right]) -> Joining {
    let granted: Rights = rights.iter().copied().collect();
    Joining { participant: par(who), name: who.into(), name_is_fixed: false, granted }
}

fn opened(epoch: i64) -> OpenedGroup {
    let group = serde_json::json!({
        "id": "grp_a", "name": "", "max_participants": 3, "admission": "link", "metadata": {},
        "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
    });
    let group = serde_json::from_value(group).unwrap();
    OpenedGroup { group, version: 1, epoch, rules: RoomRules::default() }
}

/// A home with a host and a guest, and the time.
fn house() -> (Homes, Instant) {
    let now = Instant::now();
    let mut homes = Homes::default();
    homes.open(&opened(3));
    homes.join(&group(), joining("par_host", &[Right::Moderate, Right::Microphone]), now).unwrap();
    homes.join(&group(), joining("par_guest", &[Right::Microphone]), now).unwrap();
    (homes, now)
}

fn headers(who: &str, room: &str, request: &str) -> Headers {
    [
        (SENDER, who),
        (SENDER_ROLE, "join"),
        (SENDER_ROOM, room),
        (SENDER_CONNECTION, "replica/7"),
        (REQUEST_ID, request),
    ]
    .into_iter()
    .collect()
}

fn command(homes: &mut Homes, who: &str, request: &str, command: &RoomCommand, now: Instant) -> Vec<Order> {
    homes.command(&headers(who, "grp_a", request), &serde_json::to_vec(command).unwrap(), now)
}

fn remove(who: &str) -> RoomCommand {
    RoomCommand::Remove { participant: par(who) }
}

/// All that is said, with the time running on to where it is due.
fn said(homes: &mut Homes, mut now: Instant) -> Vec<Said> {
    let mut all = Vec::new();
    loop {
        while let Some(said) = homes.poll_said(now) {
            all.push(said);
        }
        let Some(due) = homes.poll_timeout(now) else { return all };
        now = now.max(due);
    }
}

fn replies(said: &[Said]) -> Vec<&Reply> {
    let reply = |said| if let &Said::Reply(NodeReply { ref reply, .. }) = said { Some(reply) } else { None };
    said.iter().filter_map(reply).collect()
}

#[test]
fn a_removal_is_stored_then_ends_the_session_and_is_answered() {
    let (mut homes, now) = house();
    said(&mut homes, now);
    let orders = command(&mut homes, "par_host", "r1", &remove("par_guest"), now);
    let [Order::Store { write, put, .. }] = orders.as_slice() else { panic!("{orders:?}") };
    assert_eq!((put.epoch, put.version), (3, 1));
    let [PersonRule { subject, removed: true, .. }] = put.rules.people.as_slice() else { panic!("{put:?}") };
    assert_eq!(subject, "par_guest");
    assert!(said(&mut homes, now).is_empty());
    let orders = homes.stored(&group(), *write, true, now);
    assert_eq!(
        orders,
        [Order::End { group: group(), participant: par("par_guest"), why: WhyEnded::Removed }]
    );
    let told = said(&mut homes, now + Duration::from_secs(1));
    assert_eq!(replies(&told), [&Reply::done("r1".into())]);
    // That it holds is said first: whoever has the answer can rely on it. Then what everybody hears.
    assert!(
        matches!(&told[0], Said::Room(NodeRoom { rules: Some(rules), update: RoomUpdate::Delta(delta), .. })
        if rules.people[0].removed && delta.gone.is_empty())
    );
    assert!(matches!(&told[2], Said::Room(NodeRoom { update: RoomUpdate::Delta(delta), rules: None, .. })
        if delta.gone.len() == 1));
    let NodeRoom { rules: Some(rules), .. } = &homes.snapshots()[0] else { panic!() };
    assert!(rules.people[0].removed, "a signaling process that starts anew learns it");
    let again = homes.join(&group(), joining("par_guest", &[]), now);
    assert_eq!(again, Err(JoinRefused::Removed));
}

/// Who was refused leaves a room behind that nobody is in: it goes, and the next one asks meta again.
#[test]
fn a_room_that_nobody_came_into_is_none_to_rely_on() {
    let (mut homes, now) = (Homes::default(), Instant::now());
    homes.open(&opened(1));
    assert!(homes.is_home(&group()) && !homes.has_anybody(&group()));
    said(&mut homes, now);
    assert!(!homes.is_home(&group()));
    homes.open(&opened(2));
    homes.join(&group(), joining("par_guest", &[]), now).unwrap();
    said(&mut homes, now);
    assert!(homes.is_home(&group()) && homes.has_anybody(&group()));
}

/// Signaling was there before the room: what it is told first it understands.
#[test]
fn what_is_said_of_a_new_room_is_all_of_it_from_the_start() {
    let (mut homes, now) = house();
    let mut replica = room::Replica::default();
    for said in said(&mut homes, now) {
        let Said::Room(NodeRoom { update, .. }) = said else { continue };
        assert_eq!(replica.apply(&update), room::Applied::Changed);
    }
    assert_eq!(replica.snapshot(), homes.snapshot(&group(), now));
    assert_eq!(replica.snapshot().map(|state| state.people.len()), Some(2));
}

#[test]
fn each_change_of_the_rules_has_a_greater_version_and_the_latest_epoch() {
    let (mut homes, now) = house();
    let first = command(&mut homes, "par_host", "r1", &RoomCommand::Lock { on: true }, now);
    let [Order::Store { write, put, .. }] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((put.epoch, put.version), (3, 1));
    // Two asked meta at once; neither answer may take the other's epoch back.
    homes.open(&opened(5));
    homes.open(&opened(4));
    homes.stored(&group(), *write, true, now);
    let second = command(&mut homes, "par_host", "r2", &RoomCommand::Lock { on: false }, now);
    let [Order::Store { put, .. }] = second.as_slice() else { panic!("{second:?}") };
    assert_eq!((put.epoch, put.version), (5, 2));
    assert_eq!(homes.snapshot(&group(), now).map(|state| state.epoch), Some(3), "the state goes on");
}

#[test]
fn what_is_published_is_gated_and_what_is_not_is_gone() {
    let (mut homes, now) = house();
    let source = |source, csrc| CallSource { source, csrc };
    let sources = [source(Source::Microphone, 5), source(Source::Camera, 4)];
    let orders = homes.publish(&group(), &par("par_guest"), &sources, now);
    let gate = |source, state, number| {
        let participant = par("par_guest");
        Order::Gate { group: group(), participant, source, state, number }
    };
    // It has no right to a camera.
    assert_eq!(
        orders,
        [gate(Source::Microphone, SourceState::Off, 1), gate(Source::Camera, SourceState::Muted, 2)]
    );
    let on = RoomCommand::Switch { source: Source::Microphone, on: true };
    let switched = command(&mut homes, "par_guest", "on", &on, now);
    assert_eq!(switched, [gate(Source::Microphone, SourceState::On, 3)]);
    let mute = RoomCommand::Mute { participant: par("par_guest"), source: Source::Microphone };
    assert_eq!(
        command(&mut homes, "par_host", "mute", &mute, now),
        [gate(Source::Microphone, SourceState::Muted, 4)]
    );
    // A session that comes back without the camera stays muted.
    let orders = homes.publish(&group(), &par("par_guest"), &sources[..1], now);
    assert_eq!(orders, [gate(Source::Microphone, SourceState::Muted, 5)]);
    said(&mut homes, now);
    let state = homes.snapshot(&group(), now).unwrap();
    let guest = state.people.iter().find(|person| person.participant == par("par_guest")).unwrap();
    let states: Vec<_> = guest.sources.iter().map(|source| (source.source, source.state)).collect();
    assert_eq!(states, [(Source::Microphone, SourceState::Muted)]);
}

#[test]
fn who_has_no_session_any_more_is_lost() {
    let (mut homes, now) = house();
    said(&mut homes, now);
    homes.retain(|room, who| *room == group() && *who == par("par_host"), now);
    let told = said(&mut homes, now);
    let [Said::Room(NodeRoom { update: RoomUpdate::Delta(delta), .. })] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(delta.gone, [Gone { participant: par("par_guest"), why: WhyGone::Lost }]);
    assert!(homes.is_in(&group(), &par("par_host")) && !homes.is_in(&group(), &par("par_guest")));
    homes.retain(|_, _| true, now);
    assert!(said(&mut homes, now).is_empty());
}

#[test]
fn who_is_not_in_the_room_is_answered_and_who_is_nobody_is_not() {
    let (mut homes, now) = house();
    said(&mut homes, now);
    let lock = serde_json::to_vec(&RoomCommand::Lock { on: true }).unwrap();
    for (who, room, body, reason) in [
        ("par_other", "grp_a", lock.as_slice(), Some(Reason::State)),
        ("par_host", "grp_b", &lock, Some(Reason::State)),
        ("par_host", "7", &lock, Some(Reason::State)),
        ("par_host", "grp_a", b"{\"type\":\"of a later release\"}", Some(Reason::Body)),
        ("nod_1", "grp_a", &lock, None),
        ("par_host", "", &lock, None),
    ] {
        assert!(homes.command(&headers(who, room, "r"), body, now).is_empty());
        let told = said(&mut homes, now);
        let reasons: Vec<Reason> = replies(&told)
            .into_iter()
            .map(|reply| match reply {
                Reply::Refused { reason, .. } => *reason,
                Reply::Done { .. } => panic!("{reply:?}"),
            })
            .collect();
        assert_eq!(reasons, reason.into_iter().collect::<Vec<_>>(), "{who} {room}");
    }
    assert!(homes.command(&Headers::default(), b"", now).is_empty() && said(&mut homes, now).is_empty());
}

#[test]
fn a_room_is_forgotten_when_everybody_has_left_and_that_is_told() {
    let (mut homes, now) = house();
    said(&mut homes, now);
    for who in ["par_host", "par_guest"] {
        homes.leave(&group(), &par(who), WhyGone::Left, now);
    }
    assert!(homes.is_home(&group()));
    let told = said(&mut homes, now);
    let [Said::Room(NodeRoom { update: RoomUpdate::Delta(delta), .. })] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(delta.gone.len(), 2);
    assert!(!homes.is_home(&group()) && homes.snapshots().is_empty());
    // A late word of meta finds nothing.
    homes.open(&opened(9));
    assert_eq!(homes.snapshot(&group(), now).map(|state| (state.epoch, state.seq)), Some((9, 0)));
}

#[test]
fn a_connection_begins_with_snapshots_and_keeps_the_answers() {
    let (mut homes, now) = house();
    // Signaling is away: a snapshot for who joins moves on all the same.
    assert_eq!(homes.snapshot(&group(), now).map(|state| state.people.len()), Some(2));
    let up = RoomCommand::Hand { up: true, participant: None };
    command(&mut homes, "par_guest", "up", &up, now);
    let later = now + Duration::from_secs(1);
    assert_eq!(homes.snapshot(&group(), later).map(|state| state.seq), Some(2));
    let begin = homes.begin();
    let [NodeRoom { update: RoomUpdate::Snapshot(state), .. }] = begin.as_slice() else {
        panic!("{begin:?}")
    };
    assert_eq!(state.seq, 2);
    let told = said(&mut homes, later);
    assert_eq!((told.len(), replies(&told).len()), (1, 1));
}

#[test]
fn so_much_waits_for_signaling_and_no_more() {
    let (mut homes, now) = house();
    let mute = RoomCommand::Mute { participant: par("par_host"), source: Source::Microphone };
    for request in 0..2 * MAX_SAID {
        command(&mut homes, "par_guest", &request.to_string(), &mute, now);
    }
    assert_eq!(homes.said.len(), MAX_SAID);
    let told = said(&mut homes, now);
    let last = (2 * MAX_SAID - 1).to_string();
    assert!(matches!(replies(&told).last(), Some(Reply::Refused { request, .. }) if *request == Some(last)));
}

#[test]
fn meta_changes_and_ends_rooms_and_late_orders_change_nothing() {
    let (mut homes, now) = house();
    let report = GroupReport { group_id: group(), version: 1, epoch: 3 };
    assert_eq!(homes.reports(), [report]);
    let changed = |most_people: u32, version: i64| {
        let group = Group { max_participants: most_people, ..opened(3).group };
        GroupOrder::Changed { group, version }
    };
    assert!(homes.ordered(&changed(2, 2)).is_empty());
    assert_eq!(homes.join(&group(), joining("par_c", &[]), now), Err(JoinRefused::Full));
    assert!(homes.ordered(&changed(9, 1)).is_empty());
    assert_eq!(homes.join(&group(), joining("par_c", &[]), now), Err(JoinRefused::Full));
    assert_eq!(homes.reports()[0].version, 2);
    assert!(homes.ordered(&GroupOrder::NotHome { group_id: group(), epoch: 2 }).is_empty());
    assert!(homes.is_home(&group()));
    let end = |who: &str, why| Order::End { group: group(), participant: par(who), why };
    let ended = homes.ordered(&GroupOrder::NotHome { group_id: group(), epoch: 3 });
    assert_eq!(ended, [end("par_guest", WhyEnded::Moved), end("par_host", WhyEnded::Moved)]);
    assert!(homes.reports().is_empty());
    let (mut homes, _) = house();
    let ended = homes.ordered(&GroupOrder::Deleted { group_id: group() });
    assert_eq!(ended, [end("par_guest", WhyEnded::Deleted), end("par_host", WhyEnded::Deleted)]);
    assert!(homes.ordered(&GroupOrder::Deleted { group_id: group() }).is_empty());
}

#[test]
fn a_room_that_is_open_stays_as_it_is_in_its_epoch_and_begins_anew_in_a_later_one() {
    let (mut homes, now) = house();
    let with_rules = |epoch| {
        let rules = RoomRules { locked: true, people: Vec::new() };
        OpenedGroup { rules, ..opened(epoch) }
    };
    homes.open(&with_rules(3));
    assert_eq!(homes.snapshot(&group(), now).unwrap().people.len(), 2);
    // Somebody is in: that it has a later epoch takes nobody out.
    homes.open(&with_rules(4));
    assert!(homes.has_anybody(&group()));
    assert_eq!(homes.epoch(&group()), Some(4));
    for who in ["par_host", "par_guest"] {
        homes.leave(&group(), &par(who), WhyGone::Left, now);
    }
    homes.open(&with_rules(4));
    assert!(!homes.snapshot(&group(), now).unwrap().locked);
    homes.open(&with_rules(5));
    let state = homes.snapshot(&group(), now).unwrap();
    assert_eq!((state.epoch, state.seq, state.locked), (5, 0, true));
}

#[test]
fn rooms_that_nobody_is_in_do_not_pile_up_while_signaling_is_away() {
    let (mut homes, start) = (Homes::default(), Instant::now());
    let at = |secs| start + Duration::from_secs(secs);
    let named = |number: usize| {
        let mut opened = opened(1);
        opened.group.id = format!("grp_{number}").parse().unwrap();
        opened
    };
    // People come and go, some are refused after their room was opened, and nobody is told.
    for number in 0..MAX_ROOMS {
        assert!(homes.has_space());
        homes.open(&named(number));
        if number % 2 == 0 {
            let group = named(number).group.id;
            homes.join(&group, joining("par_a", &[]), start).unwrap();
            homes.leave(&group, &par("par_a"), WhyGone::Left, start);
        }
    }
    let kept = named(7).group.id;
    homes.join(&kept, joining("par_a", &[]), start).unwrap();
    assert!(!homes.has_space(), "as many as there may be");
    homes.close_empty(start);
    homes.close_empty(at(4));
    assert_eq!(homes.rooms.len(), MAX_ROOMS);
    homes.close_empty(at(5));
    assert_eq!(homes.rooms.keys().collect::<Vec<_>>(), [&kept]);
    // It is counted from when it was seen to be empty last.
    homes.leave(&kept, &par("par_a"), WhyGone::Left, at(5));
    homes.close_empty(at(6));
    homes.join(&kept, joining("par_b", &[]), at(7)).unwrap();
    homes.close_empty(at(12));
    homes.leave(&kept, &par("par_b"), WhyGone::Left, at(12));
    homes.close_empty(at(13));
    homes.close_empty(at(17));
    assert!(homes.is_home(&kept));
    homes.close_empty(at(18));
    assert!(!homes.is_home(&kept));
}
