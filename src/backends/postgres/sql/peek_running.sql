-- peek, for RUNNING: by start, which neither extend nor reclaim changes.
--
-- Parameters: queue; jobs (the limit); the key (started_at, seq) after which to go on.
-- Gives entries as get does, each followed by its key. Sorts what runs; locks nothing.
SELECT
    id, state, payload, -rank, place,
    attempt, lost, pushed_at, started_at, lease_until, holder, finished_at, reason, value,
    started_at, seq
FROM {schema}.jobs
WHERE queue = %(queue)s AND state = 'running' AND (started_at, seq) > (%(started_at)s, %(seq)s)
ORDER BY started_at, seq LIMIT %(jobs)s
