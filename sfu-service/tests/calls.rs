//! Calls over HTTP and real sockets: joining, seeing and hearing, resuming, and who is refused.

#[path = "common/caller.rs"]
mod caller;
mod common;
#[path = "common/light.rs"]
mod light;

use std::collections::BTreeSet;
use std::time::Instant;

use caller::{Caller, Offers, post, token};
use common::{PATIENCE, Sfu};
use contract::call::{
    Bound, CallEvent, IceRestart, MAX_SLOTS, MAX_WANTS, PatchCall, PatchedCall, SlotKind, Want, Wants,
};
use contract::destination::Source;
use contract::id::GroupId;
use contract::problem::Problem;
use contract::token::{Grant, Role};
use transport::ChannelId;

fn group(name: &str) -> GroupId {
    format!("grp_{name}").parse().unwrap()
}

/// Everybody films and speaks until each has seen what it should.
async fn until_seen(callers: &mut [&mut Caller], expected: &[BTreeSet<u32>]) {
    let mut seen = vec![BTreeSet::new(); callers.len()];
    let watching = async {
        while !seen.iter().zip(expected).all(|(seen, expected)| seen.is_superset(expected)) {
            for (caller, seen) in callers.iter_mut().zip(&mut seen) {
                caller.turn().await;
                seen.extend(caller.take_seen());
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, watching).await;
    assert!(in_time.is_ok(), "seen {seen:?}, expected {expected:?}");
}

fn last_bound(caller: &Caller) -> Option<Bound> {
    let bound = |event| match event {
        CallEvent::Bound(bound) => Some(bound),
        CallEvent::Encodings(_) | CallEvent::Speakers(_) | CallEvent::Pictures(_) => None,
    };
    caller.heard().into_iter().rev().find_map(bound)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_on_two_shards_see_and_hear_each_other() {
    let (sfu, room) = (Sfu::start().await, group("a"));
    let mut anna = Caller::join(&sfu, &room, "par_anna").await;
    let mut bert = Caller::join(&sfu, &room, "par_bert").await;
    let mut cleo = Caller::join(&sfu, &room, "par_cleo").await;
    let names: Vec<&str> = cleo.joined.people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!(names, ["par_anna", "par_bert"]);
    let [a, b, c] = [&anna, &bert, &cleo].map(|caller| caller.csrc(Source::Camera));
    let voices = [&anna, &bert, &cleo].map(|caller| caller.csrc(Source::Microphone));
    assert_eq!(cleo.joined.people[0].sources.len(), 2);
    anna.want(&[b, c]);
    bert.want(&[a, c]);
    cleo.want(&[a]);
    let expected = [[b, c].into(), [a, c].into(), [a].into()];
    until_seen(&mut [&mut anna, &mut bert, &mut cleo], &expected).await;
    // With one slot for it everybody hears one of the others, and never itself.
    let mut heard = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    let listening = async {
        while heard.iter().any(BTreeSet::is_empty) {
            for (caller, heard) in [&mut anna, &mut bert, &mut cleo].into_iter().zip(&mut heard) {
                caller.turn().await;
                heard.extend(caller.take_seen().into_iter().filter(|csrc| voices.contains(csrc)));
            }
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("somebody hears nobody");
    assert!(heard.iter().zip(&voices).all(|(heard, own)| !heard.contains(own)), "{heard:?}");

    // The channel says what the packets say.
    let bound = last_bound(&anna).unwrap();
    let tiles: BTreeSet<u32> =
        bound.slots.iter().filter(|binding| binding.mid != "2").map(|binding| binding.source).collect();
    assert_eq!(tiles, [b, c].into());
    let of_bert = bound.slots.iter().find(|binding| binding.source == b).unwrap();
    assert_eq!((of_bert.participant.as_str(), bound.wants), ("par_bert", 1));

    // Everybody is told who speaks.
    let voices: BTreeSet<u32> =
        [&anna, &bert, &cleo].iter().map(|caller| caller.csrc(Source::Microphone)).collect();
    let told = |event| match event {
        CallEvent::Speakers(speakers) => Some(speakers),
        CallEvent::Bound(_) | CallEvent::Encodings(_) | CallEvent::Pictures(_) => None,
    };
    let speaking = async {
        loop {
            let last = cleo.heard().into_iter().rev().find_map(told).unwrap_or_default();
            if last.speaking.iter().copied().collect::<BTreeSet<u32>>() == voices {
                break last.stage;
            }
            for caller in [&mut anna, &mut bert, &mut cleo] {
                caller.turn().await;
            }
        }
    };
    let stage = tokio::time::timeout(PATIENCE, speaking).await.expect("all three are said to speak");
    assert!(stage.is_none_or(|stage| voices.contains(&stage)));

    // What is not wanted any more is not sent any more, and nobody else notices.
    cleo.want(&[b]);
    until_seen(&mut [&mut anna, &mut bert, &mut cleo], &[[].into(), [].into(), [b].into()]).await;
    cleo.take_seen();
    for _ in 0..20 {
        for caller in [&mut anna, &mut bert, &mut cleo] {
            caller.turn().await;
        }
    }
    let seen = cleo.take_seen();
    assert!(seen.contains(&b) && !seen.contains(&a) && !seen.contains(&c), "{seen:?}");
    for nothing in ["sfu_session_panics_total", "sfu_format_mismatches_total"] {
        assert_eq!(sfu.metric(nothing).await, 0, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_goes_on_as_the_same_participant() {
    let (sfu, room) = (Sfu::start().await, group("a"));
    let anna = Caller::join(&sfu, &room, "par_anna").await;
    let mut bert = Caller::join(&sfu, &room, "par_bert").await;
    let camera = anna.csrc(Source::Camera);
    bert.want(&[camera]);
    let mut anna = anna;
    until_seen(&mut [&mut anna, &mut bert], &[[].into(), [camera].into()]).await;

    // Both connections are gone without a word; whoever has the secret comes again, and again.
    let (secret, before) = (anna.joined.session.clone(), anna.joined.sources.clone());
    drop(anna);
    let wanted = bert.csrc(Source::Camera);
    let want = Want { source: wanted, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false };
    let wants = Wants { generation: 7, sources: vec![want] };
    drop(Caller::resume(&sfu, &room, &secret, wants.clone()).await);
    let mut again = Caller::resume(&sfu, &room, &secret, wants).await;
    assert_eq!((&again.joined.session, &again.joined.sources), (&secret, &before));
    assert_eq!(again.joined.participant.as_str(), "par_anna");
    // The first bindings are in the answer: the picture that is wanted.
    let first: Vec<u32> = again.joined.bound.slots.iter().map(|binding| binding.source).collect();
    assert_eq!(first.first(), Some(&wanted));
    // A microphone that nobody has switched on, and that says nothing, has no place among the voices.
    let voice = bert.csrc(Source::Microphone);
    assert!(again.joined.bound.slots.iter().all(|binding| binding.source != voice));
    bert.take_seen();
    until_seen(&mut [&mut again, &mut bert], &[[wanted].into(), [camera].into()]).await;

    // A secret is one of its room only, and none after the end.
    let body = contract::call::JoinCall { resume: Some(secret.clone()), ..Offers::new().body("") };
    assert_eq!(problem(post(&sfu, &group("b"), None, &body).await, 404).await, "/problems/no-session");
    let url = format!("{}/rooms/{room}/sessions/{secret}", sfu.base);
    assert_eq!(sfu.http.delete(&url).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(problem(post(&sfu, &room, None, &body).await, 404).await, "/problems/no-session");
    assert_eq!(sfu.http.delete(&url).send().await.unwrap().status().as_u16(), 404);
    let newcomer = Caller::join(&sfu, &room, "par_cleo").await;
    assert_eq!(newcomer.joined.people.len(), 1, "who has left is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn wants_and_restarts_go_by_patch_too() {
    let (sfu, room) = (Sfu::start().await, group("a"));
    let anna = Caller::join(&sfu, &room, "par_anna").await;
    let bert = Caller::join(&sfu, &room, "par_bert").await;
    let camera = bert.csrc(Source::Camera);
    let want = |source| Want { source, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false };
    let patch = |body: &PatchCall, etag: Option<&str>| {
        let mut request = sfu.http.patch(&anna.receive.url).header("content-type", "application/json");
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        request.body(serde_json::to_string(body).unwrap()).send()
    };
    let wants = Wants { generation: 5, sources: vec![want(camera), want(9_999)] };
    let body = PatchCall { wants: Some(wants), ..PatchCall::default() };
    let patched: PatchedCall = patch(&body, None).await.unwrap().json().await.unwrap();
    let sources: Vec<u32> = patched.bound.slots.iter().map(|binding| binding.source).collect();
    assert_eq!(sources.first(), Some(&camera));
    assert_eq!(patched.bound.missing[0].source, 9_999);

    let ice = IceRestart { ufrag: "abcd".into(), pwd: "0123456789012345678901".into() };
    let body = PatchCall { publish: Some(ice.clone()), receive: Some(ice.clone()), wants: None };
    assert_eq!(patch(&body, None).await.unwrap().status().as_u16(), 428);
    let response = patch(&body, Some(&anna.receive.etag)).await.unwrap();
    let etag = response.headers().get("etag").unwrap().to_str().unwrap().to_owned();
    let patched: PatchedCall = response.json().await.unwrap();
    assert_ne!(etag, anna.receive.etag);
    assert_ne!(patched.publish.unwrap(), patched.receive.unwrap());
    assert_eq!(patch(&body, Some(&anna.receive.etag)).await.unwrap().status().as_u16(), 412, "an old tag");
    let bad = IceRestart { ufrag: "a\r\nb".into(), ..ice };
    let body = PatchCall { publish: Some(bad), ..PatchCall::default() };
    assert_eq!(patch(&body, Some(&etag)).await.unwrap().status().as_u16(), 400);
}

async fn problem(response: reqwest::Response, status: u16) -> String {
    let (got, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert_eq!(got, status, "{text}");
    serde_json::from_str::<Problem>(&text).unwrap().kind
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_why() {
    let (sfu, room) = (Sfu::start().await, group("a"));
    let body = Offers::new().body("");
    let all = [Grant::Publish, Grant::Subscribe];
    let good = token(&room, "par_a", &all);
    let elsewhere = token(&group("b"), "par_a", &all);
    let nobody = token(&room, "anna", &all);
    let creator = common::keys().mint("par_a", Role::Creator, service_kit::unix_now(), 60);
    for (bearer, status, kind) in [
        (None, 401, "about:blank"),
        (Some("x"), 401, "about:blank"),
        (Some(&*creator), 403, "about:blank"),
        (Some(&*nobody), 403, "about:blank"),
        (Some(&*elsewhere), 403, "/problems/wrong-room"),
        (Some(&*token(&room, "par_a", &[Grant::Publish])), 403, "/problems/grant"),
    ] {
        let got = problem(post(&sfu, &room, bearer, &body).await, status).await;
        assert!(got == kind || (kind == "about:blank" && got.starts_with("/problems/")), "{got} {status}");
    }
    // Offers that are not what they say.
    let change = |change: fn(&mut contract::call::JoinCall)| {
        let mut body = Offers::new().body("");
        change(&mut body);
        body
    };
    for (what, body, status) in [
        ("no offer", change(|b| (b.publish, b.receive) = (None, None)), 400),
        ("no SDP", change(|b| b.receive.as_mut().unwrap().sdp = "hello".into()), 400),
        ("a foreign m-line", change(|b| b.receive.as_mut().unwrap().slots[0].mid = "7".into()), 400),
        ("of the other kind", change(|b| b.receive.as_mut().unwrap().slots[0].kind = SlotKind::Voice), 400),
        ("named twice", change(|b| b.publish.as_mut().unwrap().sources[1].mid = "0".into()), 400),
        ("twice one source", change(|b| b.publish.as_mut().unwrap().sources[1].source = Source::Camera), 400),
        (
            "too many slots",
            change(|b| {
                let slots = &mut b.receive.as_mut().unwrap().slots;
                *slots = vec![slots[0].clone(); MAX_SLOTS + 1];
            }),
            400,
        ),
        (
            "too many wants",
            change(|b| {
                let want = Want { source: 1, slot: SlotKind::Tile, height: 0, priority: 0, pinned: false };
                b.wants.sources = vec![want; MAX_WANTS + 1];
            }),
            400,
        ),
        ("a long name", change(|b| b.name = Some("x".repeat(65))), 400),
        (
            "no codec",
            change(|b| {
                let sdp = &mut b.publish.as_mut().unwrap().sdp;
                *sdp = sdp.replace("VP8", "H265");
            }),
            406,
        ),
    ] {
        let response = post(&sfu, &room, Some(&good), &body).await;
        assert_eq!(response.status().as_u16(), status, "{what}: {}", response.text().await.unwrap());
    }
    let long = serde_json::json!({ "name": "x".repeat(contract::call::MAX_CALL_BODY) });
    assert_eq!(post(&sfu, &room, Some(&good), &long).await.status().as_u16(), 413);
    let first = Caller::join(&sfu, &room, "par_a").await;
    assert!(first.joined.people.is_empty(), "nothing is left of them");
    let missing = sfu.http.delete(format!("{}/rooms/{room}/sessions/ses_{}", sfu.base, "a".repeat(22)));
    assert_eq!(missing.send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_participant_gets_and_breaks_nothing() {
    let (sfu, room) = (Sfu::start().await, group("a"));
    let mut anna = Caller::join(&sfu, &room, "par_anna").await;
    let mut bert = Caller::join(&sfu, &room, "par_bert").await;
    let mut elsewhere = Caller::join(&sfu, &group("b"), "par_eve").await;
    let mut evil = Caller::join(&sfu, &room, "par_evil").await;
    let [a, b, e] = [&anna, &bert, &evil].map(|caller| caller.csrc(Source::Camera));
    anna.want(&[b]);
    bert.want(&[a, e]);
    until_seen(&mut [&mut anna, &mut bert, &mut evil], &[[b].into(), [a, e].into(), [].into()]).await;
    // Sources of another room have the numbers of this one's, or none: nothing of it can be asked for.
    let numbers: Vec<u32> = (0..64).collect();
    evil.want(&numbers);
    // A flood on its channel, of what is and what is not wants, and packets that say they are of others.
    for number in 0..500 {
        if evil
            .receive
            .transport
            .send_data(ChannelId(1), &[b'x'; 1_000], number % 2 == 0, Instant::now())
            .is_err()
        {
            evil.receive.catch_up().await;
        }
    }
    evil.say("{");
    evil.say(&format!("{{\"generation\":4294967295,\"sources\":[{}]}}", "1,".repeat(5_000)));
    evil.publish.film_as(b).await;
    let mut foreign = BTreeSet::new();
    for _ in 0..30 {
        for caller in [&mut anna, &mut bert, &mut elsewhere, &mut evil] {
            caller.turn().await;
        }
        evil.publish.film_as(b).await;
        foreign.extend(anna.take_seen());
    }
    // Anna sees what bert sends, and what evil sends as evil's only.
    assert!(foreign.contains(&b) && !foreign.contains(&e), "{foreign:?}");
    until_seen(&mut [&mut anna, &mut bert], &[[b].into(), [a].into()]).await;
    let ours: BTreeSet<u32> =
        [&anna, &bert, &evil].iter().flat_map(|caller| &caller.joined.sources).map(|s| s.csrc).collect();
    assert!(evil.take_seen().is_subset(&ours));
    assert_eq!(sfu.metric("sfu_session_panics_total").await, 0);
    assert_eq!(sfu.metric("sfu_sessions{role=\"Publisher\"}").await, 4, "everybody is there");
}
