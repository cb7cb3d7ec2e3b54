-- reclaim: take over running jobs whose leases have run out, or give again what `call` holds.
--
-- Parameters: queue; now (µs, or null: the server's clock); jobs (the limit); lease (µs); holder; call;
--   of (null, or the holder whose jobs are taken whatever their leases).
-- Gives a row for each job: the end of the lease that it was lost with, place and seq, then the job as claim does.
-- Locks: the jobs it takes, skipping those that others hold.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now,
        -- Never behind real time, so that a reused id's fence rises too where a test's clock stands still.
        greatest(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS fence
), held AS MATERIALIZED (
    SELECT * FROM (SELECT * FROM {schema}.jobs WHERE call = %(call)s OFFSET 0) AS running WHERE queue = %(queue)s
), lapsed AS MATERIALIZED (
    SELECT queue, id FROM {schema}.jobs
    WHERE queue = %(queue)s AND state = 'running' AND NOT EXISTS (SELECT FROM held)
        AND lease_until <= CASE WHEN %(of)s::text IS NULL THEN (SELECT now FROM clock) ELSE 9223372036854775807 END
        AND (%(of)s::text IS NULL OR holder = %(of)s::text)
    ORDER BY lease_until LIMIT %(jobs)s FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE {schema}.jobs AS job SET
        lost = lost + 1, holder = %(holder)s, call = %(call)s, fence = greatest(job.fence + 1, clock.fence),
        lease_until = clock.now + %(lease)s, lapsed_at = lease_until
    FROM clock, lapsed
    WHERE job.queue = lapsed.queue AND job.id = lapsed.id
    RETURNING lapsed_at, place, seq, job.id, call, job.fence, payload, -rank, attempt, lost, pushed_at, started_at,
        lease_until, lapsed_at
)
SELECT * FROM taken
UNION ALL
SELECT lapsed_at, place, seq, id, call, fence, payload, -rank, attempt, lost, pushed_at, started_at, lease_until,
    lapsed_at
FROM held
