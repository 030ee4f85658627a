//! The thread of a shard: its loop, timers and commands.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mio::Events;
use sfu_core::Served;
use tokio::sync::mpsc;

use super::command::{Command, ShardEvent};
use super::inbox::ShardHandle;
use super::rooms::SourceKey;
use super::section::LayerError;
use super::thread::{Prepared, ShardSettings, ShardThread};
use crate::end::EndReason;
use crate::metrics::ShardCounters;

/// Receive calls before timers and commands get their turn again.
const RECV_ROUNDS: usize = 32;
/// How often publishers' media is reported to the control plane when nothing changes.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Longest sleep, in case nothing has a timer.
const MAX_SLEEP: Duration = Duration::from_secs(1);

impl Prepared {
    /// Starts the thread. `shards` are all shards of the node in order, this one included; `ended` runs when the
    /// thread ends, whatever the cause.
    pub(crate) fn spawn(
        self,
        settings: ShardSettings,
        shards: Vec<ShardHandle>,
        events: mpsc::Sender<ShardEvent>,
        ended: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let name = format!("sfu-shard-{}", settings.index);
        std::thread::Builder::new().name(name).spawn(move || {
            let shard = ShardThread::new(self, settings, shards, events);
            // Sessions have a boundary of their own: what comes here is a fault of the loop itself.
            let _ = catch_unwind(AssertUnwindSafe(|| shard.run()));
            ended();
        })
    }
}

impl ShardThread {
    fn run(mut self) {
        let mut recv = udp::RecvBatch::new();
        let mut ready = Events::with_capacity(64);
        let mut more = true;
        while !self.stopping {
            (self.settings.around)(&mut || more = self.turn(more, &mut ready, &mut recv));
        }
    }

