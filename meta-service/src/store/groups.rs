//! Groups.

use chrono::{DateTime, Utc};
use contract::group::{Admission, Group, Metadata};
use contract::id::GroupId;
use contract::key::KeyHash;

use super::StoreError;
use super::homes::Home;
use super::idempotency::{self, Claim, Inserted, Repeatable};
use super::limits::BATCH_ROWS;
use super::{Changed, key_from};
use crate::record::Owner;
use database::{Db, Sql, Value, Write, bounded};

/// A group to insert.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Its id.
    pub id: GroupId,
    /// What its owner decides.
    pub settings: GroupSettings,
    /// Whose it is.
    pub owner: Owner,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// What the owner of a group decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// Title.
    pub name: String,
    /// People in its room at the same time.
    pub max_participants: u32,
    /// Who gets a join token.
    pub admission: Admission,
    /// What an application keeps with it.
    pub metadata: Metadata,
}

impl GroupSettings {
    /// Those of `group`.
    #[must_use]
    pub fn of(group: &Group) -> Self {
        Self {
            name: group.name.clone(),
            max_participants: group.max_participants,
            admission: group.admission,
            metadata: group.metadata.clone(),
        }
    }
}

/// A stored group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    /// The group.
    pub group: Group,
    /// Raised by every change of its settings.
    pub version: i64,
    /// Raised each time a node becomes the home of its room.
    pub epoch: i64,
    /// The home of its room, if it has one.
    pub home: Option<Home>,
    /// Position in the list of groups.
    pub seq: i64,
    /// Whose it is.
    pub owner: Owner,
}

/// Columns of [`GroupRow`], for SELECT and RETURNING.
pub(super) const COLUMNS: &str = "seq, group_id, name, max_participants, admission, metadata, created_at, modified_at, \
    version, home_epoch, home_node, home_until, owner_key_hash, owner_subject";

#[derive(sqlx::FromRow)]
pub(super) struct GroupRow {
    seq: i64,
    group_id: String,
    name: String,
    max_participants: i64,
    admission: String,
    metadata: String,
    created_at: DateTime<Utc>,
    modified_at: Option<DateTime<Utc>>,
    version: i64,
    home_epoch: i64,
    home_node: Option<String>,
    home_until: Option<DateTime<Utc>>,
    owner_key_hash: Vec<u8>,
    owner_subject: Option<String>,
}

impl TryFrom<GroupRow> for GroupRecord {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        let failed = |what: &str| StoreError::Failed(format!("a stored {what}"));
        Ok(Self {
            group: Group {
                id: row.group_id.parse().map_err(|_| failed("group id"))?,
                name: row.name,
                max_participants: u32::try_from(row.max_participants).map_err(|_| failed("size"))?,
                admission: admission_from(&row.admission)?,
                metadata: serde_json::from_str(&row.metadata).map_err(|_| failed("metadata"))?,
                created_at: row.created_at,
                modified_at: row.modified_at.unwrap_or(row.created_at),
            },
            version: row.version,
            epoch: row.home_epoch,
            home: row.home_node.zip(row.home_until).map(|(node, until)| Home { node, until }),
            seq: row.seq,
            owner: Owner { key: key_from(row.owner_key_hash)?, subject: row.owner_subject },
        })
    }
}

fn records(rows: Vec<GroupRow>) -> Result<Vec<GroupRecord>, StoreError> {
    rows.into_iter().map(GroupRecord::try_from).collect()
}

/// The stored form of an admission.
fn admission_text(admission: Admission) -> &'static str {
    match admission {
        Admission::Link => "link",
        Admission::Key => "key",
    }
}

fn admission_from(text: &str) -> Result<Admission, StoreError> {
    match text {
        "link" => Ok(Admission::Link),
        "key" => Ok(Admission::Key),
        _ => Err(StoreError::Failed("a stored admission".into())),
    }
}

