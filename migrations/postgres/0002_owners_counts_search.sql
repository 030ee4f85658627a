-- Owners beside stream keys, sealed answers, viewers by replica, an index for the search.
-- Expands only: the release before goes on working beside this one.

-- NULL in a broadcast of an earlier release: then the stream key that it was made with is its owner's key.
ALTER TABLE broadcast ADD COLUMN owner_key_hash BYTEA;
-- Subject of the token that created it, if there was one.
ALTER TABLE broadcast ADD COLUMN owner_subject TEXT;
-- The second of the last write of viewer_count, so that replicas together write one a second.
ALTER TABLE broadcast ADD COLUMN counted_s BIGINT NOT NULL DEFAULT 0;
CREATE INDEX broadcast_by_owner_key ON broadcast (owner_key_hash);
CREATE INDEX broadcast_by_end ON broadcast (ended_at) WHERE status = 'CLOSED';

ALTER TABLE call_group ADD COLUMN owner_subject TEXT;

-- The keys of the answer, sealed under a key that only who sent the Idempotency-Key can derive.
ALTER TABLE idempotency ADD COLUMN sealed BYTEA;

-- Who watches, as each signaling replica says it: hashes of subjects, so that a person counts once.
CREATE TABLE viewer_part (
    broadcast_id BIGINT NOT NULL REFERENCES broadcast ON DELETE CASCADE,
    replica      TEXT NOT NULL,
    -- 8 bytes for each subject, ascending.
    subjects     BYTEA NOT NULL,
    -- Viewers without a token.
    others       BIGINT NOT NULL,
    p2p_streamer BOOLEAN NOT NULL,
    -- Unix milliseconds by the database's clock; 0: it was taken back.
    expires_ms   BIGINT NOT NULL,
    PRIMARY KEY (broadcast_id, replica)
);

-- What earlier releases wrote stands until it expires.
INSERT INTO viewer_part (broadcast_id, replica, subjects, others, p2p_streamer, expires_ms)
SELECT broadcast_id, '', '', viewer_count, false, 1 FROM broadcast WHERE viewer_count > 0;

-- One row that is written to see whether writing works.
CREATE TABLE write_probe (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_ms BIGINT NOT NULL
);
INSERT INTO write_probe (id, written_ms) VALUES (1, 0);

-- Every three characters that follow each other. pg_trgm would leave out what the locale takes for no letter (all of
-- Korean in the locale C), and needs a right to create extensions.
CREATE FUNCTION search_grams(search TEXT) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Dear, so that a plan asks the index and never works it out for every row.
COST 100000 AS $$
    SELECT COALESCE(array_agg(DISTINCT substr(search, n, 3)), '{}') FROM generate_series(1, length(search) - 2) AS n
$$;
CREATE INDEX broadcast_by_grams ON broadcast USING gin (search_grams(search));
