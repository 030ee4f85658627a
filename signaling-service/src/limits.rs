//! The one place that says how much a person and an address may do, and keeps account of it. Pure.
//!
//! Limits of a connection would bind nobody, since anyone can open more of them, and limits of a token neither, since
//! a guest token costs nothing. So what costs others something is limited twice: by person, and by address with a
//! bucket large enough for the people behind one NAT. The table with all figures is `docs/limits.md`.
//!
//! Chat and commands are refused when they come too fast: whoever gave them is told. Peer-to-peer messages and subscriptions are held
//! back instead: a candidate that is refused is a call that fails, one that is late is not. Services have no limits
//! here.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rights::Moderates;
use contract::destination::Destination;
use stomp_proto::outbox::SenderKey;

/// Names a connection: unique in this process, never reused.
pub(crate) type ConnId = u64;

/// Open connections with tokens of one subject.
pub(crate) const MAX_CONNECTIONS_PER_PERSON: u32 = 32;
/// Rooms that one connection may join as a peer-to-peer viewer.
pub(crate) const MAX_JOINED: usize = 100;
/// Peer-to-peer viewers behind one address that the count of a room takes in. More may watch.
pub(crate) const MAX_VIEWERS_PER_ADDRESS: usize = 50;
/// Longest time that a message is held back; one that would have to wait longer is refused.
pub(crate) const MAX_HOLD: Duration = Duration::from_secs(10);
/// Buckets in use at once of each kind. Beyond, all newcomers share one.
const MAX_BUCKETS: usize = 100_000;
/// A peer-to-peer message costs one for each begun part of this size.
const COST_BYTES: usize = 1024;

/// Chat messages of a person.
pub(crate) const CHAT_PERSON: Rate = Rate { burst: 10.0, per_second: 1.0 };
/// Chat messages of an address.
pub(crate) const CHAT_ADDRESS: Rate = Rate { burst: 30.0, per_second: 3.0 };
/// Commands to the room of a call of a person.
pub(crate) const COMMAND_PERSON: Rate = Rate { burst: 20.0, per_second: 5.0 };
/// Commands of an address.
pub(crate) const COMMAND_ADDRESS: Rate = Rate { burst: 400.0, per_second: 100.0 };
/// Joins (SEND to a room) of a person: each makes the streamer open a connection.
pub(crate) const JOIN_PERSON: Rate = Rate { burst: 10.0, per_second: 1.0 };
/// Joins of an address.
pub(crate) const JOIN_ADDRESS: Rate = Rate { burst: 100.0, per_second: 10.0 };
/// Peer-to-peer messages of a person, in KiB; a small message counts as one.
pub(crate) const RELAY_PERSON: Rate = Rate { burst: 500.0, per_second: 200.0 };
/// Peer-to-peer messages of an address, in KiB.
pub(crate) const RELAY_ADDRESS: Rate = Rate { burst: 2_000.0, per_second: 600.0 };
/// So many of a person with a token do not wait for the address: a call begins at once, whatever the neighbours behind
/// the same NAT send. They count for the address all the same, so that those who send much make room. How many people
/// an address can have is bounded by the tokens that it gets.
pub(crate) const RELAY_QUIET: Rate = Rate { burst: 60.0, per_second: 6.0 };

/// Subscriptions of a person, by [`subscription_cost`].
pub(crate) const SUBSCRIBE_PERSON: Rate = Rate { burst: 200.0, per_second: 20.0 };
/// Subscriptions of an address: when the service restarts, a thousand people behind one NAT come back at once.
pub(crate) const SUBSCRIBE_ADDRESS: Rate = Rate { burst: 10_000.0, per_second: 1_000.0 };
/// A subscription to a chat or to the state of a room counts as so many: it brings the last messages, or all people.
pub(crate) const CHAT_SUBSCRIPTION_COST: u32 = 10;

/// How much at once, and how much for long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

impl Rate {
    fn time_for(self, amount: f64) -> Duration {
        Duration::from_secs_f64((amount / self.per_second).clamp(0.0, 3600.0))
    }
}

