//! Settings of the SFU service.

use std::net::{IpAddr, Ipv4Addr};

use contract::id::NodeId;
use contract::token::{MIN_SECRET_LEN, TokenKeys};
use documented::DocumentedFields;
use serde::Deserialize;
use service_kit::config::{ConfigError, Secret};

/// First media port unless the settings name another.
pub const DEFAULT_MEDIA_PORT: u16 = 50_000;
/// Most data-plane threads.
pub const MAX_SHARDS: usize = 64;
/// Most announced addresses: each is a candidate in every answer.
pub const MAX_PUBLIC_IPS: usize = 8;

/// Settings of the SFU service. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Development mode: watching needs no token, every origin may call.
    pub dev: bool,
    /// This node's id; absent makes a new one at each start.
    pub node_id: Option<NodeId>,
    /// Address that the media sockets are bound to. With all addresses (the default) the kernel has to say with each
    /// packet where it arrived, unless `public_ips` has one and it is the machine's own; behind a NAT, naming the
    /// machine's address here saves that.
    pub media_bind: IpAddr,
    /// Port of the first shard, UDP and TCP; shard `i` takes the i-th after it. 0 takes free ports.
    pub media_port: u16,
    /// Clients that UDP does not reach may come over TCP, on the same port numbers.
    pub ice_tcp: bool,
    /// Data-plane threads; 0 means one a core.
    pub shards: usize,
    /// Addresses that browsers reach the media ports at, in order of preference; empty announces loopback and
    /// the machine's own addresses.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub public_ips: Vec<IpAddr>,
    /// Where browsers reach this node's WHIP and WHEP endpoints; empty means the same origin as the pages.
    pub public_url: String,
    /// Base URL of the meta service.
    pub meta_url: String,
    /// WebSocket URL of the signaling service (`ws://host:port/streaming`); services talk inside one network.
    pub signaling_url: String,
    /// Secret that signs and verifies tokens.
    pub token_secret: Secret,
    /// The secret before it, still accepted while it rotates; empty when none.
    pub token_secret_previous: Secret,
    /// Origins whose pages may call, outside the development mode.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub allowed_origins: Vec<String>,
    /// STUN and TURN servers (`turn:host:port?transport=udp`) that WHIP and WHEP answers name in `Link`. `{host}`
    /// stands for the host of the request.
    #[serde(deserialize_with = "service_kit::config::list")]
    pub ice_urls: Vec<String>,
    /// Secret shared with the TURN relay, for the credentials in `Link`; empty leaves TURN servers out.
    pub turn_secret: Secret,
    /// Caps of this node.
    pub limits: Limits,
}

