//! Who is heard and who speaks, on traces of speech: one person's words are not lost, and nothing flickers.

mod common;
mod speech;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use common::{Rng, ms};
use proptest::prelude::*;
use rtp::AudioLevel;
use sfu_core::voices::choose::assign;
use sfu_core::voices::level::Heard;
use sfu_core::voices::{STAGE_HOLDS, Said, Voices};
use speech::*;

/// Streams of most listeners.
const VOICES: usize = 4;
/// Everybody is quiet for this long, so that something is known of the noise.
const WARM_UP: u64 = 3_000;

/// What came of a trace.
#[derive(Default)]
struct Outcome {
    /// Of each utterance: what of its beginning a listener did not get, in milliseconds.
    lost: Vec<u64>,
    /// Who came in anew, and when.
    entries: Vec<(u64, u32)>,
    /// Who came onto the stage, and when.
    stage: Vec<(u64, Option<u32>)>,
    /// Marks that went on or off.
    marks: Vec<(u64, u32, bool)>,
}

/// Plays a script with these people until `end`.
fn play(people: &mut [Person], script: &Script, end: u64) -> Outcome {
    let (start, mut outcome, mut voices) = (Instant::now(), Outcome::default(), Voices::default());
    voices.listen(VOICES, start);
    // Since when each chosen one is heard.
    let mut heard: BTreeMap<u32, u64> = BTreeMap::new();
    // Utterances to come, and those that have begun and are not heard yet.
    let (mut words, mut open): (Vec<_>, Vec<_>) = (script.words().collect(), Vec::new());
    words.sort_unstable_by_key(|(_, from, _)| std::cmp::Reverse(*from));
    for time in (0..end).step_by(STEP as usize) {
        let now = start + ms(time);
        if voices.due().is_some_and(|due| due <= now) {
            voices.tick(now);
        }
        // Not all at the same moment, as their clocks are not the same.
        let turn =
            people.iter_mut().zip(0u32..).filter(|(_, who)| u64::from(*who) * STEP % PACKET == time % PACKET);
        for (person, who) in turn {
            voices.hear(who, person.packet(script.at(who, time)), now);
            if voices.take_changed() {
                let chosen: BTreeSet<u32> = voices.choice(VOICES).unwrap().chosen().collect();
                heard.retain(|who, _| chosen.contains(who));
                let new: Vec<u32> = chosen.into_iter().filter(|who| !heard.contains_key(who)).collect();
                for who in &new {
                    let back = now - voices.hear_from(*who, now);
                    assert!(back <= ms(100), "more than is caught up with");
                    heard.insert(*who, time.saturating_sub(back.as_millis() as u64));
                }
                outcome.entries.extend(new.into_iter().map(|who| (time, who)));
            }
        }
        for said in voices.take_said() {
            match said {
                Said::Speaking { who, speaking } => outcome.marks.push((time, who, speaking)),
                Said::OnStage(who) => outcome.stage.push((time, who)),
            }
        }
        while words.last().is_some_and(|(_, from, _)| *from == time) {
            open.extend(words.pop());
        }
        open.retain(|(who, from, to)| {
            // A listener has the packets from there on; the packet of now is of the 20 ms before.
            let lost = heard.get(who).map(|since| since.saturating_sub(from + PACKET));
            let lost = lost.or_else(|| (time + STEP >= *to).then_some(to - from));
            outcome.lost.extend(lost);
            lost.is_none()
        });
    }
    outcome
}

fn people(count: u32, seed: u64, client: Client) -> Vec<Person> {
    (0..count).map(|who| Person::new(seed * 1_000 + u64::from(who), client)).collect()
}

/// Forty seconds in which the word goes round: at most three speak at once, anybody may be next.
fn word_goes_round(count: u32, seed: u64) -> Script {
    let (mut script, mut rng) = (Script::default(), Rng(seed));
    let mut at = WARM_UP;
    let mut busy: BTreeMap<u32, u64> = BTreeMap::new();
    while at < 40_000 {
        busy.retain(|_, until| *until > at);
        let who = rng.below(count.into()) as u32;
        if busy.len() < 3 && !busy.contains_key(&who) {
            let to = at + 400 + 4 * rng.below(900);
            script.speak(who, at, to, &mut rng);
            busy.insert(who, to + 400);
        }
        at += 200 + 4 * rng.below(400);
    }
    script
}

