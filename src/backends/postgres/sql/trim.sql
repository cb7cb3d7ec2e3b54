-- trim: the second half of a settle that kept jobs: of those, leave the newest.
--
-- Parameters: queue; now (µs, or null: the server's clock); succeeded, failed: the caps (null: trim nothing there).
--   Runs after settle in its transaction, under the queue's lock: only so does it see all that was settled before.
-- Reads as many index entries as the cap. Gives nothing. Locks: the jobs that it deletes.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), last_succeeded AS MATERIALIZED (
    SELECT settled FROM {schema}.jobs
    WHERE %(succeeded)s::bigint IS NOT NULL AND queue = %(queue)s AND state = 'succeeded'
    ORDER BY settled DESC OFFSET %(succeeded)s::bigint LIMIT 1
), last_failed AS MATERIALIZED (
    SELECT settled FROM (
        (SELECT settled FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'failed' ORDER BY settled DESC)
        UNION ALL
        (SELECT settled FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'timed_out' ORDER BY settled DESC)
    ) AS either
    WHERE %(failed)s::bigint IS NOT NULL
    ORDER BY settled DESC OFFSET %(failed)s::bigint LIMIT 1
), gone_succeeded AS (
    DELETE FROM {schema}.jobs
    WHERE queue = %(queue)s AND state = 'succeeded' AND settled <= (SELECT settled FROM last_succeeded)
    RETURNING id, remember
), gone_failed AS (
    DELETE FROM {schema}.jobs
    WHERE queue = %(queue)s AND state IN ('failed', 'timed_out') AND settled <= (SELECT settled FROM last_failed)
    RETURNING id, remember
)
INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)
SELECT %(queue)s, id, 'remembered', 0, clock.now + remember * 1000000, 0, clock.now, ''
FROM clock, (TABLE gone_succeeded UNION ALL TABLE gone_failed) AS leaving
WHERE remember > 0
