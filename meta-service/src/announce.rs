//! Announcements to signaling: `POST {signaling_url}/internal/events`, one broadcast or group at a time, the latest
//! state of each. Requests never wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::group::GroupChanged;
use contract::id::{BroadcastId, GroupId};
use contract::rest::{Announced, BroadcastChanged};
use contract::token::TokenKeys;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::metrics::{Label, Metrics};
use crate::record::Record;
use crate::store::GroupRecord;

/// Most broadcasts and groups waiting. When full the oldest announcement is dropped: signaling's pages read the list again
/// when they come back, so a lost one is only late.
const MAX_WAITING: usize = 10_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// What an announcement is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    Broadcast(BroadcastId),
    Group(GroupId),
}

impl About {
    fn of(news: &Announced) -> Self {
        match news {
            Announced::Broadcast(news) => Self::Broadcast(news.broadcast.id),
            Announced::Group(news) => Self::Group(news.group.id.clone()),
        }
    }
}

/// Of two about the same the higher is the later. Nothing comes after the end.
fn order(news: &Announced) -> (i64, bool) {
    match news {
        Announced::Broadcast(news) => (news.version, news.deleted),
        Announced::Group(news) => (news.version, news.deleted),
    }
}

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<About>,
    latest: HashMap<About, Announced>,
    /// One was taken out and is on its way.
    is_sending: bool,
}

impl Queue {
    /// Takes the newer version; whether an older one about something else had to go.
    fn push(&mut self, news: Announced) -> bool {
        let about = About::of(&news);
        if let Some(waiting) = self.latest.get_mut(&about) {
            if order(waiting) <= order(&news) {
                *waiting = news;
            }
            return false;
        }
        let full = self.latest.len() >= MAX_WAITING;
        if full && let Some(oldest) = self.order.pop_front() {
            self.latest.remove(&oldest);
        }
        self.order.push_back(about.clone());
        self.latest.insert(about, news);
        full
    }

    /// The oldest, which is on its way from now on.
    fn take(&mut self) -> Option<Announced> {
        let about = self.order.pop_front()?;
        let next = self.latest.remove(&about);
        self.is_sending = next.is_some();
        next
    }

    /// The one on its way arrived, or goes back to the others.
    fn sent(&mut self, failed: Option<Announced>) {
        self.is_sending = false;
        if let Some(failed) = failed {
            self.push(failed);
        }
    }

    fn is_done(&self) -> bool {
        self.latest.is_empty() && !self.is_sending
    }
}

/// The sending half. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    /// Wakes who waits for the queue to be done.
    done: Arc<Notify>,
    enabled: bool,
    metrics: Metrics,
}

impl Announcer {
    pub(crate) fn new(enabled: bool, metrics: Metrics) -> Self {
        Self { queue: Arc::default(), wake: Arc::default(), done: Arc::default(), enabled, metrics }
    }

    /// Queues the state of a broadcast.
    pub(crate) fn announce(&self, record: &Record) {
        self.put_broadcast(record, false);
    }

    /// Queues the end of a broadcast that is no longer there.
    pub(crate) fn announce_deleted(&self, record: &Record) {
        self.put_broadcast(record, true);
    }

    /// Queues the state of a group, or its end.
    pub(crate) fn announce_group(&self, record: &GroupRecord, deleted: bool) {
        let news = GroupChanged { group: record.group.clone(), version: record.version, deleted };
        self.put(Announced::Group(Box::new(news)));
    }

    fn put_broadcast(&self, record: &Record, deleted: bool) {
        let news = BroadcastChanged { broadcast: record.broadcast.clone(), version: record.version, deleted };
        self.put(Announced::Broadcast(Box::new(news)));
    }