/// Who sends, as limits see it.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) person: Person,
    /// The client's address, IPv6 cut to the /64 that one customer has.
    pub(crate) address: IpAddr,
    pub(crate) is_service: bool,
    /// In which rooms it moderates.
    pub(crate) moderates: Moderates,
}

impl Sender {
    /// Whose share of a reader's queue its messages take: that of its address, for a service its own.
    pub(crate) fn key(&self) -> SenderKey {
        let high = match (&self.person, self.address) {
            (Person::Connection(id), _) if self.is_service => (1 << 63) | id,
            (Person::Subject(subject), _) if self.is_service => return service_key(subject),
            (_, IpAddr::V4(ip)) => u64::from(ip.to_bits()),
            (_, IpAddr::V6(ip)) => u64::try_from(ip.to_bits() >> 64).unwrap_or(0),
        };
        SenderKey(high)
    }
}

/// The share of the service called `name`.
pub(crate) fn service_key(name: &str) -> SenderKey {
    let hash = name.bytes().fold(7, |hash: u64, b| hash.wrapping_mul(31).wrapping_add(u64::from(b)));
    SenderKey((1 << 63) | hash)
}

/// A person: whoever holds tokens of one subject, or a connection without a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Person {
    Subject(Arc<str>),
    Connection(ConnId),
}

/// What a message, or a whole transaction, takes of the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Chat messages.
    pub(crate) chat: u32,
    /// Commands to the room of a call.
    pub(crate) commands: u32,
    /// SENDs to a room itself.
    pub(crate) joins: u32,
    /// Peer-to-peer messages, by [`relay_cost`].
    pub(crate) relay: u32,
    /// Subscriptions, by [`subscription_cost`].
    pub(crate) subscriptions: u32,
}

impl Demand {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            chat: self.chat.saturating_add(other.chat),
            commands: self.commands.saturating_add(other.commands),
            joins: self.joins.saturating_add(other.joins),
            relay: self.relay.saturating_add(other.relay),
            subscriptions: self.subscriptions.saturating_add(other.subscriptions),
        }
    }
}

/// What a subscription takes.
pub(crate) fn subscription_cost(to: &Destination) -> u32 {
    let brings_much = matches!(to, Destination::Chat(_) | Destination::RoomState(_) | Destination::Board(_));
    if brings_much { CHAT_SUBSCRIPTION_COST } else { 1 }
}

/// What a peer-to-peer message of so many bytes, headers included, takes.
pub(crate) fn relay_cost(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(COST_BYTES).max(1)).unwrap_or(u32::MAX)
}

/// Too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {}", match self.retry_after {
    Some(wait) => format!("wait {} s", wait.as_secs_f64().ceil()),
    None => "more than may come at once".to_owned(),
})]
pub(crate) struct TooFast {
    what: &'static str,
    /// The same demand may be within the rate then; never, if it is more than a burst.
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Debug)]
struct Bucket {
    /// What may be taken at `at`; below zero is promised to those who wait.
    level: f64,
    at: Instant,
}

/// Token buckets by key: one that is full again is forgotten.
#[derive(Debug)]
struct Buckets<K> {
    rate: Rate,
    by_key: HashMap<K, Bucket>,
    /// For the keys beyond [`MAX_BUCKETS`].
    shared: Option<Bucket>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, by_key: HashMap::new(), shared: None }
    }

    fn bucket(&mut self, key: &K, now: Instant) -> &mut Bucket {
        let full = || Bucket { level: self.rate.burst, at: now };
        let bucket = if self.by_key.len() < MAX_BUCKETS || self.by_key.contains_key(key) {
            self.by_key.entry(key.clone()).or_insert_with(full)
        } else {
            self.shared.get_or_insert_with(full)
        };
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.level = (bucket.level + elapsed * self.rate.per_second).min(self.rate.burst);
        bucket.at = bucket.at.max(now);
        bucket
    }

    /// How long until `amount` may be taken; `None` for more than a burst.
    fn wait(&mut self, key: &K, amount: f64, now: Instant) -> Option<Duration> {
        let rate = self.rate;
        let level = self.bucket(key, now).level;
        (amount <= rate.burst).then(|| rate.time_for(amount - level))
    }

    fn take(&mut self, key: &K, amount: f64, now: Instant) {
        self.bucket(key, now).level -= amount;
    }

    fn forget_full(&mut self, now: Instant) {
        let Rate { burst, per_second } = self.rate;
        let is_full = |bucket: &Bucket| {
            bucket.level + now.saturating_duration_since(bucket.at).as_secs_f64() * per_second >= burst
        };
        self.by_key.retain(|_, bucket| !is_full(bucket));
        self.shared.take_if(|bucket| is_full(bucket));
    }
}