/// The stored form of metadata.
fn metadata_text(metadata: &Metadata) -> Result<String, StoreError> {
    serde_json::to_string(metadata).map_err(|error| StoreError::Failed(error.to_string()))
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
    ) -> Result<Inserted<GroupRecord>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            if let Some(repeat) = &repeat {
                match idempotency::claim(&mut write, repeat, new.created_at).await? {
                    Claim::New => idempotency::keep(&mut write, repeat, new.id.as_str()).await?,
                    Claim::Mismatch => return Ok(Inserted::Mismatch),
                    Claim::Same { target, sealed } => {
                        drop(write);
                        let id = target.parse().map_err(|_| StoreError::Failed("a stored target".into()))?;
                        let found = self.find(id).await?;
                        return Ok(
                            found.map_or(Inserted::Mismatch, |made| Inserted::Repeated { made, sealed })
                        );
                    }
                }
            }
            let record = insert(&mut write, &new).await?;
            write.commit().await?;
            Ok(Inserted::New(record))
        };
        bounded(call).await
    }

    /// One group.
    pub async fn find(&self, id: GroupId) -> Result<Option<GroupRecord>, StoreError> {
        Ok(self.find_all(vec![id]).await?.pop())
    }

    /// Those of these ids that exist.
    pub async fn find_all(&self, ids: Vec<GroupId>) -> Result<Vec<GroupRecord>, StoreError> {
        let call = async {
            let mut found = Vec::with_capacity(ids.len());
            for chunk in ids.chunks(BATCH_ROWS) {
                let mut sql = Sql::new(format!("SELECT {COLUMNS} FROM call_group WHERE group_id IN ("));
                sql.push_rows(chunk.iter().map(|id| [Value::from(id.as_str())]));
                sql.push(")");
                found.extend(records(self.db.rows(sql).await?)?);
            }
            Ok(found)
        };
        bounded(call).await
    }

    /// A page, newest first, below `before` if given.
    pub async fn page(&self, before: Option<i64>, limit: i64) -> Result<Vec<GroupRecord>, StoreError> {
        let sql =
            Sql::new(format!("SELECT {COLUMNS} FROM call_group WHERE seq < $1 ORDER BY seq DESC LIMIT $2"));
        let sql = sql.bind(before.unwrap_or(i64::MAX)).bind(limit);
        records(bounded(self.db.rows(sql)).await?)
    }

    /// The group whose owner key has this hash.
    pub async fn of_key(&self, key: KeyHash) -> Result<Option<GroupId>, StoreError> {
        let sql = Sql::new("SELECT group_id FROM call_group WHERE owner_key_hash = $1").bind(key);
        let row: Option<(String,)> = bounded(self.db.row(sql)).await?;
        Ok(row.and_then(|(id,)| id.parse().ok()))
    }

    /// Gives a group the settings that `decide` makes of it as it is; `None` where there is no such group. Others who
    /// change it meanwhile wait, so nothing comes between.
    pub async fn change<E: Send>(
        &self,
        id: GroupId,
        now: DateTime<Utc>,
        decide: impl FnOnce(&GroupRecord) -> Result<GroupSettings, E> + Send,
    ) -> Result<Option<Result<Changed<GroupRecord>, E>>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let Some(was) = locked(&self.db, &mut write, &id).await? else { return Ok(None) };
            let wanted = match decide(&was) {
                Ok(wanted) => wanted,
                Err(refused) => return Ok(Some(Err(refused))),
            };
            if wanted == GroupSettings::of(&was.group) {
                return Ok(Some(Ok(Changed { record: was, was: None })));
            }
            let sql = Sql::new(format!(
                "UPDATE call_group SET name = $2, max_participants = $3, admission = $4, metadata = $5, \
                 modified_at = $6, version = version + 1 WHERE group_id = $1 RETURNING {COLUMNS}"
            ));
            let sql = sql.bind(id.as_str()).bind(wanted.name).bind(i64::from(wanted.max_participants));
            let sql = sql.bind(admission_text(wanted.admission)).bind(metadata_text(&wanted.metadata)?);
            let row: Option<GroupRow> = write.row(sql.bind(now)).await?;
            let Some(row) = row else { return Ok(None) };
            write.commit().await?;
            Ok(Some(Ok(Changed { record: row.try_into()?, was: Some(was) })))
        };
        bounded(call).await
    }

    /// Deletes a group, with what holds in its room, unless `check` refuses it as it is: what it was last, or `None`
    /// where there is no such group.
    pub async fn delete<E: Send>(
        &self,
        id: GroupId,
        check: impl FnOnce(&GroupRecord) -> Result<(), E> + Send,
    ) -> Result<Option<Result<GroupRecord, E>>, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let Some(was) = locked(&self.db, &mut write, &id).await? else { return Ok(None) };
            if let Err(refused) = check(&was) {
                return Ok(Some(Err(refused)));
            }
            write.execute(Sql::new("DELETE FROM call_group WHERE group_id = $1").bind(id.as_str())).await?;
            write.commit().await?;
            Ok(Some(Ok(was)))
        };
        bounded(call).await
    }
}

/// A group that nobody else changes before `write` has ended.
async fn locked(db: &Db, write: &mut Write, id: &GroupId) -> Result<Option<GroupRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM call_group WHERE group_id = $1{}", db.for_update());
    let row: Option<GroupRow> = write.row(Sql::new(sql).bind(id.as_str())).await?;
    row.map(GroupRecord::try_from).transpose()
}

async fn insert(write: &mut Write, new: &NewGroup) -> Result<GroupRecord, StoreError> {
    let sql = Sql::new(format!(
        "INSERT INTO call_group (group_id, name, max_participants, admission, metadata, created_at, owner_key_hash, \
         owner_subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {COLUMNS}"
    ));
    let settings = &new.settings;
    let sql = sql.bind(new.id.as_str()).bind(settings.name.as_str());
    let sql = sql.bind(i64::from(settings.max_participants)).bind(admission_text(settings.admission));
    let sql = sql.bind(metadata_text(&settings.metadata)?).bind(new.created_at);
    let row: Option<GroupRow> = write.row(sql.bind(new.owner.key).bind(new.owner.subject.clone())).await?;
    row.ok_or_else(|| StoreError::Failed("an insert without a row".into()))?.try_into()
}
