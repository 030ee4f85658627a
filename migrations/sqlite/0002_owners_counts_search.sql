-- Owners beside stream keys, sealed answers, viewers by replica, an index for the search.

-- NULL in a broadcast of an earlier release: then the stream key that it was made with is its owner's key.
ALTER TABLE broadcast ADD COLUMN owner_key_hash BLOB;
-- Subject of the token that created it, if there was one.
ALTER TABLE broadcast ADD COLUMN owner_subject TEXT;
-- The second of the last write of viewer_count, so that processes together write one a second.
ALTER TABLE broadcast ADD COLUMN counted_s INTEGER NOT NULL DEFAULT 0;
CREATE INDEX broadcast_by_owner_key ON broadcast (owner_key_hash);
CREATE INDEX broadcast_by_end ON broadcast (ended_at) WHERE status = 'CLOSED';

ALTER TABLE call_group ADD COLUMN owner_subject TEXT;

-- The keys of the answer, sealed under a key that only who sent the Idempotency-Key can derive.
ALTER TABLE idempotency ADD COLUMN sealed BLOB;

-- Who watches, as each signaling replica says it: hashes of subjects, so that a person counts once.
CREATE TABLE viewer_part (
    broadcast_id INTEGER NOT NULL REFERENCES broadcast ON DELETE CASCADE,
    replica      TEXT NOT NULL,
    -- 8 bytes for each subject, ascending.
    subjects     BLOB NOT NULL,
    -- Viewers without a token.
    others       INTEGER NOT NULL,
    p2p_streamer BOOLEAN NOT NULL,
    -- Unix milliseconds by the database's clock; 0: it was taken back.
    expires_ms   INTEGER NOT NULL,
    PRIMARY KEY (broadcast_id, replica)
) WITHOUT ROWID;

-- What earlier releases wrote stands until it expires.
INSERT INTO viewer_part (broadcast_id, replica, subjects, others, p2p_streamer, expires_ms)
SELECT broadcast_id, '', x'', viewer_count, false, 1 FROM broadcast WHERE viewer_count > 0;

-- One row that is written to see whether writing works.
CREATE TABLE write_probe (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_ms INTEGER NOT NULL
);
INSERT INTO write_probe (id, written_ms) VALUES (1, 0);

-- Every three characters that follow each other; `search` is in lower case already.
CREATE VIRTUAL TABLE broadcast_search USING fts5 (
    search, content = 'broadcast', content_rowid = 'broadcast_id', tokenize = 'trigram case_sensitive 1'
);
INSERT INTO broadcast_search (broadcast_search) VALUES ('rebuild');

CREATE TRIGGER broadcast_search_insert AFTER INSERT ON broadcast BEGIN
    INSERT INTO broadcast_search (rowid, search) VALUES (new.broadcast_id, new.search);
END;
CREATE TRIGGER broadcast_search_delete AFTER DELETE ON broadcast BEGIN
    INSERT INTO broadcast_search (broadcast_search, rowid, search) VALUES ('delete', old.broadcast_id, old.search);
END;
CREATE TRIGGER broadcast_search_update AFTER UPDATE OF search ON broadcast WHEN old.search <> new.search BEGIN
    INSERT INTO broadcast_search (broadcast_search, rowid, search) VALUES ('delete', old.broadcast_id, old.search);
    INSERT INTO broadcast_search (rowid, search) VALUES (new.broadcast_id, new.search);
END;