/// A limit by person and one by address; both must allow.
#[derive(Debug)]
pub(crate) struct Pair {
    what: &'static str,
    /// What would have to wait longer is refused.
    max_hold: Duration,
    person: Buckets<Person>,
    address: Buckets<IpAddr>,
    /// What a person may send although the address has nothing left.
    quiet: Option<Buckets<Person>>,
    /// Who may.
    spares: fn(&Sender) -> bool,
}

impl Pair {
    pub(crate) fn new(what: &'static str, max_hold: Duration, person: Rate, address: Rate) -> Self {
        let (person, address) = (Buckets::new(person), Buckets::new(address));
        Self { what, max_hold, person, address, quiet: None, spares: |_| false }
    }

    fn with_quiet(self, quiet: Rate, spares: fn(&Sender) -> bool) -> Self {
        Self { quiet: Some(Buckets::new(quiet)), spares, ..self }
    }

    /// The account of who has sent little, where this is one of them.
    fn quiet(&mut self, who: &Sender, amount: f64, now: Instant) -> Option<&mut Buckets<Person>> {
        let is_spared = (self.spares)(who);
        let quiet = self.quiet.as_mut().filter(|_| is_spared)?;
        (quiet.wait(&who.person, amount, now) == Some(Duration::ZERO)).then_some(quiet)
    }

    pub(crate) fn wait(&mut self, who: &Sender, amount: u32, now: Instant) -> Result<Duration, TooFast> {
        if amount == 0 {
            return Ok(Duration::ZERO);
        }
        let person = self.person.wait(&who.person, f64::from(amount), now);
        let address = match self.quiet(who, f64::from(amount), now) {
            Some(_) => Some(Duration::ZERO),
            None => self.address.wait(&who.address, f64::from(amount), now),
        };
        let wait = person.zip(address).map(|(person, address)| person.max(address));
        let over = wait.map(|wait| wait.saturating_sub(self.max_hold));
        match (wait, over) {
            (Some(wait), Some(Duration::ZERO)) => Ok(wait),
            _ => Err(TooFast { what: self.what, retry_after: over }),
        }
    }

    pub(crate) fn take(&mut self, who: &Sender, amount: u32, now: Instant) {
        if amount > 0 {
            if let Some(quiet) = self.quiet(who, f64::from(amount), now) {
                quiet.take(&who.person, f64::from(amount), now);
            }
            self.person.take(&who.person, f64::from(amount), now);
            self.address.take(&who.address, f64::from(amount), now);
        }
    }

    pub(crate) fn forget_full(&mut self, now: Instant) {
        self.person.forget_full(now);
        self.address.forget_full(now);
        if let Some(quiet) = &mut self.quiet {
            quiet.forget_full(now);
        }
    }
}

