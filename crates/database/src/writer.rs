//! Writes in groups: one transaction for whatever waits, so that a hundred callers cost one commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::db::{Db, Write};
use crate::error::Error;
use crate::limits::CALL_TIMEOUT;

/// A job that was not committed after this time has failed: callers say so within 3 s.
pub const MAX_JOB_WAIT: Duration = Duration::from_millis(2_600);
/// Jobs of one transaction.
const MAX_GROUP: usize = 128;

/// A job, and what became of it.
pub type Settled<J, D> = (J, Result<D, Error>);

/// What a [`Writer`] does with its jobs.
pub trait Batch: Send + Sync + 'static {
    /// One thing to write.
    type Job: Send + Sync + 'static;
    /// What became of it.
    type Done: Send + 'static;

    /// Writes all of `jobs`, of which there is at least one, and gives back what became of each, in their order. All of
    /// it is committed or none. It may be called again for the same jobs.
    fn write<'a>(
        &'a self,
        write: &'a mut Write,
        jobs: &'a [Self::Job],
    ) -> BoxFuture<'a, Result<Vec<Self::Done>, Error>>;

    /// The jobs of a transaction were committed, or were not. Called in the order in which they were: who shows things
    /// shows them here. With [`Error::Unavailable`] a job may still have taken effect: nobody knows.
    fn settled(&self, jobs: Vec<Settled<Self::Job, Self::Done>>);
}

/// The queue is full: the database does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be written")]
pub struct Full;

struct Queued<J> {
    job: J,
    since: Instant,
}

/// Writes jobs one group after the other, on a task of its own.
#[derive(Debug)]
pub struct Writer<J> {
    queue: mpsc::Sender<Queued<J>>,
}

impl<J> Clone for Writer<J> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<J: Send + Sync + 'static> Writer<J> {
    /// A writer to `db` in whose queue `capacity` jobs fit. The task ends when every handle is gone and what was queued
    /// is settled.
    #[must_use]
    pub fn start<B: Batch<Job = J>>(db: Db, batch: Arc<B>, capacity: usize) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(capacity.max(1));
        (Self { queue }, tokio::spawn(run(db, batch, jobs)))
    }

    /// Queues a job; [`Batch::settled`] tells what became of it, within [`MAX_JOB_WAIT`] and a bit.
    ///
    /// # Errors
    /// [`Full`]: it is not queued.
    pub fn submit(&self, job: J) -> Result<(), Full> {
        self.queue.try_send(Queued { job, since: Instant::now() }).map_err(|_| Full)
    }
}

async fn run<B: Batch>(db: Db, batch: Arc<B>, mut jobs: mpsc::Receiver<Queued<B::Job>>) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while jobs.recv_many(&mut group, MAX_GROUP).await > 0 {
        let oldest = group.iter().map(|queued| queued.since).min().unwrap_or_else(Instant::now);
        let waiting: Vec<B::Job> = group.drain(..).map(|queued| queued.job).collect();
        let settled = commit(&db, &*batch, waiting, oldest + MAX_JOB_WAIT).await;
        batch.settled(settled);
    }
}

/// Commits `jobs` together. Where the database refuses them, each is tried alone: a bad one spoils none but itself.
async fn commit<B: Batch>(
    db: &Db,
    batch: &B,
    jobs: Vec<B::Job>,
    deadline: Instant,
) -> Vec<Settled<B::Job, B::Done>> {
    match transaction(db, batch, &jobs, deadline).await {
        Ok(done) => jobs.into_iter().zip(done.into_iter().map(Ok)).collect(),
        Err(Error::Failed(reason)) if jobs.len() > 1 => {
            tracing::warn!(reason, jobs = jobs.len(), "a group was refused by the database: one by one");
            let mut settled = Vec::with_capacity(jobs.len());
            for job in jobs {
                let alone = transaction(db, batch, std::slice::from_ref(&job), deadline).await;
                let done = alone.and_then(|mut done| done.pop().ok_or_else(miscounted));
                settled.push((job, done));
            }
            settled
        }
        Err(error) => jobs.into_iter().map(|job| (job, Err(error.clone()))).collect(),
    }
}

async fn transaction<B: Batch>(
    db: &Db,
    batch: &B,
    jobs: &[B::Job],
    deadline: Instant,
) -> Result<Vec<B::Done>, Error> {
    let left = deadline.saturating_duration_since(Instant::now()).min(CALL_TIMEOUT);
    let work = async {
        let mut write = db.begin().await?;
        let done = batch.write(&mut write, jobs).await?;
        if done.len() != jobs.len() {
            return Err(miscounted());
        }
        write.commit().await?;
        Ok(done)
    };
    match tokio::time::timeout(left, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Unavailable("no answer in time".into())),
    }
}

