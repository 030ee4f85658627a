//! The benchmarks: what a packet, a viewer and a session cost, beside the bare limit of this machine.
//!
//! `make bench` runs it and leaves the medians in `target/bench/results.json`. Method and results are in
//! `docs/benchmarks.md`.

mod call;
mod camera;
mod chat;
mod cpu;
mod janus;
mod limit;
mod pages;
mod paired;
mod publisher;
mod results;
mod room;
mod scenarios;
mod server;
mod signal;
mod stomp;
mod turn;
mod viewers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use results::Results;
use room::World;
use scenarios::Effort;

/// Benchmarks of the media path.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    role: Option<Role>,
    /// Interleaved rounds of the figures per packet
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of each measured window in milliseconds
    #[arg(long, default_value_t = 2_500)]
    window_ms: u64,
    /// Viewer sessions of the scale scenario
    #[arg(long, default_value_t = 10_000)]
    scale: usize,
    /// Another build of this program: what forwarding and memory cost its server and this one's, in turn. Nothing else
    /// is measured then
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Only these scenarios: forwarding, memory, capacity, scale, turn, stomp, chat, call
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the medians go
    #[arg(long, default_value = "target/bench/results.json")]
    out: PathBuf,
}

/// What a child process does.
#[derive(Debug, Subcommand)]
enum Role {
    /// The SFU, for the benchmark
    #[command(hide = true)]
    Server {
        #[arg(long)]
        shards: usize,
    },
    /// The bare limit, for the benchmark
    #[command(hide = true)]
    Limit { ports: Vec<u16> },
    /// The TURN relay, for the benchmark
    #[command(hide = true)]
    TurnRelay { peer: SocketAddr },
    /// The bare relay, for the benchmark
    #[command(hide = true)]
    TurnBare { peer: SocketAddr },
    /// Signaling, for the benchmark
    #[command(hide = true)]
    Signaling,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    raise_open_files();
    match &flags.role {
        Some(Role::Server { shards }) => server::run(*shards),
        Some(Role::Limit { ports }) => limit::run(ports),
        Some(Role::TurnRelay { peer }) => turn::run_relay(*peer),
        Some(Role::TurnBare { peer }) => turn::run_bare(*peer),
        Some(Role::Signaling) => stomp::run(),
        None => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(bench(flags)),
    }
}

async fn bench(flags: Flags) -> anyhow::Result<()> {
    let effort = Effort {
        rounds: flags.rounds,
        window: Duration::from_millis(flags.window_ms),
        scale: flags.scale.min(most_sockets()),
    };
    let wanted = |name: &str| flags.only.is_empty() || flags.only.iter().any(|only| only == name);
    let mut results = Results::default();
    let mut world = World::new()?;
    if let Some(baseline) = &flags.baseline {
        if wanted("forwarding") {
            report("forwarding", paired::forwarding(&mut world, baseline, effort, &mut results).await);
        }
        if wanted("memory") {
            report("memory", paired::memory(&mut world, baseline, effort, &mut results).await);
        }
        results.merge_into(&flags.out)?;
        results.print();
        return Ok(());
    }
    if wanted("forwarding") {
        report("forwarding", scenarios::forwarding(&mut world, effort, &mut results).await);
        results.merge_into(&flags.out)?;
    }
    if wanted("memory") {
        report("memory", scenarios::memory(&mut world, &mut results).await);
        results.merge_into(&flags.out)?;
    }
    if wanted("capacity") {
        report("capacity", scenarios::capacity(&mut world, effort, &mut results).await);
        results.merge_into(&flags.out)?;
    }
    if wanted("scale") {
        report("scale", scenarios::scale(&mut world, effort, &mut results).await);
        results.merge_into(&flags.out)?;
    }
    if wanted("turn") {
        report("turn", turn::figures(effort.rounds, effort.window, &mut results));
        results.merge_into(&flags.out)?;
    }
    if wanted("stomp") {
        report("stomp", stomp::figures(effort.rounds, effort.window, &mut results).await);
        results.merge_into(&flags.out)?;
    }
    if wanted("chat") {
        report("chat", chat::figures(most_sockets(), effort.window, &mut results).await);
        results.merge_into(&flags.out)?;
    }
    if wanted("call") {
        // It has a runtime of its own: a hundred callers are more than one thread's work.
        let call = tokio::task::spawn_blocking(move || {
            let done = call::figures(&mut results);
            (results, done)
        });
        let (measured, done) = call.await?;
        results = measured;
        report("call", done);
        results.merge_into(&flags.out)?;
    }
    results.print();
    println!("medians are in {}", flags.out.display());
    Ok(())
}

/// Says why a scenario did not end well; the others are run all the same.
fn report(name: &str, result: anyhow::Result<()>) {
    if let Err(error) = result {
        println!("{name}: failed, {error}");
    }
}

/// Each viewer has a socket of its own.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Sockets that this process may open, less what it needs besides.
fn most_sockets() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map_or(usize::MAX, |most| most.saturating_sub(1_000) as usize)
}
