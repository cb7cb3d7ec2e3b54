-- peek, for the states that settlements end in: newest first.
--
-- Parameters: queue; state; jobs (the limit); settled, below which to go on.
-- Gives entries as get does, each followed by its key. Locks nothing.
SELECT
    id, state, payload, -rank, place,
    attempt, lost, pushed_at, started_at, lease_until, holder, finished_at, reason, value,
    settled
FROM {schema}.jobs
WHERE queue = %(queue)s AND state = %(state)s AND state IN ('succeeded', 'failed', 'timed_out', 'broken')
    AND settled < %(settled)s
ORDER BY settled DESC LIMIT %(jobs)s
