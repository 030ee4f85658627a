//! The relay as its own process, operated while somebody uses it: changed secrets and certificates, drain, restart.

mod common;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::*;
use contract::turn::TurnSecret;
use turn_relay::doctor::{self, Credential, Failure, Options, Proof, Session};

/// How long a message may take before it is sent again.
const WAIT: Duration = Duration::from_millis(500);

/// The relay's process, and its log.
struct Process {
    child: Child,
    log: mpsc::Receiver<serde_json::Value>,
    listen: SocketAddr,
}

impl Process {
    fn start(file: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_turn-relay"))
            .arg("--config")
            .arg(file)
            .args(["--admin", "127.0.0.1:0", "--log", "info", "--log-format", "json"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // A line that is no JSON is a panic's, for whoever reads the test's output.
                match serde_json::from_str(&line) {
                    Ok(value) => drop(sender.send(value)),
                    Err(_) => eprintln!("{line}"),
                }
            }
        });
        let mut this = Self { child, log, listen: SocketAddr::new(LOOPBACK, 0) };
        let serving = this.wait_for("serving");
        let listen = serving["turn.addresses"].as_str().expect("addresses").to_owned();
        this.listen = listen.trim_matches(['[', ']']).parse().expect("one address");
        this
    }

    /// The first log line from now on with these words.
    fn wait_for(&self, words: &str) -> serde_json::Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|_| panic!("no \"{words}\" in the log"));
            if line["message"].as_str().is_some_and(|message| message.contains(words)) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("runs").success());
    }

    fn ended(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            assert!(Instant::now() < give_up, "the process does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ten lines, as in the documentation, and what a test adds.
fn settings(listen: &str, peer: SocketAddr, more: &str) -> String {
    format!(
        "listen = [\"{listen}\"]\npublic_ips = [\"127.0.0.1\"]\nrelay_ports = \"61000-65535\"\nmedia = [\"{peer}\"]\n\
         drain_secs = 30\n{more}"
    )
}

fn credential_of(secret: &str) -> Credential {
    let made = TurnSecret::new(secret.into()).credential("alice", service_kit::unix_now() + 600);
    Credential { username: made.username, password: made.password }
}

fn allocate(relay: SocketAddr, credential: &Credential) -> Result<Session, Failure> {
    allocate_within(PATIENCE, relay, credential)
}

/// The same for who asks again and again: the relay limits challenges and does not answer beyond, so that one silence
/// would take all of the time.
fn allocate_within(
    patience: Duration,
    relay: SocketAddr,
    credential: &Credential,
) -> Result<Session, Failure> {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
    let mut session = Session::over_udp(socket, relay, patience);
    session.challenge()?;
    session.allocate(credential)?;
    Ok(session)
}

/// There and back through the relay; what UDP loses is sent again.
fn echoed(session: &mut Session, peer: SocketAddr, text: &str) -> bool {
    (0..PATIENCE.as_millis() / WAIT.as_millis()).any(|_| {
        session.send(peer, text.as_bytes()).expect("sends");
        session.data(text.as_bytes(), WAIT).is_ok()
    })
}

/// Waits until something is so. A line in the log may be of an earlier change of the file, which is noticed twice: by
/// the signal and by looking at it.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::yield_now();
    }
}

/// Whether the relay no longer knows the credential of this session.
fn is_gone(session: &mut Session) -> bool {
    session.refresh().is_err_and(|failure| failure.code() == Some(401))
}

fn code(result: Result<Session, Failure>) -> Option<u16> {
    result.err().and_then(|failure| failure.code())
}

#[test]
fn secrets_rotate_under_load_and_a_removed_one_ends_its_allocations() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, peer) = (folder.path().join("turn.toml"), echo());
    let (old, new) = ("the-old-secret-of-a-relay", "the-new-secret-of-a-relay");
    let write =
        |secrets: &str| std::fs::write(&file, settings("127.0.0.1:0", peer, secrets)).expect("writes");
    write(&format!("secret = \"{old}\""));
    let relay = Process::start(&file);

    let mut first = allocate(relay.listen, &credential_of(old)).expect("allocates");
    first.permit(peer).expect("permits");
    assert!(echoed(&mut first, peer, "before"));
    assert_eq!(code(allocate(relay.listen, &credential_of(new))), Some(401));

    write(&format!("secret = \"{new}\"\nsecret_previous = \"{old}\""));
    relay.signal("-HUP");
    let mut second = None;
    until("the new secret is good", || {
        second = allocate_within(WAIT, relay.listen, &credential_of(new)).ok();
        second.is_some()
    });
    let mut second = second.expect("until it is there");
    assert!(echoed(&mut first, peer, "both secrets are good"));
    second.permit(peer).expect("permits");
    allocate(relay.listen, &credential_of(old)).expect("the old one is still good").delete().expect("ends");

    write(&format!("secret = \"{new}\""));
    relay.signal("-HUP");
    until("the old secret's allocation ends", || is_gone(&mut first));
    assert!(echoed(&mut second, peer, "only the new one"));
    first.send(peer, b"too late").expect("sends");
    assert!(first.data(b"too late", Duration::from_millis(100)).is_err());
    assert_eq!(code(allocate(relay.listen, &credential_of(old))), Some(401));

    // Settings that are wrong change nothing.
    write("secret = \"short\"");
    relay.signal("-HUP");
    let error = relay.wait_for("not taken over");
    assert!(
        error["message"].as_str().is_some_and(|message| message.contains("at least 16 bytes")),
        "{error}"
    );
    assert!(echoed(&mut second, peer, "as before"));
}

