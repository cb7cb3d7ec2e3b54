-- redrive: a failed job waits at a new place, as if it had never run.
--
-- Parameters: queue, now, id. Changes one row if the job has failed, else none.
UPDATE jobcore_jobs INDEXED BY jobcore_id SET
    n = (SELECT max(n) + 1 FROM jobcore_jobs), state = 'ready', place = :now,
    attempt = 0, lost = 0, started_at = NULL, finished_at = NULL, reason = NULL
WHERE queue = :queue AND id = :id AND state IN ('failed', 'timed_out', 'broken')
