//! Whiteboards: a keeper for each board that is in use, which alone changes it, and the way to it.
//!
//! ```text
//! connection, HTTP --> Boards::send --> keeper of the room --> worker thread (the document)
//!                                             |          --> store (committed)
//!                                             +----------> answers, readers
//! ```
//! What a keeper has taken it has stored before anybody hears of it. A keeper whose board the store moved on without it
//! (another process draws on the same one) reads it again.

pub(crate) mod http;
pub(crate) mod image;
mod keeper;
pub(crate) mod limits;
pub(crate) mod store;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::room::Room;
use service_kit::shutdown::CancellationToken;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use self::keeper::Keeper;
pub(crate) use self::keeper::{Answer, Asked, Document, Job, No, Wanted, Who};
use self::store::Store;
use self::worker::Workers;
use crate::hub::Hub;

/// Boards in use at once; one more is refused until another is not in use any more.
pub(crate) const MAX_BOARDS: usize = 2_000;
/// Bytes of all boards in memory, as updates; the documents take some thirty times as much.
pub(crate) const MAX_LOADED: usize = 48 << 20;
/// What waits for one board; more is refused.
pub(crate) const MAX_WAITING: usize = 256;
/// KiB of whole boards that are on their way to readers at once; more wait, then are refused.
pub(crate) const MAX_SENDING_KIB: usize = 64 << 10;

/// The bytes of loaded boards.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicUsize);

/// One board's part of the budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// Takes so many bytes, if they are there.
    fn take(self: &Arc<Self>, bytes: usize) -> Option<Part> {
        let taken = self.0.fetch_add(bytes, Ordering::Relaxed);
        let part = Part { budget: self.clone(), bytes };
        // What did not fit is given back by the drop.
        (taken.saturating_add(bytes) <= MAX_LOADED).then_some(part)
    }
}

impl Part {
    /// The board has so many bytes by now. It may be more than there is: who draws already goes on.
    fn set(&mut self, bytes: usize) {
        self.budget.0.fetch_add(bytes, Ordering::Relaxed);
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Too much is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much is drawn at the moment: try again in a second")]
pub(crate) struct Busy;

struct Inner {
    hub: Arc<Hub>,
    store: Store,
    workers: Arc<Workers>,
    budget: Arc<Budget>,
    sending: Arc<Semaphore>,
    keepers: Mutex<Keepers>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Keepers {
    queues: HashMap<Room, mpsc::Sender<Job>>,
    tasks: JoinSet<()>,
}

/// All boards of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Boards(Arc<Inner>);

impl Boards {
    /// Boards in `store`.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn start(hub: Arc<Hub>, store: Store) -> std::io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            hub,
            store,
            workers: Arc::new(Workers::start()?),
            budget: Arc::default(),
            sending: Arc::new(Semaphore::new(MAX_SENDING_KIB)),
            keepers: Mutex::default(),
            stop: CancellationToken::new(),
        })))
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Room for whole boards that go out.
    pub(crate) fn sending(&self) -> &Arc<Semaphore> {
        &self.0.sending
    }

    /// Hands a job to the keeper of `room`, which begins if there is none.
    ///
    /// # Errors
    /// [`Busy`]; the job is dropped.
    pub(crate) fn send(&self, room: &Room, job: Job) -> Result<(), Busy> {
        let mut keepers = self.keepers();
        if let Some(queue) = keepers.queues.get(room) {
            return queue.try_send(job).map_err(|_| Busy);
        }
        if keepers.queues.len() >= MAX_BOARDS || self.0.stop.is_cancelled() {
            return Err(Busy);
        }
        let (queue, jobs) = mpsc::channel(MAX_WAITING);
        queue.try_send(job).map_err(|_| Busy)?;
        keepers.queues.insert(room.clone(), queue);
        while let Some(ended) = keepers.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "the keeper of a board failed");
            }
        }
        let keeper = Keeper::new(room.clone(), self.clone());
        keepers.tasks.spawn(keeper.run(jobs));
        self.0.hub.metrics.boards.inc();
        Ok(())
    }

    /// The keeper of `room` ends if nothing waits for it; then nothing is sent to it any more.
    fn end(&self, room: &Room, jobs: &mpsc::Receiver<Job>) -> bool {
        let mut keepers = self.keepers();
        let is_over = jobs.is_empty();
        if is_over {
            keepers.queues.remove(room);
        }
        is_over
    }

    /// Has what was taken stored, and ends all keepers and threads.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        let mut tasks = std::mem::take(&mut self.keepers().tasks);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the keeper of a board failed");
            }
        }
        self.0.workers.stop().await;
    }

    /// Forgets boards that nobody has changed for long.
    pub(crate) async fn sweep(&self) {
        match self.0.store.sweep().await {
            Ok(0) => {}
            Ok(boards) => tracing::info!(boards, "forgot boards that nobody has changed for long"),
            Err(error) => tracing::warn!(%error, "old boards are not forgotten"),
        }
    }

    fn keepers(&self) -> MutexGuard<'_, Keepers> {
        // Plain data that every critical section leaves whole.
        self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_given_back() {
        let budget = Arc::new(Budget::default());
        let mut half = budget.take(MAX_LOADED / 2).unwrap();
        let other = budget.take(MAX_LOADED / 2).unwrap();
        assert!(budget.take(1).is_none());
        half.set(MAX_LOADED);
        drop(other);
        assert!(budget.take(1).is_none());
        drop(half);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
