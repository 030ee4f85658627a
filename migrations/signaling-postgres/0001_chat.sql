-- Chat that stays. Times are Unix milliseconds.

-- One row: the epoch of all numbers in this database.
CREATE TABLE chat_epoch (
    one   SMALLINT PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL
);
INSERT INTO chat_epoch (one, epoch) VALUES (1, floor(random() * 4503599627370495)::bigint + 1);

-- A room that somebody has written in, or that has settings. Its row is locked while its chat is changed: the order of
-- numbers is the order of commits.
CREATE TABLE chat_room (
    room              TEXT PRIMARY KEY,
    last_seq          BIGINT NOT NULL DEFAULT 0,
    -- Rises with every change of the room's chat.
    version           BIGINT NOT NULL DEFAULT 0,
    slow_seconds      BIGINT NOT NULL DEFAULT 0,
    followers_minutes BIGINT,
    pinned            BIGINT,
    used_at           BIGINT NOT NULL
);
CREATE INDEX chat_room_used ON chat_room (used_at);

CREATE TABLE chat_message (
    room      TEXT NOT NULL,
    seq       BIGINT NOT NULL,
    sender    TEXT NOT NULL,
    name      TEXT NOT NULL,
    host      BOOLEAN NOT NULL,
    -- What its sender may do to others in the room, at the time.
    rank      BIGINT NOT NULL,
    -- Where it came from: a network, as limits see it.
    address   TEXT NOT NULL,
    text      TEXT NOT NULL,
    at        BIGINT NOT NULL,
    id        TEXT,
    reply_to  BIGINT,
    to_id     TEXT,
    to_name   TEXT,
    edited_at BIGINT,
    deleted   BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (room, seq)
);
CREATE UNIQUE INDEX chat_message_id ON chat_message (room, id) WHERE id IS NOT NULL;
CREATE INDEX chat_message_sender ON chat_message (room, sender, seq);
CREATE INDEX chat_message_at ON chat_message (at);

-- Who may not write in a room.
CREATE TABLE chat_sanction (
    room       TEXT NOT NULL,
    person     TEXT NOT NULL,
    name       TEXT NOT NULL,
    is_ban     BOOLEAN NOT NULL,
    until_ms   BIGINT,
    reason     TEXT,
    by_name    TEXT NOT NULL,
    by_rank    BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    -- The network that it holds for too.
    address    TEXT,
    PRIMARY KEY (room, person)
);

-- Since when somebody is known in a room.
CREATE TABLE chat_person (
    room     TEXT NOT NULL,
    person   TEXT NOT NULL,
    name     TEXT NOT NULL,
    rank     BIGINT NOT NULL,
    address  TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    PRIMARY KEY (room, person)
);
CREATE INDEX chat_person_first ON chat_person (first_at);
