//! What is said of a configuration before it serves: the effective settings, and warnings about those that are
//! valid and still likely to be a mistake. Opens no socket.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use service_kit::config::Secret;
use toml::{Table, Value};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::{Config, Limits, MediaPorts};

/// A certificate that ends within this time is worth a warning.
const RENEW_SECS: i64 = 14 * 24 * 3600;

/// Fewer relay ports than this are used up by a handful of calls.
const FEW_PORTS: usize = 100;

/// File descriptors beside those of relay sockets.
const OTHER_FILES: u64 = 64;

/// What a configuration is judged against.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Addresses of this machine.
    pub addresses: Vec<IpAddr>,
    /// The certificate of the settings, or why it cannot be read; `None` when none is set.
    pub certificate: Option<Result<Validity, String>>,
    /// Open files that a process may have; `None` when unknown.
    pub files: Option<u64>,
    /// Now, in Unix seconds.
    pub unix: u64,
}

/// The time in which a certificate is good, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From.
    pub not_before: i64,
    /// To.
    pub not_after: i64,
}

impl Surroundings {
    /// Those of this machine: its addresses, its limits, the certificate file.
    #[must_use]
    pub fn of_this_machine(config: &Config) -> Self {
        let addresses =
            if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
        let limits = std::fs::read_to_string("/proc/self/limits").ok();
        Self {
            addresses,
            certificate: config.tls_cert.as_deref().map(validity),
            files: limits.as_deref().and_then(hard_file_limit),
            unix: service_kit::unix_now(),
        }
    }
}

