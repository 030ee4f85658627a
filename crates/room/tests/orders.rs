//! Whatever comes, in whatever order, lost or twice: everybody ends with the same state, the SFU lets through what the
//! state says, and nothing is done twice.

mod support;

use std::collections::BTreeSet;

use contract::id::ParticipantId;
use contract::room_state::{Quality, ReactionKind, Right, RoomCommand, RoomDelta, RoomUpdate, SourceState};
use proptest::prelude::*;
use room::{Applied, Replica, Room, right_to};
use support::{House, SOURCES, all_but_moderate, everything, par, rights};

/// People of the test. The first two are hosts.
const PEOPLE: usize = 6;
const REPLICAS: usize = 3;
const RIGHTS: [Right; 4] = [Right::Camera, Right::Microphone, Right::Screen, Right::Moderate];

#[derive(Debug, Clone)]
enum Step {
    Join(usize),
    Leave(usize),
    Quality(usize, Quality),
    Publish(usize, usize, bool),
    Unpublish(usize, usize),
    /// Who, which request, what.
    Command(usize, usize, RoomCommand),
    /// The change that waits is stored or not.
    Stored(bool),
    /// So much time passes, and what is due is told; for each replica how often the message comes.
    Pass(u64, [usize; REPLICAS]),
    /// An old message comes again.
    Again(usize, usize),
    /// The replica connects anew: it gets a snapshot.
    Reconnect(usize),
    /// The home is killed: what is stored stays, the epoch is the next, people come back one by one.
    Kill,
}

