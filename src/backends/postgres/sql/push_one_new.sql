-- push, of one job that is expected to be new: as push_new.sql, without the arrays, which take longer to send and to
-- read than one row to store.
--
-- Parameters: queue; now (µs, or null: the server's clock); id, priority, delay (µs), run_at (µs or null), payload.
-- Gives one row: now, whether someone waits for the queue.
-- Locks: the new row; waits for another transaction that is storing or removing this id.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
)
INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)
SELECT
    %(queue)s, %(id)s, 'ready', -%(priority)s::bigint,
    greatest(clock.now + %(delay)s, %(run_at)s), nextval('{schema}.batches') << 17, clock.now, %(payload)s
FROM clock
RETURNING pushed_at, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s)
