//! Which node is the home of a group's room, by epoch and lease.

use chrono::{DateTime, TimeDelta, Utc};
use contract::group::{GroupReport, HOME_LEASE_SECS, OpenGroup, RoomRules};
use contract::id::{GroupId, NodeId};

use super::StoreError;
use super::groups::{COLUMNS, GroupRecord, GroupRow};
use super::limits::BATCH_ROWS;
use super::rules;
use database::{Db, Sql, Value, bounded};

/// How long a home stays one after it last said so.
pub const LEASE: TimeDelta = TimeDelta::seconds(HOME_LEASE_SECS);
/// A lease that has less left is renewed: not with every report.
const RENEW_BELOW: TimeDelta = TimeDelta::seconds(HOME_LEASE_SECS - 3);

/// A group whose room is open at a node.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The group; its epoch is that of the home.
    pub record: GroupRecord,
    /// What holds in the room.
    pub rules: RoomRules,
}

/// What became of an opening.
#[derive(Debug, Clone)]
pub enum Opening {
    /// The node is the home.
    Home(Box<Opened>),
    /// Another node is, and lives.
    Elsewhere {
        /// Where browsers reach it; empty is the origin of the pages.
        url: String,
    },
}

/// The home of a room, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The node.
    pub node: String,
    /// It is the home until then at least.
    pub until: DateTime<Utc>,
}

/// The columns of a group that say who its home is.
#[derive(Debug, Clone, Default, sqlx::FromRow)]
struct HomeRow {
    home_epoch: i64,
    home_node: Option<String>,
    home_url: Option<String>,
    home_until: Option<DateTime<Utc>>,
    home_process: Option<String>,
    home_opening: Option<i64>,
}

/// What an opening does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Another node is the home.
    Refuse,
    /// The node is the home already.
    Keep,
    /// It becomes the home, or begins anew.
    Begin,
    /// The same process has opened the room since: this one is late.
    Late,
}

/// `silence_counts` is whether a home that lives could have said so lately.
fn decide(stored: &HomeRow, asked: &OpenGroup, now: DateTime<Utc>, silence_counts: bool) -> Decision {
    if stored.home_node.as_deref() != Some(asked.node_id.as_str()) {
        let may_live = |until: DateTime<Utc>| until > now || !silence_counts;
        let lives = stored.home_node.is_some() && stored.home_until.is_some_and(may_live);
        return if lives { Decision::Refuse } else { Decision::Begin };
    }
    if let Some(opening) = &asked.opening
        && stored.home_process.as_deref() == Some(opening.process.as_str())
        && stored.home_opening.is_some_and(|number| opening.number <= number)
    {
        return Decision::Late;
    }
    if asked.epoch == Some(stored.home_epoch) { Decision::Keep } else { Decision::Begin }
}

/// The homes of rooms.
#[derive(Debug)]
pub struct Homes {
    pub(super) db: Db,
}

