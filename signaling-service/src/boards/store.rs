//! Boards in the database. What is acknowledged was committed here first, and of two processes that write to the same board
//! at once one is told that it has lost: [`Outcome::Lost`].
//!
//! ```text
//! board         room, epoch, n, version, whole, whole_n, changed_at     the document up to `whole_n`, and how far it is
//! board_update  room, epoch, n, client, data                            what came after
//! board_client  room, epoch, client, person, holder                     who draws under which id
//! board_barred  room, person, until                                     who draws no more
//! board_image   id, room, type, width, height, size, data, created_at
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use board::{Author, ClientId};
use contract::room::Room;
use database::{Db, Error, Sql, Value, Write, bounded};

use super::image::Image;

/// A board that nobody has changed for so long is forgotten, with its images.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Whom hostile updates have cost the right to draw has it again after this: as long as tokens live.
pub(crate) const BARRED: Duration = Duration::from_secs(contract::token::JOIN_TTL_SECS);
/// Images of one room.
pub(crate) const MAX_IMAGES: u64 = 500;
/// Bytes of them.
pub(crate) const MAX_IMAGE_BYTES: u64 = 100 << 20;
/// Rows of one statement.
const ROWS: usize = 500;
/// Boards that one sweep forgets.
const SWEEP: i64 = 100;

/// How far a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    /// Number of the last update.
    pub(crate) n: u64,
    /// Grows with every change of anything.
    pub(crate) version: u64,
    /// The number up to which updates are in the whole.
    pub(crate) whole_n: u64,
    /// When it was changed, in Unix milliseconds.
    pub(crate) changed_at: i64,
}

/// A board as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) head: Head,
    pub(crate) whole: Vec<u8>,
    pub(crate) updates: Vec<Update>,
    pub(crate) clients: Vec<(ClientId, Author, u64)>,
}

/// An update as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) n: u64,
    pub(crate) client: u64,
    pub(crate) data: Arc<[u8]>,
}

/// Who holds an id.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) client: u64,
    pub(crate) person: Arc<str>,
    pub(crate) holder: u64,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed,
    /// The board is not as the writer thought: nothing was changed.
    Lost,
}

/// The boards' part of the database.
#[derive(Debug, Clone)]
pub(crate) struct Store(pub(crate) Db);

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number of ours as databases know numbers. Holders are 63 random bits, all others far smaller.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(int: i64) -> u64 {
    u64::try_from(int).unwrap_or(0)
}