#[test]
fn at_most_40_ms_of_an_utterance_are_lost() {
    let mut worst = BTreeMap::new();
    for client in CLIENTS {
        for (count, seeds) in [(2, 1), (4, 1), (5, 2), (6, 3), (12, 3), (40, 1), (100, 1)] {
            for seed in 0..seeds {
                let script = word_goes_round(count, seed);
                let outcome = play(&mut people(count, seed, client), &script, 40_000);
                assert!(outcome.lost.len() > 20, "{} utterances", outcome.lost.len());
                let most = outcome.lost.iter().copied().max().unwrap();
                let place = worst.entry((format!("{client:?}"), count)).or_insert(0);
                *place = most.max(*place);
            }
        }
    }
    assert!(worst.values().all(|lost| *lost <= 40), "{worst:?}");
}

#[test]
fn a_dialogue_never_moves_anybody() {
    for client in CLIENTS {
        for count in [2, 5, 10, 40] {
            for seed in 0..2 {
                let (mut script, mut rng) = (Script::default(), Rng(seed));
                let (mut at, mut turn, mut both_spoke) = (WARM_UP, 0, 0);
                while at < 60_000 {
                    let to = at + 800 + rng.below(4_000);
                    script.speak(turn % 2, at, to, &mut rng);
                    if turn == 1 {
                        both_spoke = at + 100;
                    }
                    // Each falls into the other's words at times.
                    (at, turn) = (to - rng.below(250), turn + 1);
                }
                let outcome = play(&mut people(count, seed, client), &script, 60_000);
                let moved = outcome.entries.iter().find(|(at, who)| *at > both_spoke && *who < 2);
                assert_eq!(moved, None, "{client:?} {count} {seed}: {:?}", outcome.entries);
            }
        }
    }
}

#[test]
fn a_dog_takes_nobodys_words_and_not_the_stage() {
    for client in [Client::Tells, Client::AlwaysVoice, Client::NeverVoice] {
        for seed in 0..3 {
            let (mut script, mut rng) = (Script::default(), Rng(seed));
            script.speak(0, WARM_UP, 30_000, &mut rng);
            script.speak(1, WARM_UP + 500, 12_000, &mut rng);
            script.speak(2, 12_000, 30_000, &mut rng);
            for bark in 0..12u64 {
                script.bark(3, WARM_UP + 1_000 + bark * 2_000, WARM_UP + 1_240 + bark * 2_000);
            }
            let outcome = play(&mut people(9, seed, client), &script, 32_000);
            assert!(outcome.lost.iter().all(|lost| *lost <= 40), "{client:?} {seed}: {:?}", outcome.lost);
            assert!(outcome.stage.iter().all(|(_, who)| *who != Some(3)), "{client:?}: {:?}", outcome.stage);
        }
    }
}

/// Speeches of 3 to 9 seconds, one after another.
fn speeches(count: u32, seed: u64) -> (Script, Vec<(u64, u32)>) {
    let (mut script, mut rng) = (Script::default(), Rng(seed));
    let (mut at, mut turns, mut last) = (WARM_UP, Vec::new(), count);
    while at < 50_000 {
        let who = rng.below(count.into()) as u32;
        if who == last {
            continue;
        }
        last = who;
        let to = at + 3_000 + 4 * rng.below(1_500);
        script.speak(who, at, to, &mut rng);
        turns.push((at, who));
        at = to + 4 * rng.below(100);
    }
    // Short words of others in between change nothing.
    for (from, who) in turns.clone() {
        let other = (who + 1) % count;
        script.say(other, from + 1_500, from + 1_820);
    }
    (script, turns)
}

