-- first: when the first waiting job of one priority is due.
--
-- Parameters: queue, priority. Gives one row: its place.
SELECT min(place) FROM jobcore_jobs INDEXED BY jobcore_ready
WHERE queue = :queue AND state = 'ready' AND priority = :priority
