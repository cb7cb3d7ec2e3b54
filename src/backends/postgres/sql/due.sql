-- wait, its look: when the first job of each queue is due.
--
-- Parameters: now (µs, or null: the server's clock); queues[].
-- Gives a row for each queue that has a ready job: queue, its first place less now (µs). Locks nothing.
WITH RECURSIVE band (queue, rank) AS (
    SELECT wanted, (
        SELECT rank FROM {schema}.jobs WHERE queue = wanted AND state = 'ready' ORDER BY rank LIMIT 1
    )
    FROM unnest(%(queues)b::text[]) AS asked (wanted)
    UNION ALL
    SELECT queue, (
        SELECT job.rank FROM {schema}.jobs AS job
        WHERE job.queue = band.queue AND job.state = 'ready' AND job.rank > band.rank ORDER BY job.rank LIMIT 1
    )
    FROM band
    WHERE rank IS NOT NULL
)
SELECT
    band.queue,
    min(first.place) - coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM band CROSS JOIN LATERAL (
    SELECT job.place FROM {schema}.jobs AS job
    WHERE job.queue = band.queue AND job.state = 'ready' AND job.rank = band.rank ORDER BY job.place LIMIT 1
) AS first
GROUP BY band.queue
