//! TURN: this relay, coturn and a bare relay, under the same load in turn.
//!
//! The bare relay has the shape of a TURN server (one socket for clients, one socket for each allocation, batches in
//! and out) and checks nothing: it is what the kernel costs. coturn is measured where it is installed.

mod bare;
mod load;
mod server;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cpu;
use crate::results::Results;
use load::{Flow, Style};
use server::{Coturn, Role, Served};

pub(crate) use bare::run as run_bare;
pub(crate) use server::run as run_relay;

/// User and password on both servers.
pub(crate) const USER: &str = "u";
pub(crate) const PASSWORD: &str = "p";

/// The load of a comparison: 20 clients, a message of 1,000 bytes each every 2 ms: 20,000 relayed packets a second.
const CLIENTS: usize = 20;
const INTERVAL: Duration = Duration::from_millis(2);
const PAYLOAD: usize = 1_000;

/// The same rate in frames, as video has it.
const FRAME: usize = 5;

/// Runs that lose something are made again this often.
const TRIES: usize = 5;

/// Sessions of one round: challenge, Allocate, CreatePermission, ChannelBind, Refresh to 0.
const SESSIONS: usize = 500;

/// Allocations whose memory is measured.
const HELD: usize = 4_000;

/// Relayed packets a second that the ceiling is looked for with, each kept for [`CEILING`].
const RATES: [usize; 8] = [40_000, 80_000, 120_000, 160_000, 200_000, 250_000, 300_000, 400_000];
const CEILING: Duration = Duration::from_secs(2);

/// All figures of TURN.
pub(crate) fn figures(rounds: usize, window: Duration, results: &mut Results) -> anyhow::Result<()> {
    let peer = load::echo()?;
    let bare = Served::start(Role::Bare, peer)?;
    let relay = Served::start(Role::Relay, peer)?;
    let coturn = Coturn::start()?;
    if coturn.is_none() {
        println!("coturn is not installed: only this relay and the bare one are measured");
    }
    let mut add = |name, figure: Option<f64>| match figure {
        Some(figure) => results.add(name, figure),
        None => println!("{name}: each of {TRIES} runs lost messages, so this round has no figure"),
    };
    for _ in 0..rounds {
        let cost = |served: Server, style| own_load(served, peer, style, 1, window);
        let frames = |served: Server, style| own_load(served, peer, style, FRAME, window);
        add("turn_limit_us", cost(Server::of(&bare), Style::Bare)?);
        add("turn_us_channel", cost(Server::of(&relay), Style::Channel)?);
        add("turn_us_send", cost(Server::of(&relay), Style::Indication)?);
        add("turn_limit_us_frames", frames(Server::of(&bare), Style::Bare)?);
        add("turn_us_channel_frames", frames(Server::of(&relay), Style::Channel)?);
        add("turn_us_channel_uclient", uclient(Server::of(&relay), peer, &[])?);
        add("turn_us_send_uclient", uclient(Server::of(&relay), peer, &["-s"])?);
        add("turn_allocation_us", Some(sessions(Server::of(&relay), peer)?));
        if let Some(coturn) = &coturn {
            let coturn = Server { pid: coturn.pid(), address: coturn.address };
            add("coturn_us_channel", cost(coturn, Style::Channel)?);
            add("coturn_us_send", cost(coturn, Style::Indication)?);
            add("coturn_us_channel_frames", frames(coturn, Style::Channel)?);
            add("coturn_us_channel_uclient", uclient(coturn, peer, &[])?);
            add("coturn_us_send_uclient", uclient(coturn, peer, &["-s"])?);
            add("coturn_allocation_us", Some(sessions(coturn, peer)?));
        }
    }
    results.add("turn_bytes_per_allocation", bytes_per_allocation(Server::of(&relay))?);
    if let Some(coturn) = &coturn {
        let coturn = Server { pid: coturn.pid(), address: coturn.address };
        results.add("coturn_bytes_per_allocation", bytes_per_allocation(coturn)?);
    }
    results.add("turn_allocations_per_second", allocations_per_second(Server::of(&relay), peer)?);
    results.add("turn_packets_per_second", packets_per_second(Server::of(&relay), peer, Style::Channel)?);
    results.add("turn_limit_packets_per_second", packets_per_second(Server::of(&bare), peer, Style::Bare)?);
    if let Some(coturn) = &coturn {
        let coturn = Server { pid: coturn.pid(), address: coturn.address };
        results.add("coturn_packets_per_second", packets_per_second(coturn, peer, Style::Channel)?);
    }
    ratios(results);
    Ok(())
}

/// A relay that is measured.
#[derive(Clone, Copy)]
struct Server {
    pid: u32,
    address: SocketAddr,
}

impl Server {
    fn of(served: &Served) -> Self {
        Self { pid: served.pid(), address: served.address }
    }
}

