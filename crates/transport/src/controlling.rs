//! The client's ICE agent: controlling, sends checks from one local address to the peer's candidates,
//! nominates the first that answers and keeps consent fresh (RFC 7675).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::binding::{Binding, Class, IntegrityKey, Role, TransactionId, Writer};
use crate::credentials::IceCredentials;
use crate::lite::{Answer, CONSENT_TIMEOUT, Generation, HOST_PRIORITY, START_TIMEOUT};

/// Remote candidates kept; more are ignored, as a peer with more has repeated itself.
pub(crate) const MAX_CANDIDATES: usize = 32;

/// Checks of one candidate whose response is awaited; the oldest is forgotten for one more.
const MAX_PENDING: usize = 8;

/// Distance between the first checks of two candidates (`Ta`, RFC 8445 section 14.2, which allows 5 ms).
const PACING: Duration = Duration::from_millis(20);

/// First repetition of a check, doubled up to [`MAX_RTO`]: a dozen tries before consent is lost, so that
/// a network that loses a fifth of all datagrams does not end a session.
const MIN_RTO: Duration = Duration::from_millis(200);
const MAX_RTO: Duration = Duration::from_millis(800);

/// Distance of consent checks while they are answered, randomised by a fifth (RFC 7675 section 5.1).
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);

/// Unanswered checks after which the other candidates are tried as well.
const FAILURES_BEFORE_FAILOVER: u32 = 3;

struct Candidate {
    address: SocketAddr,
    /// When the next check is due; `None` rests.
    next_check: Option<Instant>,
    /// Checks sent since the last answer.
    unanswered: u32,
    pending: Vec<Pending>,
}

struct Pending {
    transaction: TransactionId,
    nominates: bool,
}

/// A check to send.
pub(crate) struct Check {
    pub(crate) to: SocketAddr,
    pub(crate) message: Vec<u8>,
}

/// The agent of a client transport.
pub(crate) struct ControllingAgent {
    generation: Generation,
    username: String,
    remote_key: IntegrityKey,
    tie_breaker: u64,
    local_address: SocketAddr,
    candidates: Vec<Candidate>,
    selected: Option<usize>,
    deadline: Instant,
    rng: StdRng,
}

