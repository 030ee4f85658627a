//! From what was seen to words: what works, what does not, and the likely cause. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use turn_proto::is_public;

use super::observation::{Failure, Observation, Observations, Step, TlsFault};
use super::target::Via;

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Over which transport what follows was seen.
    Head,
    /// It works.
    Good,
    /// It does not, and clients will notice.
    Bad,
    /// Why that is likely so, and what to do.
    Cause,
    /// Worth knowing; nothing is wrong.
    Note,
}

/// One line of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is meant.
    pub mark: Mark,
    /// In words.
    pub text: String,
}

/// What is to be said of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// In the order of the examination.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Clients will get through over each transport that was asked for.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|finding| finding.mark != Mark::Bad)
    }

    fn say(&mut self, mark: Mark, text: impl Into<String>) {
        self.findings.push(Finding { mark, text: text.into() });
    }

    fn bad(&mut self, text: impl Into<String>, cause: impl Into<String>) {
        self.say(Mark::Bad, text);
        self.say(Mark::Cause, cause);
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { mark, text } in &self.findings {
            let lead = match mark {
                Mark::Head => "",
                Mark::Good => "  ok    ",
                Mark::Bad => "  FAIL  ",
                Mark::Cause => "        -> ",
                Mark::Note => "  note  ",
            };
            writeln!(f, "{lead}{text}")?;
        }
        Ok(())
    }
}

/// Says what the observations mean.
#[must_use]
pub fn diagnose(seen: &Observations) -> Diagnosis {
    let mut said = Diagnosis::default();
    if seen.transports.is_empty() {
        said.bad("the host has no address", "the name resolves to nothing: DNS, or a typing error");
    }
    let answered = seen.transports.iter().any(|one| matches!(one.binding, Some(Ok(_))));
    for one in &seen.transports {
        said.say(Mark::Head, format!("{} {}", one.via, one.server));
        if !seen.exact && answered && one.connect == Err(Failure::Refused) {
            said.say(Mark::Note, format!("not offered: nothing listens for {} on this port", one.via));
            continue;
        }
        let reached = reach(&mut said, one, answered);
        if reached && authentication(&mut said, one, seen) {
            data(&mut said, one);
            ending(&mut said, one);
        }
    }
    said
}

/// Connection, handshake, Binding. True when the server answers.
fn reach(said: &mut Diagnosis, one: &Observation, answered: bool) -> bool {
    let via = one.via;
    if let Err(failure) = &one.connect {
        let cause = match (failure, via) {
            (Failure::Refused, Via::Tls | Via::Dtls) => {
                "nothing listens there: TLS is not configured on this port"
            }
            (Failure::Refused, _) => {
                "nothing listens there: the server is down, or does not listen on this port"
            }
            (Failure::Silence, Via::Dtls) => {
                "a firewall drops UDP to this port, or the server does not speak DTLS there"
            }
            (Failure::Silence, _) if answered => {
                "a firewall drops packets to this port, while another port of the server answers"
            }
            (Failure::Silence, _) => "a firewall drops packets to this port, or the host or address is wrong",
            (Failure::Handshake(_), Via::Dtls) => {
                "this is no DTLS 1.2 server, or its certificate has an RSA key, which this doctor cannot check"
            }
            (Failure::Handshake(_) | Failure::Closed, _) => {
                "what listens there does not speak TLS, or has no certificate (tls_cert and tls_key)"
            }
            _ => "this machine has no way there",
        };
        said.bad(format!("cannot connect: {failure}"), cause);
        return false;
    }
    if let Some(fault) = &one.certificate {
        let cause = match fault {
            TlsFault::Expired => "renew it; this relay takes a renewed file without a restart",
            TlsFault::NotYet => {
                "the clock of the server or of this machine is wrong, or it was installed too early"
            }
            TlsFault::WrongName => {
                "clients must use a name that the certificate is for, or it needs this name as well"
            }
            TlsFault::UnknownIssuer => {
                "self-signed, or the file lacks the intermediate certificates (it must be the full chain)"
            }
            TlsFault::Other(_) => "issue a new one",
        };
        said.bad(format!("browsers will refuse the connection: {fault}"), cause);
    } else if matches!(via, Via::Tls | Via::Dtls) {
        said.say(Mark::Good, "handshake done, the certificate is good");
    }
    match &one.binding {
        Some(Ok(mapped)) => {
            let nat = match one.local {
                Some(local) if local.port() == mapped.port() && local.ip().is_unspecified() => "",
                Some(local) if local == *mapped => "",
                Some(_) => ": there is a NAT between",
                None => "",
            };
            said.say(Mark::Good, format!("Binding: the server sees this machine as {mapped}{nat}"));
            true
        }
        Some(Err(failure)) => {
            let cause = match failure {
                Failure::Silence if answered => {
                    "a firewall drops UDP between here and the server: clients behind it \
                    need TCP or TLS"
                }
                Failure::Silence => "a firewall drops UDP, the server is down, or host or port are wrong",
                Failure::Refused => {
                    "nothing listens there: the server is down, or does not listen on this port"
                }
                Failure::Closed => "what listens there is no TURN server",
                _ => "the server does not answer as a TURN server does",
            };
            said.bad(format!("Binding: {failure}"), cause);
            false
        }
        None => false,
    }
}

