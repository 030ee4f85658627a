//! The tasks beside the writer: rooms are read for those who wait, questions are answered, what other processes have
//! committed is noticed, and what is old is forgotten.

use std::sync::Arc;
use std::time::Duration;

use contract::chat::ChatHistory;
use database::Db;
use service_kit::shutdown::CancellationToken;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::job::Ask;
use super::store::{self, Retention};
use crate::hub::Hub;
use crate::hub::chats::{Found, Read, now_ms};

/// Rooms that are read at once, and questions that are answered at once.
const AT_ONCE: usize = 3;
/// A room that could not be read is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is asked what other processes have written. Only of a database that others can write to.
const LOOK: Duration = Duration::from_secs(1);
/// What was written so long before is looked at once more: clocks differ, and a look can fail.
const LOOK_BACK_MS: i64 = 30_000;
/// How often what is old is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Starts the tasks; they end with `stop`.
pub(crate) fn start(
    hub: &Arc<Hub>,
    db: &Db,
    reads: mpsc::Receiver<Read>,
    keep: Retention,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let reads = Arc::new(Mutex::new(reads));
    let mut tasks = vec![spawn(stop, load(hub.clone(), db.clone())), spawn(stop, sweep(db.clone(), keep))];
    for _ in 0..AT_ONCE {
        tasks.push(spawn(stop, answer(hub.clone(), db.clone(), reads.clone())));
    }
    if matches!(db, Db::Postgres(_)) {
        tasks.push(spawn(stop, look(hub.clone(), db.clone())));
    }
    tasks
}

fn spawn(stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    })
}

/// Reads the rooms that somebody waits for.
async fn load(hub: Arc<Hub>, db: Db) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut reading = tokio::task::JoinSet::new();
    loop {
        while let Some((room, since)) = hub.next_wanted_chat() {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            while reading.try_join_next().is_some() {}
            let (hub, db) = (hub.clone(), db.clone());
            reading.spawn(async move {
                let read = store::load(&db, &room, since, now_ms()).await;
                drop(place);
                match read {
                    Ok(kept) => hub.chat_arrived(&room, kept),
                    Err(error) => {
                        tracing::warn!(%error, "a chat was not read: it is tried again");
                        tokio::time::sleep(RETRY).await;
                        hub.read_chat_again(&room);
                    }
                }
            });
        }
        hub.chats.wanted.notified().await;
    }
}

async fn answer(hub: Arc<Hub>, db: Db, reads: Arc<Mutex<mpsc::Receiver<Read>>>) {
    loop {
        let Some(read) = reads.lock().await.recv().await else { return };
        let found = match read.ask {
            Ask::History { before, limit } => store::history(&db, &read.room, &read.person, before, limit)
                .await
                .map(|(messages, more)| Found::History(ChatHistory { messages, more })),
            Ask::Bans => store::bans(&db, &read.room, now_ms()).await.map(Found::Bans),
        };
        hub.chat_read(read, found);
    }
}

/// Notices what other processes have written to rooms that are held here.
async fn look(hub: Arc<Hub>, db: Db) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store::news(&db, now_ms().saturating_sub(LOOK_BACK_MS)).await {
            Ok(versions) => hub.chat_versions(versions),
            Err(error) => tracing::debug!(%error, "what others wrote to chats was not read"),
        }
    }
}

async fn sweep(db: Db, keep: Retention) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match store::sweep(&db, keep, now_ms()).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old chat messages were forgotten"),
            Err(error) => tracing::warn!(%error, "old chat messages were not forgotten: later"),
        }
    }
}
