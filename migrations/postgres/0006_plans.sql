-- When a broadcast is to begin, as its owner says; NULL where nobody has planned it.
ALTER TABLE broadcast ADD COLUMN planned_at TIMESTAMPTZ;
-- The list of what is planned, soonest first.
CREATE INDEX broadcast_by_plan ON broadcast (planned_at, broadcast_id) WHERE planned_at IS NOT NULL;