impl Store {
    /// Whether other processes write to the same database.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.0, Db::Postgres(_))
    }

    /// How far a board is, if there is one.
    pub(crate) async fn head(&self, room: &Room) -> Result<Option<Head>, Error> {
        bounded(self.read_head(room)).await
    }

    async fn read_head(&self, room: &Room) -> Result<Option<Head>, Error> {
        let sql = Sql::new("SELECT epoch, n, version, whole_n, changed_at FROM board WHERE room = $1");
        let row: Option<(i64, i64, i64, i64, i64)> = self.0.row(sql.bind(room.as_str())).await?;
        Ok(row.map(|(epoch, n, version, whole_n, changed_at)| Head {
            epoch: number(epoch),
            n: number(n),
            version: number(version),
            whole_n: number(whole_n),
            changed_at,
        }))
    }

    /// A whole board, if there is one.
    pub(crate) async fn load(&self, room: &Room) -> Result<Option<Stored>, Error> {
        bounded(async {
            // Several statements see one state if nothing has changed before and after them.
            for _ in 0..5 {
                let Some(head) = self.read_head(room).await? else { return Ok(None) };
                let stored = self.read(room, head).await?;
                if self.read_head(room).await?.map(|head| head.version) == Some(head.version) {
                    return Ok(Some(stored));
                }
            }
            Err(Error::Unavailable("the board changes faster than it is read".into()))
        })
        .await
    }

    async fn read(&self, room: &Room, head: Head) -> Result<Stored, Error> {
        let whole = Sql::new("SELECT whole FROM board WHERE room = $1").bind(room.as_str());
        let whole: Option<(Vec<u8>,)> = self.0.row(whole).await?;
        let updates = Sql::new(
            "SELECT n, client, data FROM board_update WHERE room = $1 AND epoch = $2 AND n > $3 ORDER BY n",
        );
        let updates = updates.bind(room.as_str()).bind(int(head.epoch)).bind(int(head.whole_n));
        let updates: Vec<(i64, i64, Vec<u8>)> = self.0.rows(updates).await?;
        let clients =
            Sql::new("SELECT client, person, holder FROM board_client WHERE room = $1 AND epoch = $2");
        let clients: Vec<(i64, String, i64)> =
            self.0.rows(clients.bind(room.as_str()).bind(int(head.epoch))).await?;
        Ok(Stored {
            head,
            whole: whole.map(|(whole,)| whole).unwrap_or_default(),
            updates: updates
                .into_iter()
                .map(|(n, client, data)| Update { n: number(n), client: number(client), data: data.into() })
                .collect(),
            clients: clients
                .into_iter()
                .map(|(client, person, holder)| {
                    (ClientId(number(client)), Author(person.into()), number(holder))
                })
                .collect(),
        })
    }

    /// Who draws no more on a board.
    pub(crate) async fn barred(&self, room: &Room) -> Result<HashSet<Arc<str>>, Error> {
        let sql = Sql::new("SELECT person FROM board_barred WHERE room = $1 AND until > $2");
        let rows: Vec<(String,)> = bounded(self.0.rows(sql.bind(room.as_str()).bind(now_ms()))).await?;
        Ok(rows.into_iter().map(|(person,)| person.into()).collect())
    }

    /// Whether somebody draws no more on a board.
    pub(crate) async fn is_barred(&self, room: &Room, person: &str) -> Result<bool, Error> {
        let sql =
            Sql::new("SELECT COUNT(*) FROM board_barred WHERE room = $1 AND person = $2 AND until > $3");
        let sql = sql.bind(room.as_str()).bind(person).bind(now_ms());
        let row: Option<(i64,)> = bounded(self.0.row(sql)).await?;
        Ok(row.is_some_and(|(count,)| count > 0))
    }

    /// Remembers that somebody draws no more.
    pub(crate) async fn bar(&self, room: &Room, person: &str) -> Result<(), Error> {
        let until = now_ms().saturating_add(i64::try_from(BARRED.as_millis()).unwrap_or(i64::MAX));
        bounded(async {
            let mut write = self.0.begin().await?;
            let sql = Sql::new(
                "INSERT INTO board_barred (room, person, until) VALUES ($1, $2, $3)
                 ON CONFLICT (room, person) DO UPDATE SET until = excluded.until",
            );
            write.execute(sql.bind(room.as_str()).bind(person).bind(until)).await?;
            write.commit().await
        })
        .await
    }

    /// Stores new ids and updates of a board that is at `before`, of which `is_new` says that there is none yet.
    pub(crate) async fn add(
        &self,
        room: &Room,
        before: Head,
        is_new: bool,
        held: &[Held],
        updates: &[Update],
    ) -> Result<Outcome, Error> {
        let n = updates.last().map_or(before.n, |last| last.n);
        bounded(async {
            let mut write = self.0.begin().await?;
            let moved = if is_new {
                let sql = Sql::new(
                    "INSERT INTO board (room, epoch, n, version, whole, whole_n, changed_at)
                     VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (room) DO NOTHING",
                );
                let sql = sql.bind(room.as_str()).bind(int(before.epoch)).bind(int(n));
                sql.bind(int(before.version) + 1).bind(board::Board::new(1).whole()).bind(now_ms())
            } else {
                let sql = Sql::new(
                    "UPDATE board SET n = $1, version = version + 1, changed_at = $2
                     WHERE room = $3 AND epoch = $4 AND version = $5",
                );
                let sql = sql.bind(int(n)).bind(now_ms()).bind(room.as_str());
                sql.bind(int(before.epoch)).bind(int(before.version))
            };
            if write.execute(moved).await? != 1 {
                return Ok(Outcome::Lost);
            }
            hold(&mut write, room, before.epoch, held).await?;
            for updates in updates.chunks(ROWS) {
                let mut sql = Sql::new("INSERT INTO board_update (room, epoch, n, client, data) VALUES ");
                sql.push_rows(updates.iter().map(|update| {
                    [
                        Value::from(room.as_str()),
                        int(before.epoch).into(),
                        int(update.n).into(),
                        int(update.client).into(),
                        update.data.to_vec().into(),
                    ]
                }));
                write.execute(sql).await?;
            }
            write.commit().await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    /// Puts one whole in place of the updates up to `before.n`. It is the same board.
    pub(crate) async fn fold(&self, room: &Room, before: Head, whole: Vec<u8>) -> Result<Outcome, Error> {
        bounded(async {
            let mut write = self.0.begin().await?;
            let sql = Sql::new(
                "UPDATE board SET whole = $1, whole_n = n, version = version + 1
                 WHERE room = $2 AND epoch = $3 AND version = $4",
            );
            let sql = sql.bind(whole).bind(room.as_str()).bind(int(before.epoch)).bind(int(before.version));
            if write.execute(sql).await? != 1 {
                return Ok(Outcome::Lost);
            }
            let sql = Sql::new("DELETE FROM board_update WHERE room = $1 AND (epoch <> $2 OR n <= $3)");
            write.execute(sql.bind(room.as_str()).bind(int(before.epoch)).bind(int(before.n))).await?;
            write.commit().await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    /// Puts a new document in place of the one before.
    pub(crate) async fn renew(
        &self,
        room: &Room,
        before: Head,
        is_new: bool,
        epoch: u64,
        whole: Vec<u8>,
    ) -> Result<Outcome, Error> {
        bounded(async {
            let mut write = self.0.begin().await?;
            let sql = if is_new {
                let sql = Sql::new(
                    "INSERT INTO board (room, epoch, n, version, whole, whole_n, changed_at)
                     VALUES ($1, $2, 0, $3, $4, 0, $5) ON CONFLICT (room) DO NOTHING",
                );
                let sql = sql.bind(room.as_str()).bind(int(epoch)).bind(int(before.version) + 1);
                sql.bind(whole).bind(now_ms())
            } else {
                let sql = Sql::new(
                    "UPDATE board SET epoch = $1, n = 0, version = version + 1, whole = $2, whole_n = 0,
                     changed_at = $3 WHERE room = $4 AND epoch = $5 AND version = $6",
                );
                let sql = sql.bind(int(epoch)).bind(whole).bind(now_ms()).bind(room.as_str());
                sql.bind(int(before.epoch)).bind(int(before.version))
            };
            if write.execute(sql).await? != 1 {
                return Ok(Outcome::Lost);
            }
            for table in ["board_update", "board_client"] {
                let sql = Sql::new(format!("DELETE FROM {table} WHERE room = $1 AND epoch <> $2"));
                write.execute(sql.bind(room.as_str()).bind(int(epoch))).await?;
            }
            write.commit().await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    /// Stores an image, if there is room for it; false if not.
    pub(crate) async fn add_image(
        &self,
        id: &str,
        room: &Room,
        image: Image,
        data: Vec<u8>,
    ) -> Result<bool, Error> {
        let size = int(data.len() as u64);
        bounded(async {
            let mut write = self.0.begin().await?;
            let sql = Sql::new(
                "INSERT INTO board_image (id, room, type, width, height, size, data, created_at)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8
                 WHERE (SELECT COUNT(*) FROM board_image WHERE room = $9) < $10
                 AND (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM board_image WHERE room = $11) + $12 <= $13",
            );
            let sql = sql.bind(id).bind(room.as_str()).bind(image.format.content_type());
            let sql = sql.bind(i64::from(image.width)).bind(i64::from(image.height)).bind(size);
            let sql = sql.bind(data).bind(now_ms()).bind(room.as_str()).bind(int(MAX_IMAGES));
            let sql = sql.bind(room.as_str()).bind(size).bind(int(MAX_IMAGE_BYTES));
            let added = write.execute(sql).await?;
            write.commit().await?;
            Ok(added == 1)
        })
        .await
    }

    /// The content type and the bytes of an image.
    pub(crate) async fn image(&self, room: &Room, id: &str) -> Result<Option<(String, Vec<u8>)>, Error> {
        let sql = Sql::new("SELECT type, data FROM board_image WHERE id = $1 AND room = $2");
        bounded(self.0.row(sql.bind(id).bind(room.as_str()))).await
    }

    /// Forgets the board of a room, and all that belongs to it.
    pub(crate) async fn forget(&self, room: &Room) -> Result<(), Error> {
        bounded(async {
            let mut write = self.0.begin().await?;
            forget(&mut write, room.as_str()).await?;
            write.commit().await
        })
        .await
    }

    /// Forgets boards that nobody has changed for long; how many.
    pub(crate) async fn sweep(&self) -> Result<usize, Error> {
        let until = now_ms().saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(0));
        bounded(async {
            let old = Sql::new("SELECT room FROM board WHERE changed_at < $1 ORDER BY changed_at LIMIT $2");
            let old: Vec<(String,)> = self.0.rows(old.bind(until).bind(SWEEP)).await?;
            let mut write = self.0.begin().await?;
            for (room,) in &old {
                forget(&mut write, room).await?;
            }
            // Images of rooms on whose board nothing was ever drawn.
            let sql = Sql::new(
                "DELETE FROM board_image WHERE created_at < $1
                 AND NOT EXISTS (SELECT 1 FROM board WHERE board.room = board_image.room)",
            );
            write.execute(sql.bind(until)).await?;
            write.execute(Sql::new("DELETE FROM board_barred WHERE until < $1").bind(now_ms())).await?;
            write.commit().await?;
            Ok(old.len())
        })
        .await
    }
}

async fn hold(write: &mut Write, room: &Room, epoch: u64, held: &[Held]) -> Result<(), Error> {
    for held in held {
        let sql = Sql::new(
            "INSERT INTO board_client (room, epoch, client, person, holder) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (room, epoch, client) DO UPDATE SET holder = excluded.holder",
        );
        let sql = sql.bind(room.as_str()).bind(int(epoch)).bind(int(held.client));
        write.execute(sql.bind(&*held.person).bind(int(held.holder))).await?;
    }
    Ok(())
}

async fn forget(write: &mut Write, room: &str) -> Result<(), Error> {
    for table in ["board", "board_update", "board_client", "board_barred", "board_image"] {
        write.execute(Sql::new(format!("DELETE FROM {table} WHERE room = $1")).bind(room)).await?;
    }
    Ok(())
}
