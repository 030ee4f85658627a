//! What time alone changes, each second: viewer counts written, peer-to-peer broadcasts started, broadcasts closed
//! whose publisher is gone or never came, old rows purged.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::lifecycle::{self, PUBLISHER_GRACE, UNSTARTED_GRACE, Verdict, Watch};
use crate::service::Shared;
use crate::store::StoreError;

/// The readiness condition of the database.
pub(crate) const CONDITION: &str = "meta.database";

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
    well: bool,
    purged_at: Option<DateTime<Utc>>,
}

impl Sweeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, watch: Watch::default(), well: true, purged_at: None }
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
                if self.well {
                    tracing::warn!(error = %error, "the database does not answer");
                }
                self.well = false;
                self.watch.bad();
                self.shared.readiness.not_ready(CONDITION, "the database does not answer");
            }
        }
        self.shared.metrics.sweep_seconds.set(started.elapsed().as_secs_f64());
    }

    async fn try_sweep(&mut self) -> Result<(), StoreError> {
        self.shared.store.ping().await?;
        let now = self.shared.clock.now();
        self.write_counts(now).await?;
        self.peer_to_peer(now).await?;
        if self.watch.good(now) {
            let unseen = self.shared.store.unseen(now - PUBLISHER_GRACE).await?;
            self.close(unseen, now).await?;
        }
        let unstarted = self.shared.store.unstarted(now - UNSTARTED_GRACE).await?;
        self.close(unstarted, now).await?;
        if self.purged_at.is_none_or(|at| now < at || now - at >= PURGE_INTERVAL) {
            self.shared.store.purge(now - REPEAT_TTL, now - THUMBNAIL_TTL).await?;
            self.purged_at = Some(now);
        }
        Ok(())
    }

    async fn write_counts(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let changes = self.shared.counts().changes(now);
        if changes.is_empty() {
            return Ok(());
        }
        self.shared.store.write_viewers(changes.clone()).await?;
        let mut counts = self.shared.counts();
        counts.written(&changes);
        self.shared.metrics.viewers.set(counts.total());
        Ok(())
    }

    async fn peer_to_peer(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let streaming: Vec<_> = self.shared.counts().peer_to_peer().into_iter().collect();
        if streaming.is_empty() {
            return Ok(());
        }
        let mut seen = Vec::new();
        for record in self.shared.store.broadcasts(streaming).await? {
            let id = record.broadcast.id;
            let decide = |record: Option<&crate::store::Record>| {
                record.map_or_else(Verdict::default, |record| lifecycle::peer_to_peer(record, now))
            };
            seen.extend(self.shared.settle(id, Some(record), decide).await?.seen);
        }
        self.shared.store.touch(seen, now).await
    }

    async fn close(&self, records: Vec<crate::store::Record>, now: DateTime<Utc>) -> Result<(), StoreError> {
        for record in records {
            let Some(change) = lifecycle::idle(&record, now) else { continue };
            let id = record.broadcast.id;
            // Lost to another change or to a sign of life: the next sweep looks again.
            if let Some(updated) = self.shared.store.update(id, record.version, change, now).await? {
                self.shared.changed(record.broadcast.status, &updated);
            }
        }
        Ok(())
    }
}
