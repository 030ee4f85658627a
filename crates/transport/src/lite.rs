//! The server's ICE agent: lite (RFC 8445 section 2.5), always controlled. It answers checks, and sends one of its own
//! only to an address that media is to move to: nobody answers that but who is there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::binding::{Binding, Class, IntegrityKey, Role, TransactionId, Writer};
use crate::credentials::IceCredentials;
use crate::identity::Identity;
use crate::pairs::AddressPair;

/// A session without an authenticated check by then is freed.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A session without an authenticated check for this long is lost. Media does not count: it may be
/// silent for good reasons, and checks never are.
pub(crate) const CONSENT_TIMEOUT: Duration = Duration::from_secs(15);

/// Priority of a host candidate of component 1: the only kind that either side of ours has.
pub(crate) const HOST_PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;

/// The credentials of one ICE generation, ready for checking.
pub(crate) struct Generation {
    local_ufrag: String,
    remote_ufrag: String,
    key: IntegrityKey,
}

/// What a request gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The response, unless silence is the answer.
    pub(crate) response: Option<Vec<u8>>,
    /// Whether the request was authenticated and accepted.
    pub(crate) accepted: bool,
}

impl Generation {
    pub(crate) fn new(local: &IceCredentials, remote: &IceCredentials) -> Self {
        Self {
            local_ufrag: local.ufrag.clone(),
            remote_ufrag: remote.ufrag.clone(),
            key: IntegrityKey::new(&local.pwd),
        }
    }

    fn is_addressed(&self, binding: &Binding<'_>) -> bool {
        let names = binding.username.and_then(|username| username.split_once(':'));
        names.is_some_and(|(local, remote)| local == self.local_ufrag && remote == self.remote_ufrag)
    }

    /// Answers a Binding request that came from `from` in `request_len` bytes. `is_controlling` is our
    /// own role, which we never give up.
    pub(crate) fn answer(
        &self,
        binding: &Binding<'_>,
        from: SocketAddr,
        request_len: usize,
        is_controlling: bool,
    ) -> Answer {
        // RFC 8489 section 9.1.3: first 400 for what is missing, then 401 for what is wrong.
        let refusal = if !binding.has_integrity() || binding.username.is_none() {
            Some((400, "Bad Request"))
        } else if !self.is_addressed(binding) || !binding.is_authentic(&self.key) {
            Some((401, "Unauthorized"))
        } else {
            None
        };
        if let Some((code, reason)) = refusal {
            let response = Writer::new(Class::Error, binding.transaction).error(code, reason).finish(None);
            // The source address is not proven, so nothing larger than the request goes there.
            let response = (response.len() <= request_len).then_some(response);
            return Answer { response, accepted: false };
        }
        if let Some(attribute) = binding.unknown_required {
            let response = Writer::new(Class::Error, binding.transaction)
                .error(420, "Unknown Attribute")
                .unknown_attribute(attribute)
                .finish(Some(&self.key));
            return Answer { response: Some(response), accepted: false };
        }
        let conflict = match binding.role {
            Some(Role::Controlled(_)) => !is_controlling,
            Some(Role::Controlling(_)) => is_controlling,
            None => false,
        };
        if conflict {
            let response = Writer::new(Class::Error, binding.transaction)
                .error(487, "Role Conflict")
                .finish(Some(&self.key));
            return Answer { response: Some(response), accepted: false };
        }
        let response = Writer::new(Class::Success, binding.transaction).mapped(from).finish(Some(&self.key));
        Answer { response: Some(response), accepted: true }
    }
}

/// A check of ours whose answer is awaited.
struct Pending {
    pair: AddressPair,
    transaction: TransactionId,
}

/// The agent of a server transport.
pub(crate) struct LiteAgent {
    /// Makes transaction ids that the peer cannot foresee.
    identity: Identity,
    /// What proves the answers to our checks.
    remote_key: IntegrityKey,
    /// The latest check of ours, and how many there were.
    pending: Option<Box<Pending>>,
    sent: u64,
    current: Generation,
    /// The generation before an ICE restart: the browser keeps its consent alive with it until our
    /// answer has reached it.
    previous: Option<Generation>,
    /// When the session ends if no authenticated check comes.
    deadline: Instant,
}

