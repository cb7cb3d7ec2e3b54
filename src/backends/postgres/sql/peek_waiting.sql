-- peek, for READY and SCHEDULED: in the order of the key.
--
-- Parameters: queue; now (µs, or null: the server's clock); jobs (the limit); due (whether READY is asked for);
--   the key (rank, place, seq) after which to go on.
-- Gives entries as get does, each followed by its key. Locks nothing. Goes from rank to rank, so that it reads little
--   more than it gives, however many jobs are due before those that are not, or the other way round.
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), span AS MATERIALIZED (
    SELECT CASE WHEN %(due)s THEN -edge ELSE now + 1 END AS low, CASE WHEN %(due)s THEN now ELSE edge END AS high
    FROM clock CROSS JOIN (SELECT 1::bigint << 62) AS beyond (edge)
), band (rank) AS (
    (SELECT rank FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'ready' AND rank >= %(rank)s
    ORDER BY rank LIMIT 1)
    UNION ALL
    SELECT further.rank FROM band CROSS JOIN LATERAL (
        SELECT rank FROM {schema}.jobs WHERE queue = %(queue)s AND state = 'ready' AND rank > band.rank
        ORDER BY rank LIMIT 1
    ) AS further
)
SELECT job.*
FROM band CROSS JOIN LATERAL (
    SELECT
        id, CASE WHEN %(due)s THEN 'ready' ELSE 'scheduled' END, payload, -rank, place,
        attempt, lost, pushed_at, started_at, lease_until, holder, finished_at, reason, value,
        rank, place, seq
    FROM {schema}.jobs
    WHERE queue = %(queue)s AND state = 'ready' AND rank = band.rank
        AND place BETWEEN (SELECT low FROM span) AND (SELECT high FROM span)
        AND (rank, place, seq) > (%(rank)s, %(place)s, %(seq)s)
    ORDER BY place, seq LIMIT %(jobs)s
) AS job
LIMIT %(jobs)s
