//! Settings of the TURN relay.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use contract::turn::TurnSecret;
use documented::DocumentedFields;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use service_kit::config::{ConfigError, Secret};
use turn_proto::{CHANNEL_NUMBERS, LEGACY_CHANNEL_NUMBERS, OwnPorts, PeerPolicy, StaticUser};

/// Most listening addresses of one kind.
const MAX_LISTEN: usize = 16;

/// Shortest secret, in bytes: whoever guesses it mints credentials.
const MIN_SECRET: usize = 16;

/// Most static users; more people want time-limited credentials.
const MAX_USERS: usize = 4_096;

/// Longest domain name.
const MAX_DOMAIN: usize = 253;

/// Most threads.
const MAX_THREADS: usize = 64;

/// Settings of the TURN relay. Unknown keys are refused.
///
/// ```toml
/// listen = ["0.0.0.0:3478"]
/// listen_tcp = ["0.0.0.0:3478"]
/// listen_tls = ["0.0.0.0:5349"]
/// tls_cert = "/etc/turn/fullchain.pem"
/// tls_key = "/etc/turn/privkey.pem"
/// public_ips = ["198.51.100.7"]
/// relay_ports = "49152-65535"
/// realm = "example.org"
/// secret = "..."
/// media = ["198.51.100.7:50000-50031"]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// UDP addresses for clients. Port 0 takes a free one.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub listen: Vec<SocketAddr>,
    /// TCP addresses for clients; none unless set. Port 0 takes a free one.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub listen_tcp: Vec<SocketAddr>,
    /// TLS addresses for clients; none unless set. They need a certificate.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub listen_tls: Vec<SocketAddr>,
    /// DTLS addresses for clients; none unless set. They need a certificate.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub listen_dtls: Vec<SocketAddr>,
    /// Certificate chain (PEM) of TLS and DTLS.
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Where clients over UDP and TCP are sent while this server drains (ALTERNATE-SERVER, RFC 8489, section 14.15):
    /// at most one address of each family. Without one, new allocations are refused with 508.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub alternate_servers: Vec<SocketAddr>,
    /// The same for clients over TLS and DTLS.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub alternate_servers_tls: Vec<SocketAddr>,
    /// The name in the certificate of those (ALTERNATE-DOMAIN, RFC 8489, section 14.16), where it is not the name
    /// that clients know this server by.
    pub alternate_domain: Option<String>,
    /// Threads, each with its sockets and its slice of the relay ports; 0 takes one per core.
    pub threads: usize,
    /// Relay addresses that clients and peers are told. Each is bound as it is if this machine has it;
    /// otherwise (behind a 1:1 NAT) all addresses are bound.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub public_ips: Vec<IpAddr>,
    /// Ports of each relay address.
    pub relay_ports: PortRange,
    /// Realm of the credentials.
    pub realm: String,
    /// Secret shared with the meta service, which mints credentials with it. May be empty where there are users.
    pub secret: Secret,
    /// The secret before it, still accepted while it rotates; empty when none.
    pub secret_previous: Secret,
    /// Users with a password that does not expire, for small set-ups: tables `[[user]]`, or `name:password` in a
    /// variable.
    #[serde(rename = "user", deserialize_with = "users")]
    #[documented_fields(rename = "user")]
    pub users: Vec<User>,
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

/// A static user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// USERNAME; no colon, which marks a time-limited name.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