    fn put(&self, news: Announced) {
        if !self.enabled {
            return;
        }
        if self.lock().push(news) {
            self.metrics.announcements.get_or_create(&Label::of("dropped")).inc();
        }
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything has been sent, also what is on its way, but not longer than `until`.
    pub(crate) async fn flush(&self, until: Instant) {
        let all_sent = async {
            loop {
                let done = self.done.notified();
                if self.lock().is_done() {
                    return;
                }
                done.await;
            }
        };
        let _ = tokio::time::timeout_at(until.into(), all_sent).await;
    }

    /// Sends what waits, for ever.
    pub(crate) async fn run(self, base: String, keys: TokenKeys, clock: Clock, client: reqwest::Client) {
        let url = format!("{}/internal/events", base.trim_end_matches('/'));
        let mut retry = FIRST_RETRY;
        loop {
            let next = self.lock().take();
            let Some(news) = next else {
                self.wake.notified().await;
                continue;
            };
            let token = keys.mint_service("meta", clock.unix());
            let request = client.post(&url).bearer_auth(token).timeout(REQUEST_TIMEOUT).json(&news);
            match request.send().await.and_then(outcome) {
                Ok(outcome) => {
                    self.lock().sent(None);
                    self.done.notify_waiters();
                    self.metrics.announcements.get_or_create(&Label::of(outcome)).inc();
                    retry = FIRST_RETRY;
                }
                Err(error) => {
                    if retry == FIRST_RETRY {
                        tracing::warn!(error = %error.without_url(), "signaling takes no announcement, trying on");
                    }
                    self.metrics.announcements.get_or_create(&Label::of("failed")).inc();
                    self.lock().sent(Some(news));
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
    }
}

/// What became of an announcement that signaling answered. One that it does not understand (a release before does not know
/// of groups) it will not understand the next time.
fn outcome(response: reqwest::Response) -> Result<&'static str, reqwest::Error> {
    if response.status() == reqwest::StatusCode::BAD_REQUEST {
        return Ok("refused");
    }
    response.error_for_status().map(|_| "sent")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use contract::rest::{Broadcast, Status};

    use super::*;

    fn news(version: i64, id: i64, name: &str) -> Announced {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let broadcast = Broadcast {
            id: BroadcastId(id),
            name: name.into(),
            description: String::new(),
            status: Status::Ready,
            viewer_count: 0,
            started_at: None,
            ended_at: None,
            planned_at: None,
            created_at: at,
            modified_at: at,
        };
        Announced::Broadcast(Box::new(BroadcastChanged { broadcast, version, deleted: false }))
    }

    fn name(news: Option<Announced>) -> String {
        match news.unwrap() {
            Announced::Broadcast(news) => news.broadcast.name,
            Announced::Group(news) => news.group.name,
        }
    }

    #[test]
    fn the_latest_version_of_a_broadcast_wins() {
        let mut queue = Queue::default();
        queue.push(news(2, 1, "second"));
        queue.push(news(1, 2, "other"));
        queue.push(news(3, 1, "third"));
        queue.push(news(1, 1, "late"));
        assert_eq!(name(queue.take()), "third");
        assert_eq!(name(queue.take()), "other");
        assert!(queue.take().is_none());
        // Nothing comes after the end.
        let Announced::Broadcast(gone) = news(3, 1, "gone") else { panic!("a broadcast") };
        queue.push(Announced::Broadcast(Box::new(BroadcastChanged { deleted: true, ..*gone })));
        queue.push(news(3, 1, "third"));
        assert_eq!(name(queue.take()), "gone");
    }

    #[test]
    fn what_is_on_its_way_is_not_done() {
        let mut queue = Queue::default();
        assert!(queue.is_done());
        queue.push(news(1, 1, "a"));
        let sending = queue.take().unwrap();
        assert!(!queue.is_done());
        queue.sent(Some(sending));
        assert!(!queue.is_done());
        // What failed does not come back over what is newer.
        let sending = queue.take().unwrap();
        queue.push(news(2, 1, "b"));
        queue.sent(Some(sending));
        assert_eq!(name(queue.take()), "b");
        queue.sent(None);
        assert!(queue.is_done());
    }

    #[test]
    fn a_full_queue_drops_its_oldest() {
        let mut queue = Queue::default();
        for id in 0..i64::try_from(MAX_WAITING).unwrap() {
            assert!(!queue.push(news(1, id, "")));
        }
        assert!(queue.push(news(1, -1, "")));
        assert_eq!(queue.latest.len(), MAX_WAITING);
        assert_eq!(About::of(&queue.take().unwrap()), About::Broadcast(BroadcastId(1)));
    }
}
