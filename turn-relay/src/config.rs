//! Settings of the TURN relay.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use contract::turn::TurnSecret;
use ipnet::IpNet;
use serde::Deserialize;
use service_kit::config::{ConfigError, Secret};
use turn_proto::{CHANNEL_NUMBERS, LEGACY_CHANNEL_NUMBERS, OwnPorts, PeerPolicy};

/// Most listening addresses.
const MAX_LISTEN: usize = 16;

/// Settings of the TURN relay. Unknown keys are refused.
///
/// ```toml
/// listen = ["0.0.0.0:3478"]
/// public_ips = ["198.51.100.7"]
/// relay_ports = "49152-65535"
/// realm = "example.org"
/// secret = "..."
/// media = ["198.51.100.7:50000-50031"]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// UDP addresses for clients. Port 0 takes a free one.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub listen: Vec<SocketAddr>,
    /// Relay addresses that clients and peers are told. Each is bound as it is if this machine has it;
    /// otherwise (behind a 1:1 NAT) all addresses are bound.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub public_ips: Vec<IpAddr>,
    /// Ports of each relay address.
    pub relay_ports: PortRange,
    /// Realm of the credentials.
    pub realm: String,
    /// Secret shared with the meta service, which mints credentials with it.
    pub secret: Secret,
    /// The secret before it, still accepted while it rotates; empty when none.
    pub secret_previous: Secret,
    /// Announced media ports of the SFU: reachable whatever kind of address they are on, and the only ports of
    /// that address that are, beside the relay ports.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub media: Vec<MediaPorts>,
    /// Private ranges that clients may reach.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub allow_private: Vec<IpNet>,
    /// Ranges that no client may reach; wins over everything that allows.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub deny: Vec<IpNet>,
    /// How long a live allocation outlives the expiry of its credential, in seconds; 0 ends it at expiry.
    pub grace_secs: u64,
    /// Also take the channel numbers 0x5000-0x7FFF, which RFC 5766 allowed and RFC 8656 reserves: older
    /// clients, and coturn's load tool, use them.
    pub legacy_channels: bool,
    /// Upper bounds.
    pub limits: Limits,
}

/// Upper bounds of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Allocations of one credential.
    pub allocations_per_credential: usize,
    /// Allocations of one source address (an IPv6 /64 is one).
    pub allocations_per_source: usize,
    /// Relay sockets in all; each is a file descriptor.
    pub relay_sockets: usize,
    /// Permissions of one allocation.
    pub permissions: usize,
    /// Channels of one allocation.
    pub channels: usize,
    /// 401 and 438 answers per source address and second.
    pub challenges_per_second: u16,
}

impl Default for Limits {
    fn default() -> Self {
        let turn_proto::Limits {
            allocations_per_credential,
            allocations_per_source,
            relay_sockets,
            permissions,
            channels,
            challenges_per_second,
        } = turn_proto::Limits::default();
        Self {
            allocations_per_credential,
            allocations_per_source,
            relay_sockets,
            permissions,
            channels,
            challenges_per_second,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 3478)],
            public_ips: Vec::new(),
            relay_ports: PortRange { first: 49_152, last: 65_535 },
            realm: "madang".to_owned(),
            secret: Secret::default(),
            secret_previous: Secret::default(),
            media: Vec::new(),
            allow_private: Vec::new(),
            deny: Vec::new(),
            grace_secs: 24 * 3600,
            legacy_channels: true,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Checks everything that does not need I/O.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() || self.listen.len() > MAX_LISTEN {
            return Err(ConfigError::value("listen", format!("1 to {MAX_LISTEN} addresses are needed")));
        }
        if self.limits.relay_sockets == 0 || self.limits.relay_sockets > 1 << 24 {
            return Err(ConfigError::value("limits.relay_sockets", "must be 1 to 16777216"));
        }
        self.proto().validate().map_err(|error| {
            let setting = match error {
                turn_proto::ConfigError::Realm => "realm",
                turn_proto::ConfigError::Secret => "secret",
                turn_proto::ConfigError::RelayAddress => "public_ips",
                turn_proto::ConfigError::RelayPorts => "relay_ports",
            };
            ConfigError::value(setting, error.to_string())
        })
    }

    /// The settings of the state machine.
    pub(crate) fn proto(&self) -> turn_proto::Config {
        turn_proto::Config {
            realm: self.realm.clone(),
            secrets: self.secrets(),
            grace: Duration::from_secs(self.grace_secs),
            relay_addresses: self.public_ips.clone(),
            relay_ports: self.relay_ports.range(),
            channel_numbers: if self.legacy_channels { LEGACY_CHANNEL_NUMBERS } else { CHANNEL_NUMBERS },
            policy: PeerPolicy {
                deny: self.deny.clone(),
                allow_private: self.allow_private.clone(),
                own: self.own_ports(),
            },
            limits: turn_proto::Limits {
                allocations_per_credential: self.limits.allocations_per_credential,
                allocations_per_source: self.limits.allocations_per_source,
                relay_sockets: self.limits.relay_sockets,
                permissions: self.limits.permissions,
                channels: self.limits.channels,
                challenges_per_second: self.limits.challenges_per_second,
            },
        }
    }

    fn secrets(&self) -> Vec<TurnSecret> {
        let previous = Some(&self.secret_previous).filter(|secret| !secret.is_empty());
        let all = std::iter::once(&self.secret).chain(previous);
        all.map(|secret| TurnSecret::new(secret.reveal().to_owned())).collect()
    }

    /// Media ports, and the relay ports of every relay address: two clients may meet relay to relay. The
    /// service's own addresses are those named here and those it listens on.
    fn own_ports(&self) -> Vec<OwnPorts> {
        let media = self.media.iter().map(|media| (media.ip, media.ports.range()));
        let relay = self.public_ips.iter().map(|ip| (*ip, self.relay_ports.range()));
        let own = media.chain(relay).map(|(ip, ports)| OwnPorts { ip, ports });
        // An empty range closes every port of an address that is only listened on.
        #[expect(clippy::reversed_empty_ranges, reason = "a range of no port")]
        let listen = self
            .listen
            .iter()
            .filter(|address| !address.ip().is_unspecified())
            .map(|address| OwnPorts { ip: address.ip(), ports: 1..=0 });
        own.chain(listen).collect()
    }
}