/// The account of everybody's rates.
#[derive(Debug)]
pub(crate) struct Limits {
    chat: Pair,
    commands: Pair,
    joins: Pair,
    relay: Pair,
    subscriptions: Pair,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Whoever keeps order in a room is not silenced by those behind the same NAT. A token that moderates
            // writes in its own room only.
            chat: Pair::new("too many chat messages", Duration::ZERO, CHAT_PERSON, CHAT_ADDRESS)
                .with_quiet(CHAT_PERSON, |who| who.moderates != Moderates::Nowhere),
            commands: Pair::new("too many commands", Duration::ZERO, COMMAND_PERSON, COMMAND_ADDRESS),
            joins: Pair::new("too many joins", MAX_HOLD, JOIN_PERSON, JOIN_ADDRESS),
            relay: Pair::new("too many messages", MAX_HOLD, RELAY_PERSON, RELAY_ADDRESS)
                .with_quiet(RELAY_QUIET, |who| matches!(who.person, Person::Subject(_))),
            subscriptions: Pair::new("too many subscriptions", MAX_HOLD, SUBSCRIBE_PERSON, SUBSCRIBE_ADDRESS),
        }
    }
}

impl Limits {
    /// Takes all of `demand` and says how long it has to be held back, or takes nothing.
    ///
    /// # Errors
    /// [`TooFast`] for chat and commands beyond their rate, for anything that would be held back longer than [`MAX_HOLD`], and for
    /// more than a burst.
    pub(crate) fn admit(&mut self, who: &Sender, demand: Demand, now: Instant) -> Result<Duration, TooFast> {
        if who.is_service {
            return Ok(Duration::ZERO);
        }
        let parts = [
            (&mut self.chat, demand.chat),
            (&mut self.commands, demand.commands),
            (&mut self.joins, demand.joins),
            (&mut self.relay, demand.relay),
            (&mut self.subscriptions, demand.subscriptions),
        ];
        let mut hold = Duration::ZERO;
        let mut admitted = Vec::with_capacity(parts.len());
        for (pair, amount) in parts {
            hold = hold.max(pair.wait(who, amount, now)?);
            admitted.push((pair, amount));
        }
        for (pair, amount) in admitted {
            pair.take(who, amount, now);
        }
        Ok(hold)
    }

