//! The keeper of one board: it alone changes it, in this process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use board::{Board, MAX_BOARD, NEARLY_FULL};
use bytes::Bytes;
use contract::board::{BoardDone, BoardEvent, MAX_BOARD_FRAME};
use contract::destination::Reply;
use contract::room::Room;
use database::Error;
use stomp_proto::session::SubscriptionKey;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::store::{Head, Held, Outcome, Stored, Update, now_ms};
use super::worker::Panicked;
use super::{Boards, Part};
use crate::hub::Grip;
use crate::limits::ConnId;
use crate::refusal::Request;

mod apply;

pub(crate) use self::apply::No;
use self::apply::{Applied, Row};

/// Changes that are stored together.
const MAX_GROUP: usize = 64;
/// How often it looks after its board: whether somebody else has changed it, whether anybody reads it.
const LOOK: Duration = Duration::from_secs(1);
/// A board that nobody reads or asks for is dropped from memory after this.
const IDLE: Duration = Duration::from_secs(60);
/// How often a change is tried that another process was ahead of.
const TRIES: usize = 6;
/// Updates and bytes of them after which the whole is stored in their place.
const MAX_ROWS: usize = 500;
const MAX_ROW_BYTES: usize = 1 << 20;
/// A board that was not changed for so long is made anew when it is loaded, if that halves it.
const RESTED: Duration = Duration::from_secs(3_600);
/// Not worth making anew.
const SMALL: usize = 64 << 10;
/// A full board is not made anew again within this time.
const RENEW_PAUSE: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// What the person is called where it draws.
    pub(crate) person: Arc<str>,
    /// The connection that draws under the id that it asks for.
    pub(crate) id: Option<ConnId>,
    /// What it shows to be who holds the id.
    pub(crate) holder: Option<u64>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// An id to draw under.
    Open { client: Option<u64>, epoch: Option<u64> },
    /// That an update is taken.
    Update { epoch: u64, client: u64, update: Bytes },
}

/// Who hears what became of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply { id: ConnId, request: Request },
    Http(oneshot::Sender<Result<BoardDone, No>>),
}

/// A change that is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) who: Who,
    pub(crate) wanted: Wanted,
    pub(crate) answer: Answer,
}

/// A board, or what of it somebody is missing.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) epoch: u64,
    pub(crate) n: u64,
    pub(crate) update: Bytes,
}

/// What a keeper does.
#[derive(Debug)]
pub(crate) enum Job {
    /// Somebody reads the board from now on.
    Read {
        id: ConnId,
        key: SubscriptionKey,
    },
    Change(Asked),
    /// The whole, or what somebody with this state vector is missing.
    Document {
        state: Option<Vec<u8>>,
        done: oneshot::Sender<Result<Document, No>>,
    },
    Export {
        done: oneshot::Sender<Result<serde_json::Value, No>>,
    },
    /// Another document in place of this one. Answers with its epoch.
    Import {
        json: serde_json::Value,
        done: oneshot::Sender<Result<u64, No>>,
    },
    /// Somebody draws no more.
    Bar {
        person: Arc<str>,
    },
    /// The room is no more.
    Forget,
}

/// The board in memory. It is ahead of the store only while a change is being stored.
struct Loaded {
    board: Board,
    head: Head,
    /// The store has none yet.
    is_new: bool,
    /// Who holds the ids.
    holders: HashMap<u64, u64>,
    rows: usize,
    row_bytes: usize,
    part: Part,
    /// The whole as it is now, for the next who opens it.
    whole: Option<Bytes>,
    /// There was no room for something.
    is_full: bool,
    renewed: Option<Instant>,
}

pub(super) struct Keeper {
    room: Room,
    boards: Boards,
    loaded: Option<Loaded>,
    /// How far its readers are, while the board is not loaded.
    behind: Option<Head>,
    barred: HashSet<Arc<str>>,
    /// Who waits to hear how the board is.
    waiting: Vec<(ConnId, SubscriptionKey)>,
    told_nearly_full: bool,
    used: Instant,
}

