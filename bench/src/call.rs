//! Calls of 10 to 100 people: `probe`'s callers against the whole of Madang in a process of its own.
//!
//! Everybody sends three encodings and sound, sees 12 pictures and hears 4 voices; callers and server share the machine.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use probe::call::report::CallReport;
use probe::scenario::Scenario;
use tokio::sync::watch;

use crate::results::Results;

/// People in the calls that are measured.
const SIZES: [usize; 4] = [10, 30, 50, 100];
/// Lines that the server may say before it says where it is.
const MOST_LINES: usize = 200;

/// The whole of Madang; it is killed when this is dropped.
struct Madang {
    child: Child,
    home: String,
    data: PathBuf,
}

impl Madang {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("madang");
        anyhow::ensure!(
            program.exists(),
            "{} is not built: cargo build --release --locked -p madang",
            program.display()
        );
        let data = std::env::temp_dir().join(format!("madang-bench-{}", std::process::id()));
        let mut command = Command::new(program);
        command.args(["--dev", "--bind", "127.0.0.1", "--public-ip", "127.0.0.1", "--http-port", "0"]);
        for port in ["--https-port", "--admin-port", "--media-port", "--turn-port"] {
            command.args([port, "0"]);
        }
        command.arg("--data-dir").arg(&data);
        // All come from one address, and not to see what that may do.
        command.env("MADANG_TOKENS_PER_MINUTE", "1000000").env("MADANG_CREATE_PER_MINUTE", "1000");
        command.env("MADANG_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let home = child.stdout.take().context("the output is piped").and_then(home);
        match home {
            Ok(home) => Ok(Self { child, home, data }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }
}

/// Where the server says that it is.
fn home(stdout: ChildStdout) -> anyhow::Result<String> {
    let mut lines = BufReader::new(stdout).lines();
    for line in lines.by_ref().take(MOST_LINES) {
        let line = line?;
        if let Some(url) =
            line.trim().strip_prefix("Home").map(str::trim).filter(|url| url.starts_with("http:"))
        {
            let home =
                url.split_ascii_whitespace().next().unwrap_or_default().trim_end_matches('/').to_owned();
            // What it says later is nobody's business, but must not fill the pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(home);
        }
    }
    bail!("the server did not say where it is")
}

impl Drop for Madang {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// All figures of calls.
pub(crate) fn figures(results: &mut Results) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut reports = Vec::new();
    for size in SIZES {
        // A fresh one each time: what the others left behind is not this call's.
        let server = Madang::start()?;
        let report = runtime.block_on(play(&server, size))?;
        println!("{report}");
        add(results, size, &report);
        reports.push(report);
    }
    table(&reports);
    growth(results, &reports);
    let pages = runtime.block_on(crate::pages::figures(results));
    if let Err(error) = pages {
        println!("pages of a call: not measured, {error:#}");
    }
    Ok(())
}

async fn play(server: &Madang, callers: usize) -> anyhow::Result<CallReport> {
    let known = probe::scenario::BUILT_IN.iter().find(|(name, _)| *name == "call");
    let (_, text) = known.context("there is a scenario of calls")?;
    let set = [
        format!("server.meta_url={}", server.home),
        format!("server.pid={}", server.child.id()),
        format!("call.callers={callers}"),
    ];
    let scenario = Scenario::parse(text, &set)?;
    let (_stop, stopped) = watch::channel(false);
    Ok(probe::call::run(&scenario, |_| {}, stopped).await?)
}

fn add(results: &mut Results, size: usize, report: &CallReport) {
    let mut add = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            results.add(&format!("call_{name}_{size}"), value);
        }
    };
    add("join_ms_p50", report.join_ms.p50);
    add("join_ms_p95", report.join_ms.p95);
    add("join_together_ms_p95", report.join_together_ms.p95);
    add("delay_ms_p50", report.delay_ms.p50);
    add("delay_ms_p99", report.delay_ms.p99);
    add("jitter_ms_p95", report.jitter_ms.p95);
    add("lost_packets", Some(report.lost as f64));
    add("refused_joins", Some(report.failed_joins as f64));
    add("page_ms_p95", report.page_ms.p95);
    add("cpu_ms_per_participant_second", report.cpu_ms_per_participant_second);
    add("shard_balance", report.shard_balance());
    add("signaling_messages_per_join", report.messages_per_join);
    add("signaling_bytes_per_join", report.signaling_bytes_per_join);
    add("messages_while_all_join", Some(report.messages_while_joining as f64));
    add("keyframes_per_publisher_and_turn", report.keys_per_turn);
    add("keyframes_asked_too_soon", Some(report.page_keys_asked_soon as f64));
    add("voice_onset_delay_ms_p95", report.onset_delay_ms.p95);
    add("wrong_names", Some((report.foreign_packets + report.nameless + report.heard_itself) as f64));
    // Of all sizes together, a sample each.
    if let Some(lost) = report.onset_lost_ms.p95 {
        results.add("call_voice_onset_lost_ms_p95", lost);
    }
}

fn table(reports: &[CallReport]) {
    println!(
        "{:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>10} {:>8} {:>8} {:>10} {:>9}",
        "people",
        "join p50",
        "join p95",
        "delay p50",
        "delay p99",
        "lost",
        "CPU %",
        "ms/person/s",
        "balance",
        "page p95",
        "bytes/join",
        "onset p95"
    );
    let of = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    for report in reports {
        println!(
            "{:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>10} {:>8} {:>8} {:>10} {:>9}",
            report.people,
            of(report.join_ms.p50),
            of(report.join_ms.p95),
            of(report.delay_ms.p50),
            of(report.delay_ms.p99),
            report.lost,
            of(report.server_cpu_percent),
            of(report.cpu_ms_per_participant_second),
            report.shard_balance().map_or("-".to_owned(), |balance| format!("{balance:.2}")),
            of(report.page_ms.p95),
            of(report.signaling_bytes_per_join),
            of(report.onset_lost_ms.p95),
        );
    }
}

/// How figures grow from the second size to the last: 1 is with the people, 2 with their square.
fn growth(results: &mut Results, reports: &[CallReport]) {
    let (Some(small), Some(large)) = (reports.get(1), reports.last()) else { return };
    let people = (large.people as f64 / small.people.max(1) as f64).ln();
    let mut add = |name: &str, of: fn(&CallReport) -> Option<f64>| {
        let (Some(small), Some(large)) = (of(small), of(large)) else { return };
        if small > 0.0 && large > 0.0 && people > 0.0 {
            results.add(&format!("call_growth_{name}"), (large / small).ln() / people);
        }
    };
    add("cpu", |report| report.server_cpu_percent);
    add("packets", |report| Some(report.packets_per_s));
    add("signaling_bytes_per_join", |report| report.signaling_bytes_per_join);
}