/// Ports from `first` to `last`, both included. Written `49152-65535`, or `3478` for a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl TryFrom<String> for PortRange {
    type Error = ParsePortRangeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl PortRange {
    fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

/// Not a port range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a port or `first-last` with first not above last")]
pub struct ParsePortRangeError;

impl FromStr for PortRange {
    type Err = ParsePortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| ParsePortRangeError);
        let range = Self { first: port(first)?, last: port(last)? };
        if range.first == 0 || range.first > range.last { Err(ParsePortRangeError) } else { Ok(range) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Media ports of one announced address. Written `ip:port` or `ip:first-last`, an IPv6 address in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaPorts {
    /// The address that the SFU announces.
    pub ip: IpAddr,
    /// Its media ports.
    pub ports: PortRange,
}

/// Not an address with ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `ip:port` or `ip:first-last`, an IPv6 address in brackets")]
pub struct ParseMediaPortsError;

impl From<SocketAddr> for MediaPorts {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), ports: PortRange { first: address.port(), last: address.port() } }
    }
}

impl FromStr for MediaPorts {
    type Err = ParseMediaPortsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, ports) = text.trim().rsplit_once(':').ok_or(ParseMediaPortsError)?;
        let v6 = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let ip: IpAddr = v6.unwrap_or(ip).parse().map_err(|_| ParseMediaPortsError)?;
        if ip.is_ipv6() != v6.is_some() {
            return Err(ParseMediaPortsError);
        }
        Ok(Self { ip, ports: ports.parse().map_err(|_| ParseMediaPortsError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Config {
        Config {
            public_ips: vec![Ipv4Addr::LOCALHOST.into()],
            secret: Secret::new("north".into()),
            ..Config::default()
        }
    }

    fn setting(config: &Config) -> &'static str {
        match config.validate() {
            Err(ConfigError::Value { setting, .. }) => setting,
            other => panic!("expected a wrong value, got {other:?}"),
        }
    }

    #[test]
    fn each_wrong_setting_is_named() {
        assert!(good().validate().is_ok());
        assert_eq!(setting(&Config { secret: Secret::default(), ..good() }), "secret");
        assert_eq!(setting(&Config { public_ips: Vec::new(), ..good() }), "public_ips");
        assert_eq!(setting(&Config { realm: String::new(), ..good() }), "realm");
        assert_eq!(setting(&Config { listen: Vec::new(), ..good() }), "listen");
        let reversed = PortRange { first: 2, last: 1 };
        assert_eq!(setting(&Config { relay_ports: reversed, ..good() }), "relay_ports");
    }

    #[test]
    fn a_file_and_variables_are_read_and_mistakes_stop_the_start() {
        let load = |pairs: &[(&str, &str)]| {
            let env = pairs.iter().map(|(k, v)| (format!("T_{k}"), (*v).to_owned()));
            service_kit::config::load::<Config>(None, "T_", env, &std::collections::BTreeMap::<(), ()>::new())
        };
        let config = load(&[
            ("PUBLIC_IPS", "127.0.0.1, ::1"),
            ("RELAY_PORTS", "50000-50100"),
            ("MEDIA", "127.0.0.1:9000-9003,[::1]:9000"),
            ("ALLOW_PRIVATE", "10.0.0.0/8"),
            ("LIMITS__CHANNELS", "8"),
        ])
        .expect("valid");
        assert_eq!(config.relay_ports, PortRange { first: 50_000, last: 50_100 });
        assert_eq!(config.media[1].to_owned().ip, "::1".parse::<IpAddr>().unwrap());
        assert_eq!(config.limits.channels, 8);
        for (key, value) in [
            ("ALLOW_PRIVATE", "10.0.0.0/33"),
            ("DENY", "nonsense"),
            ("MEDIA", "127.0.0.1"),
            ("MEDIA", "127.0.0.1:9-8"),
            ("MEDIA", "::1:9000"),
            ("RELAY_PORTS", "0-5"),
            ("RELAY_PROTS", "1-5"),
        ] {
            assert!(load(&[(key, value)]).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        assert!(!format!("{:?}", good()).contains("north"));
    }
}