#[test]
fn a_changed_file_is_noticed_and_users_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, peer) = (folder.path().join("turn.toml"), echo());
    let user = |name: &str| format!("[[user]]\nname = \"{name}\"\npassword = \"wonderland\"\n");
    let write = |users: &str| std::fs::write(&file, settings("127.0.0.1:0", peer, users)).expect("writes");
    write(&user("alice"));
    let relay = Process::start(&file);
    let named = |name: &str| Credential { username: name.into(), password: "wonderland".into() };
    let mut alice = allocate(relay.listen, &named("alice")).expect("allocates");
    assert_eq!(code(allocate(relay.listen, &named("queen"))), Some(401));
    write(&user("the queen of hearts"));
    until("the user who is no more is sent away", || is_gone(&mut alice));
    allocate(relay.listen, &named("the queen of hearts")).expect("allocates");
}

#[test]
fn a_drain_lets_calls_end_and_sends_newcomers_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, peer) = (folder.path().join("turn.toml"), echo());
    let more = format!("secret = \"{SECRET}\"\nalternate_servers = [\"127.0.0.9:3478\"]");
    std::fs::write(&file, settings("127.0.0.1:0", peer, &more)).expect("writes");
    let mut relay = Process::start(&file);
    let credential = credential_of(SECRET);
    let mut call = allocate(relay.listen, &credential).expect("allocates");
    call.permit(peer).expect("permits");
    assert!(echoed(&mut call, peer, "a call"));

    relay.signal("-TERM");
    relay.wait_for("draining before exit");
    // The order reaches the relay's thread a moment later: who comes before it is let in.
    let refusal =
        std::iter::repeat_with(|| allocate(relay.listen, &credential)).find_map(|result| match result {
            Ok(mut session) => {
                session.delete().expect("ends");
                None
            }
            Err(failure) => Some(failure),
        });
    let Some(Failure::Error { code: 300, alternate, .. }) = refusal else { panic!("{refusal:?}") };
    assert_eq!(alternate, Some("127.0.0.9:3478".parse().expect("an address")));
    assert!(echoed(&mut call, peer, "the call goes on"));
    call.refresh().expect("also its refreshes");
    assert!(relay.child.try_wait().expect("waits").is_none());

    call.delete().expect("hangs up");
    assert!(relay.ended().success());
    relay.wait_for("stopped");
}

#[test]
fn after_a_restart_clients_are_told_to_begin_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, peer) = (folder.path().join("turn.toml"), echo());
    let secret = format!("secret = \"{SECRET}\"");
    std::fs::write(&file, settings("127.0.0.1:0", peer, &secret)).expect("writes");
    let mut relay = Process::start(&file);
    let credential = credential_of(SECRET);
    let mut call = allocate(relay.listen, &credential).expect("allocates");
    relay.signal("-KILL");
    assert!(!relay.ended().success());

    // The same port; a client's next request gets a fresh nonce, and then hears that its allocation is gone.
    let listen = relay.listen.to_string();
    std::fs::write(&file, settings(&listen, peer, &secret)).expect("writes");
    let relay = Process::start(&file);
    assert_eq!(call.refresh().map_err(|failure| failure.code()), Err(Some(437)));
    call.allocate(&credential).expect("and may begin again");
    call.permit(peer).expect("permits");
    assert!(echoed(&mut call, peer, "after the restart"));
    drop(relay);
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, peer) = (folder.path().join("turn.toml"), echo());
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    certificate(&folder, "live");
    let tls = UdpSocket::bind((LOOPBACK, 0)).expect("a socket").local_addr().expect("bound");
    let more = format!(
        "secret = \"{SECRET}\"\nlisten_tls = [\"{tls}\"]\ntls_cert = \"{}\"\ntls_key = \"{}\"",
        at("live.crt"),
        at("live.key")
    );
    std::fs::write(&file, settings("127.0.0.1:0", peer, &more)).expect("writes");
    let relay = Process::start(&file);
    let healthy = |root: &str| {
        let options = Options {
            target: format!("turns:{tls}").parse().expect("a URL"),
            user: "doctor".into(),
            proof: Proof::Secret(TurnSecret::new(SECRET.into())),
            patience: PATIENCE,
            roots: Some(at(root).into()),
        };
        doctor::diagnose(&doctor::examine(&options).expect("examined"))
    };
    std::fs::copy(at("live.crt"), at("first.crt")).expect("copies");
    let diagnosis = healthy("first.crt");
    assert!(diagnosis.is_healthy(), "{diagnosis}");

    certificate(&folder, "live");
    relay.signal("-HUP");
    until("the renewed certificate is served", || healthy("live.crt").is_healthy());
    assert!(!healthy("first.crt").is_healthy());

    // A key that does not fit: the certificate of before goes on.
    std::fs::write(at("live.key"), "nonsense").expect("writes");
    relay.signal("-HUP");
    relay.wait_for("not taken over");
    assert!(healthy("live.crt").is_healthy());
}

#[test]
fn refusals_are_in_the_log_with_their_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, peer) = (folder.path().join("turn.toml"), echo());
    std::fs::write(&file, settings("127.0.0.1:0", peer, &format!("secret = \"{SECRET}\""))).expect("writes");
    let relay = Process::start(&file);
    assert_eq!(code(allocate(relay.listen, &credential_of("some-other-secret"))), Some(401));
    let line = relay.wait_for("Allocate refused (401)");
    assert!(line["message"].as_str().is_some_and(|message| message.contains("password")), "{line}");
    let mut session = allocate(relay.listen, &credential_of(SECRET)).expect("allocates");
    assert!(session.permit("10.0.0.1:9".parse().expect("an address")).is_err());
    let line = relay.wait_for("CreatePermission refused (403)");
    assert!(line["message"].as_str().is_some_and(|message| message.contains("private")), "{line}");
}
