//! Calls over three shards: who wants to see whom does, whoever came first and wherever they are.

use std::collections::{BTreeMap, BTreeSet};

use contract::call::{Bound, CALL_CHANNEL, SlotKind, Want, Wants, WhyMissing};
use contract::room_state::SourceState;
use sfu_core::{Gate, TrackName};
use transport::ChannelId;

use super::super::super::member::{CallSlot, Member};
use super::*;
use crate::published::{SOURCES, SourceGates, csrc};

const TILES: usize = 2;
const MICROPHONE_PT: u8 = 111;

fn number(person: u32, source: Source) -> u32 {
    csrc(SourceId(person), usize::from(track_index(source).0)).unwrap()
}

/// A participant with a microphone, a camera, and perhaps a screen.
fn sends(person: u32, with_screen: bool) -> Arc<Published> {
    let mut published = Arc::into_inner(published(with_screen)).expect("nobody else has it");
    let opus = Format {
        payload_type: MICROPHONE_PT,
        rtx: None,
        nack: false,
        codec: Codec::Opus,
        clock_rate: 48_000,
        redundant: None,
    };
    published.tracks[0] = TrackConfig {
        kind: MediaKind::Audio,
        mid: "a".parse().unwrap(),
        formats: vec![opus],
        encodings: vec![EncodingConfig::default()],
        csrc: None,
    };
    published.formats[0] = Some(CodecFormat::Opus);
    for (slot, track) in published.tracks.iter_mut().enumerate() {
        track.csrc = published.formats[slot].and_then(|_| csrc(SourceId(person), slot));
    }
    published.participant = Some(format!("par_{person}").parse().unwrap());
    Arc::new(published)
}

/// Who receives: two tiles, a screen, a voice.
fn receives(own: u32) -> Box<Member> {
    let kinds = [SlotKind::Tile, SlotKind::Tile, SlotKind::Screen, SlotKind::Voice];
    let slots = kinds.into_iter().enumerate().map(|(index, kind)| CallSlot {
        kind,
        mid: index.to_string().parse().unwrap(),
        ssrc: 10 * (1 + index as u32),
        rtx_ssrc: None,
        cname: "connection".into(),
        formats: vec![if kind.is_audio() {
            Format {
                payload_type: 100,
                rtx: None,
                nack: false,
                codec: Codec::Opus,
                clock_rate: 48_000,
                redundant: None,
            }
        } else {
            video("v", 101).formats[0]
        }],
        id: None,
    });
    Box::new(Member::new(SourceId(own), Extensions::new(), true, slots.collect()))
}

/// A node with calls.
struct Calls {
    node: Node,
    /// Participants who receive, with what they want: cameras in tiles.
    members: BTreeMap<u32, (Session, BTreeSet<u32>)>,
    /// What was said of the sources of a publisher's session, if that is not that they are on.
    states: BTreeMap<(SessionKey, usize), SourceState>,
    /// Numbers what is said of them.
    gates: u64,
    generation: u32,
}

impl Calls {
    fn new() -> Self {
        Self {
            node: Node::new(3),
            members: BTreeMap::new(),
            states: BTreeMap::new(),
            gates: 0,
            generation: 0,
        }
    }

    fn publish(&mut self, person: u32, shard: usize, with_screen: bool) {
        let published = sends(person, with_screen);
        self.node.publish_as(ROOM, SourceId(person), shard, published, with_screen);
    }

    /// What a source does from now on, by the room's word.
    fn gate(&mut self, person: u32, source: Source, state: SourceState) {
        self.gates += 1;
        self.numbered_gate(person, source, state, self.gates);
    }

    fn numbered_gate(&mut self, person: u32, source: Source, state: SourceState, number: u64) {
        let Some(publisher) = self.node.publishers.get(&(ROOM, SourceId(person))) else { return };
        let (shard, key, now) = (publisher.session.shard, publisher.session.key, self.node.now);
        self.states.insert((key, usize::from(track_index(source).0)), state);
        self.node.shards[shard].command(Command::Gate { key, source, state, number }, now);
    }

