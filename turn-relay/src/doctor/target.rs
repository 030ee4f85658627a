//! Which server, over which transports.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;

/// Longest name of a host (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// How a client reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Datagrams.
    Udp,
    /// A byte stream.
    Tcp,
    /// A byte stream, encrypted.
    Tls,
    /// Datagrams, encrypted.
    Dtls,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Dtls => "DTLS",
        })
    }
}

/// A TURN server as in a URL (RFC 7065): `turn:host`, `turn:host:port?transport=tcp`, `turns:host`. A plain `host`
/// or `host:port` means `turn:`.
///
/// `turn:` without a transport stands for UDP and TCP on its port, and TLS on 5349 if the port is the default;
/// `turns:` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    routes: Vec<(Via, u16)>,
}

/// Not such a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected turn:host[:port][?transport=udp|tcp] or turns:host[:port][?transport=tcp|udp]")]
pub struct ParseTargetError;

impl Target {
    /// Name or address of the host; its certificate has to be for it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the URL names its transport, instead of leaving it to the client.
    pub(super) fn is_exact(&self) -> bool {
        self.routes.len() == 1
    }

    /// Transports and addresses: the first address of each family.
    pub(super) fn resolve(&self) -> std::io::Result<Vec<(Via, SocketAddr)>> {
        let all: Vec<IpAddr> = (self.host.as_str(), PORT).to_socket_addrs()?.map(|at| at.ip()).collect();
        let v4 = all.iter().find(|ip| ip.is_ipv4());
        let v6 = all.iter().find(|ip| ip.is_ipv6());
        let ips = [v4, v6].into_iter().flatten();
        Ok(ips.flat_map(|ip| self.routes.iter().map(|(via, port)| (*via, (*ip, *port).into()))).collect())
    }
}

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (secure, rest) = match text.split_once(':') {
            Some(("turn" | "stun", rest)) => (false, rest),
            Some(("turns" | "stuns", rest)) => (true, rest),
            _ => (false, text),
        };
        let (place, transport) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query.strip_prefix("transport=").ok_or(ParseTargetError)?)),
            None => (rest, None),
        };
        let (host, port) = place_of(place)?;
        let at = |default| port.unwrap_or(default);
        let routes = match (secure, transport) {
            (false, Some("udp")) => vec![(Via::Udp, at(PORT))],
            (false, Some("tcp")) => vec![(Via::Tcp, at(PORT))],
            (false, None) => {
                let tls = port.is_none_or(|port| port == PORT).then_some((Via::Tls, TLS_PORT));
                [(Via::Udp, at(PORT)), (Via::Tcp, at(PORT))].into_iter().chain(tls).collect()
            }
            (true, Some("tcp") | None) => vec![(Via::Tls, at(TLS_PORT))],
            (true, Some("udp")) => vec![(Via::Dtls, at(TLS_PORT))],
            _ => return Err(ParseTargetError),
        };
        Ok(Self { host: host.to_owned(), routes })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address.
fn place_of(text: &str) -> Result<(&str, Option<u16>), ParseTargetError> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0).ok_or(ParseTargetError);
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(ParseTargetError)?;
        (
            host,
            if rest.is_empty() { None } else { Some(port(rest.strip_prefix(':').ok_or(ParseTargetError)?)?) },
        )
    } else if text.parse::<IpAddr>().is_ok() {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, number)) => (host, Some(port(number)?)),
            None => (text, None),
        }
    };
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '?' | '#');
    if host.is_empty() || host.len() > MAX_HOST || host.contains(odd) {
        return Err(ParseTargetError);
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &str) -> Vec<(Via, u16)> {
        text.parse::<Target>().expect(text).routes
    }

    #[test]
    fn urls_name_hosts_ports_and_transports() {
        let all = vec![(Via::Udp, 3478), (Via::Tcp, 3478), (Via::Tls, 5349)];
        assert_eq!(routes("turn:relay.example.org"), all);
        assert_eq!(routes("relay.example.org"), all);
        assert_eq!(routes("turn:relay.example.org:4000"), [(Via::Udp, 4000), (Via::Tcp, 4000)]);
        assert_eq!(routes("turn:10.0.0.1:4000?transport=udp"), [(Via::Udp, 4000)]);
        assert_eq!(routes("turn:[::1]?transport=tcp"), [(Via::Tcp, 3478)]);
        assert_eq!(routes("turns:relay.example.org"), [(Via::Tls, 5349)]);
        assert_eq!(routes("turns:[::1]:443?transport=tcp"), [(Via::Tls, 443)]);
        assert_eq!(routes("turns:a?transport=udp"), [(Via::Dtls, 5349)]);
        assert_eq!("::1".parse::<Target>().expect("an address").host(), "::1");
        assert_eq!("turn:[::1]:1".parse::<Target>().expect("an address").host(), "::1");
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for text in [
            "",
            "turn:",
            "turn:a:0",
            "turn:a:x",
            "turn:a?transport=sctp",
            "turn:a?x=udp",
            "turn:[::1",
            "https://example.org",
            "turn:user@host",
            "turn://host",
        ] {
            assert_eq!(text.parse::<Target>(), Err(ParseTargetError), "{text}");
        }
    }
}
