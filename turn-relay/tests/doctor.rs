//! The doctor against servers that are well and servers that are not: ours, and coturn, each coturn in a network of
//! its own. Needs root for that, or user namespaces.

mod common;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use common::*;
use contract::turn::TurnSecret;
use turn_relay::doctor::{self, Diagnosis, Options, Proof};

fn examine(url: String, secret: &str) -> Diagnosis {
    let options = Options {
        target: url.parse().expect("a URL"),
        user: "doctor".into(),
        proof: Proof::Secret(TurnSecret::new(secret.into())),
        patience: PATIENCE,
        roots: None,
    };
    doctor::diagnose(&doctor::examine(&options).expect("examined"))
}

async fn diagnosis(relay: &Relay, secret: &'static str) -> Diagnosis {
    let url = format!("turn:{}?transport=udp", relay.addr());
    tokio::task::spawn_blocking(move || examine(url, secret)).await.expect("no panic")
}

#[tokio::test]
async fn this_relay_is_healthy_and_nothing_is_left_behind() {
    let relay = Relay::start(&[]).await;
    let diagnosis = diagnosis(&relay, SECRET).await;
    let text = diagnosis.to_string();
    assert!(diagnosis.is_healthy(), "{text}");
    assert!(text.contains("ChannelData, both ways through two allocations"), "{text}");
    relay.relay.drain(Duration::ZERO).await;
    let metrics = relay.metrics();
    assert!(metrics.contains("turn_allocations_created_total 2\n"), "{metrics}");
    assert!(metrics.contains("turn_allocations 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_wrong_secret_is_called_so() {
    let relay = Relay::start(&[]).await;
    let diagnosis = diagnosis(&relay, "south-of-the-border").await;
    assert!(!diagnosis.is_healthy());
    assert!(
        diagnosis.to_string().contains("the secret is not the one in the server's settings"),
        "{diagnosis}"
    );
}

/// Runs coturn with these options in a network of its own, and the doctor beside it once coturn listens.
async fn beside_coturn(coturn: &[&str], doctor: &[&str]) -> (bool, String) {
    let script = r#"
        ip link set lo up
        turnserver -n -L 127.0.0.1 -E 127.0.0.1 -p 3478 --realm=example.org --cli-password=none --no-cli \
            --allow-loopback-peers --min-port=20000 --max-port=20100 --log-file=stdout --simple-log \
            --pidfile="$FOLDER/pid" $COTURN >"$FOLDER/log" 2>&1 &
        tries=0
        # 0D96 is 3478; 0A is LISTEN. TCP comes after UDP.
        until grep --quiet ':0D96 .* 0A ' /proc/net/tcp; do
            tries=$((tries + 1))
            if [ $tries -gt 600 ]; then cat "$FOLDER/log"; exit 99; fi
            sleep 0.05
        done
        exec "$DOCTOR" doctor "$@"
    "#;
    let folder = tempfile::tempdir().expect("a folder");
    let run = tokio::process::Command::new("unshare")
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"])
        .args(doctor)
        .env("FOLDER", folder.path())
        .env("COTURN", coturn.join(" "))
        .env("DOCTOR", env!("CARGO_BIN_EXE_turn-relay"))
        .env_remove("TURN_SECRET")
        .kill_on_drop(true)
        .output();
    let Output { status, stdout, stderr } =
        tokio::time::timeout(2 * PATIENCE, run).await.expect("ends in time").expect("runs");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.code().is_some_and(|code| code < 2), "{text}");
    (status.success(), text)
}

const WITH_SECRET: [&str; 2] = ["--use-auth-secret", "--static-auth-secret=coturns-own-secret"];

#[tokio::test]
async fn coturn_is_healthy_with_the_right_secret_and_not_with_another() {
    let (healthy, text) =
        beside_coturn(&WITH_SECRET, &["turn:127.0.0.1", "--secret", "coturns-own-secret"]).await;
    assert!(healthy, "{text}");
    for line in ["UDP 127.0.0.1:3478", "TCP 127.0.0.1:3478", "not offered", "Allocate: 127.0.0.1:20"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert_eq!(text.matches("ChannelData, both ways").count(), 2, "{text}");

    let (healthy, text) = beside_coturn(&WITH_SECRET, &["turn:127.0.0.1", "--secret", "another-one"]).await;
    assert!(!healthy && text.contains("coturn: static-auth-secret"), "{text}");
}

#[tokio::test]
async fn static_users_and_quotas_of_coturn_are_understood() {
    let options = ["--lt-cred-mech", "--user=alice:wonderland", "--user-quota=1"];
    let url = "turn:127.0.0.1?transport=udp";
    let (_, text) = beside_coturn(&options, &[url, "--user", "alice", "--password", "wonderland"]).await;
    assert!(text.contains("ok    Allocate") && text.contains("the quota lets one allocation"), "{text}");
    let (healthy, text) = beside_coturn(&options, &[url, "--user", "alice", "--password", "mirror"]).await;
    assert!(!healthy && text.contains("the user is unknown or the password wrong"), "{text}");
}

#[tokio::test]
async fn tls_and_dtls_are_tried_and_certificates_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    for (name, host, year) in
        [("good", "127.0.0.1", 4000), ("old", "127.0.0.1", 2001), ("other", "example.org", 4000)]
    {
        certificate(folder.path(), name, host, year);
    }
    let files = |name: &str| {
        (
            format!("--cert={}", path(&format!("{name}.pem"))),
            format!("--pkey={}", path(&format!("{name}.key"))),
        )
    };
    let cases = [("good", "handshake done"), ("old", "has expired"), ("other", "not for this name")];
    for (name, words) in cases {
        let (cert, key) = files(name);
        let options = [WITH_SECRET[0], WITH_SECRET[1], &cert, &key];
        let ca = path(&format!("{name}.pem"));
        for url in ["turns:127.0.0.1", "turns:127.0.0.1?transport=udp"] {
            let doctor = [url, "--secret", "coturns-own-secret", "--ca", &ca];
            let (healthy, text) = beside_coturn(&options, &doctor).await;
            assert_eq!(healthy, name == "good", "{url} {name}:\n{text}");
            assert!(text.contains(words), "{url} {name}:\n{text}");
            // A bad certificate does not hide what lies behind it.
            assert!(text.contains("ChannelData, both ways"), "{url} {name}:\n{text}");
        }
    }
}

/// A self-signed certificate and its key as PEM files.
fn certificate(folder: &Path, name: &str, host: &str, last_year: i32) {
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join(format!("{name}.pem")), made.pem()).expect("writes");
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("writes");
}
