//! Which peers the relay may talk to. A relay sits inside the operator's network and obeys strangers: without
//! this filter it is a tunnel to the database, the metadata service and the admin port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::live::LiveRelays;

/// Why a peer is refused, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerRefusal {
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// 0.0.0.0/8, ::.
    Unspecified,
    /// 169.254.0.0/16 (cloud metadata lives there), fe80::/10.
    LinkLocal,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// Documentation, benchmarking, future use, transition mechanisms, port 0: nothing of a real peer.
    Reserved,
    /// RFC 1918, RFC 6598 and unique local addresses that no setting allows.
    Private,
    /// On the operator's deny list.
    Denied,
    /// An address of the service itself, on a port that is not one of its media or relay ports.
    OwnPort,
}

impl PeerRefusal {
    /// Every reason, in the order of [`PeerRefusal::index`].
    pub const ALL: [Self; 8] = [
        Self::Loopback,
        Self::Unspecified,
        Self::LinkLocal,
        Self::Multicast,
        Self::Reserved,
        Self::Private,
        Self::Denied,
        Self::OwnPort,
    ];

    /// A dense number for tables of counters.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// A short name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Private => "private",
            Self::Denied => "denied",
            Self::OwnPort => "own_port",
        }
    }
}

impl fmt::Display for PeerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback addresses are refused",
            Self::Unspecified => "the unspecified address is refused",
            Self::LinkLocal => "link-local and metadata addresses are refused",
            Self::Multicast => "multicast addresses are refused",
            Self::Reserved => "reserved addresses are refused",
            Self::Private => "this private range is not in allow_private",
            Self::Denied => "the address is on the deny list",
            Self::OwnPort => "of the service's own addresses only media and relay ports are reachable",
        })
    }
}

/// Ports of one address that stay reachable although the address itself is the service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPorts {
    /// The address, as peers are told it.
    pub ip: IpAddr,
    /// The ports, both ends included.
    pub ports: RangeInclusive<u16>,
}

/// Why a peer is refused, if it is.
type PeerCheck = Result<(), PeerRefusal>;

/// The peer filter. Deny wins over allow; own addresses are reachable on their own ports only, whatever kind
/// of address they are.
#[derive(Debug, Clone, Default)]
pub struct PeerPolicy {
    /// Refused always.
    pub deny: Vec<IpNet>,
    /// Private ranges that are reachable.
    pub allow_private: Vec<IpNet>,
    /// The service's own addresses and their media ports. Any address named here is reachable on these ports only
    /// (none, if the range is empty), whatever kind of address it is. The relay addresses are own addresses too,
    /// and reachable where a live allocation is, without being named.
    pub own: Vec<OwnPorts>,
}

impl PeerPolicy {
    /// The same with own addresses as peers are compared with them, so that no datagram has to.
    pub(crate) fn prepared(mut self) -> Self {
        for own in &mut self.own {
            own.ip = canonical(own.ip);
        }
        self
    }

    /// May a permission be installed for this address? (CreatePermission and ChannelBind.) On an own address there
    /// must be a port that is ever reachable.
    pub(crate) fn permission(&self, ip: IpAddr, live: &LiveRelays) -> PeerCheck {
        let ip = canonical(ip);
        self.denied(ip)?;
        if live.is_relay(ip) || self.own(ip).any(|own| !own.ports.is_empty()) {
            return Ok(());
        }
        if self.own(ip).next().is_some() { Err(PeerRefusal::OwnPort) } else { self.by_kind(ip) }
    }

    /// May a datagram go to, or come from, this address and port? Checked for each datagram: a permission
    /// covers all ports of an address, this does not.
    pub(crate) fn send(&self, peer: SocketAddr, live: &LiveRelays) -> PeerCheck {
        let ip = canonical(peer.ip());
        self.denied(ip)?;
        if peer.port() == 0 {
            return Err(PeerRefusal::Reserved);
        }
        let mut is_own = live.is_relay(ip);
        if is_own && live.contains(SocketAddr::new(ip, peer.port())) {
            return Ok(());
        }
        for own in self.own(ip) {
            if own.ports.contains(&peer.port()) {
                return Ok(());
            }
            is_own = true;
        }
        if is_own { Err(PeerRefusal::OwnPort) } else { self.by_kind(ip) }
    }

