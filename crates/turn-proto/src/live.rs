//! Which relayed addresses live, for all threads.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a bitmap of all ports.
const WORDS: usize = 65_536 / 64;

/// Which relayed addresses belong to a live allocation: one bit per port of each relay address. Two clients may
/// meet relay to relay, and without this set every other UDP socket in the relay port range would be reachable
/// as well. Written when an allocation is made or ends, read for each datagram to an own address.
#[derive(Debug)]
pub(crate) struct LiveRelays(Vec<(IpAddr, Box<[AtomicU64]>)>);

impl LiveRelays {
    pub(crate) fn new(addresses: &[IpAddr]) -> Self {
        Self(addresses.iter().map(|ip| (*ip, (0..WORDS).map(|_| AtomicU64::new(0)).collect())).collect())
    }

    /// Whether the address is a relay address, whatever its port.
    pub(crate) fn is_relay(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|(relay, _)| *relay == ip)
    }

    pub(crate) fn contains(&self, address: SocketAddr) -> bool {
        let (index, bit) = place(address.port());
        self.word(address.ip(), index).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    pub(crate) fn insert(&self, address: SocketAddr) {
        let (index, bit) = place(address.port());
        if let Some(word) = self.word(address.ip(), index) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        let (index, bit) = place(address.port());
        if let Some(word) = self.word(address.ip(), index) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn word(&self, ip: IpAddr, index: usize) -> Option<&AtomicU64> {
        self.0.iter().find(|(relay, _)| *relay == ip)?.1.get(index)
    }
}

fn place(port: u16) -> (usize, u64) {
    (usize::from(port) / 64, 1 << (port % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relayed_address_is_live_from_insert_to_remove_and_no_other_is() {
        let ips: [IpAddr; 2] = ["203.0.113.9", "2400::9"].map(|ip| ip.parse().expect("ip"));
        let live = LiveRelays::new(&ips);
        let at = |ip: usize, port| SocketAddr::new(ips[ip], port);
        for port in [0, 1, 63, 64, 50_000, 65_535] {
            live.insert(at(0, port));
            assert!(live.contains(at(0, port)));
            assert!(!live.contains(at(1, port)), "another address");
            assert!(!live.contains(at(0, port ^ 2)), "another port");
            live.remove(at(0, port));
            assert!(!live.contains(at(0, port)));
        }
        live.insert("1.2.3.4:9".parse().expect("address"));
        assert!(!live.contains("1.2.3.4:9".parse().expect("address")), "not a relay address");
        assert!(live.is_relay(ips[1]) && !live.is_relay("1.2.3.4".parse().expect("ip")));
    }
}
