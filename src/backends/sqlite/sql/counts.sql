-- counts: how many jobs are in each state. Of the waiting and running ones it reads the index from end to end.
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
        ifnull(sum(jobs) FILTER (WHERE state = 'succeeded'), 0), ifnull(sum(jobs) FILTER (WHERE state = 'failed'), 0),
        ifnull(sum(jobs) FILTER (WHERE state = 'timed_out'), 0), ifnull(sum(jobs) FILTER (WHERE state = 'broken'), 0)
    FROM jobcore_finished_jobs WHERE queue = :queue
)