    /// What a source of somebody does, who may be lost.
    fn state(&self, name: SourceId, source: Source) -> Option<SourceState> {
        let session = &self.node.publishers.get(&(ROOM, name))?.session;
        let state = self.states.get(&(session.key, usize::from(track_index(source).0)));
        Some(state.copied().unwrap_or(SourceState::On))
    }

    /// Opens, or opens anew, the connection that receives.
    fn receive(&mut self, person: u32, shard: usize) {
        self.leave(person);
        let known = self.node.known.iter().filter(|((room, _), _)| *room == ROOM);
        let known = known.map(|((_, source), published)| (*source, published.clone()));
        let role = JoinRole::Member { published: known.collect(), member: receives(person) };
        let session = self.node.enter(ROOM, shard, role);
        self.members.insert(person, (session, BTreeSet::new()));
    }

    fn leave(&mut self, person: u32) {
        if let Some((session, _)) = self.members.remove(&person) {
            self.node.remove(session);
        }
    }

    /// A publisher leaves for good.
    fn end(&mut self, person: u32) {
        self.node.lose(ROOM, SourceId(person));
        self.node.known.remove(&(ROOM, SourceId(person)));
        let now = self.node.now;
        for thread in &mut self.node.shards {
            thread.command(Command::Gone { room: ROOM, source: SourceId(person) }, now);
        }
    }

    fn slot(&self, person: u32) -> (usize, usize) {
        let (session, _) = &self.members[&person];
        (session.shard, self.node.shards[session.shard].by_key[&session.key])
    }

    fn choose(&mut self, person: u32, wants: Option<Wants>) -> Bound {
        let (shard, slot) = self.slot(person);
        self.node.shards[shard].choose_slots(slot, wants, self.node.now).unwrap()
    }

    fn want(&mut self, person: u32, cameras: BTreeSet<u32>) {
        let Some((_, wanted)) = self.members.get_mut(&person) else { return };
        wanted.clone_from(&cameras);
        self.generation += 1;
        let tile = |source| Want { source, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false };
        let mut sources: Vec<Want> =
            cameras.iter().map(|camera| tile(number(*camera, Source::Camera))).collect();
        // The screen of the first, whatever it has.
        sources.extend(
            cameras
                .first()
                .map(|first| Want { slot: SlotKind::Screen, ..tile(number(*first, Source::Screen)) }),
        );
        self.choose(person, Some(Wants { generation: self.generation, sources }));
    }

    /// Every shard knows of everybody's gates what was said last.
    fn gates_agree(&self) {
        for name in self.node.publishers.keys() {
            let gates = self.node.shards.iter().map(|thread| thread.io.rooms.publisher(*name).unwrap().gates);
            let gates: Vec<SourceGates> = gates.collect();
            let said = |source| match self.state(name.1, source).unwrap() {
                SourceState::On => Gate::Open,
                SourceState::Off => Gate::Off,
                SourceState::Muted => Gate::Closed,
            };
            assert_eq!(gates, [SOURCES.map(said); 3], "{name:?}");
        }
    }

    /// Films and speaks for a while, everything being delivered.
    fn go_on(&mut self) {
        for _ in 0..3 * KEYFRAMES {
            self.node.film(1);
            self.speak();
            self.node.settle();
            self.run_calls();
            self.node.advance(Duration::from_millis(33));
        }
    }

    fn speak(&mut self) {
        for publisher in self.node.publishers.values() {
            let thread = &mut self.node.shards[publisher.session.shard];
            let slot = thread.by_key[&publisher.session.key];
            let mut writer = HeaderWriter::new();
            let header = Header {
                marker: false,
                payload_type: MICROPHONE_PT,
                sequence: publisher.frame as u16,
                timestamp: (publisher.frame as u32).wrapping_mul(960),
                ssrc: (publisher.session.key.0 as u32) << 8 | u32::from(MICROPHONE_PT),
                padded: false,
            };
            writer.start(&header, false);
            writer.finish();
            let packet = [writer.bytes(), &[7; 40]].concat();
            let now = self.node.now;
            thread.take_in(slot, now, |thread| thread.publisher_rtp(slot, &packet, now));
            thread.forward(now);
            thread.io.lanes.flush();
        }
    }