    fn denied(&self, ip: IpAddr) -> PeerCheck {
        if self.deny.iter().any(|net| net.contains(&ip)) { Err(PeerRefusal::Denied) } else { Ok(()) }
    }

    fn own(&self, ip: IpAddr) -> impl Iterator<Item = &OwnPorts> {
        self.own.iter().filter(move |own| own.ip == ip)
    }

    fn by_kind(&self, ip: IpAddr) -> PeerCheck {
        match kind(ip) {
            None => Ok(()),
            Some(PeerRefusal::Private) if self.allow_private.iter().any(|net| net.contains(&ip)) => Ok(()),
            Some(refusal) => Err(refusal),
        }
    }
}

/// The address that a packet would really reach: IPv4 inside IPv6 is taken out (v4-mapped, v4-compatible,
/// 6to4, NAT64 with the well-known prefix), so that no spelling of a forbidden address passes.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let bits = v6.to_bits();
    let low = Ipv4Addr::from_bits(bits as u32);
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xFFFF, _, _] => low.into(),
        // :: and ::1 are not IPv4 in disguise.
        [0, 0, 0, 0, 0, 0, _, _] if bits > 1 => low.into(),
        [0x64, 0xFF9B, 0, 0, 0, 0, _, _] => low.into(),
        [0x2002, ..] => Ipv4Addr::from_bits((bits >> 80) as u32).into(),
        _ => ip,
    }
}

/// Whether an address, however it is spelled, is of no special kind: a host anywhere may have it.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    kind(canonical(ip)).is_none()
}

/// What kind of non-public address this is; `None` for a public one.
fn kind(ip: IpAddr) -> Option<PeerRefusal> {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) => kind_v6(ip),
    }
}

/// After the IANA IPv4 Special-Purpose Address Registry.
fn kind_v4(ip: Ipv4Addr) -> Option<PeerRefusal> {
    match ip.octets() {
        [0, ..] => Some(PeerRefusal::Unspecified),
        [127, ..] => Some(PeerRefusal::Loopback),
        [169, 254, ..] => Some(PeerRefusal::LinkLocal),
        [224..=239, ..] => Some(PeerRefusal::Multicast),
        [10, ..] | [192, 168, ..] => Some(PeerRefusal::Private),
        [172, b, ..] if b & 0xF0 == 16 => Some(PeerRefusal::Private),
        // Carrier-grade NAT: private to the operator's provider.
        [100, b, ..] if b & 0xC0 == 64 => Some(PeerRefusal::Private),
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(PeerRefusal::Reserved),
        [192, 88, 99, _] | [198, 18 | 19, ..] | [240..=255, ..] => Some(PeerRefusal::Reserved),
        _ => None,
    }
}

