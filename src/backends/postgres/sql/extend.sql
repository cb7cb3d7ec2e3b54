-- extend: move the ends of leases.
--
-- Parameters: queue; now (µs, or null: the server's clock); lease (µs); and arrays: ids, calls, fences,
--   positions (in the caller's batch).
-- Gives a row for each token that is current: its position, and whether its lease was moved. A row that another
--   transaction holds is not waited for: a heartbeat must not hang behind a slow settlement.
-- Locks: the jobs whose tokens are current, skipping those that others hold.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), asked AS MATERIALIZED (
    SELECT %(queue)s AS queue, * FROM unnest(%(ids)b::text[], %(calls)b::bytea[], %(fences)b::bigint[], %(positions)b::bigint[])
        AS asked (id, call, fence, position)
), free AS MATERIALIZED (
    SELECT job.queue, job.id FROM asked CROSS JOIN LATERAL (
        SELECT queue, id FROM {schema}.jobs
        WHERE queue = asked.queue AND id = asked.id AND call IS NOT DISTINCT FROM asked.call AND fence = asked.fence
        FOR UPDATE SKIP LOCKED
    ) AS job
), extended AS (
    UPDATE {schema}.jobs AS job SET lease_until = clock.now + %(lease)s
    FROM clock, free
    WHERE job.queue = free.queue AND job.id = free.id
    RETURNING job.id
)
SELECT asked.position, asked.id IN (SELECT id FROM extended)
FROM asked CROSS JOIN LATERAL (
    SELECT FROM {schema}.jobs
    WHERE queue = asked.queue AND id = asked.id AND call IS NOT DISTINCT FROM asked.call AND fence = asked.fence
) AS current
