-- peek, for READY and SCHEDULED: in the order of the key.
--
-- Parameters: queue; now (µs, or null: the server's clock); jobs (the limit); due (whether READY is asked for);
--   the key (rank, place, seq) after which to go on.
-- Gives entries as get does, each followed by its key. Locks nothing.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
)
SELECT
    id, CASE WHEN place > (SELECT now FROM clock) THEN 'scheduled' ELSE 'ready' END, payload, -rank, place,
    attempt, lost, pushed_at, started_at, lease_until, holder, finished_at, reason, value,
    rank, place, seq
FROM {schema}.jobs
WHERE queue = %(queue)s AND state = 'ready' AND (place <= (SELECT now FROM clock)) = %(due)s
    AND (rank, place, seq) > (%(rank)s, %(place)s, %(seq)s)
ORDER BY rank, place, seq LIMIT %(jobs)s
