//! Who calls, and under which address of ours: the client behind trusted proxies, and the origin that it used.
//!
//! Only proxies of the setting `trusted_proxies` are believed. They say who called by `X-Forwarded-For` or
//! `Forwarded` (RFC 7239); whoever sends both, with different clients, is counted as the proxy itself, because one of
//! the two is what the client made up and the proxy passed on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::http::{Uri, header};
use actix_web::{HttpRequest, web};
use ipnet::IpNet;

/// Longest host with port that an answer repeats (RFC 1035: 253 for the name).
const MAX_AUTHORITY: usize = 260;

/// The proxies whose word about the client counts. None unless set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The first address from the right that is no proxy of ours; stops at what is no address.
    fn client_of<'a>(&self, peer: IpAddr, hops: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut client = peer;
        for hop in hops.rev() {
            let Some(address) = hop_address(hop) else { break };
            client = address;
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// What the server knows of a connection before it reads a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// It came over our own TLS.
    pub(crate) secure: bool,
    /// Our side of the connection.
    pub(crate) local: SocketAddr,
}

/// The address of the client: the peer, or behind trusted proxies the last address that is none of them. IPv4 in IPv6
/// is told as IPv4.
#[must_use]
pub fn address(request: &HttpRequest) -> IpAddr {
    let peer = peer(request);
    let Some(proxies) = proxies_if_behind(request, peer) else { return peer };
    let listed = values(request, "x-forwarded-for");
    let forwarded = elements(request);
    let fors: Vec<&str> = forwarded.iter().filter_map(|element| parameter(element, "for")).collect();
    let by_list = proxies.client_of(peer, listed.iter().copied());
    let by_forwarded = proxies.client_of(peer, fors.iter().copied());
    match (listed.is_empty(), forwarded.is_empty()) {
        (_, true) => by_list,
        (true, false) => by_forwarded,
        (false, false) if by_list == by_forwarded => by_list,
        (false, false) => peer,
    }
}

/// Whom a limit by address counts: the address of the client, with IPv6 the /64 that one customer has.
#[must_use]
pub fn source(request: &HttpRequest) -> IpAddr {
    source_of(address(request))
}

/// The same for an address that is known.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// The origin that the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    /// Host and port.
    authority: String,
}

/// The setting `public_url`: the origin that all clients use, whatever their requests say.
#[derive(Debug, Clone)]
pub(crate) struct PublicOrigin(pub(crate) Origin);

impl Origin {
    /// Of a base URL (`https://live.example.org`); `None` if it is none.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let authority = url.authority().filter(|authority| is_authority(authority.as_str()))?.to_string();
        match url.scheme_str() {
            Some("https") => Some(Self { secure: true, authority }),
            Some("http") => Some(Self { secure: false, authority }),
            _ => None,
        }
    }

    /// The setting `public_url`; else what the nearest trusted proxy says, else the request.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        if let Some(public) = request.app_data::<web::Data<PublicOrigin>>() {
            return public.0.clone();
        }
        let arrival = request.conn_data::<Arrival>();
        let behind = proxies_if_behind(request, peer(request)).is_some();
        let forwarded = if behind { elements(request) } else { Vec::new() };
        let told = |name: &str, parameter_name: &str| {
            let by_header = || values(request, name).last().copied();
            let by_forwarded = || parameter(forwarded.last()?, parameter_name);
            behind.then(|| by_header().or_else(by_forwarded)).flatten()
        };
        let secure = told("x-forwarded-proto", "proto").map_or_else(
            || arrival.is_some_and(|arrival| arrival.secure),
            |scheme| scheme.eq_ignore_ascii_case("https"),
        );
        let of_host = || request.headers().get(header::HOST)?.to_str().ok();
        let of_target = || request.uri().authority().map(|authority| authority.as_str());
        let named = told("x-forwarded-host", "host").or_else(of_host).or_else(of_target);
        let authority = match named.filter(|authority| is_authority(authority)) {
            Some(authority) => authority.to_owned(),
            None => arrival.map_or_else(|| "localhost".to_owned(), |arrival| arrival.local.to_string()),
        };
        Self { secure, authority }
    }

    /// Whether the client used HTTPS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// As a base URL without a slash at the end: `https://example.org:8443`.
    #[must_use]
    pub fn http(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }

    /// The host without its port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
            _ => &self.authority,
        }
    }
}

fn peer(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip().to_canonical())
}