/// The validity of the first certificate of a PEM file.
///
/// # Errors
/// In words, without the path.
pub fn validity(path: &Path) -> Result<Validity, String> {
    let der = CertificateDer::from_pem_file(path).map_err(|error| error.to_string())?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    Ok(Validity { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
}

/// What is valid and still likely to be a mistake, one sentence each, the setting first.
#[must_use]
pub fn warnings(config: &Config, around: &Surroundings) -> Vec<String> {
    let mut found = Vec::new();
    relay_addresses(config, around, &mut found);
    transports(config, around, &mut found);
    peers(config, &mut found);
    credentials(config, &mut found);
    let ports = config.relay_ports.count();
    if ports < FEW_PORTS {
        found.push(format!(
            "relay_ports: only {ports} ports for each address, so {ports} allocations at most"
        ));
    }
    if let Some(files) = around.files
        && (config.limits.relay_sockets as u64).saturating_add(OTHER_FILES) > files
    {
        let sockets = config.limits.relay_sockets;
        found.push(format!(
            "limits.relay_sockets: {sockets}, but a process may open {files} files here (ulimit -Hn, LimitNOFILE): \
             allocations beyond that fail with 508"
        ));
    }
    found
}

fn relay_addresses(config: &Config, around: &Surroundings, found: &mut Vec<String>) {
    for ip in &config.public_ips {
        if !around.addresses.contains(ip) {
            found.push(format!(
                "public_ips: {ip} is no address of this machine: the NAT in front of it must forward UDP ports {} \
                 unchanged, and the listening ports",
                config.relay_ports
            ));
        }
        if !turn_proto::is_public(*ip) {
            found.push(format!(
                "public_ips: {ip} is not reachable from the Internet: behind a NAT name its external address here, \
                 or clients outside get no media"
            ));
        }
    }
}

fn transports(config: &Config, around: &Surroundings, found: &mut Vec<String>) {
    if config.listen_tcp.is_empty() && config.listen_tls.is_empty() {
        found.push(
            "listen_tcp: no TCP and no TLS: clients behind a firewall that drops UDP cannot connect".into(),
        );
    }
    match around.certificate {
        Some(Err(ref why)) => {
            found.push(format!("tls_cert: cannot be read ({why}): the relay will not start"))
        }
        Some(Ok(Validity { not_before, not_after })) => {
            let now = i64::try_from(around.unix).unwrap_or(i64::MAX);
            if now > not_after {
                let days = (now - not_after) / 86_400;
                found.push(format!("tls_cert: has expired {days} days ago: TLS clients will refuse it"));
            } else if now < not_before {
                found.push("tls_cert: is not valid yet: TLS clients will refuse it".into());
            } else if not_after - now < RENEW_SECS {
                let days = (not_after - now) / 86_400;
                found.push(format!(
                    "tls_cert: expires in {days} days; a renewed file is taken without a restart"
                ));
            }
            if config.listen_tls.is_empty() && config.listen_dtls.is_empty() {
                found.push("tls_cert: is set, but neither listen_tls nor listen_dtls uses it".into());
            }
        }
        None => {}
    }
}

fn peers(config: &Config, found: &mut Vec<String>) {
    for net in &config.allow_private {
        let whole = if net.prefix_len() == 0 { " (everything private there is)" } else { "" };
        found.push(format!(
            "allow_private: every user of the relay reaches all UDP ports in {net}{whole}, internal services included"
        ));
    }
    if config.media.is_empty() {
        found.push(
            "media: empty; an SFU on one of the addresses of this relay is not reachable through it until its media \
             ports are named here"
                .into(),
        );
    }
}

fn credentials(config: &Config, found: &mut Vec<String>) {
    if !config.secret_previous.is_empty() {
        let same = config.secret_previous == config.secret;
        found.push(if same {
            "secret_previous: is the same as secret, so nothing rotates".into()
        } else {
            "secret_previous: is still accepted; remove it when the last credentials made with it have expired".into()
        });
    }
    let short = config.users.iter().filter(|user| user.password.reveal().len() < 8).count();
    if short > 0 {
        found.push(format!(
            "user: {short} passwords are shorter than 8 bytes, and static passwords never expire"
        ));
    }
}

/// The hard limit of open files, from the text of `/proc/self/limits`.
fn hard_file_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(4)?.parse().ok()
}

/// The settings as they are in effect, defaults included, as TOML; secrets and passwords are masked.
#[must_use]
pub fn effective(config: &Config) -> String {
    // Taken apart, so that a new setting does not compile until it is shown here.
    let Config {
        listen,
        listen_tcp,
        listen_tls,
        listen_dtls,
        tls_cert,
        tls_key,
        alternate_servers,
        alternate_servers_tls,
        alternate_domain,
        threads,
        public_ips,
        relay_ports,
        realm,
        secret,
        secret_previous,
        users,
        media,
        allow_private,
        deny,
        grace_secs,
        legacy_channels,
        limits,
    } = config;
    let mut out = String::new();
    let mut line = |key: &str, value: Value| {
        let _ = writeln!(out, "{key} = {value}");
    };
    line("listen", list(listen));
    line("listen_tcp", list(listen_tcp));
    line("listen_tls", list(listen_tls));
    line("listen_dtls", list(listen_dtls));
    for (key, path) in [("tls_cert", tls_cert), ("tls_key", tls_key)] {
        if let Some(path) = path {
            line(key, path.display().to_string().into());
        }
    }
    line("alternate_servers", list(alternate_servers));
    line("alternate_servers_tls", list(alternate_servers_tls));
    if let Some(domain) = alternate_domain {
        line("alternate_domain", domain.clone().into());
    }
    line("threads", number(*threads));
    line("public_ips", list(public_ips));
    line("relay_ports", relay_ports.to_string().into());
    line("realm", realm.clone().into());
    line("secret", masked(secret));
    line("secret_previous", masked(secret_previous));
    let media: Vec<String> = media.iter().map(MediaPorts::to_string).collect();
    line("media", list(&media));
    line("allow_private", list(allow_private));
    line("deny", list(deny));
    line("grace_secs", Value::Integer(i64::try_from(*grace_secs).unwrap_or(i64::MAX)));
    line("legacy_channels", (*legacy_channels).into());
    let _ = write!(out, "\n[limits]\n{}", limits_table(limits));
    for user in users {
        let table = Table::from_iter([
            ("name".to_owned(), user.name.clone().into()),
            ("password".to_owned(), masked(&user.password)),
        ]);
        let _ = write!(out, "\n[[user]]\n{table}");
    }
    out
}

fn limits_table(limits: &Limits) -> Table {
    let Limits {
        allocations_per_user,
        allocations_per_source,
        relay_sockets,
        permissions,
        channels,
        challenges_per_second,
        challenges_per_source,
        connections,
        connections_per_source,
    } = *limits;
    let entries = [
        ("allocations_per_user", allocations_per_user),
        ("allocations_per_source", allocations_per_source),
        ("relay_sockets", relay_sockets),
        ("permissions", permissions),
        ("channels", channels),
        ("challenges_per_second", challenges_per_second.into()),
        ("challenges_per_source", challenges_per_source.into()),
        ("connections", connections),
        ("connections_per_source", connections_per_source),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), number(value))).collect()
}

