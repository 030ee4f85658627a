-- When the group or the broadcast of a room was deleted, Unix milliseconds: nobody writes there any more, and what was
-- written is forgotten.
ALTER TABLE chat_room ADD COLUMN ended_at BIGINT;
CREATE INDEX chat_room_ended ON chat_room (ended_at) WHERE ended_at IS NOT NULL;