#[test]
fn the_stage_shows_who_speaks_within_two_seconds_and_does_not_flicker() {
    let mut waits = Vec::new();
    for client in CLIENTS {
        for (count, seed) in [(2, 1), (3, 2), (5, 3), (12, 4), (60, 5)] {
            let (script, turns) = speeches(count, seed);
            let outcome = play(&mut people(count, seed, client), &script, 60_000);
            let case = format!("{client:?} {count}");
            let mut shown = outcome.stage.iter().copied();
            for (from, who) in &turns {
                let until = turns.iter().find(|(at, _)| at > from).map_or(from + 3_000, |(at, _)| *at);
                if until - from < 3_000 {
                    continue;
                }
                let (at, on_stage) = shown.next().unwrap_or_else(|| panic!("{case}: nobody from {from}"));
                assert_eq!(on_stage, Some(*who), "{case}: {:?} of {turns:?}", outcome.stage);
                waits.push(at - from);
            }
            assert_eq!(shown.next(), None, "{case}: one change for each speech");
            for pair in outcome.stage.windows(2) {
                assert!(pair[1].0 - pair[0].0 >= STAGE_HOLDS.as_millis() as u64, "{case}");
            }
        }
    }
    waits.sort_unstable();
    let (median, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(median <= 1_000 && most <= 2_000, "{median} {most}");
}

#[test]
fn a_mark_comes_after_100_ms_goes_after_600_and_does_not_flicker() {
    for client in CLIENTS {
        let mut script = Script::default();
        // Sentences with pauses of 480 ms, for which the mark stays.
        for sentence in 0..10 {
            script.say(0, 3_000 + sentence * 2_000, 4_520 + sentence * 2_000);
        }
        script.say(1, 10_000, 10_060);
        let outcome = play(&mut people(3, 7, client), &script, 30_000);
        let marks: Vec<_> = outcome.marks.iter().filter(|(_, who, _)| *who == 0).copied().collect();
        let [(on, _, true), (off, _, false)] = marks[..] else { panic!("{client:?}: {marks:?}") };
        assert!((3_080..3_180).contains(&on), "{client:?}: on at {on}");
        assert!((23_000..23_160).contains(&off), "{client:?}: off at {off}");
        let click = outcome.marks.iter().find(|(at, who, _)| *who == 1 && (10_000..10_400).contains(at));
        assert_eq!(click, None, "{client:?}: a click is no speech");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Hear(u8, u8, bool),
    Open(u8),
    Remove(u8),
    Pass(u16),
    Listen(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..9u8, 0..=127u8, any::<bool>()).prop_map(|(who, level, voice)| Step::Hear(who, level, voice)),
        1 => (0..9u8).prop_map(Step::Open),
        1 => (0..9u8).prop_map(Step::Remove),
        4 => (0..700u16).prop_map(Step::Pass),
        1 => (1..6u8).prop_map(Step::Listen),
    ]
}

proptest! {
    /// Whatever happens: nobody is heard twice or hears itself, who is gone is not heard, marks and stage agree with
    /// what was said of them.
    #[test]
    fn anything_in_any_order(steps in proptest::collection::vec(step(), 1..300)) {
        let (mut now, mut voices) = (Instant::now(), Voices::default());
        let mut there = BTreeSet::new();
        let (mut marked, mut stage) = (BTreeSet::new(), None);
        let mut streams: BTreeMap<u8, Vec<Option<u8>>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Hear(who, level, voice) => {
                    there.insert(who);
                    voices.hear(who, Heard::Level(AudioLevel { voice, level }), now);
                }
                Step::Open(who) => {
                    there.insert(who);
                    voices.open(who, now);
                }
                Step::Remove(who) => {
                    there.remove(&who);
                    voices.remove(who);
                }
                Step::Pass(time) => {
                    now += ms(time.into());
                    voices.tick(now);
                    prop_assert!(voices.due().is_none_or(|due| due > now));
                }
                Step::Listen(count) => voices.listen(count.into(), now),
            }
            for said in voices.take_said() {
                match said {
                    Said::Speaking { who, speaking: true } => prop_assert!(marked.insert(who)),
                    Said::Speaking { who, speaking: false } => prop_assert!(marked.remove(&who)),
                    Said::OnStage(who) => stage = who,
                }
            }
            prop_assert_eq!(voices.on_stage(), stage);
            prop_assert!(voices.speaking().eq(marked.iter().copied()));
            prop_assert!(stage.is_none_or(|who| there.contains(&who)));
            for count in 1..6u8 {
                let Some(choice) = voices.choice(count.into()) else { continue };
                let chosen: Vec<u8> = choice.chosen().chain(choice.spare()).collect();
                let distinct: BTreeSet<u8> = chosen.iter().copied().collect();
                prop_assert_eq!(chosen.len(), distinct.len(), "nobody has two places");
                prop_assert!(distinct.is_subset(&there));
                for own in 0..9u8 {
                    let streams = streams.entry(count * 16 + own).or_insert_with(|| vec![None; count.into()]);
                    let before = streams.clone();
                    let changed = assign(streams, choice.for_listener(|who| who == own));
                    prop_assert_eq!(changed, before != *streams);
                    let heard: Vec<u8> = streams.iter().copied().flatten().collect();
                    let expected = chosen.iter().filter(|who| **who != own).count().min(count.into());
                    let expected = if choice.chosen().any(|who| who == own) {
                        expected
                    } else {
                        choice.chosen().count()
                    };
                    prop_assert_eq!(heard.len(), expected);
                    prop_assert!(!heard.contains(&own));
                    for (place, who) in before.iter().enumerate().filter_map(|(place, who)| Some((place, (*who)?))) {
                        let stays = !heard.contains(&who) || streams[place] == Some(who);
                        prop_assert!(stays, "what goes on stays in its stream");
                    }
                }
            }
        }
    }
}