/// Upper bounds of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Allocations of one user, whatever the expiry in front of the name.
    pub allocations_per_user: usize,
    /// Allocations of one source address (an IPv6 /64 is one).
    pub allocations_per_source: usize,
    /// Relay sockets in all; each is a file descriptor.
    pub relay_sockets: usize,
    /// Permissions of one allocation.
    pub permissions: usize,
    /// Channels of one allocation.
    pub channels: usize,
    /// 401 and 438 answers over UDP per second, address and port.
    pub challenges_per_second: u16,
    /// The same per second and source address (an IPv6 /64 is one), behind which may be many people.
    pub challenges_per_source: u16,
    /// Connections (TCP, TLS, DTLS) in all; one more is closed at once.
    pub connections: usize,
    /// Connections of one source address (an IPv6 /64 is one).
    pub connections_per_source: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let turn_proto::Limits {
            allocations_per_user,
            allocations_per_source,
            relay_sockets,
            permissions,
            channels,
            challenges_per_second,
            challenges_per_source,
        } = turn_proto::Limits::default();
        Self {
            allocations_per_user,
            allocations_per_source,
            relay_sockets,
            permissions,
            channels,
            challenges_per_second,
            challenges_per_source,
            connections: 16_384,
            connections_per_source: 1_024,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 3478)],
            listen_tcp: Vec::new(),
            listen_tls: Vec::new(),
            listen_dtls: Vec::new(),
            tls_cert: None,
            tls_key: None,
            alternate_servers: Vec::new(),
            alternate_servers_tls: Vec::new(),
            alternate_domain: None,
            threads: 0,
            public_ips: Vec::new(),
            relay_ports: PortRange { first: 49_152, last: 65_535 },
            realm: "madang".to_owned(),
            secret: Secret::default(),
            secret_previous: Secret::default(),
            users: Vec::new(),
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
        self.validate_listeners()?;
        self.validate_credentials()?;
        if self.threads > MAX_THREADS {
            return Err(ConfigError::value("threads", format!("must be 0 to {MAX_THREADS}")));
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

    fn validate_listeners(&self) -> Result<(), ConfigError> {
        let kinds = [
            ("listen", &self.listen),
            ("listen_tcp", &self.listen_tcp),
            ("listen_tls", &self.listen_tls),
            ("listen_dtls", &self.listen_dtls),
        ];
        if kinds.iter().all(|(_, addresses)| addresses.is_empty()) {
            return Err(ConfigError::value("listen", "at least one address for clients is needed"));
        }
        for (setting, addresses) in kinds {
            if addresses.len() > MAX_LISTEN {
                return Err(ConfigError::value(setting, format!("more than {MAX_LISTEN} addresses")));
            }
        }
        let encrypted = !self.listen_tls.is_empty() || !self.listen_dtls.is_empty();
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => {
                return Err(ConfigError::value("tls_key", "certificate and key come together"));
            }
            (None, Some(_)) => {
                return Err(ConfigError::value("tls_cert", "certificate and key come together"));
            }
            (None, None) if encrypted => {
                return Err(ConfigError::value("tls_cert", "listen_tls and listen_dtls need a certificate"));
            }
            _ => {}
        }
        for (setting, alternates) in [
            ("alternate_servers", &self.alternate_servers),
            ("alternate_servers_tls", &self.alternate_servers_tls),
        ] {
            let v4 = alternates.iter().filter(|address| address.is_ipv4()).count();
            if v4 > 1 || alternates.len() - v4 > 1 {
                return Err(ConfigError::value(setting, "at most one address of each family"));
            }
        }
        if let Some(domain) = &self.alternate_domain {
            let good = !domain.is_empty()
                && domain.len() <= MAX_DOMAIN
                && domain.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
            if !good {
                return Err(ConfigError::value("alternate_domain", "must be a domain name in ASCII"));
            }
        }
        Ok(())
    }

    fn validate_credentials(&self) -> Result<(), ConfigError> {
        for (setting, secret) in [("secret", &self.secret), ("secret_previous", &self.secret_previous)] {
            if !secret.is_empty() && secret.reveal().len() < MIN_SECRET {
                return Err(ConfigError::value(setting, format!("must have at least {MIN_SECRET} bytes")));
            }
        }
        if self.secret.is_empty() && self.users.is_empty() {
            return Err(ConfigError::value(
                "secret",
                "is missing: a shared secret, or at least one [[user]]",
            ));
        }
        if self.users.len() > MAX_USERS {
            return Err(ConfigError::value("user", format!("more than {MAX_USERS} users")));
        }
        let mut names = HashSet::new();
        for User { name, password } in &self.users {
            let wrong = |reason: &str| Err(ConfigError::value("user", format!("`{name}` {reason}")));
            if name.is_empty() || name.len() > 255 || name.contains(':') {
                return wrong("is no user name: 1 to 255 bytes without a colon");
            }
            if password.is_empty() {
                return wrong("has no password");
            }
            if !names.insert(name) {
                return wrong("is there twice");
            }
        }
        Ok(())
    }

    /// The settings of the state machine.
    pub(crate) fn proto(&self) -> turn_proto::Config {
        turn_proto::Config {
            realm: self.realm.clone(),
            secrets: self.secrets(),
            users: self.static_users(),
            grace: Duration::from_secs(self.grace_secs),
            relay_addresses: self.public_ips.clone(),
            relay_ports: self.relay_ports.range(),
            channel_numbers: if self.legacy_channels { LEGACY_CHANNEL_NUMBERS } else { CHANNEL_NUMBERS },
            policy: PeerPolicy {
                deny: self.deny.clone(),
                allow_private: self.allow_private.clone(),
                own: self.own_ports(),
            },
            alternates: self.alternate_servers.clone(),
            alternates_tls: self.alternate_servers_tls.clone(),
            alternate_domain: self.alternate_domain.clone(),
            limits: turn_proto::Limits {
                allocations_per_user: self.limits.allocations_per_user,
                allocations_per_source: self.limits.allocations_per_source,
                relay_sockets: self.limits.relay_sockets,
                permissions: self.limits.permissions,
                channels: self.limits.channels,
                challenges_per_second: self.limits.challenges_per_second,
                challenges_per_source: self.limits.challenges_per_source,
            },
        }
    }

    /// The secrets that are set, the present one first.
    pub(crate) fn secrets(&self) -> Vec<TurnSecret> {
        let all = [&self.secret, &self.secret_previous].into_iter().filter(|secret| !secret.is_empty());
        all.map(|secret| TurnSecret::new(secret.reveal().to_owned())).collect()
    }

    /// The static users.
    pub(crate) fn static_users(&self) -> Vec<StaticUser> {
        let user = |User { name, password }: &User| StaticUser {
            name: name.clone(),
            password: password.reveal().to_owned(),
        };
        self.users.iter().map(user).collect()
    }

    /// The service's own addresses: those of its media ports, those it listens on, and every address of this
    /// machine, on which a database may listen. (Of relay addresses, live relayed ones are reachable besides: two
    /// clients may meet relay to relay.)
    fn own_ports(&self) -> Vec<OwnPorts> {
        let media = self.media.iter().map(|media| OwnPorts { ip: media.ip, ports: media.ports.range() });
        let listen = [&self.listen, &self.listen_tcp, &self.listen_tls, &self.listen_dtls];
        let listen = listen.into_iter().flatten().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
        let machine = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|found| found.ip());
        // An empty range closes every port of an address.
        #[expect(clippy::reversed_empty_ranges, reason = "a range of no port")]
        let closed = |ip| OwnPorts { ip, ports: 1..=0 };
        media.chain(listen.chain(machine).map(closed)).collect()
    }
}

