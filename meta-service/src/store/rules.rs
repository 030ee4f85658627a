//! What holds in the room of a group beside the tokens of who is in it, as the home of the room writes it.

use chrono::{DateTime, Utc};
use contract::group::{PersonRule, PutRules};
use contract::id::GroupId;
use contract::token::{Grant, known_grants};
use serde::Deserialize;

use super::StoreError;
use super::limits::BATCH_ROWS;
use database::{Db, Sql, Value, Write, bounded};

/// What became of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// They are stored, now or before.
    Stored,
    /// Another home has opened the group since.
    NotHome,
    /// Newer ones are stored.
    Late,
    /// There is no such group.
    Missing,
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    subject: String,
    removed: bool,
    given: String,
    taken: String,
    seated: bool,
}

impl TryFrom<PersonRow> for PersonRule {
    type Error = StoreError;

    fn try_from(row: PersonRow) -> Result<Self, StoreError> {
        let (given, taken) = (grants_from(&row.given)?, grants_from(&row.taken)?);
        Ok(Self { subject: row.subject, removed: row.removed, given, taken, seated: row.seated })
    }
}

/// Grants from storage, without those of a later release.
fn grants_from(text: &str) -> Result<Vec<Grant>, StoreError> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Stored(#[serde(deserialize_with = "known_grants")] Vec<Grant>);
    let stored: Result<Stored, _> = serde_json::from_str(text);
    stored.map(|stored| stored.0).map_err(|_| StoreError::Failed("stored grants".into()))
}

/// The stored form of grants.
fn grants_text(grants: &[Grant]) -> Result<String, StoreError> {
    serde_json::to_string(grants).map_err(|error| StoreError::Failed(error.to_string()))
}

/// The rules of rooms.
#[derive(Debug)]
pub struct Rules {
    pub(super) db: Db,
}

impl Rules {
    /// Stores what a home says, whole, if it still is the home and nothing newer of it is stored. What is new about a
    /// person is remembered until `expires_at`; what is known already, as long as it was to be.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn put(
        &self,
        id: GroupId,
        put: PutRules,
        expires_at: DateTime<Utc>,
    ) -> Result<Put, StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            let sql = format!(
                "SELECT home_epoch, rules_version FROM call_group WHERE group_id = $1{}",
                self.db.for_update()
            );
            let stored: Option<(i64, i64)> = write.row(Sql::new(sql).bind(id.as_str())).await?;
            let Some((epoch, version)) = stored else { return Ok(Put::Missing) };
            if put.epoch != epoch {
                return Ok(Put::NotHome);
            }
            if put.version <= version {
                return Ok(if put.version == version { Put::Stored } else { Put::Late });
            }
            let sql = Sql::new("UPDATE call_group SET rules_version = $2, locked = $3 WHERE group_id = $1");
            write.execute(sql.bind(id.as_str()).bind(put.version).bind(put.rules.locked)).await?;
            store_people(&mut write, &id, &put.rules.people, expires_at).await?;
            write.commit().await?;
            Ok(Put::Stored)
        };
        bounded(call).await
    }

    /// What holds for one person.
    pub async fn of_person(&self, id: GroupId, subject: &str) -> Result<Option<PersonRule>, StoreError> {
        let sql = Sql::new(
            "SELECT subject, removed, given, taken, seated FROM group_person WHERE group_id = $1 AND subject = $2",
        );
        let row: Option<PersonRow> = bounded(self.db.row(sql.bind(id.as_str()).bind(subject))).await?;
        row.map(PersonRule::try_from).transpose()
    }

    /// Remembers what holds for one person until `expires_at` at least.
    pub async fn extend(
        &self,
        id: GroupId,
        subject: &str,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let call = async {
            let sql = Sql::new(
                "UPDATE group_person SET expires_at = $3 WHERE group_id = $1 AND subject = $2 AND expires_at < $3",
            );
            let mut write = self.db.begin().await?;
            write.execute(sql.bind(id.as_str()).bind(subject).bind(expires_at)).await?;
            write.commit().await
        };
        bounded(call).await
    }

    /// Forgets what holds for people whose tokens have all run out by `now`.
    pub async fn purge(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let call = async {
            let mut write = self.db.begin().await?;
            write.execute(Sql::new("DELETE FROM group_person WHERE expires_at <= $1").bind(now)).await?;
            write.commit().await
        };
        bounded(call).await
    }
}

/// What holds for people of a group. Rules of those whose tokens have all run out by `now` are forgotten.
pub(super) async fn held(
    write: &mut Write,
    id: &GroupId,
    now: DateTime<Utc>,
) -> Result<Vec<PersonRule>, StoreError> {
    let sql = Sql::new("DELETE FROM group_person WHERE group_id = $1 AND expires_at <= $2");
    write.execute(sql.bind(id.as_str()).bind(now)).await?;
    let sql = Sql::new(
        "SELECT subject, removed, given, taken, seated FROM group_person WHERE group_id = $1 ORDER BY subject",
    );
    let people: Vec<PersonRow> = write.rows(sql.bind(id.as_str())).await?;
    people.into_iter().map(PersonRule::try_from).collect()
}

/// Stores what holds for these people of a group, and for nobody else.
async fn store_people(
    write: &mut Write,
    id: &GroupId,
    people: &[PersonRule],
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let holds =
        |rule: &&PersonRule| rule.removed || rule.seated || !rule.given.is_empty() || !rule.taken.is_empty();
    let people: Vec<&PersonRule> = people.iter().filter(holds).collect();
    let mut sql = Sql::new("DELETE FROM group_person WHERE group_id = $1").bind(id.as_str());
    if !people.is_empty() {
        sql.push(" AND subject NOT IN (");
        sql.push_rows(people.iter().map(|rule| [Value::from(rule.subject.as_str())]));
        sql.push(")");
    }
    write.execute(sql).await?;
    for chunk in people.chunks(BATCH_ROWS) {
        let mut sql = Sql::new(
            "INSERT INTO group_person (group_id, subject, removed, given, taken, seated, expires_at) VALUES ",
        );
        let mut rows = Vec::with_capacity(chunk.len());
        for rule in chunk {
            rows.push([
                Value::from(id.as_str()),
                Value::from(rule.subject.as_str()),
                Value::from(rule.removed),
                Value::from(grants_text(&rule.given)?),
                Value::from(grants_text(&rule.taken)?),
                Value::from(rule.seated),
                Value::from(expires_at),
            ]);
        }
        sql.push_rows(rows);
        sql.push(
            " ON CONFLICT (group_id, subject) DO UPDATE SET removed = excluded.removed, given = excluded.given, \
             taken = excluded.taken, seated = excluded.seated, expires_at = CASE \
             WHEN group_person.removed = excluded.removed AND group_person.given = excluded.given \
             AND group_person.taken = excluded.taken AND group_person.seated = excluded.seated \
             THEN group_person.expires_at ELSE excluded.expires_at END",
        );
        write.execute(sql).await?;
    }
    Ok(())
}