fn command() -> impl Strategy<Value = RoomCommand> {
    let who = (0..PEOPLE).prop_map(par);
    let source = (0..SOURCES.len()).prop_map(|i| SOURCES[i]);
    let right = (0..RIGHTS.len()).prop_map(|i| RIGHTS[i]);
    prop_oneof![
        (source.clone(), any::<bool>()).prop_map(|(source, on)| RoomCommand::Switch { source, on }),
        "[ab]{0,2}".prop_map(|name| RoomCommand::Rename { name }),
        (any::<bool>(), proptest::option::of(who.clone()))
            .prop_map(|(up, participant)| RoomCommand::Hand { up, participant }),
        Just(RoomCommand::React { reaction: ReactionKind::Heart }),
        (who.clone(), source).prop_map(|(participant, source)| RoomCommand::Mute { participant, source }),
        who.clone().prop_map(|participant| RoomCommand::Remove { participant }),
        any::<bool>().prop_map(|on| RoomCommand::Lock { on }),
        (who.clone(), right.clone())
            .prop_map(|(participant, right)| RoomCommand::Grant { participant, right }),
        (who, right).prop_map(|(participant, right)| RoomCommand::Revoke { participant, right }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE;
    let quality = prop_oneof![Just(Quality::Good), Just(Quality::Poor), Just(Quality::Lost)];
    prop_oneof![
        4 => who.clone().prop_map(Step::Join),
        1 => who.clone().prop_map(Step::Leave),
        1 => (who.clone(), quality).prop_map(|(who, quality)| Step::Quality(who, quality)),
        3 => (who.clone(), 0..SOURCES.len(), any::<bool>())
            .prop_map(|(who, source, on)| Step::Publish(who, source, on)),
        1 => (who.clone(), 0..SOURCES.len()).prop_map(|(who, source)| Step::Unpublish(who, source)),
        8 => (who, 0..40_usize, command()).prop_map(|(who, id, what)| Step::Command(who, id, what)),
        4 => prop::bool::weighted(0.8).prop_map(Step::Stored),
        6 => (0..300_u64, [0..3_usize, 0..3_usize, 1..2_usize]).prop_map(|(ms, times)| Step::Pass(ms, times)),
        1 => (0..REPLICAS, 0..100_usize).prop_map(|(replica, index)| Step::Again(replica, index)),
        1 => (0..REPLICAS).prop_map(Step::Reconnect),
        1 => Just(Step::Kill),
    ]
}

fn granted(who: usize) -> contract::room_state::Rights {
    match who {
        0 | 1 => everything(),
        2 => rights(&[Right::Chat]),
        _ => all_but_moderate(),
    }
}

struct World {
    house: House,
    epoch: u64,
    replicas: Vec<Replica>,
    /// All that was ever told.
    told: Vec<RoomUpdate>,
    gaps: usize,
}

impl World {
    fn new() -> Self {
        let (replicas, told) = (vec![Replica::default(); REPLICAS], Vec::new());
        Self { house: House::new(PEOPLE - 1), epoch: 1, replicas, told, gaps: 0 }
    }

    fn hear(&mut self, replica: usize, update: &RoomUpdate) {
        let before = self.replicas[replica].snapshot();
        match self.replicas[replica].apply(update) {
            Applied::Changed => {}
            Applied::Stale | Applied::Gap => assert_eq!(self.replicas[replica].snapshot(), before),
        }
    }

    fn tell(&mut self, delta: RoomDelta, times: [usize; REPLICAS]) {
        let update = RoomUpdate::Delta(delta);
        for (replica, times) in times.into_iter().enumerate() {
            (0..times).for_each(|_| self.hear(replica, &update));
        }
        self.told.push(update);
    }

    fn reconnect(&mut self, replica: usize) {
        let snapshot = RoomUpdate::Snapshot(self.house.room.snapshot());
        self.hear(replica, &snapshot);
        self.told.push(snapshot);
    }

    fn run(&mut self, step: Step) {
        let now = self.house.now;
        match step {
            Step::Join(who) => drop(self.house.join(who, granted(who))),
            Step::Leave(who) => self.house.leave(who),
            Step::Quality(who, quality) => self.house.room.set_quality(&par(who), quality, now),
            Step::Publish(who, source, on) => self.house.publish(who, source, on),
            Step::Unpublish(who, source) => {
                self.house.room.unpublish(&par(who), SOURCES[source], now);
                self.house.gates.remove(&(par(who), source));
            }
            Step::Command(who, request, command) => self.house.command(who, &request.to_string(), command),
            Step::Stored(is_stored) => self.house.stored(is_stored),
            Step::Pass(ms, times) => {
                self.house.pass(ms);
                if let Some(delta) = self.house.delta() {
                    self.tell(delta, times);
                }
            }
            Step::Again(replica, index) => {
                if let Some(update) = self.told.get(index).cloned() {
                    self.hear(replica, &update);
                }
            }
            Step::Reconnect(replica) => self.reconnect(replica),
            Step::Kill => {
                self.epoch += 1;
                self.house.room = Room::new(self.epoch, PEOPLE - 1, self.house.disk.clone());
                self.house.waiting = None;
                self.house.gates.clear();
            }
        }
        self.check();
    }

    /// What holds at any time.
    fn check(&self) {
        let room = &self.house.room;
        let rules = room.rules();
        assert_eq!(*rules, self.house.disk, "nothing holds that is not stored");
        assert!(room.len() < PEOPLE);
        let mut numbers = BTreeSet::new();
        for who in 0..PEOPLE {
            let id = par(who);
            let Some(person) = room.person(&id) else { continue };
            assert!(!rules.removed.contains(&id), "removed and there");
            assert_eq!(person.rights, expected_rights(rules, &id, who));
            assert!(numbers.insert(person.order));
            assert!(person.hand == 0 || numbers.insert(person.hand));
            for (index, source) in SOURCES.into_iter().enumerate() {
                let Some(known) = person.sources.iter().find(|known| known.source == source) else {
                    continue;
                };
                let gate = self.house.gates.get(&(id.clone(), index)).copied();
                assert_eq!(gate, Some(known.state), "{id} {source:?}");
                assert!(person.rights.contains(&right_to(source)) || known.state == SourceState::Muted);
            }
        }
    }

    /// What is on its way arrives, and then one more thing that everybody hears: who finds a gap connects anew, and whoever
    /// does not has missed nothing.
    fn settle(&mut self) {
        while let Some(delta) = self.house.next_delta() {
            self.tell(delta, [0, 1, 0]);
        }
        self.house.pass(1_000);
        self.house.room.leave(&par(0), contract::room_state::WhyGone::Left, self.house.now);
        if self.house.room.rules().removed.contains(&par(0)) || self.house.join(0, everything()).is_err() {
            // Then it is a snapshot that everybody hears.
            (0..REPLICAS).for_each(|replica| self.reconnect(replica));
        } else {
            self.house.publish(0, 0, true);
            let delta = RoomUpdate::Delta(self.house.next_delta().expect("somebody came or changed"));
            for replica in 0..REPLICAS {
                if self.replicas[replica].apply(&delta) == Applied::Gap {
                    self.gaps += 1;
                    self.reconnect(replica);
                }
            }
        }
        let state = self.house.room.snapshot();
        for replica in &self.replicas {
            assert_eq!(replica.snapshot().as_ref(), Some(&state));
        }
        let now: Vec<_> = (0..PEOPLE).filter_map(|who| self.house.room.person(&par(who)).cloned()).collect();
        assert_eq!(state.people, now, "everything is told");
    }
}

fn expected_rights(rules: &room::Rules, id: &ParticipantId, who: usize) -> contract::room_state::Rights {
    let mut expected = granted(who);
    for (right, is_given) in rules.rights.get(id).into_iter().flatten() {
        if *is_given {
            expected.insert(*right)
        } else {
            expected.remove(right)
        };
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: proptest::test_runner::RngSeed::Fixed(10),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn everybody_ends_with_the_same_state(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.run(step));
        world.settle();
    }

    /// Commands once to one room, and to another each as often as it likes, some of them much later.
    #[test]
    fn to_repeat_a_command_does_no_harm(
        commands in prop::collection::vec((0..PEOPLE, command(), 1..4_usize, any::<bool>()), 0..60)
    ) {
        let mut houses = [House::new(PEOPLE), House::new(PEOPLE)];
        for house in &mut houses {
            for who in 0..PEOPLE {
                house.join(who, granted(who)).unwrap();
                (0..SOURCES.len()).for_each(|source| house.publish(who, source, true));
            }
        }
        let mut given: Vec<(usize, String, RoomCommand)> = Vec::new();
        for (number, (who, command, times, late)) in commands.into_iter().enumerate() {
            let request = number.to_string();
            let _ = houses[0].ask(who, &request, command.clone());
            let mut answers = Vec::new();
            (0..times).for_each(|_| answers.push(houses[1].ask(who, &request, command.clone())));
            // One that was too fast may be tried again, and is then too fast again: no time passes here.
            prop_assert!(answers.iter().all(|answer| answer == &answers[0] || answer.is_err()));
            given.push((who, request, command));
            if late && let Some((who, request, command)) = given.get(number / 2).cloned() {
                let _ = houses[1].ask(who, &request, command);
            }
        }
        let [once, often] = &houses;
        for who in 0..PEOPLE {
            prop_assert_eq!(once.room.person(&par(who)), often.room.person(&par(who)));
        }
        prop_assert_eq!(once.room.rules(), often.room.rules());
        prop_assert_eq!(&once.gates, &often.gates);
        prop_assert_eq!(&once.ended, &often.ended);
    }
}

/// The property would hold trivially if nothing ever went missing.
#[test]
fn losses_are_found() {
    let mut world = World::new();
    for who in 0..4 {
        world.run(Step::Join(who));
        world.run(Step::Pass(200, [1, 1, usize::from(who != 2)]));
        if who == 0 {
            (0..REPLICAS).for_each(|replica| world.run(Step::Reconnect(replica)));
        }
    }
    world.settle();
    assert_eq!(world.gaps, 1);
}