fn miscounted() -> Error {
    Error::Failed("not as many results as jobs".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use sqlx::migrate::Migrator;
    use tokio::sync::Notify;

    use super::*;
    use crate::db::{MEMORY, Schema, Sql};

    static NONE: Migrator = Migrator::DEFAULT;
    static SCHEMA: Schema = Schema { application: "test", namespace: None, postgres: &NONE, sqlite: &NONE };

    type Seen = Vec<(i64, Result<i64, String>)>;

    /// Inserts numbers; which group each was in.
    #[derive(Default)]
    struct Numbers {
        groups: Mutex<Vec<usize>>,
        settled: Mutex<Seen>,
        hold: Mutex<Option<Arc<Notify>>>,
        bell: Notify,
    }

    impl Batch for Numbers {
        type Job = i64;
        type Done = i64;

        fn write<'a>(
            &'a self,
            write: &'a mut Write,
            jobs: &'a [i64],
        ) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
            Box::pin(async move {
                self.groups.lock().unwrap().push(jobs.len());
                let hold = self.hold.lock().unwrap().take();
                if let Some(hold) = hold {
                    hold.notified().await;
                }
                for job in jobs {
                    write.execute(Sql::new("INSERT INTO number (n) VALUES ($1)").bind(*job)).await?;
                }
                Ok(jobs.iter().map(|job| job * 10).collect())
            })
        }

        fn settled(&self, jobs: Vec<Settled<i64, i64>>) {
            let jobs = jobs.into_iter().map(|(job, done)| (job, done.map_err(|error| error.to_string())));
            self.settled.lock().unwrap().extend(jobs);
            self.bell.notify_one();
        }
    }

    impl Numbers {
        async fn all(&self, count: usize) -> Seen {
            loop {
                if self.settled.lock().unwrap().len() >= count {
                    return std::mem::take(&mut *self.settled.lock().unwrap());
                }
                self.bell.notified().await;
            }
        }
    }

    async fn numbers() -> (Db, Arc<Numbers>) {
        let db = Db::open(MEMORY, 1, &SCHEMA).await.unwrap();
        let mut write = db.begin().await.unwrap();
        write.execute(Sql::new("CREATE TABLE number (n INTEGER PRIMARY KEY)")).await.unwrap();
        write.commit().await.unwrap();
        (db, Arc::default())
    }

    async fn stored(db: &Db) -> i64 {
        db.row::<(i64,)>(Sql::new("SELECT COUNT(*) FROM number")).await.unwrap().unwrap().0
    }

    #[tokio::test]
    async fn what_waits_is_committed_together_and_in_order() {
        let (db, batch) = numbers().await;
        let hold = Arc::new(Notify::new());
        *batch.hold.lock().unwrap() = Some(hold.clone());
        let (writer, task) = Writer::start(db.clone(), batch.clone(), 1_000);
        writer.submit(0).unwrap();
        while batch.groups.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        for n in 1..=300 {
            writer.submit(n).unwrap();
        }
        hold.notify_one();
        let settled = batch.all(301).await;
        assert_eq!(settled, (0..=300).map(|n| (n, Ok(n * 10))).collect::<Vec<_>>());
        assert_eq!(*batch.groups.lock().unwrap(), [1, 128, 128, 44]);
        assert_eq!(stored(&db).await, 301);
        drop(writer);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_bad_one_spoils_none_but_itself() {
        let (db, batch) = numbers().await;
        let (writer, _task) = Writer::start(db.clone(), batch.clone(), 1_000);
        for n in [1, 2, 2, 3] {
            writer.submit(n).unwrap();
        }
        let settled = batch.all(4).await;
        let done: Vec<_> = settled.iter().map(|(n, done)| (*n, done.is_ok())).collect();
        assert_eq!(done, [(1, true), (2, true), (2, false), (3, true)]);
        assert_eq!(stored(&db).await, 3);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_database_that_hangs_fails_in_time() {
        let (db, batch) = numbers().await;
        // Nobody notifies it.
        *batch.hold.lock().unwrap() = Some(Arc::new(Notify::new()));
        let (writer, _task) = Writer::start(db.clone(), batch.clone(), 2);
        writer.submit(1).unwrap();
        while batch.groups.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        writer.submit(2).unwrap();
        writer.submit(3).unwrap();
        assert_eq!(writer.submit(4), Err(Full));
        let settled = batch.all(3).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(matches!(&settled[0], (1, Err(_))), "{settled:?}");
        // What waited behind it is done as soon as the database answers, within its own time.
        assert_eq!(settled[1..], [(2, Ok(20)), (3, Ok(30))]);
        assert_eq!(stored(&db).await, 2);
    }
}