fn list<T: ToString>(items: &[T]) -> Value {
    Value::Array(items.iter().map(|item| item.to_string().into()).collect())
}

fn number(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn masked(secret: &Secret) -> Value {
    if secret.is_empty() { String::new().into() } else { "(hidden)".to_owned().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PortRange, User};

    const NOW: u64 = 1_700_000_000;

    /// A configuration about which there is nothing to say.
    fn good() -> (Config, Surroundings) {
        let config = Config {
            listen_tcp: vec!["0.0.0.0:3478".parse().expect("an address")],
            public_ips: vec!["1.2.3.4".parse().expect("an address")],
            secret: Secret::new("a secret of the river".into()),
            media: vec!["1.2.3.4:50000".parse().expect("ports")],
            ..Config::default()
        };
        let around = Surroundings {
            addresses: config.public_ips.clone(),
            certificate: None,
            files: Some(1 << 20),
            unix: NOW,
        };
        (config, around)
    }

    fn said(change: impl FnOnce(&mut Config, &mut Surroundings)) -> String {
        let (mut config, mut around) = good();
        change(&mut config, &mut around);
        warnings(&config, &around).join("\n")
    }

    #[test]
    fn a_sound_configuration_gets_no_warning() {
        assert_eq!(said(|_, _| {}), "");
    }

    #[test]
    fn a_private_address_behind_a_nat_is_noticed() {
        let text = said(|config, around| {
            config.public_ips = vec!["10.0.0.5".parse().expect("an address")];
            around.addresses = config.public_ips.clone();
        });
        assert!(text.contains("10.0.0.5 is not reachable from the Internet"), "{text}");
        let text = said(|_, around| around.addresses.clear());
        assert!(text.contains("1.2.3.4 is no address of this machine"), "{text}");
    }

    #[test]
    fn certificates_that_clients_refuse_are_noticed() {
        let day = 86_400;
        let now = NOW.cast_signed();
        let with = |not_before, not_after| {
            said(|config, around| {
                config.listen_tls = config.listen_tcp.clone();
                around.certificate = Some(Ok(Validity { not_before, not_after }));
            })
        };
        assert_eq!(with(now - day, now + 60 * day), "");
        assert!(with(now - 90 * day, now - 2 * day).contains("expired 2 days ago"));
        assert!(with(now + day, now + 90 * day).contains("not valid yet"));
        assert!(with(now - day, now + 3 * day).contains("expires in 3 days"));
        let text = said(|_, around| around.certificate = Some(Err("no such file".into())));
        assert!(text.contains("no such file"), "{text}");
    }

    #[test]
    fn open_doors_and_tight_ones_are_noticed() {
        assert!(
            said(|config, _| config.allow_private = vec!["10.0.0.0/8".parse().expect("net")])
                .contains("10.0.0.0/8")
        );
        assert!(said(|config, _| config.listen_tcp.clear()).contains("drops UDP"));
        assert!(
            said(|config, _| config.relay_ports = PortRange { first: 50_000, last: 50_009 })
                .contains("10 ports")
        );
        assert!(said(|_, around| around.files = Some(1024)).contains("1024 files"));
        assert!(said(|config, _| config.media.clear()).contains("media"));
        assert!(said(|config, _| config.secret_previous = config.secret.clone()).contains("nothing rotates"));
    }

    #[test]
    fn the_ten_lines_of_the_readme_are_good() {
        let readme = include_str!("../README.md");
        let block =
            readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
        assert_eq!(block.lines().count(), 10);
        let config: Config = Value::Table(block.parse().expect("TOML")).try_into().expect("settings");
        config.validate().expect("valid");
    }

    #[test]
    fn the_hard_limit_is_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files     \n";
        assert_eq!(hard_file_limit(text), Some(524_288));
        assert_eq!(hard_file_limit(""), None);
    }

    #[test]
    fn the_effective_configuration_reads_back_and_hides_secrets() {
        let (mut config, _) = good();
        config.users = vec![User { name: "alice".into(), password: Secret::new("of the mountain".into()) }];
        config.tls_cert = Some("/etc/turn/cert.pem".into());
        config.tls_key = Some("/etc/turn/key.pem".into());
        let text = effective(&config);
        assert!(!text.contains("river") && !text.contains("mountain"), "{text}");
        let table: Table = text.parse().expect("TOML");
        let mut back: Config = Value::Table(table).try_into().expect("the same settings");
        back.secret = config.secret.clone();
        back.users = config.users.clone();
        assert_eq!(back, config);
    }
}