    /// Forgets whoever has been quiet long enough. Call it once a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.chat.forget_full(now);
        self.commands.forget_full(now);
        self.joins.forget_full(now);
        self.relay.forget_full(now);
        self.subscriptions.forget_full(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NONE: Demand = Demand { chat: 0, commands: 0, joins: 0, relay: 0, subscriptions: 0 };
    const CHAT: Demand = Demand { chat: 1, ..NONE };
    const JOIN: Demand = Demand { joins: 1, relay: 1, ..NONE };
    const RELAY: Demand = Demand { relay: 1, ..NONE };

    fn sender(subject: &str, last: u8) -> Sender {
        let address = IpAddr::from([192, 0, 2, last]);
        Sender {
            person: Person::Subject(subject.into()),
            address,
            is_service: false,
            moderates: Moderates::Nowhere,
        }
    }

    /// How many of 1,000 are let through at once, none of them held back.
    fn at_once(limits: &mut Limits, who: impl Fn(usize) -> Sender, demand: Demand, now: Instant) -> usize {
        (0..1_000).filter(|n| limits.admit(&who(*n), demand, now) == Ok(Duration::ZERO)).count()
    }

    #[test]
    fn a_person_chats_at_its_rate_over_all_connections_and_addresses() {
        let now = Instant::now();
        let mut limits = Limits::default();
        assert_eq!(at_once(&mut limits, |n| sender("a", (n % 50) as u8), CHAT, now), 10);
        assert_eq!(at_once(&mut limits, |_| sender("b", 1), CHAT, now), 10, "others go on");
        let refused = limits.admit(&sender("a", 99), CHAT, now).unwrap_err();
        assert_eq!(refused.retry_after, Some(SECOND));
        assert_eq!(at_once(&mut limits, |n| sender("a", (n % 50) as u8), CHAT, now + 3 * SECOND), 3);
    }

    #[test]
    fn an_address_chats_at_its_rate_however_many_tokens_it_has() {
        let now = Instant::now();
        let mut limits = Limits::default();
        assert_eq!(at_once(&mut limits, |n| sender(&n.to_string(), 1), CHAT, now), 30);
        assert_eq!(at_once(&mut limits, |n| sender(&format!("{n}b"), 1), CHAT, now + SECOND), 3);
        assert_eq!(at_once(&mut limits, |_| sender("elsewhere", 2), CHAT, now + SECOND), 10);
    }

    #[test]
    fn who_keeps_order_is_not_silenced_by_the_neighbours() {
        let now = Instant::now();
        let mut limits = Limits::default();
        assert_eq!(at_once(&mut limits, |n| sender(&n.to_string(), 1), CHAT, now), 30);
        let room: contract::room::Room = "7".parse().unwrap();
        let host = Sender { moderates: Moderates::In(room), ..sender("host", 1) };
        assert_eq!(at_once(&mut limits, |_| host.clone(), CHAT, now), 10, "its own rate holds");
        assert_eq!(at_once(&mut limits, |_| sender("viewer", 1), CHAT, now), 0);
    }

    #[test]
    fn commands_are_refused_beyond_their_rate() {
        let now = Instant::now();
        let mut limits = Limits::default();
        let command = Demand { commands: 1, ..NONE };
        assert_eq!(at_once(&mut limits, |n| sender("a", (n % 50) as u8), command, now), 20);
        assert_eq!(at_once(&mut limits, |n| sender(&n.to_string(), 51), command, now), 400);
        assert_eq!(at_once(&mut limits, |_| sender("a", 52), command, now + SECOND), 5);
        assert_eq!(at_once(&mut limits, |_| sender("a", 52), CHAT, now), 10, "chat has a pace of its own");
    }

    #[test]
    fn peer_to_peer_messages_are_held_back_in_turn_and_beyond_that_refused() {
        let now = Instant::now();
        let mut limits = Limits::default();
        let who = sender("a", 1);
        assert_eq!(at_once(&mut limits, |_| who.clone(), RELAY, now), 500);
        // The others of the thousand were held back, and what they wait for is taken.
        let held = limits.admit(&who, RELAY, now).unwrap();
        assert!(held > Duration::from_millis(2_500) && held < Duration::from_millis(2_510), "{held:?}");
        let big = Demand { relay: 500, ..RELAY };
        assert!(limits.admit(&who, big, now).is_ok_and(|held| held > 5 * SECOND));
        assert!(limits.admit(&who, big, now).is_ok_and(|held| held < MAX_HOLD));
        let refused = limits.admit(&who, big, now).unwrap_err();
        assert!(refused.retry_after.is_some_and(|wait| wait < SECOND), "{refused:?}");
        assert_eq!(limits.admit(&sender("b", 2), RELAY, now), Ok(Duration::ZERO));
    }

    #[test]
    fn an_address_joins_and_relays_at_its_rate() {
        let now = Instant::now();
        let mut limits = Limits::default();
        assert_eq!(at_once(&mut limits, |_| sender("a", 1), JOIN, now), 10);
        let mut limits = Limits::default();
        assert_eq!(at_once(&mut limits, |n| sender(&n.to_string(), 1), JOIN, now), 100);
        let mut limits = Limits::default();
        let big = Demand { relay: 64, ..RELAY };
        assert_eq!(at_once(&mut limits, |n| sender(&n.to_string(), 1), big, now), 2_000 / 64);
    }

    #[test]
    fn who_sends_little_does_not_wait_for_neighbours_who_send_all_they_can() {
        let start = Instant::now();
        let mut limits = Limits::default();
        // Ten flooders try a thousand a second each, for a minute, and so does somebody without a token.
        let guest = Sender { person: Person::Connection(1), ..sender("", 1) };
        let (mut flooded, mut call) = (0, 0);
        for tick in 0..600 {
            let now = start + tick * SECOND / 10;
            for flooder in 0..10 {
                let who = sender(&flooder.to_string(), 1);
                flooded += (0..100).filter(|_| limits.admit(&who, RELAY, now).is_ok()).count();
            }
            // A neighbour begins a call every ten seconds.
            if tick % 100 == 50 {
                call += at_once(&mut limits, |_| sender("neighbour", 1), RELAY, now).min(60);
                assert_ne!(limits.admit(&guest, RELAY, now), Ok(Duration::ZERO), "it has none of its own");
            }
        }
        assert_eq!(call, 6 * 60, "each time all of it at once");
        // What the address may have, its burst, what is still held back, and 60 of each who is there.
        assert!(flooded <= 600 * 60 + 2_000 + 6_000 + 10 * (60 + 6 * 60), "{flooded}");
    }

    #[test]
    fn what_is_refused_takes_nothing_and_services_have_no_limit() {
        let now = Instant::now();
        let mut limits = Limits::default();
        let who = sender("a", 1);
        let never = Demand { chat: 11, relay: 500, ..NONE };
        let refused = limits.admit(&who, never, now).unwrap_err();
        assert_eq!(refused.retry_after, None, "a transaction is no way around the rate");
        assert_eq!(limits.admit(&who, Demand { chat: 10, ..NONE }, now), Ok(Duration::ZERO));
        assert!(limits.admit(&who, Demand { chat: 1, relay: 400, ..NONE }, now).is_err());
        assert_eq!(limits.admit(&who, Demand { relay: 500, ..RELAY }, now), Ok(Duration::ZERO));
        let service = Sender { is_service: true, ..who };
        assert_eq!(at_once(&mut limits, |_| service.clone(), CHAT, now), 1_000);
    }

    #[test]
    fn subscriptions_are_held_back_and_that_to_a_chat_counts_as_ten() {
        let now = Instant::now();
        let mut limits = Limits::default();
        let to = |text: &str| {
            let address: contract::destination::Address = text.parse().unwrap();
            Demand { subscriptions: subscription_cost(&address.path), ..NONE }
        };
        let (chat, presence) = (to("/topic/-/chat/7"), to("/topic/-/presence/7"));
        assert_eq!(at_once(&mut limits, |_| sender("a", 1), presence, now), 200);
        assert_eq!(at_once(&mut limits, |_| sender("b", 2), chat, now), 20);
        assert!(limits.admit(&sender("b", 2), chat, now).is_err(), "those that were held took their places");
        let mut limits = Limits::default();
        let at = |n: usize| sender(&n.to_string(), 1);
        assert_eq!((0..3).map(|_| at_once(&mut limits, at, chat, now)).sum::<usize>(), 1_000);
        let held = limits.admit(&at(1), presence, now);
        assert!(held.is_err(), "an address is behind by {MAX_HOLD:?}: {held:?}");
    }

    #[test]
    fn the_account_is_bounded_and_forgets_the_quiet() {
        let now = Instant::now();
        let mut buckets: Buckets<usize> = Buckets::new(CHAT_PERSON);
        for key in 0..MAX_BUCKETS + 20 {
            buckets.take(&key, 1.0, now);
        }
        assert_eq!(buckets.by_key.len(), MAX_BUCKETS);
        let wait = buckets.wait(&(MAX_BUCKETS + 99), 1.0, now);
        assert!(wait.is_some_and(|wait| !wait.is_zero()), "newcomers share one bucket");
        buckets.forget_full(now + Duration::from_millis(999));
        assert_eq!(buckets.by_key.len(), MAX_BUCKETS);
        buckets.forget_full(now + 20 * SECOND);
        assert!(buckets.by_key.is_empty() && buckets.shared.is_none());
    }

    #[test]
    fn a_sender_key_is_that_of_the_address() {
        assert_eq!(sender("a", 1).key(), sender("b", 1).key());
        assert_ne!(sender("a", 1).key(), sender("a", 2).key());
        let service = |name: &str| Sender { is_service: true, ..sender(name, 1) };
        assert_ne!(service("nod_1").key(), service("nod_2").key());
        assert_ne!(service("nod_1").key(), sender("a", 1).key());
    }
}
