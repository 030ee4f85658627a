-- Whiteboards. A board is a Yjs document: `whole` has it up to the update `whole_n`, the later ones are rows.
CREATE TABLE board (
    room        TEXT PRIMARY KEY,
    -- Names the document: greater than that of any before it in the room.
    epoch       INTEGER NOT NULL,
    -- Number of the last update.
    n           INTEGER NOT NULL,
    -- Grows with each change of anything here: whoever writes names the one that it knows.
    version     INTEGER NOT NULL,
    whole       BLOB NOT NULL,
    whole_n     INTEGER NOT NULL,
    -- Unix milliseconds.
    changed_at  INTEGER NOT NULL
);
CREATE INDEX board_changed_at ON board (changed_at);

CREATE TABLE board_update (
    room        TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    client      INTEGER NOT NULL,
    data        BLOB NOT NULL,
    PRIMARY KEY (room, epoch, n)
);

-- Who draws under which id, and a number that only who holds it knows.
CREATE TABLE board_client (
    room        TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    client      INTEGER NOT NULL,
    person      TEXT NOT NULL,
    holder      INTEGER NOT NULL,
    PRIMARY KEY (room, epoch, client)
);

-- Who draws no more, until then (Unix milliseconds).
CREATE TABLE board_barred (
    room        TEXT NOT NULL,
    person      TEXT NOT NULL,
    until       INTEGER NOT NULL,
    PRIMARY KEY (room, person)
);

CREATE TABLE board_image (
    id          TEXT PRIMARY KEY,
    room        TEXT NOT NULL,
    type        TEXT NOT NULL,
    width       INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    -- Bytes of the image.
    size        INTEGER NOT NULL,
    data        BLOB NOT NULL,
    created_at  INTEGER NOT NULL
);
CREATE INDEX board_image_room ON board_image (room);