/// True when there is an allocation.
fn authentication(said: &mut Diagnosis, one: &Observation, seen: &Observations) -> bool {
    let realm = match &one.challenge {
        Some(Ok(Some(realm))) => realm,
        Some(Ok(None)) => {
            said.bad(
                "Allocate: granted without credentials",
                "anybody may use this server: it needs a secret or users (coturn: use-auth-secret or lt-cred-mech)",
            );
            return true;
        }
        Some(Err(failure)) => {
            let cause = match failure {
                Failure::Silence => "the server limits challenges to this address, or serves STUN only",
                _ => refusal(failure, one, seen),
            };
            said.bad(format!("Allocate: {failure}"), with_alternate(cause, failure));
            return false;
        }
        None => return false,
    };
    match &one.allocate {
        Some(Ok(relayed)) => {
            said.say(Mark::Good, format!("Allocate: {relayed}, in the realm \"{realm}\""));
            relayed_address(said, one, *relayed);
            true
        }
        Some(Err(failure)) => {
            let cause = with_alternate(refusal(failure, one, seen), failure);
            said.bad(format!("Allocate in the realm \"{realm}\": {failure}"), cause);
            false
        }
        None => false,
    }
}

/// The likely cause of a refused Allocate.
fn refusal(failure: &Failure, one: &Observation, seen: &Observations) -> &'static str {
    match failure.code() {
        Some(401) if one.clock_ahead => {
            "the server's clock is more than ten minutes ahead of this machine's: the same secret with a later expiry \
             is accepted. Set both clocks (NTP)"
        }
        Some(401) if seen.minted => {
            "the secret is not the one in the server's settings (coturn: static-auth-secret with use-auth-secret), or \
             the server has static users only: then use --password"
        }
        Some(401) if seen.expiry.is_some_and(|expiry| expiry <= seen.unix) => {
            "the expiry in the user name is past: a time-limited credential has run out; fetch a new one"
        }
        Some(401) if seen.expiry.is_some() => {
            "the password does not belong to this user name: it was made with another secret, or the server's clock is \
             ahead and sees the credential as expired"
        }
        Some(401) => {
            "the user is unknown or the password wrong; a server with time-limited credentials needs --secret, or the \
             whole user name with its expiry"
        }
        Some(300) => "the server is draining, or balances load: it sends clients elsewhere",
        Some(403) => "the server's settings forbid allocations to this client",
        Some(437) => "an older allocation of this address and port still lives: try again in ten minutes",
        Some(438) => "the server calls each nonce stale: two servers behind one address, or its clock jumps",
        Some(440) => "the server has no relay address of this family (public_ips; coturn: relay-ip)",
        Some(441) => "the allocation of this address belongs to another user",
        Some(442) => "the server does not relay UDP",
        Some(486) => {
            "the quota of this user, or of this source address, is used up (limits.allocations_per_user and \
             allocations_per_source; coturn: user-quota)"
        }
        Some(508) => {
            "the server has no room: relay ports or file descriptors are used up, or it is draining before a restart"
        }
        Some(420) => "the server does not understand an attribute of RFC 8656: it is old",
        Some(400) => "the server takes the request for malformed: it is no TURN server, or an old one",
        Some(500..=599) => "the server has failed inside: its log says more",
        Some(_) => "an error that the server's log explains",
        None => match failure {
            Failure::Silence => {
                "the answer is lost: packets of this size are dropped, or the server is overloaded"
            }
            Failure::Unsigned => "the answer comes from somebody who does not know the password",
            Failure::Closed => "the server ends the connection: its log says why",
            _ => "the server does not answer as RFC 8656 says",
        },
    }
}

