//! Lists of broadcasts, and the search in them.
//!
//! A search costs about the same however many rows there are: it looks at the first rows of the wanted order, one by
//! one, and if they do not fill the page (a frequent word does), asks an index of every three characters that follow
//! each other (Postgres: GIN, SQLite: FTS5). Words of one or two characters have no such index and are looked for in
//! the first [`SHORT_WORDS_ROWS`].

use chrono::DateTime;
use contract::rest::{Broadcast, Status};
use tokio::sync::Semaphore;

use super::StoreError;
use super::broadcasts::{BroadcastRow, COLUMNS, records, status_text};
use database::{Db, Sql, bounded};

/// Rows that are compared one by one before an index is asked: some milliseconds.
const FIRST_ROWS: i64 = 2_000;
/// Rows in which words without an index are looked for.
pub const SHORT_WORDS_ROWS: i64 = 20_000;
/// Characters that the index needs.
const GRAM: usize = 3;
/// The last millisecond of the year 9999: later times do not sort as text.
const LAST_MILLI: i64 = 253_402_300_799_999;
/// Searches at the same time: the others wait, so that a wave of them leaves connections and processors to other
/// calls. What has waited for longer than a call may take is refused with 503.
pub(super) const SEARCHES_AT_ONCE: usize = 2;

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Highest id first.
    Newest,
    /// Most viewers first, then highest id.
    Viewers,
    /// Planned ones only, soonest first, then lowest id.
    Planned,
}

/// Where a page starts: after this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// What the last row was sorted by: its viewers, or its plan in Unix milliseconds. Unused by the newest first.
    pub key: i64,
    /// Id of the last row.
    pub id: i64,
}

/// What to list.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Words to find in name or description, in any case; `%` and `_` mean themselves.
    pub search: Option<String>,
    /// Only this status.
    pub status: Option<Status>,
    /// Order.
    pub sort: Sort,
    /// Where to go on.
    pub after: Option<After>,
    /// Most rows.
    pub limit: i64,
}

impl Listing {
    /// Appends where the page starts.
    fn after(&self, sql: &mut Sql) {
        match (self.sort, self.after) {
            (_, None) => {}
            (Sort::Newest, Some(after)) => {
                sql.push(" AND broadcast_id < ").push_bind(after.id);
            }
            (Sort::Viewers, Some(after)) => {
                sql.push(" AND (viewer_count, broadcast_id) < (").push_bind(after.key);
                sql.push(", ").push_bind(after.id).push(")");
            }
            (Sort::Planned, Some(after)) => {
                let at = DateTime::from_timestamp_millis(after.key.min(LAST_MILLI)).unwrap_or_default();
                sql.push(" AND (planned_at, broadcast_id) > (").push_bind(at);
                sql.push(", ").push_bind(after.id).push(")");
            }
        }
    }

    fn status(&self, sql: &mut Sql) {
        if self.sort == Sort::Planned {
            sql.push(" AND planned_at IS NOT NULL");
        }
        if let Some(status) = self.status {
            sql.push(" AND status = ").push_bind(status_text(status));
        }
    }

    fn order(&self, sql: &mut Sql, rows: i64) {
        sql.push(match self.sort {
            Sort::Newest => " ORDER BY broadcast_id DESC LIMIT ",
            Sort::Viewers => " ORDER BY viewer_count DESC, broadcast_id DESC LIMIT ",
            Sort::Planned => " ORDER BY planned_at, broadcast_id LIMIT ",
        });
        sql.push_bind(rows);
    }

    /// Without words: the order has an index.
    fn plain(&self) -> Sql {
        let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM broadcast WHERE 1 = 1"));
        self.after(&mut sql);
        self.status(&mut sql);
        self.order(&mut sql, self.limit);
        sql
    }