/// CPU microseconds of the server for each relayed packet, under our load; nothing when every run lost messages. The
/// rate is the same whatever the number of messages at a time.
fn own_load(
    server: Server,
    peer: SocketAddr,
    style: Style,
    burst: usize,
    window: Duration,
) -> anyhow::Result<Option<f64>> {
    let mut flow = Flow::open(server.address, peer, style, CLIENTS, PAYLOAD)?;
    let interval = INTERVAL * u32::try_from(burst)?;
    // The first messages make the server touch its memory.
    flow.run(burst, interval, Duration::from_millis(200))?;
    for _ in 0..TRIES {
        let before = cpu::time(server.pid)?;
        let tally = flow.run(burst, interval, window)?;
        let used = cpu::time(server.pid)? - before;
        if tally.received == tally.sent {
            flow.close()?;
            return Ok(Some(micros(used) / (2 * tally.sent) as f64));
        }
    }
    flow.close()?;
    Ok(None)
}

/// The same under coturn's own load tool; here the sessions of its clients are in the figure.
fn uclient(server: Server, peer: SocketAddr, more: &[&str]) -> anyhow::Result<Option<f64>> {
    const MESSAGES: usize = 2_000;
    for _ in 0..TRIES {
        let before = cpu::time(server.pid)?;
        let output = Command::new("turnutils_uclient")
            .args(["-c", "-u", USER, "-w", PASSWORD, "-e", "127.0.0.1", "-z", "2"])
            .args(["-p", &server.address.port().to_string(), "-r", &peer.port().to_string()])
            .args(["-m", &CLIENTS.to_string(), "-n", &MESSAGES.to_string(), "-l", &PAYLOAD.to_string()])
            .args(more)
            .arg("127.0.0.1")
            .stdin(Stdio::null())
            .output()
            .context("turnutils_uclient is missing: install the Debian package `coturn`")?;
        let used = cpu::time(server.pid)? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && text.contains("Total lost packets 0 ") {
            return Ok(Some(micros(used) / (2 * CLIENTS * MESSAGES) as f64));
        }
    }
    Ok(None)
}

/// CPU microseconds of the server for a whole session without data.
fn sessions(server: Server, peer: SocketAddr) -> anyhow::Result<f64> {
    let before = cpu::time(server.pid)?;
    for _ in 0..SESSIONS {
        load::session(server.address, peer)?;
    }
    Ok(micros(cpu::time(server.pid)? - before) / SESSIONS as f64)
}

/// Resident memory that allocations add to the server; what the kernel keeps for their sockets is not in it.
fn bytes_per_allocation(server: Server) -> anyhow::Result<f64> {
    // Once, so that what the server keeps for reuse is there.
    drop(load::hold(server.address, HELD / 10)?);
    let before = cpu::resident(server.pid)?;
    let held = load::hold(server.address, HELD)?;
    let after = cpu::resident(server.pid)?;
    drop(held);
    Ok((after.saturating_sub(before) * 1024) as f64 / HELD as f64)
}

/// Whole sessions a second from several clients at once, on the cores that the clients use too.
fn allocations_per_second(server: Server, peer: SocketAddr) -> anyhow::Result<f64> {
    const AT_ONCE: usize = 8;
    let begin = Instant::now();
    let clients: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            std::thread::spawn(move || (0..SESSIONS).try_for_each(|_| load::session(server.address, peer)))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    Ok((AT_ONCE * SESSIONS) as f64 / begin.elapsed().as_secs_f64())
}

/// The highest rate of [`RATES`] that came through with less than one in a thousand lost.
fn packets_per_second(server: Server, peer: SocketAddr, style: Style) -> anyhow::Result<f64> {
    let mut flow = Flow::open(server.address, peer, style, CLIENTS, PAYLOAD)?;
    let mut best = 0.0;
    for rate in RATES {
        let interval = Duration::from_secs(2 * CLIENTS as u64) / u32::try_from(rate)?;
        let begin = Instant::now();
        let tally = flow.run(1, interval, CEILING)?;
        let lost = tally.sent.saturating_sub(tally.received);
        let reached = (tally.sent + tally.received) as f64 / begin.elapsed().as_secs_f64();
        if lost * 1_000 > tally.sent || reached < best * 1.02 {
            break;
        }
        best = reached;
    }
    flow.close()?;
    Ok(best)
}

/// What the figures are compared by.
fn ratios(results: &Results) {
    for (name, part, whole) in [
        ("ChannelData beside the bare relay", "turn_us_channel", "turn_limit_us"),
        ("ChannelData beside coturn", "turn_us_channel", "coturn_us_channel"),
        ("ChannelData in frames beside the bare relay", "turn_us_channel_frames", "turn_limit_us_frames"),
        ("ChannelData in frames beside coturn", "turn_us_channel_frames", "coturn_us_channel_frames"),
        ("Send and Data beside the bare relay", "turn_us_send", "turn_limit_us"),
        ("Send and Data beside coturn", "turn_us_send", "coturn_us_send"),
        (
            "ChannelData beside coturn, by its own tool",
            "turn_us_channel_uclient",
            "coturn_us_channel_uclient",
        ),
        ("Send and Data beside coturn, by its own tool", "turn_us_send_uclient", "coturn_us_send_uclient"),
        ("a session beside coturn", "turn_allocation_us", "coturn_allocation_us"),
    ] {
        if let (Some(part), Some(whole)) = (results.median(part), results.median(whole)) {
            println!("{name}: {:.2}", part / whole);
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
