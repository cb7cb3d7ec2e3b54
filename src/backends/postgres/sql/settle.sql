-- settle: end runs, each by its token.
--
-- Parameters: queue; now (µs, or null: the server's clock); and arrays, sorted by id so that concurrent batches
--   wait for each other in one order: ids, calls, fences, positions (in the caller's batch), moves, kepts, delays
--   (µs), reasons, values. A move is the state to go to, or 'retry' (to a new place), or 'return' (to the old one);
--   where a cap of 0 keeps none of a state, kept is false, and older jobs of that state go too.
-- Gives a row for each job that moved: its position, and whether it is ready and someone waits for the queue.
-- Locks: the jobs whose tokens are current. Rows are found by primary key alone, and then compared with the token:
--   a condition on the state, or an equality with the call, would let the planner take another index, where all the
--   jobs of a call lie together. Only a running job has a call.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
), batch AS MATERIALIZED (
    SELECT nextval('{schema}.batches') << 17 AS seq
), asked AS MATERIALIZED (
    SELECT %(queue)s AS queue, * FROM unnest(
        %(ids)b::text[], %(calls)b::bytea[], %(fences)b::bigint[], %(positions)b::bigint[],
        %(moves)b::text[], %(kepts)b::boolean[], %(delays)b::bigint[], %(reasons)b::text[], %(values)b::bytea[]
    ) AS asked (id, call, fence, position, move, kept, delay, reason, value)
), moved AS (
    UPDATE {schema}.jobs AS job SET
        state = CASE WHEN move IN ('retry', 'return') THEN 'ready' ELSE move END,
        place = CASE WHEN move = 'retry' THEN clock.now + delay ELSE place END,
        seq = CASE WHEN move = 'retry' THEN (SELECT seq FROM batch) + position ELSE seq END,
        attempt = CASE WHEN move = 'return' THEN attempt - 1 ELSE attempt END,
        started_at = CASE WHEN move IN ('retry', 'return') THEN NULL ELSE started_at END,
        finished_at = CASE WHEN move IN ('retry', 'return') THEN NULL ELSE clock.now END,
        settled = CASE WHEN move IN ('retry', 'return') THEN NULL ELSE (SELECT seq FROM batch) + position END,
        reason = CASE WHEN move = 'return' THEN job.reason ELSE asked.reason END,
        value = asked.value, call = NULL, holder = NULL, lease_until = NULL, lapsed_at = NULL
    FROM clock, asked
    WHERE asked.kept
        AND job.queue = asked.queue AND job.id = asked.id AND job.call IS NOT DISTINCT FROM asked.call AND job.fence = asked.fence
    RETURNING asked.position, move, rank, place
), gone AS (
    DELETE FROM {schema}.jobs AS job USING asked
    WHERE NOT asked.kept
        AND job.queue = asked.queue AND job.id = asked.id AND job.call IS NOT DISTINCT FROM asked.call AND job.fence = asked.fence
    RETURNING asked.position, move, job.id, remember
), older_succeeded AS (
    DELETE FROM {schema}.jobs
    WHERE queue = %(queue)s AND state = 'succeeded' AND EXISTS (SELECT FROM gone WHERE move = 'succeeded')
    RETURNING id, remember
), older_failed AS (
    DELETE FROM {schema}.jobs
    WHERE queue = %(queue)s AND state IN ('failed', 'timed_out')
        AND EXISTS (SELECT FROM gone WHERE move IN ('failed', 'timed_out'))
    RETURNING id, remember
), leaving AS (
    SELECT id, remember FROM gone UNION ALL TABLE older_succeeded UNION ALL TABLE older_failed
), remembered AS (
    INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)
    SELECT %(queue)s, id, 'remembered', 0, clock.now + remember * 1000000, 0, clock.now, ''
    FROM clock, leaving
    WHERE remember > 0
), forgotten AS (
    -- Whoever adds to what is remembered takes away twice as many that have expired.
    DELETE FROM {schema}.jobs AS job USING (
        SELECT queue, id FROM {schema}.jobs
        WHERE queue = %(queue)s AND state = 'remembered' AND place <= (SELECT now FROM clock)
        ORDER BY place LIMIT (SELECT 2 * count(*) FROM leaving WHERE remember > 0) FOR UPDATE SKIP LOCKED
    ) AS expired
    WHERE job.queue = expired.queue AND job.id = expired.id
), counted AS (
    INSERT INTO {schema}.kept AS kept (queue, cap, jobs)
    SELECT %(queue)s, CASE move WHEN 'succeeded' THEN 'succeeded' ELSE 'failed' END, count(*)
    FROM moved WHERE move IN ('succeeded', 'failed', 'timed_out') GROUP BY 2
    ON CONFLICT (queue, cap) DO UPDATE SET jobs = kept.jobs + excluded.jobs
), discounted AS (
    UPDATE {schema}.kept AS kept SET jobs = kept.jobs - dropped.jobs
    FROM (
        SELECT 'succeeded' AS cap, count(*) AS jobs FROM older_succeeded
        UNION ALL
        SELECT 'failed', count(*) FROM older_failed
    ) AS dropped
    WHERE dropped.jobs > 0 AND kept.queue = %(queue)s AND kept.cap = dropped.cap
), journal AS (
    INSERT INTO {schema}.returns (queue, rank, place, at)
    SELECT %(queue)s, rank, min(place), clock.now FROM moved, clock WHERE move = 'return' GROUP BY rank, clock.now
    RETURNING n
), outdated AS (
    -- Now and then, as it reads the queue's whole journal.
    DELETE FROM {schema}.returns
    USING clock
    WHERE queue = %(queue)s AND at < clock.now - 600000000 AND EXISTS (SELECT FROM journal WHERE n %% 64 = 0)
)
SELECT position, readied AND EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s)
FROM (
    SELECT position, false AS readied FROM gone UNION ALL SELECT position, move IN ('retry', 'return') FROM moved
) AS done
