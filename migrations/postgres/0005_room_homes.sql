-- Which node is the home of a group's room, and until when although it says nothing more. Expands only: the release before
-- raises `home_epoch` and names no node; the report of the home says within a second which it is.
ALTER TABLE call_group ADD COLUMN home_node TEXT;
-- Where browsers reach it.
ALTER TABLE call_group ADD COLUMN home_url TEXT;
ALTER TABLE call_group ADD COLUMN home_until TIMESTAMPTZ;
-- The opening that made it so: the process of the node, and a number that rises there.
ALTER TABLE call_group ADD COLUMN home_process TEXT;
ALTER TABLE call_group ADD COLUMN home_opening BIGINT;
