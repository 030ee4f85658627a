//! What time alone changes, each second: viewer counts written, peer-to-peer broadcasts started, broadcasts closed
//! whose publisher is gone or never came, old rows deleted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::counts::{self, Count, Patience};
use crate::lifecycle::{self, Outcome, PUBLISHER_GRACE, UNSTARTED_GRACE, Watch};
use crate::metrics::Label;
use crate::record::Record;
use crate::shared::{CONDITION, Shared};
use crate::store::{Expired, StoreError};

/// How often it is tried whether the database takes changes. While it does not, each sweep tries.
const PROBE_INTERVAL: TimeDelta = TimeDelta::seconds(5);
/// How long an Idempotency-Key is remembered.
const REPEAT_TTL: TimeDelta = TimeDelta::hours(24);
/// How long the thumbnail of a closed broadcast is kept.
const THUMBNAIL_TTL: TimeDelta = TimeDelta::days(7);
const PURGE_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// The state between sweeps.
#[derive(Debug)]
pub(crate) struct Sweeper {
    shared: Arc<Shared>,
    watch: Watch,
    patience: Patience,
    well: bool,
    probed_at: Option<DateTime<Utc>>,
    purged_at: Option<DateTime<Utc>>,
}

impl Sweeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            watch: Watch::of_publishers(),
            patience: Patience::default(),
            well: true,
            probed_at: None,
            purged_at: None,
        }
    }

    /// One sweep. A database that is away is no failure of the sweeper: the next sweep goes on.
    pub(crate) async fn sweep(&mut self) {
        let started = Instant::now();
        match self.try_sweep().await {
            Ok(()) => {
                if !self.well {
                    tracing::info!("the database answers again");
                }
                self.well = true;
                self.shared.readiness.ready(CONDITION);
            }
            Err(error) => {
                let what = match error {
                    StoreError::Unwritable(_) => "the database takes no changes",
                    StoreError::Unavailable(_) | StoreError::Failed(_) => "the database does not answer",
                };
                if self.well {
                    tracing::warn!(error = %error, "{what}");
                }
                self.well = false;
                self.watch.bad();
                self.shared.watch_homes(Watch::bad);
                self.patience.bad();
                self.shared.readiness.not_ready(CONDITION, what);
            }
        }
        self.shared.metrics.sweep_seconds.set(started.elapsed().as_secs_f64());
    }

    async fn try_sweep(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        shared.clock.follow(shared.store.upkeep.now().await?);
        let now = shared.clock.now();
        self.probe(now).await?;
        shared.watch_homes(|homes| homes.good(now));
        let counts = self.count(now).await?;
        self.peer_to_peer(&counts, now).await?;
        let broadcasts = &shared.store.broadcasts;
        if self.watch.good(now) {
            self.close(broadcasts.unseen(now - PUBLISHER_GRACE).await?, now).await?;
        }
        self.close(broadcasts.unstarted(now - UNSTARTED_GRACE).await?, now).await?;
        self.delete_old(now).await?;
        let (ready, streaming) = broadcasts.open_by_status().await?;
        shared.metrics.broadcasts.get_or_create(&Label::of("ready")).set(ready);
        shared.metrics.broadcasts.get_or_create(&Label::of("streaming")).set(streaming);
        Ok(())
    }

    /// A database that only reads looks well to who only asks.
    async fn probe(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let well = self.well && !self.shared.suspect.swap(false, Ordering::Relaxed);
        if well && self.probed_at.is_some_and(|at| at <= now && now - at < PROBE_INTERVAL) {
            return Ok(());
        }
        self.shared.store.upkeep.probe().await?;
        self.probed_at = Some(now);
        Ok(())
    }

    async fn count(&mut self, now: DateTime<Utc>) -> Result<Vec<Count>, StoreError> {
        let patient = self.patience.good(now);
        let viewers = &self.shared.store.viewers;
        let by_test = self.shared.clock.of_test();
        let counts = counts::counts(&viewers.parts(patient, by_test).await?);
        viewers.write(counts.clone(), patient, by_test).await?;
        self.shared.metrics.viewers.set(counts.iter().map(|count| count.viewers).sum());
        Ok(counts)
    }

    async fn peer_to_peer(&self, counts: &[Count], now: DateTime<Utc>) -> Result<(), StoreError> {
        let streaming: Vec<_> = counts::peer_to_peer(counts).into_iter().collect();
        let mut seen = Vec::new();
        for record in self.shared.store.broadcasts.find_all(streaming).await? {
            let id = record.broadcast.id;
            let decide = |record: Option<&Record>| {
                record.map_or_else(Outcome::default, |record| lifecycle::peer_to_peer(record, now))
            };
            seen.extend(self.shared.write(id, Some(&record), decide).await?.seen);
        }
        self.shared.store.broadcasts.touch(seen, now).await
    }

    async fn close(&self, records: Vec<Record>, now: DateTime<Utc>) -> Result<(), StoreError> {
        for record in records {
            let Some(change) = lifecycle::idle(&record, now) else { continue };
            let id = record.broadcast.id;
            // Lost to another change or to a sign of life: the next sweep looks again.
            let updated = self.shared.store.broadcasts.update(id, record.version, change, now).await?;
            if let Some(updated) = updated {
                self.shared.changed(record.broadcast.status, &updated);
            }
        }
        Ok(())
    }

    /// Retention. A batch at each sweep until there is nothing left, then a look every [`PURGE_INTERVAL`].
    async fn delete_old(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        if self.purged_at.is_some_and(|at| at <= now && now - at < PURGE_INTERVAL) {
            return Ok(());
        }
        let store = &self.shared.store;
        store.upkeep.purge(now - REPEAT_TTL, now - THUMBNAIL_TTL).await?;
        store.rules.purge(now).await?;
        let config = &self.shared.config;
        let before = |days: u32| (days > 0).then(|| now - TimeDelta::days(days.into()));
        let expired = Expired {
            ended_before: before(config.keep_closed_days),
            unstarted_before: before(config.keep_unstarted_days),
        };
        let deleted = store.broadcasts.delete_expired(expired).await?;
        if deleted > 0 {
            tracing::info!(broadcasts.deleted = deleted, "retention deleted broadcasts");
            self.shared.metrics.expired.inc_by(deleted);
        } else {
            self.purged_at = Some(now);
        }
        Ok(())
    }
}
