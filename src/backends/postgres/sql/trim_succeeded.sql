-- settle, after it kept successes: leave the newest.
--
-- Parameters: queue; now (µs, or null: the server's clock); cap. Reads as many index entries as the cap.
-- Gives nothing. Runs in settle's transaction under the queue's lock: only so does it see all that was settled before.
-- Locks: the jobs that it deletes.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), gone AS (
    DELETE FROM {schema}.jobs
    WHERE queue = %(queue)s AND state = 'succeeded' AND settled <= (
        SELECT settled FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'succeeded'
        ORDER BY settled DESC OFFSET %(cap)s LIMIT 1
    )
    RETURNING id, remember
), forgotten AS (
    -- As in settle.
    DELETE FROM {schema}.jobs AS job USING (
        SELECT queue, id FROM {schema}.jobs
        WHERE queue = %(queue)s AND state = 'remembered' AND place <= (SELECT now FROM clock)
        ORDER BY place LIMIT (SELECT 2 * count(*) FROM gone WHERE remember > 0) FOR UPDATE SKIP LOCKED
    ) AS expired
    WHERE job.queue = expired.queue AND job.id = expired.id
)
INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)
SELECT %(queue)s, id, 'remembered', 0, clock.now + remember * 1000000, 0, clock.now, ''
FROM clock, gone
WHERE remember > 0
