-- push: store jobs whose ids are neither in the table nor remembered; over an id whose time of remembrance has passed,
-- which is as good as new. It locks what is there under one of these ids, so in a caller's transaction push.sql goes first.
--
-- Parameters: queue; now (µs, or null: the server's clock); and arrays, sorted by id so that concurrent
--   batches wait for each other in one order: ids, positions (in the caller's batch), priorities,
--   delays (µs), run_ats (µs or null), remembers (s), payloads. Where all would be zero, or null, an array may be empty.
-- Gives a row for each job stored: id, whether it lies ahead, whether someone waits for the queue.
-- Locks: the rows of these ids; waits for another transaction that is storing or removing one of these ids.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
), batch AS MATERIALIZED (
    SELECT nextval('{schema}.batches') << 17 AS seq
)
INSERT INTO {schema}.jobs AS known (queue, id, state, rank, place, seq, remember, pushed_at, payload)
SELECT
    %(queue)s, new.id, 'ready', -coalesce(new.priority, 0),
    greatest(clock.now + coalesce(new.delay, 0), new.run_at), batch.seq + new.position,
    coalesce(new.remember, 0), clock.now, new.payload
FROM clock, batch, unnest(
    %(ids)b::text[], %(positions)b::bigint[], %(priorities)b::bigint[], %(delays)b::bigint[],
    %(run_ats)b::bigint[], %(remembers)b::bigint[], %(payloads)b::bytea[]
) AS new (id, position, priority, delay, run_at, remember, payload)
ON CONFLICT (queue, id) DO UPDATE SET
    state = excluded.state, rank = excluded.rank, place = excluded.place, seq = excluded.seq,
    remember = excluded.remember, pushed_at = excluded.pushed_at, payload = excluded.payload
    WHERE known.state = 'remembered' AND known.place <= excluded.pushed_at
RETURNING id, place > pushed_at, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s)