impl Homes {
    /// A node opens a group's room: it becomes the home unless another one is; `None` where there is no such group. A
    /// node that holds the room keeps its epoch, for any other a new one begins. Rules of people whose tokens have all run
    /// out by `now` are forgotten. Unless `silence_counts` a home whose lease has run out is one still: the database was
    /// away, and nobody could renew.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn open(
        &self,
        id: GroupId,
        asked: OpenGroup,
        now: DateTime<Utc>,
        silence_counts: bool,
    ) -> Result<Option<Opening>, StoreError> {
        #[derive(sqlx::FromRow)]
        struct Row {
            #[sqlx(flatten)]
            group: GroupRow,
            locked: bool,
        }
        let call = async {
            let mut write = self.db.begin().await?;
            let sql = format!(
                "SELECT home_epoch, home_node, home_url, home_until, home_process, home_opening FROM call_group \
                 WHERE group_id = $1{}",
                self.db.for_update()
            );
            let stored: Option<HomeRow> = write.row(Sql::new(sql).bind(id.as_str())).await?;
            let Some(stored) = stored else { return Ok(None) };
            let decision = decide(&stored, &asked, now, silence_counts);
            if decision == Decision::Refuse {
                return Ok(Some(Opening::Elsewhere { url: stored.home_url.unwrap_or_default() }));
            }
            let begins = decision == Decision::Begin;
            let is_late = decision == Decision::Late;
            let (process, opening) = match (asked.opening, is_late) {
                (Some(opening), false) => (Some(opening.process), Some(opening.number)),
                (None, false) => (None, None),
                (_, true) => (stored.home_process, stored.home_opening),
            };
            let sql = Sql::new(format!(
                "UPDATE call_group SET home_epoch = home_epoch + $2, \
                 rules_version = CASE WHEN $3 THEN 0 ELSE rules_version END, home_node = $4, home_url = $5, \
                 home_until = $6, home_process = $7, home_opening = $8 WHERE group_id = $1 RETURNING {COLUMNS}, locked"
            ));
            let sql = sql.bind(id.as_str()).bind(i64::from(begins)).bind(begins).bind(asked.node_id.as_str());
            let sql = sql.bind(asked.public_url).bind(now + LEASE).bind(process).bind(opening);
            let row: Option<Row> = write.row(sql).await?;
            let Some(row) = row else { return Ok(None) };
            let people = rules::held(&mut write, &id, now).await?;
            write.commit().await?;
            let rules = RoomRules { locked: row.locked, people };
            let record = row.group.try_into()?;
            Ok(Some(Opening::Home(Box::new(Opened { record, rules }))))
        };
        bounded(call).await
    }

    /// The node says that it is the home of these rooms. In its epoch it stays so for [`LEASE`] from `now`. `known` is how
    /// they were stored a moment ago: what needs no renewal yet is not written.
    pub async fn renew(
        &self,
        node: &NodeId,
        url: &str,
        reported: &[GroupReport],
        known: impl Fn(&GroupId) -> Option<GroupRecord>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let is_due = |report: &&GroupReport| {
            known(&report.group_id).is_some_and(|record| {
                let home = record.home.filter(|home| home.node == node.as_str());
                record.epoch == report.epoch && home.is_none_or(|home| home.until < now + RENEW_BELOW)
            })
        };
        let mut due: Vec<&GroupReport> = reported.iter().filter(is_due).collect();
        // One order for everybody: two reports at once must not lock the same rows crosswise.
        due.sort_unstable_by(|a, b| a.group_id.cmp(&b.group_id));
        if due.is_empty() {
            return Ok(());
        }
        let call = async {
            let mut write = self.db.begin().await?;
            for chunk in due.chunks(BATCH_ROWS) {
                let mut sql = Sql::new(
                    "UPDATE call_group SET home_node = $1, home_url = $2, home_until = $3 \
                     FROM (SELECT column1 AS id, column2 AS epoch FROM (VALUES ",
                );
                sql = sql.bind(node.as_str()).bind(url).bind(now + LEASE);
                sql.push_rows(
                    chunk
                        .iter()
                        .map(|report| [Value::from(report.group_id.as_str()), Value::from(report.epoch)]),
                );
                sql.push(") AS t) AS v WHERE group_id = v.id AND home_epoch = v.epoch");
                write.execute(sql).await?;
            }
            write.commit().await
        };
        bounded(call).await
    }

    /// The node goes away: whoever opens one of its rooms next is the home at once.
    pub async fn leave(&self, node: &NodeId) -> Result<(), StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let sql = Sql::new("UPDATE call_group SET home_until = NULL WHERE home_node = $1");
            write.execute(sql.bind(node.as_str())).await?;
            write.commit().await
        };
        bounded(call).await
    }
}

#[cfg(test)]
mod tests {
    use contract::group::OpeningId;

    use super::*;

    fn asked(node: &str, process: &str, number: i64, epoch: Option<i64>) -> OpenGroup {
        OpenGroup {
            node_id: node.parse().unwrap(),
            public_url: String::new(),
            opening: Some(OpeningId { process: process.into(), number }),
            epoch,
        }
    }

    #[test]
    fn who_may_open_a_room_and_in_which_epoch() {
        let now = Utc::now();
        let stored = HomeRow {
            home_epoch: 4,
            home_node: Some("nod_a".into()),
            home_url: None,
            home_until: Some(now + LEASE),
            home_process: Some("p".into()),
            home_opening: Some(7),
        };
        let over = now + LEASE;
        for (open, at, decision) in [
            (asked("nod_a", "p", 8, Some(4)), now, Decision::Keep),
            (asked("nod_a", "p", 8, Some(4)), over, Decision::Keep),
            // It holds the room no more, or never heard that it has a later epoch.
            (asked("nod_a", "p", 8, None), now, Decision::Begin),
            (asked("nod_a", "p", 8, Some(3)), now, Decision::Begin),
            (asked("nod_a", "p", 7, None), now, Decision::Late),
            (asked("nod_a", "p", 6, Some(4)), over, Decision::Late),
            // It started anew.
            (asked("nod_a", "q", 1, None), now, Decision::Begin),
            (asked("nod_b", "p", 8, None), now, Decision::Refuse),
            (asked("nod_b", "p", 8, Some(4)), now, Decision::Refuse),
            (asked("nod_b", "r", 1, None), over, Decision::Begin),
            // A release that numbers nothing.
            (OpenGroup { opening: None, ..asked("nod_a", "", 0, None) }, now, Decision::Begin),
            (OpenGroup { opening: None, ..asked("nod_b", "", 0, None) }, now, Decision::Refuse),
        ] {
            assert_eq!(decide(&stored, &open, at, true), decision, "{open:?}");
            // Where nobody could say that it lives, every home does: the same as long before its lease runs out.
            let other = open.node_id.as_str() != "nod_a";
            let unsure = if other { Decision::Refuse } else { decision };
            assert_eq!(decide(&stored, &open, at, false), unsure, "{open:?}");
        }
        for counts in [true, false] {
            let nobody = HomeRow::default();
            assert_eq!(decide(&nobody, &asked("nod_b", "r", 1, None), now, counts), Decision::Begin);
        }
        let released = HomeRow { home_until: None, ..stored };
        assert_eq!(decide(&released, &asked("nod_b", "r", 1, None), now, false), Decision::Begin);
    }
}