fn with_alternate(cause: &str, failure: &Failure) -> String {
    match failure {
        Failure::Error { alternate: Some(server), .. } => format!("{cause}: {server}"),
        _ => cause.to_owned(),
    }
}

/// The relayed address is what peers send to: it must be reachable from wherever they are.
fn relayed_address(said: &mut Diagnosis, one: &Observation, relayed: SocketAddr) {
    let (server, relay) = (one.server.ip(), relayed.ip());
    if is_public(server) && !is_public(relay) {
        said.bad(
            format!("the relayed address {relay} is not reachable from the Internet"),
            format!(
                "the server does not know its external address: public_ips = [\"{server}\"] (coturn: \
                 external-ip={server}/{relay})"
            ),
        );
    } else if relay != server && relay.is_ipv4() == server.is_ipv4() {
        said.say(
            Mark::Note,
            format!("media goes through {relay}, not {server}: right if both lead to the relay"),
        );
    }
}

fn data(said: &mut Diagnosis, one: &Observation) {
    if let Some(Err(failure)) = &one.second {
        let cause = match failure.code() {
            Some(486) => {
                "the quota lets one allocation a user through, so data cannot be tried; browsers take several"
            }
            Some(508) => "the server is full after one more allocation",
            _ => "one allocation works and a second one does not: the server's log says why",
        };
        said.bad(format!("a second allocation: {failure}"), cause);
    }
    let relay = match &one.allocate {
        Some(Ok(relayed)) => relayed.ip(),
        _ => one.server.ip(),
    };
    let outside_works = matches!(one.outside, Some(Ok(())));
    if let Some(Err(failure)) = &one.permission {
        refused_permission(said, failure, relay, outside_works);
    }
    flow(said, &one.indication, "Send and Data indications, both ways through two allocations", |failure| {
        lost(failure, one, relay)
    });
    flow(said, &one.channel, "ChannelData, both ways through two allocations", |failure| match failure {
        Failure::Silence => {
            "indications pass and channels do not: something on the way drops what is not STUN"
        }
        Failure::Error { code: 400, .. } => "the server refuses channel 0x4000, which RFC 8656 allows",
        _ => "the server refuses to bind a channel",
    });
    outside(said, one, relay);
}

fn refused_permission(said: &mut Diagnosis, failure: &Failure, relay: IpAddr, outside_works: bool) {
    let text = format!("CreatePermission for the relay's own address {relay}: {failure}");
    match failure.code() {
        Some(403) if outside_works => {
            said.say(Mark::Note, format!("{text}: two clients of this relay cannot meet; other peers can"));
        }
        Some(403) if relay.is_loopback() => said.bad(
            text,
            "the server relays to a loopback address, which its peer policy refuses (coturn: allow-loopback-peers)",
        ),
        Some(403) => said.bad(
            text,
            "the peer policy of the server refuses its own relay address, so two clients of it cannot meet (coturn: \
             denied-peer-ip, allowed-peer-ip)",
        ),
        _ => said.bad(text, "the server allocates, and refuses to permit a peer: its log says why"),
    }
}

/// Why data through two allocations got lost.
fn lost(failure: &Failure, one: &Observation, relay: IpAddr) -> &'static str {
    if *failure != Failure::Silence {
        return "the server ended it: its log says why";
    }
    match one.outside {
        Some(Ok(())) => {
            "peers outside get through, so ports are open: the server does not reach its own external address (a NAT \
             without hairpin), and two clients of this relay cannot meet"
        }
        _ if relay != one.server.ip() => {
            "the external address of the server is wrong (public_ips; coturn: external-ip), or a firewall drops UDP to \
             the relay ports"
        }
        _ => "a firewall drops UDP to the relay ports (relay_ports; coturn: min-port and max-port)",
    }
}

