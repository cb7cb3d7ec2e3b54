-- remove: take jobs that do not run out of the table.
--
-- Parameters: queue; now (µs, or null: the server's clock); ids[], sorted.
-- Gives a row for each job that there is: id, whether it was removed, and false: nobody waits for that.
-- Runs under the queue's lock, as redrive does. Locks: all the jobs that are named.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), found AS MATERIALIZED (
    SELECT job.queue, job.id, job.state <> 'running' AS fits
    FROM unnest(%(ids)b::text[]) AS asked (id) CROSS JOIN LATERAL (
        SELECT queue, id, state FROM {schema}.jobs WHERE queue = %(queue)s AND id = asked.id FOR UPDATE
    ) AS job
    WHERE job.state <> 'remembered'
), gone AS (
    DELETE FROM {schema}.jobs AS job USING found
    WHERE found.fits AND job.queue = found.queue AND job.id = found.id
    RETURNING job.id, remember, CASE job.state WHEN 'succeeded' THEN 'succeeded' WHEN 'broken' THEN NULL ELSE 'failed' END AS cap,
        job.settled IS NOT NULL AS finished
), discounted AS (
    UPDATE {schema}.kept AS kept SET jobs = kept.jobs - dropped.jobs
    FROM (SELECT cap, count(*) AS jobs FROM gone WHERE finished GROUP BY cap) AS dropped
    WHERE kept.queue = %(queue)s AND kept.cap = dropped.cap
), remembered AS (
    INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)
    SELECT %(queue)s, id, 'remembered', 0, clock.now + remember * 1000000, 0, clock.now, ''
    FROM clock, gone
    WHERE remember > 0
), forgotten AS (
    -- As in settle.
    DELETE FROM {schema}.jobs AS job USING (
        SELECT queue, id FROM {schema}.jobs
        WHERE queue = %(queue)s AND state = 'remembered' AND place <= (SELECT now FROM clock)
        ORDER BY place LIMIT (SELECT 2 * count(*) FROM gone WHERE remember > 0) FOR UPDATE SKIP LOCKED
    ) AS expired
    WHERE job.queue = expired.queue AND job.id = expired.id
)
SELECT id, fits, false FROM found