    fn run_calls(&mut self) {
        let now = self.node.now;
        self.node.shards.iter_mut().for_each(|thread| thread.run_calls(now));
    }

    /// Packets that the slots of a member have sent, by m-line.
    fn packets(&self, person: u32) -> BTreeMap<String, u64> {
        let (shard, slot) = self.slot(person);
        let thread = &self.node.shards[shard];
        let Role::Member(member) = &thread.io.participants[slot].role else { panic!("a member") };
        let packets = |slot: &CallSlot| {
            let stats = thread.core.subscription_stats(slot.id.unwrap());
            (slot.mid.to_string(), stats.map_or(0, |stats| stats.packets))
        };
        member.slots.iter().map(packets).collect()
    }

    /// Everybody is bound to what it wants and is there, gets it, and nothing else; hears somebody else if there is one.
    fn everybody_sees(&mut self) {
        self.node.remove_stale();
        self.go_on();
        let people: Vec<u32> = self.members.keys().copied().collect();
        let before: Vec<_> = people.iter().map(|person| self.packets(*person)).collect();
        self.go_on();
        for (person, before) in people.into_iter().zip(before) {
            let (bound, after) = (self.choose(person, None), self.packets(person));
            let wanted = &self.members[&person].1;
            // Of who is lost a shard may have heard nothing yet; of who is there it has.
            let (shard, _) = self.slot(person);
            let room = self.node.shards[shard].io.rooms.room(ROOM).unwrap();
            let knows = |camera: u32| room.publisher(SourceId(camera)).is_some();
            assert!(self.node.publishers.keys().all(|(_, source)| knows(source.0)));
            let known = |camera: &&u32| knows(**camera);
            // Who is lost, or off, has a slot only where nobody else needs it.
            let sends = |camera: u32| self.state(SourceId(camera), Source::Camera) == Some(SourceState::On);
            let (sending, lost): (Vec<u32>, Vec<u32>) =
                wanted.iter().filter(known).partition(|camera| sends(**camera));
            let expected = sending.into_iter().chain(lost).take(TILES);
            let expected: BTreeSet<u32> = expected.map(|c| number(c, Source::Camera)).collect();
            let tiles: BTreeSet<u32> =
                bound.slots.iter().filter(|b| b.mid == "0" || b.mid == "1").map(|b| b.source).collect();
            assert_eq!(tiles, expected, "{person} wants {wanted:?}: {bound:?}");
            for binding in &bound.slots {
                let name: TrackName = crate::published::by_csrc(binding.source).unwrap();
                assert_eq!(binding.participant.as_str(), format!("par_{}", name.source.0));
                let source = [Source::Microphone, Source::Camera, Source::Screen][usize::from(name.track.0)];
                // What says that it is off and comes nevertheless is got nevertheless.
                let flows = self.state(name.source, source).is_some_and(|state| state != SourceState::Muted);
                let news = after[&binding.mid] > before[&binding.mid];
                assert_eq!(news, flows, "{person}: {binding:?}, {before:?} and then {after:?}");
                // Of a source that has flowed through the slot it is known from when on.
                assert!(!flows || binding.from.is_some(), "{person}: {binding:?}");
                assert!(binding.mid != "3" || name.source != SourceId(person), "it hears itself");
            }
            let silent =
                (0..4).map(|mid| mid.to_string()).filter(|mid| bound.slots.iter().all(|b| b.mid != *mid));
            silent.for_each(|mid| assert_eq!(after[&mid], before[&mid], "{person}: nothing on {mid}"));
            let is_open = |name| self.state(name, Source::Microphone) != Some(SourceState::Muted);
            let mut names = self.node.publishers.keys().map(|(_, name)| *name);
            let others = names.any(|name| name != SourceId(person) && is_open(name));
            assert_eq!(bound.slots.iter().any(|binding| binding.mid == "3"), others, "{person} hears");
        }
        assert_eq!(self.node.counter(|counters| &counters.panics), 0);
    }
}