/// The trusted proxies, if the request came through one.
fn proxies_if_behind(request: &HttpRequest, peer: IpAddr) -> Option<&TrustedProxies> {
    let proxies = request.app_data::<web::Data<TrustedProxies>>()?;
    proxies.contains(peer).then(|| proxies.get_ref())
}

/// The values of a header that is a list, over all its lines.
fn values<'a>(request: &'a HttpRequest, name: &str) -> Vec<&'a str> {
    let lines = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|value| !value.is_empty()).collect()
}

/// The elements of `Forwarded`, one for each proxy (RFC 7239, section 4).
fn elements(request: &HttpRequest) -> Vec<&str> {
    values(request, "forwarded")
}

/// `name=value` of an element, without quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// An address as proxies write it: alone, in brackets, with a port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    alone().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

/// A host with or without a port. Answers repeat it, so nothing else gets through.
fn is_authority(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= MAX_AUTHORITY && !text.starts_with(':') && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn request(peer: &str, headers: &[(&'static str, &str)]) -> HttpRequest {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let start = TestRequest::get()
            .peer_addr(SocketAddr::new(peer.parse().unwrap(), 1))
            .app_data(web::Data::new(trusted));
        headers.iter().fold(start, |request, header| request.append_header(*header)).to_http_request()
    }

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        address(&request(peer, headers)).to_string()
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        let list = "x-forwarded-for";
        assert_eq!(client("192.0.2.9", &[(list, "198.51.100.1")]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[(list, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &[(list, "198.51.100.1")]), "198.51.100.1");
        // What the client itself claimed is on the left of what the first proxy saw.
        assert_eq!(client("10.0.0.1", &[(list, "203.0.113.7, 198.51.100.1, 10.0.0.2")]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[(list, "203.0.113.7"), (list, "198.51.100.1")]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[(list, "nonsense")]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[(list, "::ffff:198.51.100.1")]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[(list, "198.51.100.1:4711")]), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let one = |value: &str| client("10.0.0.1", &[("forwarded", value)]);
        assert_eq!(one("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
        assert_eq!(one("For=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
        assert_eq!(one("for=198.51.100.17, for=192.0.2.43, for=10.1.1.1"), "192.0.2.43");
        assert_eq!(one("for=192.0.2.43, for=unknown"), "10.0.0.1");
        assert_eq!(one("for=_hidden"), "10.0.0.1");
    }

    #[test]
    fn two_headers_that_disagree_name_nobody() {
        let both = |forwarded: &str| {
            client("10.0.0.1", &[("x-forwarded-for", "192.0.2.1"), ("forwarded", forwarded)])
        };
        assert_eq!(both("for=192.0.2.1"), "192.0.2.1");
        assert_eq!(both("for=192.0.2.2"), "10.0.0.1");
        assert_eq!(both("proto=https"), "10.0.0.1");
    }

    #[test]
    fn a_customer_of_ipv6_is_one_source() {
        assert_eq!(source(&request("2001:db8::1:2:3:4", &[])).to_string(), "2001:db8::");
        assert_eq!(source(&request("::ffff:192.0.2.1", &[])).to_string(), "192.0.2.1");
    }

    #[test]
    fn the_origin_is_what_the_client_used() {
        let origin = |peer: &str, headers: &[(&'static str, &str)]| Origin::of(&request(peer, headers));
        let host = ("host", "media.example:8080");
        let proxied = [host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "live.example")];
        assert_eq!(origin("192.0.2.9", &proxied).http(), "http://media.example:8080");
        assert_eq!(origin("10.0.0.1", &proxied).http(), "https://live.example");
        let forwarded = [host, ("forwarded", "for=192.0.2.1;proto=https;host=\"live.example:444\"")];
        assert_eq!(origin("10.0.0.1", &forwarded).http(), "https://live.example:444");
        assert_eq!(origin("192.0.2.9", &forwarded).http(), "http://media.example:8080");
        assert_eq!(origin("192.0.2.9", &[("host", "[::1]:8080")]).host(), "[::1]");
        assert_eq!(origin("192.0.2.9", &[host]).host(), "media.example");
        let public = Origin::of_url("https://live.example:444/").unwrap();
        let request = TestRequest::get().app_data(web::Data::new(PublicOrigin(public))).insert_header(host);
        assert_eq!(Origin::of(&request.to_http_request()).http(), "https://live.example:444");
        assert_eq!(["", "live.example", "ftp://x", "https://a\"b"].map(Origin::of_url), [const { None }; 4]);
        for bad in ["a\"><script>", ":80", ""] {
            assert_eq!(origin("192.0.2.9", &[("host", bad)]).host(), "localhost", "{bad}");
        }
    }
}
