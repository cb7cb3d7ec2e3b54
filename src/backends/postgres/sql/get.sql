-- get: all that is known of some jobs.
--
-- Parameters: queue; now (µs, or null: the server's clock); ids[].
-- Gives an entry for each job that there is; its state is 'scheduled' where it is ready and lies ahead. Locks nothing.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
)
SELECT
    id, CASE WHEN state = 'ready' AND place > clock.now THEN 'scheduled' ELSE state END, payload, -rank, place,
    attempt, lost, pushed_at, started_at, lease_until, holder, finished_at, reason, value
FROM clock, unnest(%(ids)b::text[]) AS asked (wanted) CROSS JOIN LATERAL (
    SELECT * FROM {schema}.jobs WHERE queue = %(queue)s AND id = asked.wanted
) AS job
WHERE state <> 'remembered'
