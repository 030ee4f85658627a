-- Who replaced the stream key last without naming it, and when: of several such requests at once one succeeds.
ALTER TABLE broadcast ADD COLUMN key_replaced_by BYTEA;
ALTER TABLE broadcast ADD COLUMN key_replaced_at TIMESTAMPTZ;
