-- lapsed: the running jobs that may be taken over.
--
-- Parameters: queue, now, limit, of (a holder known dead, or null: whoever's lease has run out). Gives n, from the
-- lease that ended first on. Reads all that runs in the queue, which is what workers have in their hands.
SELECT n FROM jobcore_jobs INDEXED BY jobcore_running
WHERE queue = :queue AND call IS NOT NULL AND CASE WHEN :of IS NULL THEN lease_until <= :now ELSE holder = :of END
ORDER BY lease_until, n LIMIT :limit
