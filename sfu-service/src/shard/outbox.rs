//! What a shard tells the control plane.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::command::ShardEvent;

/// The way to the control plane. Nothing is lost: what the channel does not take is tried again. There is one
/// connect and one end a session, and of media reports and orders to a publisher only the latest waits.
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
        self.backlog.retain(|other| !event.replaces(other));
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

#[cfg(test)]
mod tests {
    use contract::layer::EncodingsWanted;

    use super::*;
    use crate::published::SessionKey;

    #[test]
    fn of_orders_to_a_publisher_only_the_latest_waits() {
        let (events, mut received) = mpsc::channel(1);
        let mut outbox = Outbox::new(events);
        let order = |key: u64, media| {
            let wanted = EncodingsWanted {
                media: vec![contract::layer::MediaEncodings { media_id: media, encodings: Vec::new() }],
            };
            ShardEvent::Encodings { key: SessionKey(key), wanted }
        };
        outbox.say(ShardEvent::Connected(SessionKey(9)));
        for number in 0..1_000 {
            outbox.say(order(1, format!("{number}")));
            outbox.say(order(2, format!("{number}")));
            let (key, states) = (SessionKey(1), Vec::new());
            outbox.say(ShardEvent::Media { key, states, last_media: None, silent: false });
        }
        assert_eq!(outbox.backlog.len(), 3);
        assert!(matches!(received.try_recv(), Ok(ShardEvent::Connected(SessionKey(9)))));
        let mut last = Vec::new();
        while !outbox.is_empty() {
            outbox.flush();
            if let Ok(ShardEvent::Encodings { key, wanted }) = received.try_recv() {
                last.push((key.0, wanted.media[0].media_id.clone()));
            }
        }
        assert_eq!(last, [(1, "999".to_owned()), (2, "999".to_owned())]);
    }
}
