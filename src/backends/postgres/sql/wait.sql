-- wait: say that someone waits for these queues, and look when the first job of each is due.
--
-- Parameters: now (µs, or null: the server's clock); queues[], sorted; announce: whether to say it, or only to look.
-- Gives a row for each queue: its name; its first place less now (µs), or null if it has no ready job; whether nobody
--   waited for it till now, so that a push that is under way can't have seen that someone does.
-- Locks: the new rows of sleepers; waits for a wake that is taking one away, and for no disk: see wake.sql.
WITH RECURSIVE announced AS (
    INSERT INTO {schema}.sleepers (queue)
    SELECT * FROM unnest(%(queues)b::text[]) WHERE %(announce)s
    ON CONFLICT (queue) DO NOTHING RETURNING queue, set_config('synchronous_commit', 'off', true)
), band (queue, rank) AS (
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
    asked.queue,
    (
        SELECT min(first.place) FROM band CROSS JOIN LATERAL (
            SELECT job.place FROM {schema}.jobs AS job
            WHERE job.queue = band.queue AND job.state = 'ready' AND job.rank = band.rank ORDER BY job.place LIMIT 1
        ) AS first
        WHERE band.queue = asked.queue
    ) - coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    EXISTS (SELECT FROM announced WHERE announced.queue = asked.queue)
FROM unnest(%(queues)b::text[]) AS asked (queue)
