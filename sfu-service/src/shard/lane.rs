//! The ways from one shard to the others: one ordered queue each way.
//!
//! A full queue drops packets, which the edge asks for again. It never drops a state, such as what a publisher sends:
//! that is held back here, and while something is held back for a shard, packets for it are dropped as well. So nothing
//! is overtaken, and the packets of a publisher who is back are never read with what the one before had agreed on.

use std::collections::VecDeque;

use super::inbox::ShardHandle;
use super::message::ShardMessage;

/// The ways to all shards of the node, the one that has them included.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
}

/// The way to one shard.
#[derive(Debug)]
struct Lane {
    to: ShardHandle,
    /// States that the queue did not take, in order. What a later one says anew is taken out, so that there are at most
    /// a few for each publisher and encoding.
    held: VecDeque<ShardMessage>,
    /// The shard was handed something since it was last woken.
    wake: bool,
}

impl Lanes {
    pub(super) fn new(shards: Vec<ShardHandle>) -> Self {
        let lane = |to| Lane { to, held: VecDeque::new(), wake: false };
        Self { lanes: shards.into_iter().map(lane).collect() }
    }

    /// How many shards there are.
    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Hands a message to a shard, which is woken with [`Lanes::flush`]; `false` if it was dropped.
    pub(super) fn send(&mut self, to: usize, message: ShardMessage) -> bool {
        self.lanes.get_mut(to).is_some_and(|lane| lane.send(message))
    }

    /// Tries again what was held back, and wakes the shards that were handed something.
    pub(super) fn flush(&mut self) {
        for lane in &mut self.lanes {
            lane.try_held();
            if std::mem::take(&mut lane.wake) {
                lane.to.wake();
            }
        }
    }

    /// Whether nothing is held back.
    pub(super) fn is_clear(&self) -> bool {
        self.lanes.iter().all(|lane| lane.held.is_empty())
    }
}

impl Lane {
    fn send(&mut self, message: ShardMessage) -> bool {
        if self.held.is_empty() {
            let Some(message) = self.to.post(message) else {
                self.wake = true;
                return true;
            };
            return self.hold(message);
        }
        self.hold(message)
    }

    fn hold(&mut self, message: ShardMessage) -> bool {
        if message.kind.may_be_lost() {
            return false;
        }
        self.held.retain(|earlier| !message.replaces(earlier));
        self.held.push_back(message);
        true
    }

    fn try_held(&mut self) {
        while let Some(message) = self.held.pop_front() {
            if let Some(message) = self.to.post(message) {
                return self.held.push_front(message);
            }
            self.wake = true;
        }
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