#[test]
fn two_see_and_hear_each_other_on_any_shards() {
    for (first, second) in [(0, 0), (0, 1), (1, 0), (2, 1)] {
        let mut calls = Calls::new();
        calls.publish(0, first, false);
        calls.receive(0, second);
        calls.publish(1, second, true);
        calls.receive(1, first);
        calls.want(0, [1].into());
        calls.want(1, [0].into());
        calls.everybody_sees();
        let bound = calls.choose(0, None);
        let seen: Vec<(&str, u32)> = bound.slots.iter().map(|b| (b.mid.as_str(), b.source)).collect();
        let [camera, screen, voice] =
            [Source::Camera, Source::Screen, Source::Microphone].map(|source| number(1, source));
        assert_eq!(seen, [("0", camera), ("2", screen), ("3", voice)]);
        assert_eq!(calls.choose(1, None).slots.len(), 2, "nobody shares a screen with it");
    }
}

#[test]
fn who_has_left_for_good_makes_room_and_is_forgotten_on_every_shard() {
    let mut calls = Calls::new();
    (0..4).for_each(|person| calls.publish(person, person as usize % 3, false));
    (0..3).for_each(|shard| calls.receive(10 + shard as u32, shard));
    (10..13).for_each(|person| calls.want(person, [0, 1, 2, 3].into()));
    calls.everybody_sees();
    let slots: Vec<u32> = calls.choose(10, None).slots.iter().map(|binding| binding.source).collect();
    assert_eq!(slots[..2], [number(0, Source::Camera), number(1, Source::Camera)]);
    // One that is lost makes room, but may come back; one that has left is forgotten.
    calls.node.lose(ROOM, SourceId(1));
    calls.everybody_sees();
    calls.end(0);
    calls.end(1);
    calls.everybody_sees();
    let bound = calls.choose(10, None);
    let slots: BTreeSet<u32> = bound.slots.iter().take(2).map(|binding| binding.source).collect();
    assert_eq!(slots, [number(2, Source::Camera), number(3, Source::Camera)].into());
    let absent: Vec<u32> = bound
        .missing
        .iter()
        .filter(|missing| missing.why == WhyMissing::Absent)
        .map(|missing| missing.source)
        .collect();
    assert_eq!(absent[..2], [number(0, Source::Camera), number(1, Source::Camera)]);
    for thread in &calls.node.shards {
        let room = thread.io.rooms.room(ROOM).unwrap();
        assert_eq!(room.publishers.iter().map(|one| one.source.0).collect::<Vec<_>>(), [2, 3]);
    }
    // What is still on its way from one that has left brings it back nowhere.
    let late = sends(0, false);
    let (thread, now) = (&mut calls.node.shards[1], calls.node.now);
    let key = (ROOM, SourceId(0));
    assert!(!thread.publisher_is(
        key,
        SessionKey(1_000),
        (Place::On { shard: 0 }, SourceGates::default()),
        late,
        now
    ));
    calls.everybody_sees();
}