impl LiteAgent {
    pub(crate) fn new(
        identity: Identity,
        local: &IceCredentials,
        remote: &IceCredentials,
        now: Instant,
    ) -> Self {
        Self {
            identity,
            remote_key: IntegrityKey::new(&remote.pwd),
            pending: None,
            sent: 0,
            current: Generation::new(local, remote),
            previous: None,
            deadline: now + START_TIMEOUT,
        }
    }

    pub(crate) fn restart(&mut self, local: &IceCredentials, remote: &IceCredentials) {
        let next = Generation::new(local, remote);
        self.previous = Some(std::mem::replace(&mut self.current, next));
        self.remote_key = IntegrityKey::new(&remote.pwd);
        self.pending = None;
    }

    /// A check that asks whether the peer is at the other end of `pair`. There is one at a time, the latest.
    pub(crate) fn check(&mut self, pair: AddressPair) -> Vec<u8> {
        self.sent = self.sent.wrapping_add(1);
        let Generation { local_ufrag, remote_ufrag, .. } = &self.current;
        let transaction = self.identity.transaction_id(remote_ufrag, self.sent);
        self.pending = Some(Box::new(Pending { pair, transaction }));
        Writer::new(Class::Request, transaction)
            .username(&format!("{remote_ufrag}:{local_ufrag}"))
            .priority(HOST_PRIORITY)
            .role(Role::Controlled(0))
            .finish(Some(&self.remote_key))
    }