fn outside(said: &mut Diagnosis, one: &Observation, relay: IpAddr) {
    let text = "a peer outside, both ways";
    match &one.outside {
        Some(Ok(())) => said.say(Mark::Good, text),
        Some(Err(failure)) if failure.code() == Some(403) => said.say(
            Mark::Note,
            "a peer on this machine is refused by the peer policy (a private or loopback address): not tried",
        ),
        Some(Err(failure @ Failure::Silence)) if matches!(one.indication, Some(Ok(()))) => said.bad(
            format!("{text}: {failure}"),
            format!(
                "the server reaches its own relay ports, and this machine does not reach them at {relay}: a firewall \
                 drops UDP to the relay ports, or {relay} is not the address that they are reached at"
            ),
        ),
        Some(Err(failure)) => said.bad(format!("{text}: {failure}"), lost(failure, one, relay)),
        None if one.allocate.as_ref().is_some_and(Result::is_ok) => said.say(
            Mark::Note,
            "a peer outside was not tried: this machine is the relay's own, or UDP does not get through",
        ),
        None => {}
    }
}

fn ending(said: &mut Diagnosis, one: &Observation) {
    flow(said, &one.refresh, "Refresh", |_| "allocations end after ten minutes, and calls with them");
    flow(said, &one.delete, "deleted", |_| "allocations stay until they expire, and use up the quota");
}

