-- redrive: make failed jobs ready again, at a new place, as if they had never run.
--
-- Parameters: queue; now (µs, or null: the server's clock); and arrays, sorted by id: ids, positions.
-- Gives a row for each job that there is: id, whether it was redriven, whether someone waits for the queue.
-- Runs under the queue's lock, since trim deletes from these states. Locks: all the jobs that are named.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
), batch AS MATERIALIZED (
    SELECT nextval('{schema}.batches') << 17 AS seq
), found AS MATERIALIZED (
    SELECT job.queue, job.id, asked.position, job.state, job.state IN ('failed', 'timed_out', 'broken') AS fits
    FROM unnest(%(ids)b::text[], %(positions)b::bigint[]) AS asked (id, position) CROSS JOIN LATERAL (
        SELECT queue, id, state FROM {schema}.jobs WHERE queue = %(queue)s AND id = asked.id FOR UPDATE
    ) AS job
    WHERE job.state <> 'remembered'
), redriven AS (
    UPDATE {schema}.jobs AS job SET
        state = 'ready', place = clock.now, seq = batch.seq + found.position, attempt = 0, lost = 0,
        started_at = NULL, finished_at = NULL, settled = NULL, reason = NULL, value = NULL
    FROM clock, batch, found
    WHERE found.fits AND job.queue = found.queue AND job.id = found.id
), discounted AS (
    UPDATE {schema}.kept AS kept SET jobs = kept.jobs - dropped.jobs
    FROM (SELECT count(*) AS jobs FROM found WHERE state IN ('failed', 'timed_out')) AS dropped
    WHERE dropped.jobs > 0 AND kept.queue = %(queue)s AND kept.cap = 'failed'
)
SELECT id, fits, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s) FROM found
