//! Groups.

use chrono::{DateTime, Utc};
use contract::id::GroupId;
use contract::key::KeyHash;
use contract::rest::Group;

use super::db::{Db, Sql, bounded};
use super::idempotency::{self, Claim, Inserted, Repeatable};
use super::{Owner, StoreError, key_from};

/// A group to insert.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Its id.
    pub id: GroupId,
    /// Title.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// A stored group.
#[derive(Debug, Clone)]
pub struct GroupRecord {
    /// The group.
    pub group: Group,
    /// Position in the list of groups.
    pub seq: i64,
    /// Whose it is.
    pub owner: Owner,
}

const COLUMNS: &str = "seq, group_id, name, created_at, owner_key_hash, owner_subject";

#[derive(sqlx::FromRow)]
struct GroupRow {
    seq: i64,
    group_id: String,
    name: String,
    created_at: DateTime<Utc>,
    owner_key_hash: Vec<u8>,
    owner_subject: Option<String>,
}

impl TryFrom<GroupRow> for GroupRecord {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        let id = row.group_id.parse().map_err(|_| StoreError::Failed("a stored group id".into()))?;
        Ok(Self {
            group: Group { id, name: row.name, created_at: row.created_at },
            seq: row.seq,
            owner: Owner { key: key_from(row.owner_key_hash)?, subject: row.owner_subject },
        })
    }
}

/// The table of groups.
#[derive(Debug)]
pub struct Groups {
    pub(super) db: Db,
}

impl Groups {
    /// Inserts one, once for each Idempotency-Key.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn create(
        &self,
        new: NewGroup,
        repeat: Option<Repeatable>,
    ) -> Result<Inserted<Group>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            if let Some(repeat) = &repeat {
                match idempotency::claim(&mut write, repeat, new.created_at).await? {
                    Claim::New => idempotency::keep(&mut write, repeat, new.id.as_str()).await?,
                    Claim::Mismatch => return Ok(Inserted::Mismatch),
                    Claim::Same { target, sealed } => {
                        drop(write);
                        let id = target.parse().map_err(|_| StoreError::Failed("a stored target".into()))?;
                        let found = self.find(id).await?.map(|record| record.group);
                        return Ok(
                            found.map_or(Inserted::Mismatch, |made| Inserted::Repeated { made, sealed })
                        );
                    }
                }
            }
            let sql = Sql::new(
                "INSERT INTO call_group (group_id, name, created_at, owner_key_hash, owner_subject) \
                 VALUES ($1, $2, $3, $4, $5)",
            );
            let sql = sql.bind(new.id.as_str()).bind(new.name.as_str()).bind(new.created_at);
            write.execute(sql.bind(new.owner.key).bind(new.owner.subject)).await?;
            write.commit().await?;
            Ok(Inserted::New(Group { id: new.id, name: new.name, created_at: new.created_at }))
        };
        bounded(call).await
    }

    /// One group.
    pub async fn find(&self, id: GroupId) -> Result<Option<GroupRecord>, StoreError> {
        let sql = Sql::new(format!("SELECT {COLUMNS} FROM call_group WHERE group_id = $1"));
        let row: Option<GroupRow> = bounded(self.db.row(sql.bind(id.as_str()))).await?;
        row.map(GroupRecord::try_from).transpose()
    }

    /// A page, newest first, below `before` if given.
    pub async fn page(&self, before: Option<i64>, limit: i64) -> Result<Vec<GroupRecord>, StoreError> {
        let sql =
            Sql::new(format!("SELECT {COLUMNS} FROM call_group WHERE seq < $1 ORDER BY seq DESC LIMIT $2"));
        let sql = sql.bind(before.unwrap_or(i64::MAX)).bind(limit);
        let rows: Vec<GroupRow> = bounded(self.db.rows(sql)).await?;
        rows.into_iter().map(GroupRecord::try_from).collect()
    }

    /// The group whose owner key has this hash.
    pub async fn of_key(&self, key: KeyHash) -> Result<Option<GroupId>, StoreError> {
        let sql = Sql::new("SELECT group_id FROM call_group WHERE owner_key_hash = $1").bind(key);
        let row: Option<(String,)> = bounded(self.db.row(sql)).await?;
        Ok(row.and_then(|(id,)| id.parse().ok()))
    }

    /// Deletes one; whether there was one.
    pub async fn delete(&self, id: GroupId) -> Result<bool, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let sql = Sql::new("DELETE FROM call_group WHERE group_id = $1").bind(id.as_str());
            let deleted = write.execute(sql).await?;
            write.commit().await?;
            Ok(deleted > 0)
        };
        bounded(call).await
    }
}
