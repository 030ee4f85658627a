//! How many connections (TCP, TLS, DTLS) there may be, over all threads: in all, and of one source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;

/// The counts. A clone is another handle of the same.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    counts: Arc<Mutex<Counts>>,
    /// Connections in all. One more is closed at once.
    most: usize,
    /// Connections of one source address (an IPv6 /64 is one). One more is closed at once.
    most_of_source: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    sources: HashMap<u64, usize>,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Admission,
    source: u64,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        let Limits { connections, connections_per_source, .. } = *limits;
        Self { counts: Arc::default(), most: connections, most_of_source: connections_per_source }
    }

    /// Takes a place; `None` when there is no room.
    pub(crate) fn admit(&self, from: IpAddr) -> Option<Place> {
        let source = match from {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = counts.sources.get(&source).copied().unwrap_or(0);
        if counts.all >= self.most || of_source >= self.most_of_source {
            return None;
        }
        counts.all += 1;
        counts.sources.insert(source, of_source + 1);
        Some(Place { admission: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(count) = counts.sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_source_and_in_all_and_come_back() {
        let limits = Limits { connections: 4, connections_per_source: 3, ..Limits::default() };
        let admission = Admission::new(&limits);
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut places: Vec<Place> =
            std::iter::from_fn(|| admission.admit(ip("2001:db8::1"))).take(10).collect();
        assert_eq!(places.len(), 3);
        assert!(admission.admit(ip("2001:db8::2")).is_none(), "the same /64");
        let other = admission.admit(ip("192.0.2.1")).expect("another source");
        assert!(admission.admit(ip("192.0.2.2")).is_none(), "four in all");
        drop(other);
        places.pop();
        assert!(admission.admit(ip("2001:db8::2")).is_some());
        drop(places);
        assert!(admission.counts.lock().expect("whole").sources.is_empty());
    }
}
