//! Announcements to signaling: `POST {signaling_url}/internal/events`, one broadcast at a time, the latest state
//! of each. Requests never wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::id::BroadcastId;
use contract::rest::{Broadcast, BroadcastChanged};
use contract::token::TokenKeys;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::metrics::{Label, Metrics};
use crate::store::Record;

/// Most broadcasts waiting. When full the oldest announcement is dropped: signaling's pages read the list again
/// when they come back, so a lost one is only late.
const MAX_WAITING: usize = 10_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<BroadcastId>,
    latest: HashMap<BroadcastId, (i64, Broadcast)>,
}

impl Queue {
    /// Takes the newer version; whether an older one of another broadcast had to go.
    fn push(&mut self, version: i64, broadcast: Broadcast) -> bool {
        let id = broadcast.id;
        if let Some(waiting) = self.latest.get_mut(&id) {
            if waiting.0 <= version {
                *waiting = (version, broadcast);
            }
            return false;
        }
        let full = self.latest.len() >= MAX_WAITING;
        if full && let Some(oldest) = self.order.pop_front() {
            self.latest.remove(&oldest);
        }
        self.order.push_back(id);
        self.latest.insert(id, (version, broadcast));
        full
    }

    fn pop(&mut self) -> Option<(i64, Broadcast)> {
        let id = self.order.pop_front()?;
        self.latest.remove(&id)
    }
}

/// The sending half. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    enabled: bool,
    metrics: Metrics,
}

impl Announcer {
    pub(crate) fn new(enabled: bool, metrics: Metrics) -> Self {
        Self { queue: Arc::default(), wake: Arc::default(), enabled, metrics }
    }

    /// Queues the state of a broadcast.
    pub(crate) fn announce(&self, record: &Record) {
        self.put(record.version, record.broadcast.clone());
    }

    fn put(&self, version: i64, broadcast: Broadcast) {
        if !self.enabled {
            return;
        }
        if self.lock().push(version, broadcast) {
            self.metrics.announcements.get_or_create(&Label::of("dropped")).inc();
        }
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().latest.is_empty()
    }

    /// Sends what waits, for ever.
    pub(crate) async fn run(self, base: String, keys: TokenKeys, clock: Clock, client: reqwest::Client) {
        let url = format!("{}/internal/events", base.trim_end_matches('/'));
        let mut retry = FIRST_RETRY;
        loop {
            let next = self.lock().pop();
            let Some((version, broadcast)) = next else {
                self.wake.notified().await;
                continue;
            };
            let body = BroadcastChanged { broadcast, version, deleted: false };
            let token = keys.mint_service("meta", clock.unix());
            let request = client.post(&url).bearer_auth(token).timeout(REQUEST_TIMEOUT).json(&body);
            match request.send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => {
                    self.metrics.announcements.get_or_create(&Label::of("sent")).inc();
                    retry = FIRST_RETRY;
                }
                Err(error) => {
                    if retry == FIRST_RETRY {
                        tracing::warn!(error = %error.without_url(), "signaling takes no announcement, trying on");
                    }
                    self.metrics.announcements.get_or_create(&Label::of("failed")).inc();
                    self.put(version, body.broadcast);
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use contract::rest::Status;

    use super::*;

    fn broadcast(id: i64, name: &str) -> Broadcast {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        Broadcast {
            id: BroadcastId(id),
            name: name.into(),
            description: String::new(),
            status: Status::Ready,
            viewer_count: 0,
            started_at: None,
            ended_at: None,
            created_at: at,
            modified_at: at,
        }
    }

    #[test]
    fn the_latest_version_of_a_broadcast_wins() {
        let mut queue = Queue::default();
        queue.push(2, broadcast(1, "second"));
        queue.push(1, broadcast(2, "other"));
        queue.push(3, broadcast(1, "third"));
        queue.push(1, broadcast(1, "late"));
        assert_eq!(queue.pop().unwrap().1.name, "third");
        assert_eq!(queue.pop().unwrap().1.name, "other");
        assert!(queue.pop().is_none());
    }

    #[test]
    fn a_full_queue_drops_its_oldest() {
        let mut queue = Queue::default();
        for id in 0..i64::try_from(MAX_WAITING).unwrap() {
            assert!(!queue.push(1, broadcast(id, "")));
        }
        assert!(queue.push(1, broadcast(-1, "")));
        assert_eq!(queue.latest.len(), MAX_WAITING);
        assert_eq!(queue.pop().unwrap().1.id, BroadcastId(1));
    }
}
