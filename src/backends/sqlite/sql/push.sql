-- push: store a job, unless its id is in the store or remembered.
--
-- Parameters: queue, now, id, priority, place, remember, payload. Changes one row, or none.
INSERT INTO jobcore_jobs (queue, id, state, priority, place, pushed_at, remember, payload)
SELECT :queue, :id, 'ready', :priority, :place, :now, :remember, :payload
WHERE NOT EXISTS (SELECT 1 FROM jobcore_remembered WHERE queue = :queue AND id = :id AND until > :now)
ON CONFLICT (queue, id) DO NOTHING