    /// `words` among the first `rows` of the order, one by one.
    fn first(&self, words: &str, rows: i64) -> Sql {
        let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM (SELECT * FROM broadcast WHERE 1 = 1"));
        self.after(&mut sql);
        if self.sort == Sort::Planned {
            sql.push(" AND planned_at IS NOT NULL");
        }
        self.order(&mut sql, rows);
        sql.push(") AS firsts WHERE search LIKE ").push_bind(like_pattern(words)).push(" ESCAPE '\\'");
        self.status(&mut sql);
        self.order(&mut sql, self.limit);
        sql
    }

    /// `words` by the index.
    fn indexed(&self, words: &str, db: &Db) -> Sql {
        let mut sql = Sql::new(format!("WITH found AS MATERIALIZED (SELECT {COLUMNS} FROM broadcast WHERE "));
        match db {
            Db::Postgres(_) => {
                sql.push("search_grams(search) @> search_grams(").push_bind(words.to_lowercase()).push(")");
            }
            Db::Sqlite(_) => {
                sql.push("broadcast_id IN (SELECT rowid FROM broadcast_search WHERE broadcast_search MATCH ");
                sql.push_bind(phrase(words)).push(")");
            }
        }
        sql.push(" AND search LIKE ").push_bind(like_pattern(words)).push(" ESCAPE '\\'");
        self.after(&mut sql);
        self.status(&mut sql);
        sql.push(&format!(") SELECT {COLUMNS} FROM found"));
        self.order(&mut sql, self.limit);
        sql
    }
}

/// Lists and searches.
#[derive(Debug)]
pub struct Lists {
    pub(super) db: Db,
    pub(super) searches: Semaphore,
}

impl Lists {
    /// A page of broadcasts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(&self, listing: Listing) -> Result<Vec<Broadcast>, StoreError> {
        let rows = bounded(async {
            let Some(words) = &listing.search else { return self.db.rows(listing.plain()).await };
            let _one =
                self.searches.acquire().await.map_err(|_| StoreError::Unavailable("closing".into()))?;
            self.search(&listing, words).await
        });
        Ok(records(rows.await?)?.into_iter().map(|record| record.broadcast).collect())
    }

    async fn search(&self, listing: &Listing, words: &str) -> Result<Vec<BroadcastRow>, StoreError> {
        if words.to_lowercase().chars().count() < GRAM {
            return self.db.rows(listing.first(words, SHORT_WORDS_ROWS)).await;
        }
        let rows: Vec<BroadcastRow> = self.db.rows(listing.first(words, FIRST_ROWS)).await?;
        if i64::try_from(rows.len()).is_ok_and(|found| found >= listing.limit) {
            return Ok(rows);
        }
        self.db.rows(listing.indexed(words, &self.db)).await
    }

    /// How the database would find `words`: its plan as text. For tests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain(&self, listing: &Listing, words: &str) -> Result<String, StoreError> {
        let mut sql = listing.indexed(words, &self.db);
        match self.db {
            Db::Postgres(_) => {
                sql.prepend("EXPLAIN ");
                let rows: Vec<(String,)> = self.db.rows(sql).await?;
                Ok(rows.into_iter().map(|(line,)| line + "\n").collect())
            }
            Db::Sqlite(_) => {
                sql.prepend("EXPLAIN QUERY PLAN ");
                let rows: Vec<(i64, i64, i64, String)> = self.db.rows(sql).await?;
                Ok(rows.into_iter().map(|(.., line)| line + "\n").collect())
            }
        }
    }
}

/// A LIKE pattern (escape character `\`) that finds `words` anywhere.
fn like_pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    for c in words.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// `words` as one string of FTS5's query language.
fn phrase(words: &str) -> String {
    format!("\"{}\"", words.to_lowercase().replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_escape_what_like_would_read() {
        assert_eq!(like_pattern("50%_\\X"), "%50\\%\\_\\\\x%");
        assert_eq!(like_pattern(""), "%%");
        assert_eq!(phrase("Say \"NOT\" *"), "\"say \"\"not\"\" *\"");
    }
}
