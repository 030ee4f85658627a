//! Threads that compute on boards. What comes from outside is computed on no thread that carries connections: it may take
//! long, and were it to panic, the board is read from the store again and nothing else notices.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use contract::room::Room;
use tokio::sync::oneshot;

/// Threads of a process. A board is always computed on by the same one.
const THREADS: usize = 2;
/// Bytes of their stacks: boards are 16 levels deep at most, which takes a small part of it.
const STACK: usize = 16 << 20;

type Task = Box<dyn FnOnce() + Send>;

/// The computation has panicked, and taken with it what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a computation on a board has failed")]
pub(crate) struct Panicked;

/// The threads. Each keeper of a board has one task here at most, so the queues are bounded by the number of boards.
pub(crate) struct Workers {
    queues: Mutex<Vec<mpsc::Sender<Task>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for index in 0..THREADS {
            let (queue, tasks) = mpsc::channel::<Task>();
            let thread = std::thread::Builder::new().name(format!("board-{index}")).stack_size(STACK);
            threads.push(thread.spawn(move || run(&tasks))?);
            queues.push(queue);
        }
        Ok(Self { queues: Mutex::new(queues), threads: Mutex::new(threads) })
    }

    /// Has `work` done for the board of `room`.
    ///
    /// # Errors
    /// [`Panicked`].
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        room: &Room,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (done, result) = oneshot::channel();
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % THREADS as u64).unwrap_or(0);
        let task: Task = Box::new(move || {
            // Who asked may have gone.
            let _ = done.send(work());
        });
        let queue = self.queues.lock().unwrap_or_else(PoisonError::into_inner).get(index).cloned();
        queue.ok_or(Panicked)?.send(task).map_err(|_| Panicked)?;
        result.await.map_err(|_| Panicked)
    }

    /// Ends the threads once they have done what they were given.
    pub(crate) async fn stop(&self) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("a thread of the boards failed");
            }
        }
    }
}

fn run(tasks: &mpsc::Receiver<Task>) {
    while let Ok(task) = tasks.recv() {
        // The task's state goes with it; nothing of it is seen again.
        if catch_unwind(AssertUnwindSafe(task)).is_err() {
            tracing::error!("a computation on a board has panicked; the board is read again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_computation_and_nothing_else() {
        let workers = Workers::start().unwrap();
        let room: Room = "7".parse().unwrap();
        let panicked = workers.compute(&room, || -> u32 { panic!("as a decoder might") }).await;
        assert_eq!(panicked, Err(Panicked));
        assert_eq!(workers.compute(&room, || 7).await, Ok(7));
        workers.stop().await;
    }
}