impl Keeper {
    pub(super) fn new(room: Room, boards: Boards) -> Self {
        Self {
            room,
            boards,
            loaded: None,
            behind: None,
            barred: HashSet::new(),
            waiting: Vec::new(),
            told_nearly_full: false,
            used: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let stop = self.boards.0.stop.clone();
        let mut group = Vec::with_capacity(MAX_GROUP);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                count = jobs.recv_many(&mut group, MAX_GROUP) => {
                    if count == 0 {
                        break;
                    }
                    self.used = Instant::now();
                    self.handle(std::mem::take(&mut group)).await;
                }
                _ = look.tick() => {
                    self.look().await;
                    let is_idle = self.used.elapsed() >= IDLE && self.boards.hub().board_readers(&self.room) == 0;
                    if is_idle && self.boards.end(&self.room, &jobs) {
                        break;
                    }
                }
                // What was taken before is stored and answered.
                () = stop.cancelled(), if !jobs.is_closed() => jobs.close(),
            }
        }
        let hub = self.boards.hub();
        hub.board_dropped(&self.room);
        hub.metrics.boards.dec();
    }

    async fn handle(&mut self, jobs: Vec<Job>) {
        let mut changes = Vec::new();
        for job in jobs {
            if let Job::Change(asked) = job {
                changes.push(asked);
                continue;
            }
            self.change(std::mem::take(&mut changes)).await;
            match job {
                Job::Change(_) => {}
                Job::Read { id, key } => {
                    self.waiting.push((id, key));
                    if self.load().await.is_err() {
                        self.boards.hub().board_tells(id, key, &self.room, &BoardEvent::Away {});
                    }
                }
                Job::Document { state, done } => drop(done.send(self.document(state).await)),
                Job::Export { done } => drop(done.send(self.export().await)),
                Job::Import { json, done } => drop(done.send(self.import(json).await)),
                Job::Bar { person } => self.bar(person).await,
                Job::Forget => self.forget().await,
            }
        }
        self.change(changes).await;
    }

    /// Once a second.
    async fn look(&mut self) {
        if !self.waiting.is_empty() {
            let _ = self.load().await;
        } else if self.boards.store().is_shared()
            && (self.loaded.is_some() || self.behind.is_some())
            && self.boards.hub().board_readers(&self.room) > 0
        {
            // Whatever comes of it, the next look tries again.
            let _ = self.catch_up().await;
        }
    }

    /// Reads the board again if somebody else has changed it.
    async fn catch_up(&mut self) -> Result<(), No> {
        if let Some(loaded) = &self.loaded {
            let head = self.boards.store().head(&self.room).await.map_err(|error| self.away(&error))?;
            let version = head.map_or(0, |head| head.version);
            if version == loaded.head.version {
                return Ok(());
            }
            self.unload();
        }
        self.load().await
    }

    /// Forgets the board in memory; its readers are told what they missed when it is there again.
    fn unload(&mut self) {
        if let Some(loaded) = self.loaded.take() {
            self.behind = Some(loaded.head);
        }
    }

    fn away(&self, error: &Error) -> No {
        tracing::warn!(%error, "a board is not to be reached");
        self.boards.hub().metrics.board_away.inc();
        No::Away
    }

    /// That the board is in memory.
    async fn load(&mut self) -> Result<(), No> {
        if self.loaded.is_none() {
            let loaded = self.read().await?;
            self.barred = self.boards.store().barred(&self.room).await.map_err(|error| self.away(&error))?;
            self.boards.hub().board_loaded(&self.room, self.barred.clone());
            self.told_nearly_full = loaded.board.size() >= NEARLY_FULL;
            self.loaded = Some(loaded);
        }
        let Some(loaded) = &self.loaded else { return Err(No::Away) };
        let (hub, board) = (self.boards.hub(), &loaded.board);
        for (id, key) in std::mem::take(&mut self.waiting) {
            let event = BoardEvent::Open {
                epoch: board.epoch(),
                n: loaded.head.n,
                size: board.size() as u64,
                nearly_full: board.size() >= NEARLY_FULL,
                may_draw: hub.board_open_to(id, &self.room),
            };
            hub.board_tells(id, key, &self.room, &event);
        }
        Ok(())
    }

    /// Reads the board from the store, and tells its readers what they have missed.
    async fn read(&mut self) -> Result<Loaded, No> {
        let stored = self.boards.store().load(&self.room).await.map_err(|error| self.away(&error))?;
        let (is_new, stored) = match stored {
            Some(stored) => (false, stored),
            None => (true, nothing(self.behind)),
        };
        let bytes = stored.whole.len() + stored.updates.iter().map(|update| update.data.len()).sum::<usize>();
        let part = self.boards.0.budget.take(bytes).ok_or(No::Busy)?;
        let (head, rows) = (stored.head, stored.updates.len());
        let holders = stored.clients.iter().map(|(id, _, holder)| (id.0, *holder)).collect();
        let missed = self.missed(&stored);
        let has_rested = now_ms().saturating_sub(head.changed_at)
            > i64::try_from(RESTED.as_millis()).unwrap_or(i64::MAX)
            && !is_new;
        let computed = self.compute(move || {
            let whole = Some(stored.whole.as_slice()).filter(|whole| !whole.is_empty());
            let updates = stored.updates.iter().map(|update| &*update.data);
            let clients = stored.clients.into_iter().map(|(id, author, _)| (id, author));
            let board = Board::restored(head.epoch, whole.into_iter().chain(updates), clients)?;
            let is_worth = has_rested && board.size() > SMALL;
            let fresh = is_worth.then(|| board.compacted()).filter(|fresh| fresh.size() < board.size() / 2);
            Ok::<_, board::Refusal>((board, fresh))
        });
        let (board, fresh) = match computed.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::error!(%error, "a stored board cannot be read");
                return Err(No::Broken);
            }
            Err(Panicked) => return Err(No::Broken),
        };
        let row_bytes = bytes;
        let mut loaded = Loaded {
            board,
            head,
            is_new,
            holders,
            rows,
            row_bytes: if rows == 0 { 0 } else { row_bytes },
            part,
            whole: None,
            is_full: false,
            renewed: None,
        };
        self.behind = None;
        for event in missed {
            self.boards.hub().board_says(&self.room, &event);
        }
        if let Some(fresh) = fresh
            && self.put_in_place(&mut loaded, fresh).await != Ok(Outcome::Committed)
        {
            // The next who opens it does it.
            return Err(No::Away);
        }
        Ok(loaded)
    }

    /// What the readers have not heard of yet.
    fn missed(&self, stored: &Stored) -> Vec<BoardEvent> {
        let Some(behind) = self.behind else { return Vec::new() };
        let Head { epoch, n, whole_n, .. } = stored.head;
        if behind.epoch != epoch {
            return vec![BoardEvent::Epoch { epoch }];
        }
        if behind.n >= n {
            return Vec::new();
        }
        if behind.n < whole_n {
            return vec![BoardEvent::Gap { dropped: n - behind.n }];
        }
        let new = stored.updates.iter().filter(|update| update.n > behind.n);
        new.map(|update| {
            let author = stored.clients.iter().find(|(id, ..)| id.0 == update.client);
            let from = author.map_or_else(String::new, |(_, author, _)| author.0.to_string());
            said(epoch, update, from)
        })
        .collect()
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        self.boards.0.workers.compute(&self.room, work).await
    }

    /// Computes on the board; whoever panics takes it along.
    async fn on_board<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Loaded) -> T + Send + 'static,
    ) -> Result<T, No> {
        self.load().await?;
        let Some(mut loaded) = self.loaded.take() else { return Err(No::Away) };
        self.behind = Some(loaded.head);
        let computed = self.compute(move || {
            let result = work(&mut loaded);
            (loaded, result)
        });
        let (loaded, result) = computed.await.map_err(|Panicked| No::Broken)?;
        (self.loaded, self.behind) = (Some(loaded), None);
        Ok(result)
    }

    /// Does what is asked, stores it, and then says so.
    async fn change(&mut self, group: Vec<Asked>) {
        if group.is_empty() {
            return;
        }
        let (wanted, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|Asked { who, wanted, answer }| ((who, wanted), answer)).unzip();
        let results = self.changed(&wanted).await;
        for (((who, _), answer), result) in wanted.into_iter().zip(answers).zip(results) {
            if let Err(No::Hostile(reason)) = &result {
                tracing::info!(reason, "somebody sent what nobody who draws sends: it draws no more");
                self.bar(who.person).await;
            }
            self.answer(answer, result);
        }
        self.tidy().await;
    }

    async fn changed(&mut self, wanted: &[(Who, Wanted)]) -> Vec<Result<BoardDone, No>> {
        let wanted: Arc<[(Who, Wanted)]> = wanted.into();
        let all = |no: No| wanted.iter().map(|_| Err(no.clone())).collect::<Vec<_>>();
        for _ in 0..TRIES {
            if self.boards.store().is_shared()
                && let Err(no) = self.catch_up().await
            {
                return all(no);
            }
            let (asked, barred) = (wanted.clone(), self.barred.clone());
            let applied = self.on_board(move |loaded| apply::all(loaded, &asked, &barred)).await;
            let results = match applied {
                Ok(results) => results,
                // One of them made it panic: which one is found by having them one by one.
                Err(No::Broken) if wanted.len() > 1 => {
                    let mut results = Vec::new();
                    for one in wanted.iter() {
                        results.extend(Box::pin(self.changed(std::slice::from_ref(one))).await);
                    }
                    return results;
                }
                Err(No::Broken) if self.load().await.is_ok() => {
                    return all(No::Hostile("it cannot be taken in".into()));
                }
                Err(no) => return all(no),
            };
            match self.stored(&results).await {
                Ok(Outcome::Committed) => {
                    return results.into_iter().map(|result| result.map(|applied| applied.done)).collect();
                }
                Ok(Outcome::Lost) => self.unload(),
                Err(no) => {
                    // What is in memory may be ahead of what is stored.
                    self.unload();
                    let was_taken = |result: Result<Applied, No>| match result {
                        Ok(Applied { row: None, done, .. }) => Ok(done),
                        Ok(_) => Err(no.clone()),
                        Err(own) => Err(own),
                    };
                    return results.into_iter().map(was_taken).collect();
                }
            }
        }
        all(No::Busy)
    }

    /// Stores what was taken, and tells the readers.
    async fn stored(&mut self, results: &[Result<Applied, No>]) -> Result<Outcome, No> {
        let Some(loaded) = &mut self.loaded else { return Err(No::Away) };
        let (mut held, mut updates, mut said_of, mut grips) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for applied in results.iter().flatten() {
            match &applied.row {
                Some(Row::Held { id, held: Held { client, person, holder } }) => {
                    held.push(Held { client: *client, person: person.clone(), holder: *holder });
                    grips.extend(id.map(|id| (id, Grip { client: *client, holder: *holder })));
                }
                Some(Row::Update { client, person, data }) => {
                    let n = loaded.head.n + updates.len() as u64 + 1;
                    updates.push(Update { n, client: *client, data: data.clone() });
                    said_of.push(person.to_string());
                }
                None => {}
            }
        }
        if held.is_empty() && updates.is_empty() {
            return Ok(Outcome::Committed);
        }
        let (head, is_new) = (loaded.head, loaded.is_new);
        let store = self.boards.store().clone();
        match store.add(&self.room, head, is_new, &held, &updates).await {
            Ok(Outcome::Committed) => {}
            Ok(Outcome::Lost) => return Ok(Outcome::Lost),
            Err(error) => return Err(self.away(&error)),
        }
        let Some(loaded) = &mut self.loaded else { return Err(No::Away) };
        loaded.is_new = false;
        loaded.head.version += 1;
        loaded.head.n += updates.len() as u64;
        loaded.rows += updates.len();
        loaded.row_bytes += updates.iter().map(|update| update.data.len()).sum::<usize>();
        if !updates.is_empty() {
            loaded.whole = None;
        }
        loaded.part.set(loaded.board.size());
        let hub = self.boards.hub();
        hub.metrics.board_updates.inc_by(updates.len() as u64);
        for (id, grip) in grips {
            hub.board_grips(id, &self.room, grip);
        }
        for (update, from) in updates.iter().zip(said_of) {
            hub.board_says(&self.room, &said(head.epoch, update, from));
        }
        Ok(Outcome::Committed)
    }

    fn answer(&self, answer: Answer, result: Result<BoardDone, No>) {
        match answer {
            Answer::Http(done) => drop(done.send(result)),
            Answer::Reply { id, request } => {
                let reply: Option<Reply> = match result {
                    Ok(done) => request.done_on_board(done),
                    Err(no) => Some(request.refused_on_board(&no)),
                };
                if let Some(reply) = reply {
                    self.boards.hub().answer(id, &reply);
                }
            }
        }
    }

    /// What is due after changes: a note that the board fills up, one whole in place of many updates, a new document in
    /// place of a full one.
    async fn tidy(&mut self) {
        let Some(loaded) = &self.loaded else { return };
        let nearly_full = loaded.board.size() >= NEARLY_FULL;
        if nearly_full != self.told_nearly_full {
            self.told_nearly_full = nearly_full;
            self.boards.hub().board_says(&self.room, &BoardEvent::Full { nearly_full });
        }
        if loaded.is_full && loaded.renewed.is_none_or(|at| at.elapsed() >= RENEW_PAUSE) {
            self.renew().await;
        }
        let is_long = |loaded: &Loaded| loaded.rows >= MAX_ROWS || loaded.row_bytes >= MAX_ROW_BYTES;
        if self.loaded.as_ref().is_some_and(is_long) {
            self.fold().await;
        }
    }

    async fn fold(&mut self) {
        let Ok(whole) = self.on_board(Loaded::whole).await else { return };
        let Some(loaded) = &mut self.loaded else { return };
        (loaded.rows, loaded.row_bytes) = (0, 0);
        let head = loaded.head;
        let folded = self.boards.store().clone().fold(&self.room, head, whole.to_vec()).await;
        match folded {
            Ok(Outcome::Committed) => {
                if let Some(loaded) = &mut self.loaded {
                    loaded.head.version += 1;
                    loaded.head.whole_n = loaded.head.n;
                }
            }
            // Whether it happened is seen when the board is read again; until then nothing is lost.
            Ok(Outcome::Lost) => self.unload(),
            Err(error) => {
                let _ = self.away(&error);
                self.unload();
            }
        }
    }

    /// Makes a full board anew, if that gives room.
    async fn renew(&mut self) {
        let fresh = self.on_board(|loaded| {
            loaded.is_full = false;
            loaded.renewed = Some(Instant::now());
            let fresh = loaded.board.compacted();
            let gives_room = fresh.size() < MAX_BOARD / 4 * 3 || loaded.board.is_out_of_ids();
            gives_room.then_some(fresh)
        });
        let Ok(Some(fresh)) = fresh.await else { return };
        let Some(mut loaded) = self.loaded.take() else { return };
        self.behind = Some(loaded.head);
        if self.put_in_place(&mut loaded, fresh).await == Ok(Outcome::Committed) {
            (self.loaded, self.behind) = (Some(loaded), None);
        }
    }

    /// Puts a new document in place of the one that is loaded, and says so.
    async fn put_in_place(&self, loaded: &mut Loaded, mut fresh: Board) -> Result<Outcome, No> {
        let whole = Bytes::from(fresh.whole());
        let (head, epoch) = (loaded.head, fresh.epoch());
        let store = self.boards.store();
        let renewed = store.renew(&self.room, head, loaded.is_new, epoch, whole.to_vec()).await;
        let outcome = renewed.map_err(|error| self.away(&error))?;
        if outcome == Outcome::Committed {
            std::mem::swap(&mut loaded.board, &mut fresh);
            loaded.head = Head { epoch, n: 0, version: head.version + 1, whole_n: 0, changed_at: now_ms() };
            loaded.is_new = false;
            loaded.holders.clear();
            (loaded.rows, loaded.row_bytes) = (0, 0);
            loaded.part.set(whole.len());
            loaded.whole = Some(whole);
            self.boards.hub().board_says(&self.room, &BoardEvent::Epoch { epoch });
        }
        Ok(outcome)
    }

    async fn document(&mut self, state: Option<Vec<u8>>) -> Result<Document, No> {
        if self.boards.store().is_shared() {
            self.catch_up().await?;
        }
        self.on_board(move |loaded| {
            let update = match state {
                Some(state) => loaded.board.missing(&state).map_err(|no| No::State(no.to_string()))?.into(),
                None => loaded.whole(),
            };
            Ok(Document { epoch: loaded.board.epoch(), n: loaded.head.n, update })
        })
        .await?
    }

    async fn export(&mut self) -> Result<serde_json::Value, No> {
        if self.boards.store().is_shared() {
            self.catch_up().await?;
        }
        self.on_board(|loaded| loaded.board.exported()).await
    }

    async fn import(&mut self, json: serde_json::Value) -> Result<u64, No> {
        let json = Arc::new(json);
        for _ in 0..TRIES {
            if self.boards.store().is_shared() {
                self.catch_up().await?;
            }
            let own = json.clone();
            let imported =
                self.on_board(move |loaded| Board::imported(loaded.board.epoch() + 1, &own)).await?;
            let fresh = imported.map_err(|bad| No::Snapshot(bad.to_string()))?;
            let Some(mut loaded) = self.loaded.take() else { return Err(No::Away) };
            self.behind = Some(loaded.head);
            if self.put_in_place(&mut loaded, fresh).await? == Outcome::Committed {
                let epoch = loaded.board.epoch();
                (self.loaded, self.behind) = (Some(loaded), None);
                self.tidy().await;
                return Ok(epoch);
            }
        }
        Err(No::Busy)
    }

    /// Somebody draws no more, here and after a restart.
    async fn bar(&mut self, person: Arc<str>) {
        // A guest who calls by HTTP has no name.
        if person.is_empty() || !self.barred.insert(person.clone()) {
            return;
        }
        self.boards.hub().board_bars(&self.room, person.clone());
        self.boards.hub().metrics.board_barred.inc();
        if let Err(error) = self.boards.store().bar(&self.room, &person).await {
            let _ = self.away(&error);
        }
    }

    async fn forget(&mut self) {
        self.loaded = None;
        self.behind = None;
        if let Err(error) = self.boards.store().forget(&self.room).await {
            let _ = self.away(&error);
        }
    }
}

impl Loaded {
    fn whole(&mut self) -> Bytes {
        self.whole.get_or_insert_with(|| self.board.whole().into()).clone()
    }
}

/// A room without a board: its first document. The epoch is greater than that of any before.
fn nothing(behind: Option<Head>) -> Stored {
    let now = u64::try_from(now_ms()).unwrap_or(1);
    let epoch =
        behind.map_or(now, |head| if head.version == 0 { head.epoch } else { now.max(head.epoch + 1) });
    let head = Head { epoch, n: 0, version: 0, whole_n: 0, changed_at: now_ms() };
    Stored { head, whole: Vec::new(), updates: Vec::new(), clients: Vec::new() }
}

fn said(epoch: u64, update: &Update, from: String) -> BoardEvent {
    let fits = update.data.len() <= MAX_BOARD_FRAME;
    let bytes = fits.then(|| super::http::base64(&update.data));
    BoardEvent::Update { epoch, n: update.n, client: update.client, from, update: bytes }
}
