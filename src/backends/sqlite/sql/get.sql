-- get: all that is known of a job.
--
-- Parameters: n, now. Gives the fields of `Entry`.
SELECT
    id, CASE WHEN state = 'ready' AND place > :now THEN 'scheduled' ELSE state END, payload, priority, place,
    attempt, lost, pushed_at, started_at, lease_until, holder, finished_at, reason, value
FROM jobcore_jobs WHERE n = :n
