-- peek, of finished jobs: the newest settled first.
--
-- Parameters: queue, state, n (of the job after which to begin). Gives n.
SELECT n FROM jobcore_jobs INDEXED BY jobcore_finished
WHERE queue = :queue AND state = :state AND state NOT IN ('ready', 'running') AND n < :n
ORDER BY n DESC