fn flow<'a>(said: &mut Diagnosis, step: &Step<()>, text: &str, cause: impl FnOnce(&Failure) -> &'a str) {
    match step {
        Some(Ok(())) => said.say(Mark::Good, text),
        Some(Err(failure)) => said.bad(format!("{text}: {failure}"), cause(failure)),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Everything works, from behind a NAT.
    fn good(via: Via) -> Observation {
        Observation {
            via,
            server: address("1.2.3.4:3478"),
            connect: Ok(()),
            certificate: None,
            binding: Some(Ok(address("9.8.7.6:4321"))),
            local: Some(address("192.168.1.2:4000")),
            challenge: Some(Ok(Some("example.org".into()))),
            allocate: Some(Ok(address("1.2.3.4:50000"))),
            clock_ahead: false,
            second: Some(Ok(address("1.2.3.4:50001"))),
            permission: Some(Ok(())),
            indication: Some(Ok(())),
            channel: Some(Ok(())),
            outside: Some(Ok(())),
            refresh: Some(Ok(())),
            delete: Some(Ok(())),
        }
    }

    fn seen(transports: Vec<Observation>) -> Observations {
        Observations { exact: false, transports, minted: true, expiry: Some(NOW + 600), unix: NOW }
    }

    fn error(code: u16) -> Failure {
        Failure::Error { code, reason: "reason".into(), alternate: None }
    }

    /// The diagnosis of one transport that is not quite well.
    fn with(via: Via, change: impl FnOnce(&mut Observation)) -> (bool, String) {
        let mut one = good(via);
        change(&mut one);
        let diagnosis = diagnose(&seen(vec![one]));
        (diagnosis.is_healthy(), diagnosis.to_string())
    }

    fn fails_with(via: Via, words: &str, change: impl FnOnce(&mut Observation)) {
        let (healthy, text) = with(via, change);
        assert!(!healthy && text.contains(words), "expected \"{words}\" in\n{text}");
    }

    #[test]
    fn a_sound_server_is_healthy_and_every_step_is_named() {
        for via in [Via::Udp, Via::Tcp, Via::Tls, Via::Dtls] {
            let (healthy, text) = with(via, |_| {});
            assert!(healthy, "{text}");
            for step in [
                "9.8.7.6:4321",
                "NAT",
                "1.2.3.4:50000",
                "example.org",
                "indications",
                "ChannelData",
                "outside",
                "Refresh",
                "deleted",
            ] {
                assert!(text.contains(step), "{step} in\n{text}");
            }
        }
        assert!(!diagnose(&seen(Vec::new())).is_healthy());
    }

    #[test]
    fn a_firewall_that_drops_udp_is_told_from_a_server_that_is_down() {
        let silent = |one: &mut Observation| {
            one.binding = Some(Err(Failure::Silence));
            one.challenge = None;
        };
        fails_with(Via::Udp, "the server is down", silent);
        let mut udp = good(Via::Udp);
        silent(&mut udp);
        let text = diagnose(&seen(vec![udp, good(Via::Tcp)])).to_string();
        assert!(text.contains("clients behind it need TCP or TLS"), "{text}");
        fails_with(Via::Udp, "does not listen", |one| one.binding = Some(Err(Failure::Refused)));
        fails_with(Via::Tcp, "drops packets", |one| one.connect = Err(Failure::Silence));
    }

    #[test]
    fn a_transport_that_the_url_leaves_open_may_be_missing() {
        let mut tls = good(Via::Tls);
        tls.connect = Err(Failure::Refused);
        tls.binding = None;
        let mut seen = seen(vec![good(Via::Udp), tls.clone()]);
        let diagnosis = diagnose(&seen);
        assert!(diagnosis.is_healthy() && diagnosis.to_string().contains("not offered"), "{diagnosis}");
        seen.transports = vec![tls];
        assert!(!diagnose(&seen).is_healthy());
    }

    #[test]
    fn each_way_to_be_refused_has_its_cause() {
        let refused = |code| move |one: &mut Observation| one.allocate = Some(Err(error(code)));
        fails_with(Via::Udp, "static-auth-secret", refused(401));
        fails_with(Via::Udp, "quota", refused(486));
        fails_with(Via::Udp, "no room", refused(508));
        fails_with(Via::Udp, "its log says more", refused(500));
        fails_with(Via::Udp, "clock is more than ten minutes ahead", |one| {
            one.allocate = Some(Err(error(401)));
            one.clock_ahead = true;
        });
        fails_with(Via::Udp, "elsewhere: 5.6.7.8:3478", |one| {
            let alternate = Some(address("5.6.7.8:3478"));
            one.allocate = Some(Err(Failure::Error { code: 300, reason: "Try Alternate".into(), alternate }));
        });
        fails_with(Via::Udp, "does not know the password", |one| one.allocate = Some(Err(Failure::Unsigned)));
        fails_with(Via::Udp, "anybody may use", |one| one.challenge = Some(Ok(None)));
    }

    #[test]
    fn passwords_and_expired_names_are_told_apart() {
        let mut one = good(Via::Udp);
        one.allocate = Some(Err(error(401)));
        let mut seen = Observations { minted: false, expiry: None, ..seen(vec![one]) };
        assert!(diagnose(&seen).to_string().contains("the user is unknown or the password wrong"));
        seen.expiry = Some(NOW - 1);
        assert!(diagnose(&seen).to_string().contains("has run out"));
        seen.expiry = Some(NOW + 1);
        assert!(diagnose(&seen).to_string().contains("another secret"));
    }

    #[test]
    fn what_browsers_do_not_trust_is_said() {
        for (fault, words) in [
            (TlsFault::Expired, "has expired"),
            (TlsFault::NotYet, "not valid yet"),
            (TlsFault::WrongName, "not for this name"),
            (TlsFault::UnknownIssuer, "full chain"),
        ] {
            fails_with(Via::Tls, words, |one| one.certificate = Some(fault));
        }
        fails_with(Via::Tls, "does not speak TLS", |one| one.connect = Err(Failure::Handshake("x".into())));
    }

    #[test]
    fn a_wrong_external_address_is_told_from_closed_ports_and_hairpin() {
        fails_with(Via::Udp, "does not know its external address", |one| {
            one.allocate = Some(Ok(address("10.0.0.5:50000")));
        });
        let dead = |one: &mut Observation| {
            one.indication = Some(Err(Failure::Silence));
            one.channel = None;
            one.outside = Some(Err(Failure::Silence));
        };
        fails_with(Via::Udp, "a firewall drops UDP to the relay ports (relay_ports", dead);
        fails_with(Via::Udp, "the external address of the server is wrong", |one| {
            dead(one);
            one.allocate = Some(Ok(address("5.6.7.8:50000")));
        });
        fails_with(Via::Udp, "hairpin", |one| one.indication = Some(Err(Failure::Silence)));
        fails_with(Via::Udp, "this machine does not reach them", |one| {
            one.outside = Some(Err(Failure::Silence))
        });
    }

    #[test]
    fn peer_policies_are_named_and_private_clients_are_no_fault() {
        fails_with(Via::Udp, "cannot meet", |one| {
            one.permission = Some(Err(error(403)));
            one.indication = None;
            one.channel = None;
            one.outside = None;
        });
        let (healthy, text) = with(Via::Udp, |one| one.outside = Some(Err(error(403))));
        assert!(healthy && text.contains("not tried"), "{text}");
    }
}
