-- counts: how many jobs are in each state.
--
-- Parameters: queue; now (µs, or null: the server's clock).
-- Gives one row: ready, scheduled, running, succeeded, failed, timed_out, broken. Reads the queue; locks nothing.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
)
SELECT
    count(*) FILTER (WHERE state = 'ready' AND place <= (SELECT now FROM clock)),
    count(*) FILTER (WHERE state = 'ready' AND place > (SELECT now FROM clock)),
    count(*) FILTER (WHERE state = 'running'),
    count(*) FILTER (WHERE state = 'succeeded'),
    count(*) FILTER (WHERE state = 'failed'),
    count(*) FILTER (WHERE state = 'timed_out'),
    count(*) FILTER (WHERE state = 'broken')
FROM {schema}.jobs
WHERE queue = %(queue)s