impl ControllingAgent {
    pub(crate) fn new(
        local: &IceCredentials,
        remote: &IceCredentials,
        local_address: SocketAddr,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let mut rng = StdRng::from_seed(seed);
        Self {
            generation: Generation::new(local, remote),
            username: format!("{}:{}", remote.ufrag, local.ufrag),
            remote_key: IntegrityKey::new(&remote.pwd),
            tie_breaker: rng.random(),
            local_address,
            candidates: Vec::new(),
            selected: None,
            deadline: now + START_TIMEOUT,
            rng,
        }
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Adds a candidate of the peer; repeated ones, those of the other family and those beyond
    /// [`MAX_CANDIDATES`] are ignored.
    pub(crate) fn add_candidate(&mut self, address: SocketAddr, now: Instant) {
        let is_known = self.candidates.iter().any(|candidate| candidate.address == address);
        let other_family = address.is_ipv4() != self.local_address.is_ipv4();
        if is_known || other_family || self.candidates.len() >= MAX_CANDIDATES {
            return;
        }
        let waiting = self.candidates.iter().filter(|candidate| candidate.unanswered == 0).count();
        self.candidates.push(Candidate {
            address,
            next_check: self.selected.is_none().then(|| now + PACING * waiting as u32),
            unanswered: 0,
            pending: Vec::new(),
        });
    }

    /// Checks all candidates again with new credentials; the selected pair stays in use meanwhile.
    pub(crate) fn restart(&mut self, local: &IceCredentials, remote: &IceCredentials, now: Instant) {
        self.generation = Generation::new(local, remote);
        self.username = format!("{}:{}", remote.ufrag, local.ufrag);
        self.remote_key = IntegrityKey::new(&remote.pwd);
        self.selected = None;
        self.deadline = now + START_TIMEOUT;
        for (index, candidate) in self.candidates.iter_mut().enumerate() {
            candidate.pending.clear();
            candidate.unanswered = 0;
            candidate.next_check = Some(now + PACING * index as u32);
        }
    }

    /// Sends the next check that is due. Call until `None`.
    pub(crate) fn poll_check(&mut self, now: Instant) -> Option<Check> {
        let due = |candidate: &Candidate| candidate.next_check.is_some_and(|at| at <= now);
        let index = self.candidates.iter().position(due)?;
        let nominates = self.selected == Some(index);
        let mut transaction = TransactionId::default();
        self.rng.fill_bytes(&mut transaction);
        let candidate = self.candidates.get_mut(index)?;
        if candidate.pending.len() >= MAX_PENDING {
            candidate.pending.remove(0);
        }
        candidate.pending.push(Pending { transaction, nominates });
        let rto = MIN_RTO.saturating_mul(1 << candidate.unanswered.min(2)).min(MAX_RTO);
        candidate.next_check = Some(now + rto);
        candidate.unanswered = candidate.unanswered.saturating_add(1);
        let to = candidate.address;
        if nominates && candidate.unanswered == FAILURES_BEFORE_FAILOVER {
            for other in self.candidates.iter_mut().filter(|other| other.next_check.is_none()) {
                other.next_check = Some(now);
                other.unanswered = 0;
            }
        }
        let mut message = Writer::new(Class::Request, transaction)
            .username(&self.username)
            .priority(HOST_PRIORITY)
            .role(Role::Controlling(self.tie_breaker));
        if nominates {
            message = message.use_candidate();
        }
        Some(Check { to, message: message.finish(Some(&self.remote_key)) })
    }

    /// Answers a check of a peer that is a full agent; its address becomes a candidate.
    pub(crate) fn handle_request(
        &mut self,
        binding: &Binding<'_>,
        from: SocketAddr,
        request_len: usize,
        now: Instant,
    ) -> Answer {
        let answer = self.generation.answer(binding, from, request_len, true);
        if answer.accepted {
            self.add_candidate(from, now);
        }
        answer
    }

    /// Takes the response to a check. `Some(nominated)` when `from` is validated by it.
    pub(crate) fn handle_response(
        &mut self,
        binding: &Binding<'_>,
        from: SocketAddr,
        now: Instant,
    ) -> Option<bool> {
        // A response counts only from where the check went (RFC 8445 section 7.2.5.2.1).
        let index = self.candidates.iter().position(|candidate| candidate.address == from)?;
        let candidate = self.candidates.get_mut(index)?;
        let at = candidate.pending.iter().position(|pending| pending.transaction == binding.transaction)?;
        if binding.class != Class::Success || !binding.is_authentic(&self.remote_key) {
            return None;
        }
        let pending = candidate.pending.swap_remove(at);
        candidate.unanswered = 0;
        self.deadline = now + CONSENT_TIMEOUT;
        let selected_works = self
            .selected
            .and_then(|selected| self.candidates.get(selected))
            .is_some_and(|selected| selected.unanswered < FAILURES_BEFORE_FAILOVER);
        let jitter = self.rng.random_range(0.8..1.2);
        let next_check = if !selected_works {
            // The first that answers is good enough: nominate it with a check of its own.
            self.selected = Some(index);
            Some(now)
        } else if self.selected == Some(index) {
            Some(if pending.nominates { now + CONSENT_INTERVAL.mul_f64(jitter) } else { now })
        } else {
            None
        };
        if let Some(candidate) = self.candidates.get_mut(index) {
            candidate.next_check = next_check;
        }
        Some(self.selected == Some(index))
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// When [`ControllingAgent::poll_check`] has something to do.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        self.candidates.iter().filter_map(|candidate| candidate.next_check).min()
    }
}

#[cfg(test)]
#[path = "controlling_tests.rs"]
mod tests;
