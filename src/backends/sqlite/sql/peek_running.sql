-- peek, of running jobs: by their start.
--
-- Parameters: queue, started_at and n (of the job after which to begin). Gives started_at and n.
SELECT started_at, n FROM jobcore_jobs INDEXED BY jobcore_running
WHERE queue = :queue AND call IS NOT NULL AND (started_at, n) > (:started_at, :n)
ORDER BY started_at, n
