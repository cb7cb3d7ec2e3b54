-- peek, of finished jobs: the newest settled first.
--
-- Parameters: queue, state, n (of the job after which to begin). Gives n.
SELECT n FROM jobcore_jobs INDEXED BY jobcore_finished
WHERE queue = :queue AND state = :state AND finished_at IS NOT NULL AND n < :n
ORDER BY n DESC
