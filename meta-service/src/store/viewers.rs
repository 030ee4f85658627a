//! Who watches, as each signaling replica says it.
//!
//! A part is what one replica (or node) says of one broadcast: hashes of subjects, and how many have no name. It
//! expires by the database's clock unless it is renewed, so every process that reads the table sees the same, and
//! nothing that one of them missed or forgot sets a count to zero.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::id::BroadcastId;
use contract::rest::Subjects;

use super::StoreError;
use super::limits::BATCH_ROWS;
use crate::counts::{Count, NewPart, PART_TTL, Part};
use database::{Db, Sql, Value, bounded};

#[derive(sqlx::FromRow)]
struct PartRow {
    broadcast_id: i64,
    subjects: Vec<u8>,
    others: i64,
    p2p_streamer: bool,
    is_live: bool,
    viewer_count: i64,
}

/// The table of parts.
#[derive(Debug)]
pub struct Viewers {
    pub(super) db: Db,
}

impl Viewers {
    /// `now` of a test's clock, or the database's.
    fn now(&self, now: Option<DateTime<Utc>>, sql: &mut Sql) {
        match now {
            Some(now) => drop(sql.push_bind(now.timestamp_millis())),
            None => drop(sql.push(self.db.now_ms())),
        }
    }

    /// Stores what `replica` says; rooms of closed and unknown broadcasts are left out.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn put(
        &self,
        replica: &str,
        parts: Vec<NewPart>,
        now: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        if parts.is_empty() {
            return Ok(());
        }
        // One order for everybody: two reports at once must not lock the same rows crosswise. Each broadcast once.
        let parts: BTreeMap<BroadcastId, NewPart> = parts.into_iter().map(|part| (part.id, part)).collect();
        let (gone, there): (Vec<NewPart>, Vec<NewPart>) = parts.into_values().partition(NewPart::is_empty);
        let call = async {
            let mut write = self.db.begin().await?;
            for chunk in gone.chunks(BATCH_ROWS) {
                // Not deleted yet: the next sweep has to see whose count to write.
                let mut sql = Sql::new(
                    "UPDATE viewer_part SET subjects = $2, others = 0, p2p_streamer = $3, expires_ms = 0 \
                     WHERE replica = $1 AND broadcast_id IN (",
                );
                sql = sql.bind(replica).bind(Vec::new()).bind(false);
                sql.push_rows(chunk.iter().map(|part| [Value::from(part.id.0)]));
                sql.push(")");
                write.execute(sql).await?;
            }
            for chunk in there.chunks(BATCH_ROWS) {
                let mut sql = Sql::new(
                    "INSERT INTO viewer_part (broadcast_id, replica, subjects, others, p2p_streamer, expires_ms) \
                     SELECT v.id, $1, v.subjects, v.others, v.streamer, ",
                )
                .bind(replica);
                self.now(now, &mut sql);
                sql.push(&format!(" + {} ", PART_TTL.num_milliseconds()));
                sql.push(
                    "FROM (SELECT column1 AS id, column2 AS subjects, column3 AS others, column4 AS streamer \
                     FROM (VALUES ",
                );
                sql.push_rows(chunk.iter().map(|part| {
                    [
                        Value::from(part.id.0),
                        Value::from(part.subjects.to_bytes()),
                        Value::from(part.others),
                        Value::from(part.p2p_streamer),
                    ]
                }));
                sql.push(
                    ") AS t) AS v JOIN broadcast b ON b.broadcast_id = v.id WHERE b.status <> 'CLOSED' \
                     ON CONFLICT (broadcast_id, replica) DO UPDATE SET subjects = excluded.subjects, \
                     others = excluded.others, p2p_streamer = excluded.p2p_streamer, \
                     expires_ms = excluded.expires_ms",
                );
                write.execute(sql).await?;
            }
            write.commit().await
        };
        bounded(call).await
    }

    /// The parts of every broadcast that has one, with what the catalogue says now. With `patient` those that ran out
    /// count as if they had not: nobody could renew them.
    pub async fn parts(&self, patient: bool, now: Option<DateTime<Utc>>) -> Result<Vec<Part>, StoreError> {
        let mut sql =
            Sql::new("SELECT p.broadcast_id, p.subjects, p.others, p.p2p_streamer, p.expires_ms > ");
        if patient {
            sql.push("0");
        } else {
            self.now(now, &mut sql);
        }
        sql.push(
            " AS is_live, b.viewer_count FROM viewer_part p JOIN broadcast b ON b.broadcast_id = p.broadcast_id \
             ORDER BY p.broadcast_id",
        );
        let rows: Vec<PartRow> = bounded(self.db.rows(sql)).await?;
        let part = |row: PartRow| {
            let subjects = Subjects::from_bytes(&row.subjects);
            Ok(Part {
                id: BroadcastId(row.broadcast_id),
                subjects: subjects.map_err(|_| StoreError::Failed("stored subjects".into()))?,
                others: row.others,
                p2p_streamer: row.p2p_streamer,
                is_live: row.is_live,
                written: row.viewer_count,
            })
        };
        rows.into_iter().map(part).collect()
    }

    /// Writes counts, of each broadcast at most once in a second of the database's clock, whoever writes; a closed one
    /// has none. Then parts that ran out and are in no count any more go.
    pub async fn write(
        &self,
        counts: Vec<Count>,
        patient: bool,
        now: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let (known, new): (Vec<Count>, Vec<Count>) = counts.into_iter().partition(Count::is_written);
        let ended: Vec<Count> = known.into_iter().filter(|count| count.has_ended).collect();
        if new.is_empty() && (ended.is_empty() || patient) {
            return Ok(());
        }
        let call = async {
            let mut write = self.db.begin().await?;
            for chunk in new.chunks(BATCH_ROWS) {
                let mut sql = Sql::new("UPDATE broadcast SET counted_s = ");
                self.now(now, &mut sql);
                sql.push(
                    " / 1000, viewer_count = CASE WHEN status = 'CLOSED' THEN 0 ELSE v.n END \
                     FROM (SELECT column1 AS id, column2 AS n FROM (VALUES ",
                );
                sql.push_rows(
                    chunk.iter().map(|count| [Value::from(count.id.0), Value::from(count.viewers)]),
                );
                sql.push(") AS t) AS v WHERE broadcast.broadcast_id = v.id AND viewer_count <> v.n AND counted_s <> ");
                self.now(now, &mut sql);
                sql.push(" / 1000");
                write.execute(sql).await?;
            }
            for chunk in ended.chunks(BATCH_ROWS).filter(|_| !patient) {
                let mut sql = Sql::new("DELETE FROM viewer_part WHERE expires_ms <= ");
                self.now(now, &mut sql);
                sql.push(" AND broadcast_id IN (");
                sql.push_rows(chunk.iter().map(|count| [Value::from(count.id.0)]));
                sql.push(")");
                write.execute(sql).await?;
            }
            write.commit().await
        };
        bounded(call).await
    }
}