/// Caps of a node: what is over is refused in words, with Retry-After.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// WHIP and WHEP sessions together; 503 beyond.
    pub max_sessions: usize,
    /// Sessions of one source that are opened and not connected yet; 429 beyond. The source is the address of the
    /// client (with IPv6 its /64), which trusted proxies name. Each gives its place back when it connects, and after
    /// 15 s without a check.
    pub max_half_open_per_source: usize,
    /// CPU time of a data-plane thread, in percent of a core, from which it gets no new sessions (503); 0 is no
    /// limit.
    pub max_cpu_percent: u8,
    /// Megabits per second that leave, from which no session is opened (503); 0 is no limit. For machines whose
    /// line is narrower than what their cores can fill.
    pub max_egress_mbps: u64,
    /// Packets per second that leave, from which no session is opened (503); 0 is no limit.
    pub max_packets_per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sessions: 20_000,
            max_half_open_per_source: 1_000,
            max_cpu_percent: 85,
            max_egress_mbps: 0,
            max_packets_per_second: 0,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dev: false,
            node_id: None,
            media_bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            media_port: DEFAULT_MEDIA_PORT,
            ice_tcp: true,
            shards: 0,
            public_ips: Vec::new(),
            public_url: String::new(),
            meta_url: "http://127.0.0.1:8080".into(),
            signaling_url: "ws://127.0.0.1:8080/streaming".into(),
            token_secret: Secret::default(),
            token_secret_previous: Secret::default(),
            allowed_origins: Vec::new(),
            ice_urls: Vec::new(),
            turn_secret: Secret::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Checks every value against the others, without I/O.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.token_keys()?;
        if self.shards > MAX_SHARDS {
            return Err(ConfigError::value("shards", format!("at most {MAX_SHARDS}")));
        }
        let shards = u16::try_from(self.shard_count()).unwrap_or(u16::MAX);
        if self.media_port != 0 && self.media_port.checked_add(shards - 1).is_none() {
            return Err(ConfigError::value(
                "media_port",
                format!("there is no room for {shards} ports from here"),
            ));
        }
        if self.public_ips.len() > MAX_PUBLIC_IPS {
            return Err(ConfigError::value("public_ips", format!("at most {MAX_PUBLIC_IPS}")));
        }
        if let Some(ip) = self.public_ips.iter().find(|ip| ip.is_unspecified() || ip.is_multicast()) {
            return Err(ConfigError::value("public_ips", format!("nobody can send to {ip}")));
        }
        require_scheme("meta_url", &self.meta_url, &["http://", "https://"])?;
        require_scheme("signaling_url", &self.signaling_url, &["ws://"])?;
        if !self.public_url.is_empty() {
            require_scheme("public_url", &self.public_url, &["http://", "https://"])?;
        }
        if let Some(url) = self.ice_urls.iter().find(|url| !is_ice_url(url)) {
            return Err(ConfigError::value("ice_urls", format!("`{url}` is no stun:, turn: or turns: URL")));
        }
        if self.limits.max_sessions == 0 {
            return Err(ConfigError::value("limits.max_sessions", "at least 1"));
        }
        if self.limits.max_half_open_per_source == 0 {
            return Err(ConfigError::value("limits.max_half_open_per_source", "at least 1"));
        }
        if self.limits.max_cpu_percent > 100 {
            return Err(ConfigError::value("limits.max_cpu_percent", "at most 100; 0 is no limit"));
        }
        Ok(())
    }

    /// The keys that sign and verify tokens.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if a secret is missing or short.
    pub fn token_keys(&self) -> Result<TokenKeys, ConfigError> {
        let previous = (!self.token_secret_previous.is_empty()).then(|| self.token_secret_previous.reveal());
        TokenKeys::new(self.token_secret.reveal(), previous).map_err(|_| {
            ConfigError::value("token_secret", format!("needs at least {MIN_SECRET_LEN} bytes of secret"))
        })
    }

    /// Data-plane threads: the setting, or one a core.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.shards == 0 { cores().min(MAX_SHARDS) } else { self.shards }
    }
}

fn require_scheme(setting: &'static str, url: &str, schemes: &[&str]) -> Result<(), ConfigError> {
    if schemes.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
        Ok(())
    } else {
        Err(ConfigError::value(setting, format!("starts with {}", schemes.join(" or "))))
    }
}

/// A URL that may stand in a `Link` header as it is.
fn is_ice_url(url: &str) -> bool {
    let known = ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme));
    known && url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let token_secret = Secret::new("0123456789abcdef0123456789abcdef".into());
        Config { token_secret, ..Config::default() }
    }

    /// The setting that `validate` complains of.
    fn refused(config: &Config) -> &'static str {
        match config.validate() {
            Err(ConfigError::Value { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_need_a_secret_and_nothing_else() {
        config().validate().unwrap();
        assert_eq!(refused(&Config::default()), "token_secret");
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert_eq!(refused(&Config { shards: 65, ..config() }), "shards");
        assert_eq!(refused(&Config { media_port: 65_535, shards: 2, ..config() }), "media_port");
        assert_eq!(
            refused(&Config { public_ips: vec!["0.0.0.0".parse().unwrap()], ..config() }),
            "public_ips"
        );
        assert_eq!(refused(&Config { meta_url: "meta:80".into(), ..config() }), "meta_url");
        assert_eq!(refused(&Config { signaling_url: "http://x".into(), ..config() }), "signaling_url");
        assert_eq!(refused(&Config { public_url: "x".into(), ..config() }), "public_url");
        assert_eq!(refused(&Config { ice_urls: vec!["http://x".into()], ..config() }), "ice_urls");
        let limits = Limits { max_sessions: 0, ..Limits::default() };
        assert_eq!(refused(&Config { limits, ..config() }), "limits.max_sessions");
        let limits = Limits { max_half_open_per_source: 0, ..Limits::default() };
        assert_eq!(refused(&Config { limits, ..config() }), "limits.max_half_open_per_source");
        let limits = Limits { max_cpu_percent: 101, ..Limits::default() };
        assert_eq!(refused(&Config { limits, ..config() }), "limits.max_cpu_percent");
    }
}