#[test]
fn a_page_that_floods_its_channel_has_its_last_word_heard() {
    let mut calls = Calls::new();
    (0..3).for_each(|person| calls.publish(person, person as usize, false));
    calls.receive(9, 1);
    calls.node.settle();
    let (shard, slot) = calls.slot(9);
    let (channel, now) = (ChannelId(3), calls.node.now);
    let thread = &mut calls.node.shards[shard];
    let wants = |generation: u32, person: u32| {
        let source = number(person, Source::Camera);
        let text =
            format!(r#"{{"generation":{generation},"sources":[{{"source":{source},"slot":"tile"}}]}}"#);
        text.into_bytes()
    };
    // Before the channel of the call is open, and on others, nothing is listened to.
    thread.call_channel_opened(slot, ChannelId(1), "-/other");
    thread.call_message(slot, ChannelId(1), wants(1, 0));
    let generation = |thread: &ShardThread| match &thread.io.participants[slot].role {
        Role::Member(member) => member.wants.generation,
        _ => panic!("a member"),
    };
    thread.run_calls(now);
    assert_eq!(generation(thread), 0);
    thread.call_channel_opened(slot, channel, CALL_CHANNEL);
    // Each in a turn of its own, as fast as they come.
    let mut read = 0;
    for number in 1..=10_000 {
        thread.call_message(slot, channel, wants(number, number % 3));
        thread.run_calls(now);
        read += usize::from(generation(thread) == number);
    }
    assert!(read <= 100, "{read} were read at once");
    let later = now + Duration::from_secs(2);
    thread.run_calls(later);
    assert_eq!(generation(thread), 10_000, "the latest counts, and is not lost");
    // By HTTP it is the same account: whatever waits, the last word of both counts.
    let mut read = 0;
    let camera = |person| Want {
        source: number(person, Source::Camera),
        slot: SlotKind::Tile,
        height: 0,
        priority: 0,
        pinned: false,
    };
    for number in 10_001..=12_000 {
        let wants = Wants { generation: number, sources: vec![camera(number % 3)] };
        let bound = thread.choose_slots(slot, Some(wants), later).unwrap();
        read += usize::from(bound.wants == number);
    }
    assert!(read <= 100, "{read} were read at once");
    thread.choose_slots(slot, Some(Wants { generation: 11_000, sources: Vec::new() }), later).unwrap();
    thread.call_message(slot, channel, wants(11_999, 0));
    let later = later + Duration::from_secs(2);
    thread.run_calls(later);
    assert_eq!(generation(thread), 12_000, "the latest counts, and is not lost");
    // What is no message of the protocol changes nothing; nor does one that was overtaken.
    let mut later = later + Duration::from_secs(60);
    let many = format!(
        r#"{{"generation":20000,"sources":[{}]}}"#,
        vec![r#"{"source":1,"slot":"tile"}"#; contract::call::MAX_WANTS + 1].join(",")
    );
    let negative = r#"{"generation":20000,"sources":[{"source":-1,"slot":"tile"}]}"#;
    for bad in ["", "{}", "[1]", negative, &many] {
        thread.call_message(slot, channel, bad.as_bytes().to_vec());
        thread.run_calls(later);
        later += Duration::from_secs(1);
    }
    thread.call_message(slot, channel, wants(9_999, 0));
    thread.run_calls(later);
    assert_eq!(generation(thread), 12_000);
    assert_eq!(calls.node.counter(|counters| &counters.data_dropped), 6);
    assert_eq!(calls.node.counter(|counters| &counters.panics), 0);
    calls.members.get_mut(&9).unwrap().1 = [12_000 % 3].into();
    calls.everybody_sees();
}

#[test]
fn sources_of_other_rooms_are_not_there() {
    let mut calls = Calls::new();
    let elsewhere = RoomKey::Group(2);
    calls.node.publish_as(elsewhere, SourceId(5), 1, sends(5, true), true);
    calls.publish(0, 0, false);
    calls.receive(1, 1);
    let watcher =
        calls.node.enter(elsewhere, 1, JoinRole::Member { published: Vec::new(), member: receives(6) });
    calls.want(1, [5].into());
    calls.node.settle();
    let bound = calls.choose(1, None);
    assert_eq!(bound.missing.len(), 2);
    assert!(bound.missing.iter().all(|missing| missing.why == WhyMissing::Absent), "{bound:?}");
    assert!(bound.slots.iter().all(|binding| binding.participant.as_str() != "par_5"));
    calls.node.remove(watcher);
    calls.node.lose(elsewhere, SourceId(5));
    calls.node.settle();
}

#[derive(Debug, Clone)]
enum Act {
    Publish { person: u32, shard: usize, with_screen: bool },
    Lose { person: u32 },
    End { person: u32 },
    Receive { person: u32, shard: usize },
    Leave { person: u32 },
    Want { person: u32, cameras: BTreeSet<u32> },
    Film,
    Gate { person: u32, source: usize, state: usize },
    Deliver { shard: usize },
    RunCalls,
}

fn act() -> impl Strategy<Value = Act> {
    let cameras = prop::collection::btree_set(0u32..5, 0..5);
    prop_oneof![
        3 => (0u32..5, 0usize..3, any::<bool>())
            .prop_map(|(person, shard, with_screen)| Act::Publish { person, shard, with_screen }),
        2 => (0u32..5).prop_map(|person| Act::Lose { person }),
        1 => (0u32..5).prop_map(|person| Act::End { person }),
        3 => (0u32..5, 0usize..3).prop_map(|(person, shard)| Act::Receive { person, shard }),
        1 => (0u32..5).prop_map(|person| Act::Leave { person }),
        3 => (0u32..5, cameras).prop_map(|(person, cameras)| Act::Want { person, cameras }),
        3 => Just(Act::Film),
        3 => (0u32..5, 0usize..2, 0usize..3)
            .prop_map(|(person, source, state)| Act::Gate { person, source, state }),
        3 => (0usize..3).prop_map(|shard| Act::Deliver { shard }),
        2 => Just(Act::RunCalls),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(10),
        ..ProptestConfig::default()
    })]

    /// Whatever people do in whatever order: in the end everybody sees whom it wants, hears others, and when they have
    /// gone nothing of them is kept.
    #[test]
    fn in_the_end_everybody_sees_whom_it_wants(acts in prop::collection::vec(act(), 1..40)) {
        let mut calls = Calls::new();
        let mut over = BTreeSet::new();
        for act in acts {
            match act {
                // Names are not used again.
                Act::Publish { person, shard, with_screen } if !over.contains(&person) => {
                    calls.publish(person, shard, with_screen);
                }
                Act::Publish { .. } => {}
                Act::Lose { person } => calls.node.lose(ROOM, SourceId(person)),
                Act::End { person } => {
                    calls.node.remove_stale();
                    calls.end(person);
                    over.insert(person);
                }
                Act::Receive { person, shard } => calls.receive(person, shard),
                Act::Leave { person } => calls.leave(person),
                Act::Want { person, cameras } => calls.want(person, cameras),
                Act::Film => {
                    calls.node.film(2);
                    calls.node.advance(Duration::from_millis(33));
                }
                Act::Gate { person, source, state } => {
                    let states = [SourceState::On, SourceState::Off, SourceState::Muted];
                    calls.gate(person, SOURCES[source], states[state]);
                }
                Act::Deliver { shard } => {
                    calls.node.deliver(shard);
                }
                Act::RunCalls => calls.run_calls(),
            }
        }
        calls.everybody_sees();
        calls.gates_agree();
        let people: Vec<u32> = calls.members.keys().copied().collect();
        people.into_iter().for_each(|person| calls.leave(person));
        nothing_stays(&mut calls.node);
    }
}

