//! The client's agent alone: which checks it sends when, and which answers it believes.

use super::*;
use crate::binding;

fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.into(), pwd: format!("{name}-password-of-22-characters") }
}

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn agent(candidates: &[u16], now: Instant) -> ControllingAgent {
    let (local, remote) = (credentials("client"), credentials("server"));
    let mut agent = ControllingAgent::new(&local, &remote, address(1), [1; 32], now);
    for port in candidates {
        agent.add_candidate(address(*port), now);
    }
    agent
}

fn server_key() -> IntegrityKey {
    IntegrityKey::new(&credentials("server").pwd)
}

/// Everything that is due up to `now`, with the deadlines in between.
fn checks(agent: &mut ControllingAgent, until: Instant) -> Vec<Check> {
    let mut sent = Vec::new();
    while let Some(at) = agent.next_check().filter(|at| *at <= until) {
        while let Some(check) = agent.poll_check(at) {
            sent.push(check);
        }
    }
    sent
}

fn answer(check: &Check) -> Vec<u8> {
    let request = binding::parse(&check.message).unwrap();
    Writer::new(Class::Success, request.transaction).mapped(address(1)).finish(Some(&server_key()))
}

fn respond(agent: &mut ControllingAgent, message: &[u8], from: u16, now: Instant) -> Option<bool> {
    agent.handle_response(&binding::parse(message).unwrap(), address(from), now)
}

#[test]
fn a_check_carries_what_a_lite_agent_wants() {
    let now = Instant::now();
    let mut agent = agent(&[10], now);
    let check = agent.poll_check(now).unwrap();
    assert!(agent.poll_check(now).is_none());
    let request = binding::parse(&check.message).unwrap();
    assert_eq!((request.class, request.username), (Class::Request, Some("server:client")));
    assert!(matches!(request.role, Some(Role::Controlling(_))));
    assert!(request.priority.is_some() && !request.use_candidate && request.is_authentic(&server_key()));
}

#[test]
fn candidates_are_paced_and_repeated() {
    let now = Instant::now();
    let mut agent = agent(&[10, 11, 12], now);
    let first: Vec<u16> = checks(&mut agent, now + PACING * 2).iter().map(|check| check.to.port()).collect();
    assert_eq!(first, [10, 11, 12]);
    // 0.2 s, then 0.4 s, then each 0.8 s: six checks in three seconds.
    let sent = checks(&mut agent, now + Duration::from_secs(3));
    assert_eq!(sent.iter().filter(|check| check.to.port() == 10).count(), 5);
}

#[test]
fn the_first_answer_is_nominated_and_the_others_rest() {
    let now = Instant::now();
    let mut agent = agent(&[10, 11], now);
    let sent = checks(&mut agent, now + PACING);
    assert_eq!(respond(&mut agent, &answer(&sent[1]), 11, now), Some(true));
    assert_eq!(respond(&mut agent, &answer(&sent[0]), 10, now), Some(false));
    let nominating = checks(&mut agent, now);
    assert_eq!(nominating.len(), 1);
    assert_eq!(nominating[0].to, address(11));
    assert!(binding::parse(&nominating[0].message).unwrap().use_candidate);
    assert_eq!(respond(&mut agent, &answer(&nominating[0]), 11, now), Some(true));
    // From here on consent checks only: every 5 s, a fifth more or less.
    let next = agent.next_check().unwrap() - now;
    assert!(next >= Duration::from_secs(4) && next <= Duration::from_secs(6), "{next:?}");
}

#[test]
fn only_answers_to_its_own_checks_count() {
    let now = Instant::now();
    let mut agent = agent(&[10, 11], now);
    let sent = checks(&mut agent, now);
    let request = binding::parse(&sent[0].message).unwrap();
    let success = |key: Option<&IntegrityKey>| Writer::new(Class::Success, request.transaction).finish(key);
    let strangers = IntegrityKey::new("some other password of 22");
    let unknown = Writer::new(Class::Success, [9; 12]).finish(Some(&server_key()));
    let error = Writer::new(Class::Error, request.transaction)
        .error(487, "Role Conflict")
        .finish(Some(&server_key()));
    for (name, message, from) in [
        ("unauthenticated", success(None), 10),
        ("of another password", success(Some(&strangers)), 10),
        ("from another candidate", success(Some(&server_key())), 11),
        ("from a stranger", success(Some(&server_key())), 12),
        ("to no check", unknown, 10),
        ("an error", error, 10),
    ] {
        assert_eq!(respond(&mut agent, &message, from, now), None, "{name}");
    }
    assert_eq!(agent.deadline(), now + START_TIMEOUT);
    let later = now + Duration::from_secs(1);
    assert_eq!(respond(&mut agent, &success(Some(&server_key())), 10, later), Some(true));
    assert_eq!(respond(&mut agent, &success(Some(&server_key())), 10, later), None, "a repeated answer");
    assert_eq!(agent.deadline(), later + CONSENT_TIMEOUT);
}

#[test]
fn a_silent_pair_gives_way_to_a_candidate_that_answers() {
    let now = Instant::now();
    let mut agent = agent(&[10, 11], now);
    let sent = checks(&mut agent, now + PACING);
    assert_eq!(respond(&mut agent, &answer(&sent[0]), 10, now), Some(true));
    respond(&mut agent, &answer(&sent[1]), 11, now);
    let nominating = checks(&mut agent, now);
    respond(&mut agent, &answer(&nominating[0]), 10, now);
    let sent = checks(&mut agent, now + Duration::from_secs(10));
    let to_other = sent.iter().find(|check| check.to == address(11)).expect("the other is tried");
    let later = now + Duration::from_secs(10);
    assert_eq!(respond(&mut agent, &answer(to_other), 11, later), Some(true));
    assert!(
        checks(&mut agent, later).iter().all(|check| {
            check.to == address(10) || binding::parse(&check.message).unwrap().use_candidate
        })
    );
}

#[test]
fn candidates_are_capped_and_of_our_family() {
    let now = Instant::now();
    let mut agent = agent(&[10, 10], now);
    agent.add_candidate("[2001:db8::1]:10".parse().unwrap(), now);
    assert_eq!(agent.candidates.len(), 1);
    for port in 100..200 {
        agent.add_candidate(address(port), now);
    }
    assert_eq!(agent.candidates.len(), MAX_CANDIDATES);
    for candidate in &mut agent.candidates {
        candidate.next_check = Some(now);
    }
    checks(&mut agent, now + Duration::from_secs(15));
    assert!(agent.candidates.iter().all(|candidate| candidate.pending.len() <= MAX_PENDING));
}

#[test]
fn checks_of_a_full_agent_are_answered_and_its_address_tried() {
    let now = Instant::now();
    let mut agent = agent(&[], now);
    let own = IntegrityKey::new(&credentials("client").pwd);
    for (role, accepted, code) in
        [(Role::Controlled(1), true, None), (Role::Controlling(1), false, Some(487))]
    {
        let message =
            Writer::new(Class::Request, [4; 12]).username("client:server").role(role).finish(Some(&own));
        let request = binding::parse(&message).unwrap();
        let answer = agent.handle_request(&request, address(77), message.len(), now);
        let response = answer.response.unwrap();
        assert_eq!((answer.accepted, binding::parse(&response).unwrap().error_code), (accepted, code));
    }
    assert_eq!(agent.poll_check(now).unwrap().to, address(77));
}
