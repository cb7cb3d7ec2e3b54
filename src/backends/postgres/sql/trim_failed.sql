-- settle, after it kept failures: leave the newest of FAILED and TIMED_OUT together.
--
-- Parameters: queue; now (µs, or null: the server's clock); cap. Reads as many jobs as it deletes: those that are kept are
--   counted in kept, with what other programs have changed since in uncounted.
-- Gives nothing. Runs in settle's transaction under the queue's lock: only so does it see all that was settled before.
-- Locks: the jobs that it deletes.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), told AS (
    DELETE FROM {schema}.uncounted WHERE queue = %(queue)s AND cap = 'failed' RETURNING jobs
), uncounted AS MATERIALIZED (
    SELECT coalesce(sum(jobs), 0)::bigint AS jobs FROM told
), excess AS MATERIALIZED (
    SELECT greatest(0, kept.jobs + uncounted.jobs - %(cap)s) AS jobs
    FROM uncounted, {schema}.kept AS kept WHERE queue = %(queue)s AND cap = 'failed'
), oldest AS MATERIALIZED (
    SELECT queue, id FROM (
        (
            SELECT queue, id, settled FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'failed'
            ORDER BY settled LIMIT (SELECT jobs FROM excess)
        )
        UNION ALL
        (
            SELECT queue, id, settled FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'timed_out'
            ORDER BY settled LIMIT (SELECT jobs FROM excess)
        )
    ) AS either
    ORDER BY settled LIMIT (SELECT jobs FROM excess)
), gone AS (
    DELETE FROM {schema}.jobs AS job USING oldest
    WHERE job.queue = oldest.queue AND job.id = oldest.id
    RETURNING job.id, remember
), discounted AS (
    -- By what is deleted here: of what another program is deleting at this moment it will tell itself.
    UPDATE {schema}.kept AS kept SET jobs = kept.jobs + change.jobs
    FROM (SELECT jobs - (SELECT count(*) FROM gone) AS jobs FROM uncounted) AS change
    WHERE change.jobs <> 0 AND kept.queue = %(queue)s AND kept.cap = 'failed'
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
