-- Groups with settings, and what holds in their rooms beside the tokens: it has to outlive the node that holds a room.
-- Expands only: the release before makes groups that need a token of the owner, as its groups always did.
ALTER TABLE call_group ADD COLUMN max_participants INTEGER NOT NULL DEFAULT 100;
ALTER TABLE call_group ADD COLUMN admission TEXT NOT NULL DEFAULT 'key';
-- A JSON object.
ALTER TABLE call_group ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
-- NULL: never changed.
ALTER TABLE call_group ADD COLUMN modified_at DATETIME;
-- Raised by every change of what everybody sees: the ETag.
ALTER TABLE call_group ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- Raised each time a node becomes the home of the room: what an earlier home writes is refused.
ALTER TABLE call_group ADD COLUMN home_epoch INTEGER NOT NULL DEFAULT 0;
-- Version of the rules (`locked`, group_person) in this epoch.
ALTER TABLE call_group ADD COLUMN rules_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE call_group ADD COLUMN locked BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE group_person (
    group_id   TEXT NOT NULL REFERENCES call_group (group_id) ON DELETE CASCADE,
    -- Of a join token.
    subject    TEXT NOT NULL,
    removed    BOOLEAN NOT NULL,
    -- JSON arrays of grants.
    given      TEXT NOT NULL,
    taken      TEXT NOT NULL,
    -- Every token of this person has run out by then.
    expires_at DATETIME NOT NULL,
    PRIMARY KEY (group_id, subject)
);

CREATE INDEX group_person_by_expiry ON group_person (expires_at);
