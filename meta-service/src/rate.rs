//! A rate limit per client address: a bucket of one minute's worth of requests. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Most addresses remembered. When full, those whose bucket is full again are forgotten; if none is, a new
/// address is refused rather than let in unlimited.
pub(crate) const MAX_ADDRESSES: usize = 50_000;

const MINUTE: Duration = Duration::from_secs(60);

/// `per_minute` requests a minute for each address (IPv6: each /64), all of them at once if wanted.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_minute: u32,
    /// When the bucket will be full again: one number is the whole bucket.
    full_at: HashMap<IpAddr, Instant>,
}

impl RateLimit {
    /// A limit of `per_minute` (at least 1).
    #[must_use]
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute.max(1), full_at: HashMap::new() }
    }

    /// Takes one from the bucket of `address`.
    ///
    /// # Errors
    /// How long to wait when it is empty.
    pub(crate) fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let each = MINUTE / self.per_minute;
        let address = subject(address);
        if !self.full_at.contains_key(&address) && self.full_at.len() >= MAX_ADDRESSES {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= MAX_ADDRESSES {
                return Err(each);
            }
        }
        let full_at = self.full_at.entry(address).or_insert(now);
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
fn subject(address: IpAddr) -> IpAddr {
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

    #[test]
    fn ten_a_minute_and_one_more_every_six_seconds() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10);
        let client: IpAddr = "10.0.0.1".parse().unwrap();
        assert!((0..10).all(|_| limit.take(client, start).is_ok()));
        assert_eq!(limit.take(client, start), Err(Duration::from_secs(6)));
        assert!(limit.take("10.0.0.2".parse().unwrap(), start).is_ok());
        assert!(limit.take(client, start + Duration::from_secs(6)).is_ok());
        assert!(limit.take(client, start + Duration::from_secs(7)).is_err());
        let later = start + Duration::from_secs(600);
        assert_eq!((0..20).filter(|_| limit.take(client, later).is_ok()).count(), 10);
    }

    #[test]
    fn a_customer_of_ipv6_is_one_client() {
        let (now, mut limit) = (Instant::now(), RateLimit::new(1));
        assert!(limit.take("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(limit.take("2001:db8::2".parse().unwrap(), now).is_err());
        assert!(limit.take("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
        assert!(limit.take("::ffff:10.0.0.1".parse().unwrap(), now).is_ok());
        assert!(limit.take("10.0.0.1".parse().unwrap(), now).is_err());
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let (now, mut limit) = (Instant::now(), RateLimit::new(1));
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() {
            assert!(limit.take(IpAddr::from(n.to_be_bytes()), now).is_ok());
        }
        let fresh: IpAddr = "250.0.0.1".parse().unwrap();
        assert!(limit.take(fresh, now).is_err());
        assert!(limit.take(fresh, now + MINUTE).is_ok());
        assert_eq!(limit.full_at.len(), 1);
    }
}
