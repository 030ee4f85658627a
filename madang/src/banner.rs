//! What the terminal shows once everything answers.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Where things are.
pub(crate) struct Urls {
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) turn_port: u16,
    pub(crate) dev: bool,
    pub(crate) demo: bool,
}

/// Prints the URLs, and a QR code of the one that a phone on the LAN can open.
pub(crate) fn print(urls: &Urls) {
    service_kit::telemetry::say(&text(urls));
}

fn text(urls: &Urls) -> String {
    let local = if urls.http.ip().is_unspecified() { "127.0.0.1".to_owned() } else { host(urls.http.ip()) };
    let home = format!("http://{local}:{}", urls.http.port());
    let mut out = String::from("\nMadang is running.\n\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<9} {value}");
    };
    line("Home", &format!("{home}/"));
    line("Studio", &format!("{home}/studio"));
    line("Watch", &format!("{home}/watch/{{broadcast id}}"));
    line("API", &format!("{home}/docs"));
    line("WHIP", &format!("{home}/whip/{{broadcast id}} (stream key as bearer)"));
    line("TURN", &format!("turn:{local}:{}?transport=udp", urls.turn_port));
    line("Admin", &format!("http://{}/", urls.admin));
    let lan = urls.addresses.iter().find(|ip| !ip.is_loopback());
    let phone = urls.https.map(|https| {
        let lan = lan.map_or(local.clone(), |ip| host(*ip));
        format!("https://{lan}:{}/", https.port())
    });
    if let Some(url) = &phone {
        line("HTTPS", url);
    }
    if urls.demo {
        out.push_str("\n  A demo broadcast is live on Home.\n");
    }
    if urls.dev {
        out.push_str("  Development mode: open to everyone who can reach this machine.\n");
    }
    if let Some(code) = phone.and_then(|url| QrCode::new(url).ok()) {
        out.push('\n');
        out.push_str(&code.render::<Dense1x2>().quiet_zone(true).build());
        out.push('\n');
    }
    out
}

/// Where others in the network reach what was opened at this machine's `localhost`; empty where nobody can.
pub(crate) fn lan_url(addresses: &[IpAddr], http: SocketAddr, https: Option<SocketAddr>) -> String {
    let Some(lan) = addresses.iter().find(|ip| !ip.is_loopback()) else { return String::new() };
    match https {
        Some(https) if !https.ip().is_loopback() => format!("https://{}:{}", host(*lan), https.port()),
        _ if !http.ip().is_loopback() => format!("http://{}:{}", host(*lan), http.port()),
        _ => String::new(),
    }
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(https: Option<&str>) -> Urls {
        Urls {
            http: "0.0.0.0:8080".parse().unwrap(),
            https: https.map(|address| address.parse().unwrap()),
            admin: "127.0.0.1:9090".parse().unwrap(),
            addresses: vec!["192.0.2.7".parse().unwrap(), "127.0.0.1".parse().unwrap()],
            turn_port: 3478,
            dev: true,
            demo: false,
        }
    }

    #[test]
    fn every_url_is_one_that_can_be_opened() {
        let text = text(&urls(None));
        assert!(text.contains("Home      http://127.0.0.1:8080/\n"), "{text}");
        assert!(text.contains("Admin     http://127.0.0.1:9090/\n"), "{text}");
        assert!(!text.contains("HTTPS"), "{text}");
    }

    #[test]
    fn others_get_an_address_that_they_can_open() {
        let Urls { http, addresses, .. } = urls(None);
        let https = Some("0.0.0.0:8443".parse().unwrap());
        assert_eq!(lan_url(&addresses, http, https), "https://192.0.2.7:8443");
        assert_eq!(lan_url(&addresses, http, None), "http://192.0.2.7:8080");
        assert_eq!(lan_url(&addresses, "127.0.0.1:8080".parse().unwrap(), None), "");
        assert_eq!(lan_url(&["127.0.0.1".parse().unwrap()], http, https), "");
    }

    #[test]
    fn a_phone_gets_the_lan_address_and_a_code() {
        let text = text(&urls(Some("0.0.0.0:8443")));
        assert!(text.contains("https://192.0.2.7:8443/\n"), "{text}");
        assert!(text.contains('█'), "{text}");
    }
}
