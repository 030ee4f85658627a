//! Settings of the state machine.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use contract::turn::TurnSecret;

use crate::peer::PeerPolicy;

/// Longest realm (RFC 8489, section 14.9: fewer than 128 characters).
const MAX_REALM: usize = 127;

/// Settings of one [`crate::Server`].
#[derive(Debug, Clone)]
pub struct Config {
    /// REALM: printable ASCII, 1 to 127 characters.
    pub realm: String,
    /// Secrets under which credentials are accepted; two while one replaces the other.
    pub secrets: Vec<TurnSecret>,
    /// Users whose credentials do not expire.
    pub users: Vec<StaticUser>,
    /// How long a live allocation outlives the expiry of its credential. Zero ends it at expiry.
    pub grace: Duration,
    /// Addresses that clients and peers are told, each once. Of them only live relayed addresses can be reached,
    /// beside the own ports of the policy.
    pub relay_addresses: Vec<IpAddr>,
    /// Ports of each relay address.
    pub relay_ports: RangeInclusive<u16>,
    /// Channel numbers that may be bound: [`crate::CHANNEL_NUMBERS`], or [`crate::LEGACY_CHANNEL_NUMBERS`] to
    /// serve clients of RFC 5766 as well.
    pub channel_numbers: RangeInclusive<u16>,
    /// The peer filter.
    pub policy: PeerPolicy,
    /// Where clients over UDP and TCP are sent while this server drains (300), one of each family.
    pub alternates: Vec<SocketAddr>,
    /// The same for clients over TLS and DTLS, whose port is another one.
    pub alternates_tls: Vec<SocketAddr>,
    /// The name in the certificate of those, where it is another than this server's.
    pub alternate_domain: Option<String>,
    /// Upper bounds.
    pub limits: Limits,
}

/// A user name with a password that does not expire.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticUser {
    /// USERNAME.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for StaticUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Upper bounds. What would exceed one is refused with the error code named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Allocations and reservations per user, whatever the expiry in front of the name: 486.
    pub allocations_per_user: usize,
    /// Allocations per source address (an IPv6 /64 is one): 486. Credentials are free for guests, so without this
    /// one client could take every relay port.
    pub allocations_per_source: usize,
    /// Relay sockets in all: 508.
    pub relay_sockets: usize,
    /// Permissions per allocation: 508.
    pub permissions: usize,
    /// Channels per allocation: 508.
    pub channels: usize,
    /// 401, 438, and 420 to Binding, per second, address and port over UDP: silence.
    pub challenges_per_second: u16,
    /// The same per second and source address (an IPv6 /64 is one), behind which may be many people: silence.
    pub challenges_per_source: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations_per_user: 12,
            allocations_per_source: 1_024,
            relay_sockets: 16_384,
            permissions: 1_024,
            channels: 64,
            challenges_per_second: 10,
            challenges_per_source: 200,
        }
    }
}

/// A setting with which a server cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not 1 to 127 printable ASCII characters without a quote.
    #[error("the realm must be 1 to 127 printable ASCII characters without quotes")]
    Realm,
    /// Nobody could authenticate.
    #[error("at least one secret or user is needed, and no secret, name or password may be empty")]
    Secret,
    /// No relay address, or one twice.
    #[error("at least one relay address is needed, and none may be named twice or be unspecified")]
    RelayAddress,
    /// The range is empty or begins at 0.
    #[error("the relay port range must not be empty or begin at 0")]
    RelayPorts,
}

impl Config {
    /// Checks everything that does not need I/O.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let printable = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"';
        if self.realm.is_empty() || self.realm.len() > MAX_REALM || !self.realm.chars().all(printable) {
            return Err(ConfigError::Realm);
        }
        let nobody = self.secrets.is_empty() && self.users.is_empty();
        let empty = |user: &StaticUser| user.name.is_empty() || user.password.is_empty();
        if nobody || self.secrets.contains(&TurnSecret::new(String::new())) || self.users.iter().any(empty) {
            return Err(ConfigError::Secret);
        }
        let addresses = &self.relay_addresses;
        let twice = addresses.iter().enumerate().any(|(i, ip)| addresses[..i].contains(ip));
        if addresses.is_empty() || twice || addresses.iter().any(IpAddr::is_unspecified) {
            return Err(ConfigError::RelayAddress);
        }
        if self.relay_ports.is_empty() || *self.relay_ports.start() == 0 {
            return Err(ConfigError::RelayPorts);
        }
        Ok(())
    }
}
