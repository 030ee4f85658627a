-- Who was in when a room was locked, and may come back while it is.
ALTER TABLE group_person ADD COLUMN seated BOOLEAN NOT NULL DEFAULT FALSE;
