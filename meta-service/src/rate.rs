//! Rate limits by person and by address: buckets of one minute's worth of requests. Pure.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Most subjects that a bucket remembers. When full, those whose bucket is full again are forgotten; if none is, a new
/// one is refused rather than let in unlimited.
pub(crate) const MAX_REMEMBERED: usize = 50_000;
/// An address may do this many times what one person may: people share addresses.
pub(crate) const PERSONS_PER_ADDRESS: u32 = 4;

const MINUTE: Duration = Duration::from_secs(60);

/// Who asks, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    /// Where from.
    pub(crate) address: IpAddr,
    /// Subject of the token, or the hash of the key, if there is one.
    pub(crate) person: Option<String>,
}

/// `per_minute` requests a minute, all of them at once if wanted: for a person who is known by a token or key, whose
/// address has [`PERSONS_PER_ADDRESS`] times as many; and for an address (IPv6: a /64) without one.
#[derive(Debug)]
pub(crate) struct RateLimit {
    persons: Buckets<String>,
    addresses: Buckets<IpAddr>,
    nameless: Buckets<IpAddr>,
}

impl RateLimit {
    /// A limit of `per_minute` (at least 1).
    #[must_use]
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            persons: Buckets::new(per_minute),
            addresses: Buckets::new(per_minute.saturating_mul(PERSONS_PER_ADDRESS)),
            nameless: Buckets::new(per_minute),
        }
    }

    /// Takes one from the buckets of `asker`.
    ///
    /// # Errors
    /// How long to wait when one of them is empty.
    pub(crate) fn take(&mut self, asker: &Asker, now: Instant) -> Result<(), Duration> {
        let address = customer(asker.address);
        let Some(person) = &asker.person else { return self.nameless.take(address, now) };
        self.persons.take(person.clone(), now)?;
        self.addresses.take(address, now)
    }
}

#[derive(Debug)]
struct Buckets<K> {
    per_minute: u32,
    /// When the bucket will be full again: one number is the whole bucket.
    full_at: HashMap<K, Instant>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute.max(1), full_at: HashMap::new() }
    }

    fn take(&mut self, whose: K, now: Instant) -> Result<(), Duration> {
        let each = MINUTE / self.per_minute;
        if !self.full_at.contains_key(&whose) && self.full_at.len() >= MAX_REMEMBERED {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= MAX_REMEMBERED {
                return Err(each);
            }
        }
        let full_at = self.full_at.entry(whose).or_insert(now);
        let next = (*full_at).max(now) + each;
        // Rounding down `each` must not let one more in: the bucket holds exactly `per_minute` of them.
        let most = now + each * self.per_minute;
        if next > most {
            return Err(next - most);
        }
        *full_at = next;
        Ok(())
    }
}

/// Who an address stands for: an IPv6 customer has a /64, a mapped IPv4 address is that IPv4 address.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Asker {
        Asker { address: address.parse().unwrap(), person: None }
    }

    fn person(name: &str) -> Asker {
        Asker { person: Some(name.into()), ..from("10.0.0.1") }
    }

    #[test]
    fn ten_a_minute_and_one_more_every_six_seconds() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10);
        let client = from("10.0.0.1");
        assert!((0..10).all(|_| limit.take(&client, start).is_ok()));
        assert_eq!(limit.take(&client, start), Err(Duration::from_secs(6)));
        assert!(limit.take(&from("10.0.0.2"), start).is_ok());
        assert!(limit.take(&client, start + Duration::from_secs(6)).is_ok());
        assert!(limit.take(&client, start + Duration::from_secs(7)).is_err());
        let later = start + Duration::from_secs(600);
        assert_eq!((0..20).filter(|_| limit.take(&client, later).is_ok()).count(), 10);
    }

    #[test]
    fn persons_behind_one_address_have_a_limit_each_and_a_larger_one_together() {
        let (now, mut limit) = (Instant::now(), RateLimit::new(10));
        // Who has no name uses up nobody else's.
        assert_eq!((0..20).filter(|_| limit.take(&from("10.0.0.1"), now).is_ok()).count(), 10);
        assert_eq!((0..20).filter(|_| limit.take(&person("a"), now).is_ok()).count(), 10);
        assert_eq!((0..20).filter(|_| limit.take(&person("b"), now).is_ok()).count(), 10);
        // Names cost nothing where tokens are handed out: the address bounds what many of them do.
        let more = (0..100).filter(|n| limit.take(&person(&format!("n{n}")), now).is_ok()).count();
        assert_eq!(more, 20);
        // Somebody who is known goes on from elsewhere, within the same limit.
        let moved = Asker { address: "10.0.0.9".parse().unwrap(), ..person("a") };
        assert!(limit.take(&moved, now).is_err());
    }

    #[test]
    fn a_customer_of_ipv6_is_one_client() {
        let (now, mut limit) = (Instant::now(), RateLimit::new(1));
        assert!(limit.take(&from("2001:db8::1"), now).is_ok());
        assert!(limit.take(&from("2001:db8::2"), now).is_err());
        assert!(limit.take(&from("2001:db8:0:1::1"), now).is_ok());
        assert!(limit.take(&from("::ffff:10.0.0.1"), now).is_ok());
        assert!(limit.take(&from("10.0.0.1"), now).is_err());
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let (now, mut buckets) = (Instant::now(), Buckets::new(1));
        for n in 0..u32::try_from(MAX_REMEMBERED).unwrap() {
            assert!(buckets.take(n, now).is_ok());
        }
        assert!(buckets.take(u32::MAX, now).is_err());
        assert!(buckets.take(u32::MAX, now + MINUTE).is_ok());
        assert_eq!(buckets.full_at.len(), 1);
    }
}