/// After the IANA IPv6 Special-Purpose Address Registry; outside 2000::/3 nothing is public.
fn kind_v6(ip: Ipv6Addr) -> Option<PeerRefusal> {
    if ip.is_unspecified() {
        return Some(PeerRefusal::Unspecified);
    }
    if ip.is_loopback() {
        return Some(PeerRefusal::Loopback);
    }
    match ip.segments() {
        [s, ..] if s & 0xFF00 == 0xFF00 => Some(PeerRefusal::Multicast),
        [s, ..] if s & 0xFFC0 == 0xFE80 => Some(PeerRefusal::LinkLocal),
        [s, ..] if s & 0xFE00 == 0xFC00 => Some(PeerRefusal::Private),
        // Teredo (an IPv4 address in disguise), ORCHID and the rest of the IETF block; documentation.
        [0x2001, s, ..] if s < 0x200 => Some(PeerRefusal::Reserved),
        [0x2001, 0xDB8, ..] | [0x3FFF, 0..=0x0FFF, ..] => Some(PeerRefusal::Reserved),
        // ISATAP: an IPv4 address in the interface identifier.
        [.., 0 | 0x200, 0x5EFE, _, _] => Some(PeerRefusal::Reserved),
        [s, ..] if s & 0xE000 == 0x2000 => None,
        _ => Some(PeerRefusal::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[expect(clippy::reversed_empty_ranges, reason = "a range of no port")]
    const NO_PORT: RangeInclusive<u16> = 1..=0;

    impl PeerPolicy {
        fn permits(&self, ip: IpAddr) -> PeerCheck {
            self.permission(ip, &LiveRelays::new(&[]))
        }

        fn sends(&self, peer: SocketAddr) -> PeerCheck {
            self.send(peer, &LiveRelays::new(&[]))
        }
    }

    #[test]
    fn each_kind_is_refused_by_its_name() {
        for (text, refusal) in [
            ("127.0.0.1", PeerRefusal::Loopback),
            ("127.255.255.254", PeerRefusal::Loopback),
            ("::1", PeerRefusal::Loopback),
            ("0.0.0.0", PeerRefusal::Unspecified),
            ("0.1.2.3", PeerRefusal::Unspecified),
            ("::", PeerRefusal::Unspecified),
            ("169.254.169.254", PeerRefusal::LinkLocal),
            ("fe80::1", PeerRefusal::LinkLocal),
            ("224.0.0.1", PeerRefusal::Multicast),
            ("239.255.255.255", PeerRefusal::Multicast),
            ("ff02::1", PeerRefusal::Multicast),
            ("10.0.0.1", PeerRefusal::Private),
            ("172.16.0.1", PeerRefusal::Private),
            ("172.31.255.255", PeerRefusal::Private),
            ("192.168.1.1", PeerRefusal::Private),
            ("100.64.0.1", PeerRefusal::Private),
            ("fd00::1", PeerRefusal::Private),
            ("192.0.2.1", PeerRefusal::Reserved),
            ("198.18.0.1", PeerRefusal::Reserved),
            ("240.0.0.1", PeerRefusal::Reserved),
            ("255.255.255.255", PeerRefusal::Reserved),
            ("2001:db8::1", PeerRefusal::Reserved),
            ("2001:0:1::1", PeerRefusal::Reserved),
            ("64:ff9b:1::1", PeerRefusal::Reserved),
            ("fec0::1", PeerRefusal::Reserved),
            ("100::1", PeerRefusal::Reserved),
            ("2400::5efe:7f00:1", PeerRefusal::Reserved),
        ] {
            assert_eq!(PeerPolicy::default().permits(ip(text)), Err(refusal), "{text}");
            assert_eq!(PeerPolicy::default().sends(SocketAddr::new(ip(text), 9)), Err(refusal), "{text}");
        }
        for text in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2400::1"] {
            assert_eq!(PeerPolicy::default().permits(ip(text)), Ok(()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_an_ipv4_address_is_judged_alike(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let low = u128::from(bits);
            let spellings = [
                (0xFFFF << 32) | low,
                (0x64_FF9B << 96) | low,
                (0x2002 << 112) | (low << 80) | 0x1234,
            ];
            for spelling in spellings.map(Ipv6Addr::from_bits) {
                let policy = PeerPolicy::default();
                prop_assert_eq!(policy.permits(spelling.into()), policy.permits(v4.into()), "{}", spelling);
            }
        }
    }

    #[test]
    fn private_ranges_open_by_setting_and_deny_wins() {
        let policy = PeerPolicy {
            allow_private: vec!["10.0.0.0/8".parse().expect("net")],
            deny: vec!["10.1.0.0/16".parse().expect("net"), "9.9.9.9/32".parse().expect("net")],
            own: vec![OwnPorts { ip: ip("10.1.0.5"), ports: 5000..=5000 }],
        };
        assert_eq!(policy.permits(ip("10.2.0.1")), Ok(()));
        assert_eq!(policy.permits(ip("::ffff:10.2.0.1")), Ok(()));
        assert_eq!(policy.permits(ip("10.1.0.1")), Err(PeerRefusal::Denied));
        assert_eq!(policy.permits(ip("64:ff9b::9.9.9.9")), Err(PeerRefusal::Denied));
        assert_eq!(policy.sends(SocketAddr::new(ip("10.1.0.5"), 5000)), Err(PeerRefusal::Denied));
        assert_eq!(policy.permits(ip("192.168.0.1")), Err(PeerRefusal::Private));
    }

    #[test]
    fn allow_private_opens_nothing_but_private_ranges() {
        let policy = PeerPolicy {
            allow_private: vec!["0.0.0.0/0".parse().expect("net"), "::/0".parse().expect("net")],
            ..PeerPolicy::default()
        };
        assert_eq!(policy.permits(ip("127.0.0.1")), Err(PeerRefusal::Loopback));
        assert_eq!(policy.permits(ip("169.254.169.254")), Err(PeerRefusal::LinkLocal));
        assert_eq!(policy.permits(ip("fd00::1")), Ok(()));
    }

    #[test]
    fn own_addresses_are_reachable_on_their_media_and_relay_ports_only() {
        let own = |text: &str, ports| OwnPorts { ip: ip(text), ports };
        let policy = PeerPolicy {
            own: vec![
                own("127.0.0.1", 9000..=9001),
                own("127.0.0.1", 49152..=65535),
                own("1.2.3.4", 9000..=9000),
                own("1.2.3.5", NO_PORT),
            ],
            ..PeerPolicy::default()
        };
        for text in ["127.0.0.1", "::ffff:127.0.0.1", "1.2.3.4"] {
            assert_eq!(policy.permits(ip(text)), Ok(()), "{text}");
        }
        for open in ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:49152", "127.0.0.1:65535", "1.2.3.4:9000"]
        {
            assert_eq!(policy.sends(open.parse().expect("address")), Ok(()), "{open}");
        }
        for closed in ["127.0.0.1:8999", "127.0.0.1:9002", "127.0.0.1:5432", "1.2.3.4:49152", "1.2.3.4:443"] {
            assert_eq!(policy.sends(closed.parse().expect("address")), Err(PeerRefusal::OwnPort), "{closed}");
        }
        assert_eq!(policy.sends("127.0.0.2:9000".parse().expect("address")), Err(PeerRefusal::Loopback));
        assert_eq!(policy.permits(ip("1.2.3.5")), Err(PeerRefusal::OwnPort), "no port of it is open");
        assert_eq!(policy.sends("1.2.3.5:1".parse().expect("address")), Err(PeerRefusal::OwnPort));
    }

    #[test]
    fn of_relay_addresses_only_live_relayed_ones_are_reachable() {
        let live = LiveRelays::new(&[ip("127.0.0.1")]);
        let policy = PeerPolicy::default();
        let relayed: SocketAddr = "127.0.0.1:50000".parse().expect("address");
        assert_eq!(policy.permission(relayed.ip(), &live), Ok(()));
        assert_eq!(policy.send(relayed, &live), Err(PeerRefusal::OwnPort));
        live.insert(relayed);
        assert_eq!(policy.send(relayed, &live), Ok(()));
        let mapped = SocketAddr::new(ip("::ffff:127.0.0.1"), 50_000);
        assert_eq!(policy.send(mapped, &live), Ok(()));
        let denied = PeerPolicy { deny: vec!["127.0.0.1/32".parse().expect("net")], ..PeerPolicy::default() };
        assert_eq!(denied.send(relayed, &live), Err(PeerRefusal::Denied));
        live.remove(relayed);
        assert_eq!(policy.send(relayed, &live), Err(PeerRefusal::OwnPort));
    }
}
