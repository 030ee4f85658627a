//! What a shard tells the control plane.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::command::ShardEvent;

/// The way to the control plane. Nothing is lost: what the channel does not take is tried again. There is one
/// connect and one end a session, and media reports make room for newer ones.
pub(super) struct Outbox {
    events: mpsc::Sender<ShardEvent>,
    /// What the channel did not take yet.
    backlog: VecDeque<ShardEvent>,
}

impl Outbox {
    pub(super) fn new(events: mpsc::Sender<ShardEvent>) -> Self {
        Self { events, backlog: VecDeque::new() }
    }

    /// Whether everything was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Tells, or keeps it for later.
    pub(super) fn say(&mut self, event: ShardEvent) {
        if let ShardEvent::Media { key, .. } = &event {
            self.backlog
                .retain(|other| !matches!(other, ShardEvent::Media { key: waiting, .. } if waiting == key));
        }
        self.backlog.push_back(event);
        self.flush();
    }

    /// Tries again what waits.
    pub(super) fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.backlog.push_front(event);
                    return;
                }
                // The service is gone; so is this thread in a moment.
                Err(mpsc::error::TrySendError::Closed(_)) => return self.backlog.clear(),
            }
        }
    }
}