#[test]
fn what_is_closed_reaches_nobody_on_any_shard_nor_from_the_next_session() {
    use SourceState::{Muted, On};
    // Packets of the tile and of the voice, while everybody sends.
    let flows = |calls: &mut Calls| {
        calls.go_on();
        let before = calls.packets(9);
        calls.go_on();
        let after = calls.packets(9);
        ["0", "3"].map(|mid| after[mid] > before[mid])
    };
    for (home, edge) in [(0, 1), (1, 1)] {
        let mut calls = Calls::new();
        calls.publish(0, home, false);
        calls.receive(9, edge);
        calls.want(9, [0].into());
        assert_eq!(flows(&mut calls), [true, true]);
        calls.gate(0, Source::Camera, Muted);
        assert_eq!(flows(&mut calls), [false, true], "only the camera is closed");
        calls.gate(0, Source::Microphone, Muted);
        assert_eq!(flows(&mut calls), [false, false]);
        calls.publish(0, 2, false);
        calls.gate(0, Source::Camera, Muted);
        calls.gate(0, Source::Microphone, On);
        assert_eq!(flows(&mut calls), [false, true], "on another shard");
        calls.publish(0, home, false);
        assert_eq!(flows(&mut calls), [true, true], "what is said for one session counts for it alone");
        calls.gate(0, Source::Camera, Muted);
        calls.gate(0, Source::Camera, On);
        assert_eq!(flows(&mut calls), [true, true]);
        // A mute, taken back and given again, whose parts overtake each other on their way.
        for (state, number) in [(Muted, 103), (On, 102), (Muted, 101)] {
            calls.numbered_gate(0, Source::Camera, state, number);
        }
        assert_eq!(flows(&mut calls), [false, true]);
    }
}
