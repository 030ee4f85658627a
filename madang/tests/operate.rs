//! The single process as an operator meets it: taken ports, readers that go away, signals, errors, help.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A test that waits for this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A development server on free ports of loopback; `args` come after and win.
fn command(data: &tempfile::TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "1").current_dir(data.path());
    command.args(["--dev", "--bind", "127.0.0.1", "--data-dir"]).arg(data.path()).args(args);
    for (flag, port) in
        [("--http-port", "0"), ("--admin-port", "0"), ("--media-port", "0"), ("--turn-port", "0")]
    {
        if !args.contains(&flag) {
            command.args([flag, port]);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A process that is killed when a test gives it up.
struct Process(Child);

impl Process {
    /// Runs and waits for a line of standard output that contains `words`; returns it, too.
    fn start(mut command: Command, words: &str) -> (Self, String, BufReader<ChildStdout>) {
        let mut child = command.spawn().expect("runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let this = Self(child);
        loop {
            let mut line = String::new();
            let read = out.read_line(&mut line).expect("UTF-8");
            assert!(read > 0, "no line with {words:?}");
            if line.contains(words) {
                return (this, line, out);
            }
        }
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.0.id().cast_signed()).expect("a process");
        kill_process(pid, Signal::TERM).expect("is there");
    }

    fn end(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < give_up, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one that is expected to fail, and returns the line that says why.
fn failure(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("runs");
    let text = String::from_utf8(stderr).expect("UTF-8");
    assert!(!status.success(), "{text}");
    let errors: Vec<&str> =
        text.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" WARN ")).collect();
    assert_eq!(errors.len(), 1, "one line, without a backtrace: {text}");
    errors[0].to_owned()
}

fn get(url_of_admin: &str, path: &str) -> String {
    let address = url_of_admin.split("http://").nth(1).expect("a URL").trim().trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    answer
}

#[test]
fn a_taken_port_is_an_error_that_names_its_setting_whoever_holds_it() {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (tcp, udp) = (TcpListener::bind(local).expect("binds"), UdpSocket::bind(local).expect("binds"));
    let tcp_port = tcp.local_addr().expect("bound").port().to_string();
    let udp_port = udp.local_addr().expect("bound").port().to_string();
    for (flag, setting, port) in [
        ("--http-port", "http_port", &tcp_port),
        ("--admin-port", "admin_port", &tcp_port),
        ("--media-port", "media_port", &udp_port),
        ("--media-port", "media_port", &tcp_port),
        ("--turn-port", "turn_port", &udp_port),
        ("--turn-port", "turn_port", &tcp_port),
    ] {
        let line = failure(command(&folder(), &[flag, port]));
        assert!(line.contains(&format!("setting `{setting}`")) && line.contains(port.as_str()), "{line}");
        assert_eq!(line.matches("in use").count(), 1, "the cause is said once: {line}");
    }
}

#[test]
fn a_second_server_does_not_share_the_turn_port_of_the_first() {
    let (one, other) = (folder(), folder());
    let (first, line, _out) = Process::start(command(&one, &[]), "TURN");
    let port = line.split(':').nth(2).and_then(|rest| rest.split('?').next()).expect("a port").to_owned();
    let line = failure(command(&other, &["--turn-port", &port]));
    assert!(line.contains("setting `turn_port`"), "{line}");
    drop(first);
}

#[test]
fn with_its_readers_gone_it_serves_on_and_ends_at_a_signal() {
    let data = folder();
    // A log into a pipe that nobody holds from the first line on.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = command(&data, &[]);
    command.env("MADANG_LOG", "debug").stderr(writer);
    let (mut process, admin, out) = Process::start(command, "Admin");
    drop(out);
    for _ in 0..20 {
        assert!(get(&admin, "/readyz").starts_with("HTTP/1.1 200"));
    }
    process.terminate();
    assert!(process.end().success());
}

#[test]
fn requests_that_come_after_the_signal_are_served_until_the_delay_is_over() {
    let data = folder();
    let mut command = command(&data, &[]);
    command.env("MADANG_DRAIN_DELAY_SECS", "2").stderr(Stdio::null());
    let (mut process, home, mut out) = Process::start(command, "Home");
    let mut admin = String::new();
    while !admin.contains("Admin") {
        admin.clear();
        assert!(out.read_line(&mut admin).expect("UTF-8") > 0);
    }
    process.terminate();
    let give_up = Instant::now() + PATIENCE;
    while !get(&admin, "/readyz").starts_with("HTTP/1.1 503") {
        assert!(Instant::now() < give_up, "it stays ready");
    }
    for _ in 0..10 {
        assert!(get(&home, "/broadcasts?limit=1").starts_with("HTTP/1.1 200"));
    }
    assert!(process.end().success());
}

#[test]
fn the_admin_port_lists_what_is_there_and_output_that_is_no_terminal_has_no_colours() {
    let data = folder();
    let (mut process, admin, mut out) =
        Process::start(command(&data, &["--admin-bind", "127.0.0.2"]), "Admin");
    assert!(admin.contains("127.0.0.2:"), "{admin}");
    let index = get(&admin, "/");
    assert!(index.starts_with("HTTP/1.1 200") && index.contains("/metrics"), "{index}");
    process.terminate();
    let (mut text, mut log) = (String::new(), String::new());
    out.read_to_string(&mut text).expect("UTF-8");
    process.0.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
    assert!(process.end().success(), "{log}");
    assert!(log.contains("stopped") && !log.contains('\u{1b}') && !text.contains('\u{1b}'), "{log}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let data = folder();
    let file = data.path().join("wrong.toml");
    std::fs::write(&file, "http_port = \"a\nb = 1").expect("writes");
    let path = file.display().to_string();
    for (args, words) in [
        (&["--config", "/nowhere/x.toml"] as &[&str], "/nowhere/x.toml"),
        (&["--config", &path], &path),
        (&["--tls-cert", "/nowhere/c.pem", "--tls-key", "/nowhere/k.pem"], "/nowhere/c.pem"),
    ] {
        let line = failure(command(&data, args));
        assert!(line.starts_with("error: ") && line.contains(words), "{line}");
    }
    // A folder that cannot be made.
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.args(["--dev", "--data-dir", "/proc/nowhere"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let line = failure(command);
    assert!(line.contains("/proc/nowhere") && line.contains("`data_dir`"), "{line}");
}

#[test]
fn help_names_every_setting() {
    let output = Command::new(env!("CARGO_BIN_EXE_madang")).arg("--help").output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // The settings, as the sources have them: whoever adds one need not think of the help.
    let source = include_str!("../src/config.rs");
    let (_, rest) = source.split_once("pub(crate) struct Config {").expect("the struct");
    let (body, _) = rest.split_once("\n}").expect("its end");
    let names = body.lines().filter_map(|line| line.trim().strip_prefix("pub(crate) ")?.split(':').next());
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let variable = format!("[MADANG_{}]", name.to_uppercase());
        assert!(text.contains(&variable), "{variable} is missing in:\n{text}");
    }
}
