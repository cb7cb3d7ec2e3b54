-- counts: how many jobs are in each state. Reads indexes only, from end to end.
--
-- Parameters: queue, now. Gives one row, the fields of `Counts`.
SELECT *
FROM (
    SELECT count(*) FILTER (WHERE place <= :now), count(*) FILTER (WHERE place > :now)
    FROM jobcore_jobs INDEXED BY jobcore_ready WHERE queue = :queue AND state = 'ready'
) CROSS JOIN (
    SELECT count(*) FROM jobcore_jobs INDEXED BY jobcore_running WHERE queue = :queue AND call IS NOT NULL
) CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed'),
        count(*) FILTER (WHERE state = 'timed_out'), count(*) FILTER (WHERE state = 'broken')
    FROM jobcore_jobs INDEXED BY jobcore_finished WHERE queue = :queue AND state NOT IN ('ready', 'running')
)
