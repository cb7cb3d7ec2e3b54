-- push, in a caller's transaction: store jobs whose ids are not in the table.
--
-- Parameters: queue; now (µs, or null: the server's clock); and arrays, sorted by id so that concurrent
--   batches wait for each other in one order: ids, positions (in the caller's batch), priorities,
--   delays (µs), run_ats (µs or null), remembers (s), payloads. Where all would be zero, or null, an array may be empty.
-- Gives a row for each job stored: id, whether it lies ahead, whether someone waits for the queue.
-- Locks: the new rows; waits for another transaction that is storing or removing one of these ids.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
), batch AS MATERIALIZED (
    SELECT nextval('{schema}.batches') << 17 AS seq
)
INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, remember, pushed_at, payload)
SELECT
    %(queue)s, new.id, 'ready', -coalesce(new.priority, 0),
    greatest(clock.now + coalesce(new.delay, 0), new.run_at), batch.seq + new.position,
    coalesce(new.remember, 0), clock.now, new.payload
FROM clock, batch, unnest(
    %(ids)b::text[], %(positions)b::bigint[], %(priorities)b::bigint[], %(delays)b::bigint[],
    %(run_ats)b::bigint[], %(remembers)b::bigint[], %(payloads)b::bytea[]
) AS new (id, position, priority, delay, run_at, remember, payload)
-- And no DO UPDATE, which would lock what is there, in a caller's transaction for long: claims would pass it over.
ON CONFLICT (queue, id) DO NOTHING
RETURNING id, place > pushed_at, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s)