    /// Whether this is the peer's answer to our latest check, from where that went.
    pub(crate) fn is_answer(&mut self, binding: &Binding<'_>, pair: AddressPair) -> bool {
        let is_awaited = self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.pair == pair && pending.transaction == binding.transaction);
        let is_answer =
            is_awaited && binding.class == Class::Success && binding.is_authentic(&self.remote_key);
        if is_answer {
            self.pending = None;
        }
        is_answer
    }

    pub(crate) fn handle_request(
        &mut self,
        binding: &Binding<'_>,
        from: SocketAddr,
        request_len: usize,
        now: Instant,
    ) -> Answer {
        let previous = self.previous.as_ref().filter(|previous| previous.is_addressed(binding));
        let is_current = previous.is_none();
        let answer = previous.unwrap_or(&self.current).answer(binding, from, request_len, false);
        if answer.accepted {
            self.deadline = now + CONSENT_TIMEOUT;
            if is_current {
                self.previous = None;
            }
        }
        answer
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding;

    fn credentials(name: &str) -> IceCredentials {
        IceCredentials { ufrag: name.into(), pwd: format!("{name}-password-of-22-characters") }
    }

    fn agent(now: Instant) -> LiteAgent {
        LiteAgent::new(Identity::with_seed(1), &credentials("server"), &credentials("browser"), now)
    }

    fn from() -> SocketAddr {
        ([192, 0, 2, 7], 4242).into()
    }

    fn request() -> Writer {
        Writer::new(Class::Request, [7; 12])
    }

    fn key(name: &str) -> IntegrityKey {
        IntegrityKey::new(&credentials(name).pwd)
    }

    fn ask(agent: &mut LiteAgent, message: &[u8], now: Instant) -> (bool, Option<(Class, Option<u16>)>) {
        let answer = agent.handle_request(&binding::parse(message).unwrap(), from(), message.len(), now);
        let response = answer.response.map(|response| {
            let parsed = binding::parse(&response).unwrap();
            assert_eq!(parsed.transaction, [7; 12]);
            (parsed.class, parsed.error_code)
        });
        (answer.accepted, response)
    }

    #[test]
    fn table_of_requests() {
        let good = || request().username("server:browser").priority(1).role(Role::Controlling(1));
        let now = Instant::now();
        let success = (true, Some((Class::Success, None)));
        let error = |code| (false, Some((Class::Error, Some(code))));
        for (name, message, expected) in [
            ("authenticated", good().finish(Some(&key("server"))), success),
            ("nominated", good().use_candidate().finish(Some(&key("server"))), success),
            ("no role", request().username("server:browser").finish(Some(&key("server"))), success),
            ("wrong password", good().finish(Some(&key("other"))), error(401)),
            ("peer's own password", good().finish(Some(&key("browser"))), error(401)),
            ("no integrity", good().finish(None), error(400)),
            ("no username", request().priority(1).finish(Some(&key("server"))), error(400)),
            (
                "username turned round",
                request().username("browser:server").finish(Some(&key("server"))),
                error(401),
            ),
            (
                "username of another peer",
                request().username("server:other").finish(Some(&key("server"))),
                error(401),
            ),
            ("username without colon", request().username("server").finish(Some(&key("server"))), error(401)),
            (
                "peer believes to be controlled",
                request().username("server:browser").role(Role::Controlled(9)).finish(Some(&key("server"))),
                error(487),
            ),
            (
                "unknown attribute that must be understood",
                request().username("server:browser").attribute(0x7777, &[]).finish(Some(&key("server"))),
                error(420),
            ),
        ] {
            assert_eq!(ask(&mut agent(now), &message, now), expected, "{name}");
        }
    }

    #[test]
    fn an_unauthenticated_answer_is_never_larger_than_the_request() {
        let now = Instant::now();
        let message = request().finish(None);
        assert_eq!(ask(&mut agent(now), &message, now), (false, None));
    }

    #[test]
    fn a_response_is_authenticated_and_tells_the_address() {
        let now = Instant::now();
        let message = request().username("server:browser").finish(Some(&key("server")));
        let answer =
            agent(now).handle_request(&binding::parse(&message).unwrap(), from(), message.len(), now);
        let response = answer.response.unwrap();
        let parsed = binding::parse(&response).unwrap();
        assert!(parsed.is_authentic(&key("server")));
        assert_eq!(parsed.mapped, Some(from()));
    }

    #[test]
    fn only_authenticated_requests_extend_the_session() {
        let now = Instant::now();
        let mut agent = agent(now);
        assert_eq!(agent.deadline(), now + START_TIMEOUT);
        let later = now + Duration::from_secs(5);
        let forged = request().username("server:browser").finish(Some(&key("other")));
        ask(&mut agent, &forged, later);
        assert_eq!(agent.deadline(), now + START_TIMEOUT);
        let message = request().username("server:browser").finish(Some(&key("server")));
        ask(&mut agent, &message, later);
        assert_eq!(agent.deadline(), later + CONSENT_TIMEOUT);
    }

    #[test]
    fn a_restart_takes_both_generations_until_the_new_one_is_used() {
        let now = Instant::now();
        let mut agent = agent(now);
        agent.restart(&credentials("server2"), &credentials("browser2"));
        let old = request().username("server:browser").finish(Some(&key("server")));
        let new = request().username("server2:browser2").finish(Some(&key("server2")));
        assert!(ask(&mut agent, &old, now).0);
        assert!(ask(&mut agent, &new, now).0);
        assert!(!ask(&mut agent, &old, now).0);
        assert!(ask(&mut agent, &new, now).0);
    }

    #[test]
    fn only_who_is_asked_can_answer() {
        let now = Instant::now();
        let mut agent = agent(now);
        let pair = |port: u16| AddressPair {
            protocol: crate::Protocol::Udp,
            local: ([192, 0, 2, 1], 1).into(),
            remote: ([192, 0, 2, 7], port).into(),
        };
        let check = agent.check(pair(1));
        let check = binding::parse(&check).unwrap();
        assert_eq!(check.username, Some("browser:server"));
        assert!(check.is_authentic(&key("browser")) && !check.use_candidate);
        let answer = |transaction, name| {
            Writer::new(Class::Success, transaction).mapped(from()).finish(Some(&key(name)))
        };
        let mut takes = |message: &[u8], port| agent.is_answer(&binding::parse(message).unwrap(), pair(port));
        assert!(!takes(&answer([0; 12], "browser"), 1), "who has not seen the check cannot know its number");
        assert!(!takes(&answer(check.transaction, "browser"), 2), "from elsewhere");
        assert!(!takes(&answer(check.transaction, "server"), 1), "with another password");
        assert!(takes(&answer(check.transaction, "browser"), 1));
        assert!(!takes(&answer(check.transaction, "browser"), 1), "once");
        let again = agent.check(pair(1));
        assert_ne!(binding::parse(&again).unwrap().transaction, check.transaction);
    }
}
