//! The addresses at which browsers reach the media ports.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, MAX_PUBLIC_IPS};

/// What a shard on `local` announces, the preferred address first.
pub(crate) fn announced(config: &Config, machine: &[IpAddr], local: SocketAddr) -> Vec<SocketAddr> {
    let fits = |ip: &&IpAddr| takes(local.ip(), **ip);
    let ips: Vec<IpAddr> = if config.public_ips.is_empty() {
        machine.iter().filter(fits).copied().take(MAX_PUBLIC_IPS).collect()
    } else {
        config.public_ips.clone()
    };
    // An address that the machine does not list is still the one that the socket is bound to.
    let ips = if ips.is_empty() { vec![local.ip()] } else { ips };
    ips.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect()
}

/// The address to bind the media sockets to. Where browsers know one address only and it is the machine's own, that one:
/// answers leave from it by themselves, and the kernel need not say with each packet where it arrived. Behind a NAT, or
/// with several addresses, only the kernel knows which one a packet was sent to.
pub(crate) fn to_bind(config: &Config, machine: &[IpAddr]) -> IpAddr {
    match config.public_ips.as_slice() {
        [only] if takes(config.media_bind, *only) && machine.contains(only) => *only,
        _ => config.media_bind,
    }
}

/// Whether a socket that is bound to `bound` takes what is sent to `ip`.
fn takes(bound: IpAddr, ip: IpAddr) -> bool {
    match bound {
        // A wildcard IPv6 socket takes IPv4 as well.
        IpAddr::V6(bound) if bound.is_unspecified() => true,
        bound if bound.is_unspecified() => ip.is_ipv4(),
        bound => ip == bound,
    }
}

/// The machine's own addresses: those that others may reach first, loopback last (Firefox never pairs with it,
/// Chromium on this machine does without a network).
#[must_use]
pub fn of_this_machine() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the machine's addresses cannot be listed: announcing loopback only");
        Vec::new()
    });
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        // Link-local addresses need a scope that a candidate cannot carry.
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let mut ips: Vec<IpAddr> = interfaces.iter().map(|interface| interface.ip()).filter(usable).collect();
    let loopback = IpAddr::from([127, 0, 0, 1]);
    if !ips.contains(&loopback) {
        ips.push(loopback);
    }
    ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    ips.dedup();
    ips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn announce(public: &[&str], local: &str) -> Vec<String> {
        let config = Config { public_ips: ips(public), ..Config::default() };
        let machine = ips(&["192.0.2.1", "127.0.0.1", "2001:db8::1"]);
        announced(&config, &machine, local.parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_win_over_the_machine() {
        assert_eq!(announce(&["198.51.100.7"], "0.0.0.0:5"), ["198.51.100.7:5"]);
        assert_eq!(announce(&[], "0.0.0.0:5"), ["192.0.2.1:5", "127.0.0.1:5"]);
        assert_eq!(announce(&[], "[::]:5").len(), 3);
        assert_eq!(announce(&[], "127.0.0.1:5"), ["127.0.0.1:5"]);
        assert_eq!(announce(&[], "203.0.113.9:5"), ["203.0.113.9:5"]);
    }

    #[test]
    fn one_address_of_the_machine_is_bound_to_and_nothing_else() {
        let machine = ips(&["192.0.2.1", "192.0.2.2", "127.0.0.1", "2001:db8::1"]);
        let bound = |public: &[&str], media_bind: &str| {
            let media_bind = media_bind.parse().unwrap();
            let config = Config { public_ips: ips(public), media_bind, ..Config::default() };
            to_bind(&config, &machine).to_string()
        };
        assert_eq!(bound(&["192.0.2.2"], "0.0.0.0"), "192.0.2.2");
        assert_eq!(bound(&["2001:db8::1"], "::"), "2001:db8::1");
        assert_eq!(bound(&["192.0.2.1", "192.0.2.2"], "0.0.0.0"), "0.0.0.0", "answers leave from either");
        assert_eq!(bound(&[], "0.0.0.0"), "0.0.0.0", "loopback is announced, too");
        assert_eq!(bound(&["198.51.100.7"], "0.0.0.0"), "0.0.0.0", "behind a NAT");
        assert_eq!(bound(&["2001:db8::1"], "0.0.0.0"), "0.0.0.0", "not of this family");
        assert_eq!(bound(&["192.0.2.2"], "192.0.2.1"), "192.0.2.1", "what is set is set");
    }

    #[test]
    fn loopback_is_there_and_last() {
        assert!(of_this_machine().last().is_some_and(IpAddr::is_loopback));
    }
}
