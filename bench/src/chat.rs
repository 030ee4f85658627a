//! One chat with thousands of readers: what a delivered message costs the service, what a reader holds, and how many
//! deliveries a second it keeps up with.
//!
//! The service runs in a process of its own with a SQLite file. Readers are sockets in this one, spread over the addresses of
//! loopback as people are over networks; once they have subscribed nothing but bytes is read of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use contract::token::{Grant, Role, TokenKeys};
use mio::{Events, Interest, Poll, Token};

use crate::cpu;
use crate::results::Results;
use crate::stomp::{Client, Process, SECRET};

/// Readers of the chat, as far as this process may open sockets.
const READERS: usize = 10_000;
/// Readers at one address: fewer than the limits of an address ask for.
const PER_ADDRESS: usize = 90;
/// Messages a second of a lively chat.
const RATE: u32 = 10;
/// The last message of a window is with everybody this long after, or the service does not keep up.
const LATE: Duration = Duration::from_secs(2);
/// A reader that says nothing for longer is taken for lost.
const PONG: Duration = Duration::from_secs(8);
/// An empty pong of a client, masked with zeros.
const PONG_FRAME: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// All figures of large chats.
pub(crate) async fn figures(sockets: usize, window: Duration, results: &mut Results) -> anyhow::Result<()> {
    let count = READERS.min(sockets);
    let folder = std::env::temp_dir().join(format!("madang-bench-chat-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let process = Process::start_with(&folder.join("signaling.db").display().to_string())?;
    let keys = TokenKeys::new(SECRET, None)?;
    let token = keys.mint("bench", Role::Service, service_kit::unix_now(), 3600);
    let mut sender = Client::connect(process.address, &format!("Authorization:Bearer {token}\n")).await?;
    let before = cpu::resident(process.pid())?;
    let mut streams = Vec::with_capacity(count);
    for n in 0..count {
        streams.push(reader(&process, &keys, n).await?);
    }
    let readers = Readers::start(streams)?;
    let grown = cpu::resident(process.pid())?.saturating_sub(before);
    results.add("chat_readers", count as f64);
    results.add("chat_bytes_per_reader", grown as f64 * 1024.0 / count as f64);
    // What the first message allocates and the readers' beginnings are not the chat's.
    let _ = readers.window(&process, &mut sender, RATE, Duration::from_secs(1)).await?;
    let run = readers.window(&process, &mut sender, RATE, window).await?;
    ensure!(run.is_whole(), "{run:?}: at {RATE} messages a second already");
    results.add("stomp_us_per_delivered", run.us_per_delivered());
    let mut most = run;
    let mut rate = RATE;
    while most.is_whole() && rate < 640 {
        rate *= 2;
        let run = readers.window(&process, &mut sender, rate, window).await?;
        println!("chat: {rate} messages a second to {count}: {run:?}");
        if !run.is_whole() {
            break;
        }
        most = run;
    }
    results.add("chat_deliveries_per_second", most.delivered as f64 / most.took.as_secs_f64());
    results.add("chat_us_per_delivered_at_most", most.us_per_delivered());
    readers.stop();
    drop(process);
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

async fn reader(process: &Process, keys: &TokenKeys, n: usize) -> anyhow::Result<TcpStream> {
    let last = u8::try_from(n / PER_ADDRESS % 250).unwrap_or(0) + 2;
    let role = Role::Join { room: "7".parse()?, grants: vec![Grant::Subscribe], name: None };
    let token = keys.mint(&format!("par_{n}"), role, service_kit::unix_now(), 3600);
    let mut client =
        Client::connect_from(last, process.address, &format!("Authorization:Bearer {token}\n")).await?;
    client.send("SUBSCRIBE\nid:1\ndestination:/topic/-/chat/7\n\n\0").await?;
    // Its beginning.
    client.expect("MESSAGE\n").await?;
    let stream = client.into_stream().into_std()?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// What became of the messages of a window.
#[derive(Debug, Clone, Copy)]
struct Run {
    wanted: u64,
    delivered: u64,
    took: Duration,
    spent: Duration,
}

impl Run {
    fn is_whole(&self) -> bool {
        self.delivered >= self.wanted
    }

    fn us_per_delivered(&self) -> f64 {
        self.spent.as_secs_f64() * 1e6 / self.delivered.max(1) as f64
    }
}

/// The readers, on a thread that counts what comes.
struct Readers {
    count: u64,
    heard: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Readers {
    fn start(streams: Vec<TcpStream>) -> anyhow::Result<Self> {
        let (heard, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let count = streams.len() as u64;
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(streams.len());
        for (n, stream) in streams.into_iter().enumerate() {
            let mut stream = mio::net::TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(n), Interest::READABLE)?;
            sockets.push((stream, 0));
        }
        let (own_heard, own_stop) = (heard.clone(), stop.clone());
        let thread = std::thread::spawn(move || count_all(poll, sockets, &own_heard, &own_stop));
        Ok(Self { count, heard, stop, thread })
    }

    async fn window(
        &self,
        process: &Process,
        sender: &mut Client,
        rate: u32,
        window: Duration,
    ) -> anyhow::Result<Run> {
        let frame = format!(
            "SEND\ndestination:/app/-/chat/7\n\n{{\"text\":\"{}\"}}\0",
            "a line of chat, as long as they are at most of the time ".repeat(2)
        );
        let (begin, before) = (Instant::now(), cpu::time(process.pid())?);
        let heard = self.heard.load(Ordering::Relaxed);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        let mut sent = 0;
        while begin.elapsed() < window {
            ticks.tick().await;
            sender.send(&frame).await?;
            sent += 1;
        }
        let wanted = sent * self.count;
        let delivered = || self.heard.load(Ordering::Relaxed).saturating_sub(heard);
        let end = Instant::now();
        while delivered() < wanted && end.elapsed() < LATE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (took, spent) = (begin.elapsed(), cpu::time(process.pid())?.saturating_sub(before));
        let run = Run { wanted, delivered: delivered(), took, spent };
        // What is late still comes before the next window.
        tokio::time::sleep(LATE).await;
        Ok(run)
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// Counts the ends of frames: a body ends with `}`, and its frame with NUL.
fn count_all(
    mut poll: Poll,
    mut sockets: Vec<(mio::net::TcpStream, u8)>,
    heard: &AtomicU64,
    stop: &AtomicBool,
) {
    let mut events = Events::with_capacity(4_096);
    let mut buffer = vec![0; 256 * 1024];
    let mut ponged = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if poll.poll(&mut events, Some(Duration::from_millis(50))).context("epoll").is_err() {
            return;
        }
        for event in &events {
            let Some((socket, last)) = sockets.get_mut(event.token().0) else { continue };
            loop {
                let read = match socket.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => break,
                };
                let bytes = buffer.get(..read).unwrap_or_default();
                let mut found = u64::from(*last == b'}' && bytes.first() == Some(&0));
                found += bytes.windows(2).filter(|two| *two == b"}\0").count() as u64;
                *last = bytes.last().copied().unwrap_or(0);
                heard.fetch_add(found, Ordering::Relaxed);
            }
        }
        if ponged.elapsed() > PONG {
            ponged = Instant::now();
            for (socket, _) in &mut sockets {
                let _ = socket.write(&PONG_FRAME);
            }
        }
    }
}
