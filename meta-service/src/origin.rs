//! What a request says about the client and about the address that it used. Only proxies of the setting
//! `trusted_proxies` are believed.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header;
use ipnet::IpNet;

/// The address of the client: the peer, or behind trusted proxies the last address of `X-Forwarded-For` that is
/// not one of them.
pub(crate) fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let forwarded: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut client = peer;
    for address in forwarded.iter().rev() {
        let Ok(address) = address.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The origin that the client used, without a slash at the end: `https://example.org:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    secure: bool,
    /// Host and port.
    authority: String,
}

impl Origin {
    pub(crate) fn of(request: &HttpRequest, trusted: &[IpNet]) -> Self {
        let behind = request.peer_addr().is_some_and(|peer| is_trusted(peer.ip().to_canonical(), trusted));
        let forwarded = |name: &str| {
            let value = request.headers().get(name).filter(|_| behind)?.to_str().ok()?;
            value.split(',').next().map(|value| value.trim().to_owned())
        };
        let secure = forwarded("x-forwarded-proto")
            .map_or_else(|| request.app_config().secure(), |scheme| scheme.eq_ignore_ascii_case("https"));
        let host = forwarded("x-forwarded-host")
            .or_else(|| Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned()))
            .or_else(|| request.uri().authority().map(ToString::to_string))
            .filter(|host| is_authority(host));
        let authority = host.unwrap_or_else(|| request.app_config().local_addr().to_string());
        Self { secure, authority }
    }

    /// As a base URL.
    pub(crate) fn http(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }

    /// The host without its port.
    pub(crate) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
            _ => &self.authority,
        }
    }
}

/// A host with or without a port. The answer repeats it, so nothing else gets through.
fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn trusted() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap()]
    }

    fn client(peer: &str, forwarded: &str) -> String {
        let request = TestRequest::get()
            .peer_addr(format!("{peer}:1").parse().unwrap())
            .insert_header(("x-forwarded-for", forwarded))
            .to_http_request();
        client_address(&request, &trusted()).to_string()
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        assert_eq!(client("192.0.2.9", "198.51.100.1"), "192.0.2.9");
        assert_eq!(client("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "nonsense"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", "::ffff:198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn the_origin_is_what_the_client_used() {
        let origin = |peer: &str, pairs: &[(&str, &str)]| {
            let mut request = TestRequest::get().peer_addr(format!("{peer}:1").parse().unwrap());
            for pair in pairs {
                request = request.insert_header((pair.0.to_owned(), pair.1));
            }
            Origin::of(&request.to_http_request(), &trusted())
        };
        let host = ("host", "media.example:8080");
        let proxied = [host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "live.example")];
        assert_eq!(origin("192.0.2.9", &proxied).http(), "http://media.example:8080");
        assert_eq!(origin("10.0.0.1", &proxied).http(), "https://live.example");
        assert_eq!(origin("192.0.2.9", &[("host", "[::1]:8080")]).host(), "[::1]");
        assert_eq!(origin("192.0.2.9", &[host]).host(), "media.example");
        assert!(!origin("192.0.2.9", &[("host", "a\"><script>")]).http().contains("script"));
    }
}
