//! What every connection of the node takes, whatever it is for: a key, a place on a shard, and one of the connections that
//! its source may have open that are not connected yet.

use std::collections::HashMap;
use std::net::IpAddr;

use super::session::Refused;
use crate::config::Limits;
use crate::published::SessionKey;

/// See the module.
#[derive(Debug)]
pub(super) struct Seats {
    pub(super) limits: Limits,
    /// Connections of each shard.
    pub(super) load: Vec<usize>,
    /// Connections of each source that are not connected; a source without any is not here.
    half_open: HashMap<IpAddr, usize>,
    next_key: u64,
}

impl Seats {
    /// Of a node with `shards` shards (at least one).
    pub(super) fn new(shards: usize, limits: Limits) -> Self {
        Self { limits, load: vec![0; shards.max(1)], half_open: HashMap::new(), next_key: 1 }
    }

    /// Whether `count` more connections fit.
    pub(super) fn has_room(&self, count: usize) -> bool {
        self.load.iter().sum::<usize>() + count <= self.limits.max_sessions
    }

    /// A connection that never connects holds a transport for 15 s: nobody gets many of them.
    pub(super) fn may_open(&self, source: IpAddr) -> Result<(), Refused> {
        let count = self.half_open.get(&source).copied().unwrap_or_default();
        if count < self.limits.max_half_open_per_source { Ok(()) } else { Err(Refused::HalfOpen) }
    }

    /// Takes a seat for a connection that is not connected yet.
    pub(super) fn take(&mut self, source: IpAddr, shard: usize) -> SessionKey {
        let key = SessionKey(self.next_key);
        self.next_key += 1;
        *self.half_open.entry(source).or_default() += 1;
        if let Some(load) = self.load.get_mut(shard) {
            *load += 1;
        }
        key
    }

    /// It is connected.
    pub(super) fn connected(&mut self, source: IpAddr) {
        if let Some(count) = self.half_open.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.half_open.remove(&source);
            }
        }
    }

    /// It is gone.
    pub(super) fn free(&mut self, source: IpAddr, shard: usize, was_connected: bool) {
        if !was_connected {
            self.connected(source);
        }
        if let Some(load) = self.load.get_mut(shard) {
            *load = load.saturating_sub(1);
        }
    }

    /// The shard with the fewest connections.
    pub(super) fn emptiest(&self) -> usize {
        let lightest = self.load.iter().enumerate().min_by_key(|(_, load)| **load);
        lightest.map_or(0, |(index, _)| index)
    }
}
