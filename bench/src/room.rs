//! One broadcast on one server process: a publisher and its viewers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use transport::Identity;
use transport::sdp::Direction;

use crate::camera::Pattern;
use crate::cpu;
use crate::publisher::Publisher;
use crate::server::Process;
use crate::signal;
use crate::viewers::{Stats, Viewers};

/// Joins under way at one time.
const JOINS: usize = 32;
/// Until everybody must be connected, or media must have come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without another connection for this long, no more will come.
const STUCK: Duration = Duration::from_secs(15);
/// Transport-wide feedback as browsers give it at a megabit and more.
pub(crate) const FEEDBACK: Duration = Duration::from_millis(50);

/// What all rooms share.
pub(crate) struct World {
    pub(crate) viewers: Viewers,
    pub(crate) identity: Identity,
    pub(crate) http: reqwest::Client,
    groups: usize,
}

pub(crate) struct Room {
    pub(crate) server: Process,
    publisher: Publisher,
    pub(crate) group: usize,
    pub(crate) size: usize,
}

/// CPU and packets of a measured window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// CPU per packet that arrived, in microseconds.
    pub(crate) us_per_packet: f64,
    pub(crate) lost: u64,
    pub(crate) p99: Duration,
    pub(crate) packets: u64,
}

impl World {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            viewers: Viewers::start()?,
            identity: Identity::generate()?,
            http: reqwest::Client::new(),
            groups: 0,
        })
    }

    /// A new group of viewers.
    pub(crate) fn group(&mut self) -> usize {
        self.groups += 1;
        self.groups - 1
    }

    /// A server with a publisher that is connected and silent.
    pub(crate) async fn room(&mut self, shards: usize) -> anyhow::Result<Room> {
        self.room_of(&std::env::current_exe()?, shards).await
    }

    /// The same with the server of another build of this program.
    pub(crate) async fn room_of(&mut self, program: &Path, shards: usize) -> anyhow::Result<Room> {
        let server = Process::start(program, shards)?;
        let url = format!("{}/whip/1", server.base);
        let session = signal::open(&self.http, &url, &self.identity, Direction::SendOnly).await?;
        let publisher = Publisher::start(session)?;
        let group = self.group();
        self.viewers.times(group, publisher.times.clone())?;
        wait("the publisher to connect", || Ok(publisher.is_connected())).await?;
        Ok(Room { server, publisher, group, size: 0 })
    }

    /// Lets `count` more viewers in, and waits until all are connected.
    pub(crate) async fn join(&self, room: &mut Room, count: usize) -> anyhow::Result<()> {
        let url = format!("{}/whep/1", room.server.base);
        let mut joins = JoinSet::new();
        for _ in 0..count {
            if joins.len() >= JOINS {
                let session = joins.join_next().await.context("there is one")??;
                self.viewers.join(room.group, session?)?;
            }
            let (http, url, identity) = (self.http.clone(), url.clone(), self.identity.clone());
            joins.spawn(async move { signal::open(&http, &url, &identity, Direction::RecvOnly).await });
        }
        while let Some(session) = joins.join_next().await {
            self.viewers.join(room.group, session??)?;
        }
        let wanted = room.size + count;
        let (mut progress, mut connected) = (Instant::now(), 0);
        while connected < wanted && progress.elapsed() < STUCK {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.viewers.look(room.group)?.connected;
            if now > connected {
                (progress, connected) = (Instant::now(), now);
            }
        }
        room.size = connected;
        anyhow::ensure!(
            connected * 100 >= wanted * 99,
            "only {connected} of {wanted} viewers are connected: {:?}",
            self.viewers.look(room.group)?
        );
        Ok(())
    }

    /// Plays `pattern` and waits until every viewer has got something.
    pub(crate) async fn play(&self, room: &Room, pattern: Pattern) -> anyhow::Result<()> {
        room.publisher.play(Some(pattern));
        let size = room.size;
        wait("media at every viewer", || Ok(self.viewers.look(room.group)?.watching >= size)).await
    }

    pub(crate) fn pause(&self, room: &Room) {
        room.publisher.play(None);
    }

    pub(crate) fn stats(&self, room: &Room) -> anyhow::Result<Stats> {
        self.viewers.look(room.group)
    }

    /// Allocations of the room's media threads so far.
    pub(crate) async fn allocations(&self, room: &Room) -> anyhow::Result<u64> {
        room.server.allocations(&self.http).await
    }

    /// CPU of `pid` per packet that `group` gets.
    pub(crate) async fn window(&self, pid: u32, group: usize, length: Duration) -> anyhow::Result<Window> {
        let (before, used) = (self.viewers.look(group)?, cpu::time(pid)?);
        tokio::time::sleep(length).await;
        let (after, used) = (self.viewers.look(group)?, cpu::time(pid)?.saturating_sub(used));
        let packets = after.received - before.received;
        anyhow::ensure!(packets > 0, "nothing arrives");
        Ok(Window {
            us_per_packet: used.as_nanos() as f64 / 1_000.0 / packets as f64,
            lost: after.lost.saturating_sub(before.lost),
            p99: after.delay(0.99),
            packets,
        })
    }
}

/// Looks every few milliseconds whether `done`.
pub(crate) async fn wait(what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > give_up {
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