    /// Waits, if nothing is known to be there, and does what there is to do; `true` if there may be more.
    fn turn(&mut self, more: bool, ready: &mut Events, recv: &mut udp::RecvBatch) -> bool {
        let sleep = if more { Duration::ZERO } else { self.sleep(Instant::now()) };
        if let Err(error) = self.io.socket.wait(&mut self.poll, ready, sleep)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            tracing::error!(shard = self.settings.index, %error, "a media thread cannot wait for its socket");
            self.stopping = true;
            return false;
        }
        while let Some(command) = self.inbox.command() {
            self.command(command, Instant::now());
        }
        ready.iter().for_each(|event| self.io.tcp.ready(event));
        let mut more = self.receive(recv) | self.take_messages(Instant::now());
        more |= self.receive_tcp(Instant::now());
        self.run_timers(Instant::now());
        more |= self.deliver(Instant::now());
        self.run_calls(Instant::now());
        self.io.flush();
        self.io.lanes.flush();
        self.io.counters.show(&self.core.totals());
        self.outbox.flush();
        more
    }

    fn sleep(&self, now: Instant) -> Duration {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let due = [timer, self.core.poll_timeout(), self.next_pulse(), self.calls.next(now)];
        let next = due.into_iter().chain([Some(self.next_report)]);
        let next = next.into_iter().flatten().min();
        let sleep = next.map_or(MAX_SLEEP, |at| at.saturating_duration_since(now));
        // What the channel or another shard did not take is tried again soon.
        if self.outbox.is_empty() && self.io.lanes.is_clear() {
            sleep.min(MAX_SLEEP)
        } else {
            sleep.min(Duration::from_millis(10))
        }
    }

    /// Takes what the socket has; `true` if there may be more.
    fn receive(&mut self, recv: &mut udp::RecvBatch) -> bool {
        for _ in 0..RECV_ROUNDS {
            match self.io.socket.recv(recv) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // An ICMP error of an earlier datagram, or a signal: the next call goes on.
                Err(_) => continue,
            }
            let now = Instant::now();
            for datagram in recv.iter_mut() {
                let local = datagram.to_ip.map_or(self.local, |ip| SocketAddr::new(ip, self.local.port()));
                self.datagram(datagram.from, local, datagram.data, now);
            }
            self.forward(now);
            self.io.flush();
            if !recv.is_full() {
                return false;
            }
        }
        true
    }

    /// Says which slots show something else before anything of it goes out. What waits in a member's channel, or is lost on
    /// the line, comes after it all the same.
    fn tell_bindings(&mut self, now: Instant) {
        if catch_unwind(AssertUnwindSafe(|| self.core.rebind_slots(now, &mut self.io))).is_err() {
            self.core_failed("binding slots failed", now);
        }
        self.handle_core_events(now);
        if self.calls.is_due() {
            self.run_calls(now);
        }
    }

    /// Hands on what the core has taken in, viewer by viewer.
    pub(super) fn forward(&mut self, now: Instant) {
        self.tell_bindings(now);
        if catch_unwind(AssertUnwindSafe(|| self.core.forward(now, &mut self.io))).is_err() {
            self.core_failed("forwarding failed", now);
        }
        self.handle_core_events(now);
    }

    /// A fault in the core, which says whom it was working for: that session ends.
    fn core_failed(&mut self, what: &'static str, now: Instant) {
        ShardCounters::add(&self.io.counters.panics, 1);
        tracing::error!(shard = self.settings.index, "{what}");
        let served = self.core.take_served();
        if let Some(peer) = self.io.sending.take() {
            return self.end_faulty(peer.0 as usize, now);
        }
        match served {
            Some(Served::Publisher(id)) => {
                if let Some(key) = self.io.rooms.of_core(id) {
                    self.give_up(key, now);
                }
            }
            Some(Served::Subscriber(id)) => {
                if let Some(&slot) = self.io.viewers.get(&id) {
                    self.end_faulty(slot, now);
                }
            }
            None => {}
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(&Reverse((at, slot))) = self.timers.peek().filter(|Reverse((at, _))| *at <= now) {
            self.timers.pop();
            let Some(participant) = self.io.participants.get_mut(slot) else { continue };
            if participant.timer != Some(at) {
                continue;
            }
            participant.timer = None;
            self.guarded(slot, now, |shard| {
                if let Some(participant) = shard.io.participants.get_mut(slot) {
                    participant.transport.handle_timeout(now);
                }
                shard.drain_transport(slot, now);
            });
        }
        self.run_core(now);
        self.pulse(now);
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.io.tcp.sweep(now);
            let homed: Vec<SourceKey> = self.io.rooms.homed().collect();
            homed.into_iter().for_each(|key| self.report_media(key, now));
            self.look_at_lines(now);
        }
    }

    /// Does what the core has due.
    pub(super) fn run_core(&mut self, now: Instant) {
        self.tell_bindings(now);
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            if catch_unwind(AssertUnwindSafe(|| self.core.handle_timeout(now, &mut self.io))).is_err() {
                self.core_failed("the timers of the media core failed", now);
            }
            self.handle_core_events(now);
        }
    }

    pub(super) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Join(join, reply) => {
                let joined = self.join_guarded(*join, now);
                // Nobody waits any more if the client has gone.
                let _ = reply.send(joined.ok_or_else(|| "a fault inside".to_owned()));
            }
            Command::Leave(key, reason) => {
                if let Some(&slot) = self.by_key.get(&key) {
                    self.guarded(slot, now, |shard| shard.close(slot, reason, now));
                }
            }
            Command::RestartIce { key, local, remote, reply } => {
                let Some(&slot) = self.by_key.get(&key) else {
                    let _ = reply.send(Err("the session has ended".to_owned()));
                    return;
                };
                // A fault drops the answer with the session.
                self.guarded(slot, now, |shard| {
                    shard.restart_ice(slot, &local, &remote, now);
                    let _ = reply.send(Ok(()));
                });
            }
            Command::ChooseLayers { key, change, reply } => {
                let Some(&slot) = self.by_key.get(&key) else {
                    let _ = reply.send(Err(LayerError::Ended));
                    return;
                };
                self.guarded(slot, now, |shard| {
                    let _ = reply.send(shard.choose_layers(slot, change.as_ref(), now));
                });
            }
            Command::ChooseSlots { key, wants, reply } => {
                let Some(&slot) = self.by_key.get(&key) else {
                    let _ = reply.send(None);
                    return;
                };
                self.guarded(slot, now, |shard| {
                    let _ = reply.send(shard.choose_slots(slot, wants, now));
                });
            }
            Command::EncodingsWatched { key, wanted } => {
                if let Some(&slot) = self.by_key.get(&key) {
                    self.encodings_watched(slot, wanted);
                }
            }
            Command::Pictures { key, codec, number } => {
                if let Some(&slot) = self.by_key.get(&key) {
                    self.pictures_in(slot, codec, number);
                }
            }
            Command::Gate { key, source, state, number } => {
                if let Some(&slot) = self.by_key.get(&key) {
                    self.gate(slot, source, (state, number), now);
                }
            }
            Command::Gone { room, source } => self.publisher_is_gone(room, source, now),
            Command::Stop => {
                let slots: Vec<usize> = self.by_key.values().copied().collect();
                slots.into_iter().for_each(|slot| {
                    self.guarded(slot, now, |shard| shard.close(slot, EndReason::Shutdown, now))
                });
                self.io.flush();
                self.stopping = true;
            }
        }
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
