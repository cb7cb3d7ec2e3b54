-- push, of one job: as push.sql, without the arrays, which take longer to send and to read than one row to store.
--
-- Parameters: queue; now (µs, or null: the server's clock); id, priority, delay (µs), run_at (µs or null),
--   remember (s), payload.
-- Gives a row if it was stored: id, whether it lies ahead, whether someone waits for the queue.
-- Locks: the new row; waits for another transaction that is storing or removing this id.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
)
INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, remember, pushed_at, payload)
SELECT
    %(queue)s, %(id)s, 'ready', -%(priority)s::bigint,
    greatest(clock.now + %(delay)s, %(run_at)s), nextval('{schema}.batches') << 17,
    %(remember)s, clock.now, %(payload)s
FROM clock
ON CONFLICT (queue, id) DO NOTHING
RETURNING id, place > pushed_at, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s)
