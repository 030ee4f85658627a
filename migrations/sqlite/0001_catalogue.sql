-- The catalogue: broadcasts, groups, thumbnails, and the memory of repeated requests.
-- Migrations only go forward, and each one leaves the previous release working: expand first, contract later.
-- Times are RFC 3339 in UTC with whole milliseconds, so that they sort as text.

CREATE TABLE broadcast (
    -- AUTOINCREMENT: an id is never given twice.
    broadcast_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    -- Lower-cased name and description: one rule of case for every database.
    search          TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('READY', 'STREAMING', 'CLOSED')),
    viewer_count    INTEGER NOT NULL DEFAULT 0 CHECK (viewer_count >= 0),
    started_at      DATETIME,
    ended_at        DATETIME,
    created_at      DATETIME NOT NULL,
    modified_at     DATETIME NOT NULL,
    -- Raised by every change but viewer_count, seen_at and last_media_at: the ETag and the guard of updates.
    version         INTEGER NOT NULL DEFAULT 1,
    stream_key_hash BLOB NOT NULL UNIQUE,
    key_revision    INTEGER NOT NULL DEFAULT 1,
    -- Last report that its publisher is there, and the last media that one named.
    seen_at         DATETIME,
    last_media_at   DATETIME
);

CREATE INDEX broadcast_by_viewers ON broadcast (viewer_count DESC, broadcast_id DESC);
CREATE INDEX broadcast_by_status ON broadcast (status, broadcast_id DESC);

CREATE TABLE thumbnail (
    broadcast_id INTEGER PRIMARY KEY REFERENCES broadcast ON DELETE CASCADE,
    media_type   TEXT NOT NULL,
    etag         TEXT NOT NULL,
    image        BLOB NOT NULL
);

CREATE TABLE call_group (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id       TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    created_at     DATETIME NOT NULL,
    owner_key_hash BLOB NOT NULL UNIQUE
);

CREATE TABLE idempotency (
    scope        TEXT NOT NULL,
    key_hash     BLOB NOT NULL,
    request_hash BLOB NOT NULL,
    target       TEXT,
    created_at   DATETIME NOT NULL,
    PRIMARY KEY (scope, key_hash)
);

CREATE INDEX idempotency_by_age ON idempotency (created_at);