/// Tables, or texts `name:password` (a variable carries them with commas).
fn users<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<User>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Users {
        Text(String),
        List(Vec<User>),
    }
    match Users::deserialize(deserializer)? {
        Users::List(users) => Ok(users),
        Users::Text(text) => {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
            let user = |pair: &str| {
                let (name, password) = pair.trim().split_once(':')?;
                Some(User { name: name.to_owned(), password: Secret::new(password.to_owned()) })
            };
            // The text is not repeated in the error: it holds passwords.
            let users: Option<Vec<User>> = pairs.map(user).collect();
            users.ok_or_else(|| serde::de::Error::custom("expected `name:password`, separated by commas"))
        }
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

    /// How many ports these are.
    #[must_use]
    pub fn count(self) -> usize {
        self.range().len()
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

impl fmt::Display for MediaPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.ports),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.ports),
        }
    }
}

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
            secret: Secret::new("north-of-the-river".into()),
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
        assert_eq!(setting(&Config { secret: Secret::new("fifteen-bytes-!".into()), ..good() }), "secret");
        assert_eq!(
            setting(&Config { secret_previous: Secret::new("short".into()), ..good() }),
            "secret_previous"
        );
        let tls = "0.0.0.0:5349".parse().expect("an address");
        assert_eq!(setting(&Config { listen_tls: vec![tls], ..good() }), "tls_cert");
        assert_eq!(setting(&Config { tls_cert: Some("c.pem".into()), ..good() }), "tls_key");
        assert_eq!(setting(&Config { alternate_servers: vec![tls, tls], ..good() }), "alternate_servers");
        let alternate_servers_tls = vec![tls, tls];
        assert_eq!(setting(&Config { alternate_servers_tls, ..good() }), "alternate_servers_tls");
        let alternate_domain = Some("turn example".into());
        assert_eq!(setting(&Config { alternate_domain, ..good() }), "alternate_domain");
        assert_eq!(setting(&Config { threads: 65, ..good() }), "threads");
        let reversed = PortRange { first: 2, last: 1 };
        assert_eq!(setting(&Config { relay_ports: reversed, ..good() }), "relay_ports");
    }

    #[test]
    fn users_have_names_without_colons_and_a_password_each() {
        let user =
            |name: &str, password: &str| User { name: name.into(), password: Secret::new(password.into()) };
        let with = |users| Config { users, ..good() };
        assert!(with(vec![user("alice", "a"), user("bob", "b")]).validate().is_ok());
        for users in [
            vec![user("", "a")],
            vec![user("1700000000:alice", "a")],
            vec![user("alice", "")],
            vec![user("alice", "a"), user("alice", "b")],
        ] {
            assert_eq!(setting(&with(users)), "user");
        }
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
            ("USER", "alice:in:wonderland, bob:builds"),
        ])
        .expect("valid");
        assert_eq!(config.relay_ports, PortRange { first: 50_000, last: 50_100 });
        assert_eq!(config.media[1].to_owned().ip, "::1".parse::<IpAddr>().unwrap());
        assert_eq!(config.limits.channels, 8);
        assert_eq!(config.users[0].password.reveal(), "in:wonderland");
        assert_eq!(config.users[1].name, "bob");
        for (key, value) in [
            ("ALLOW_PRIVATE", "10.0.0.0/33"),
            ("DENY", "nonsense"),
            ("MEDIA", "127.0.0.1"),
            ("MEDIA", "127.0.0.1:9-8"),
            ("MEDIA", "::1:9000"),
            ("USER", "alice"),
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
