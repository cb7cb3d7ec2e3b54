-- push, of jobs that are expected to be new: as push.sql, and cheaper by what it takes to be ready for a conflict at
-- each row, and to answer for each. An id that is in the table is an error (23505), and then nothing is stored.
--
-- Parameters: queue; now (µs, or null: the server's clock); and arrays in the batch's order, as nobody else has ids that
--   are new: ids, priorities, delays (µs), run_ats (µs or null), payloads. Where all would be zero, or null, an array may
--   be empty.
-- Gives one row: now, whether someone waits for the queue.
-- Locks: the new rows; waits for another transaction that is storing or removing one of these ids.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM pg_current_xact_id()  -- first, so that no place is older than its transaction: claims count on that (marks.py)
), batch AS MATERIALIZED (
    SELECT nextval('{schema}.batches') << 17 AS seq
), stored AS (
    INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)
    SELECT
        %(queue)s, new.id, 'ready', -coalesce(new.priority, 0),
        greatest(clock.now + coalesce(new.delay, 0), new.run_at), batch.seq + new.number - 1, clock.now, new.payload
    FROM clock, batch, unnest(
        %(ids)b::text[], %(priorities)b::bigint[], %(delays)b::bigint[], %(run_ats)b::bigint[], %(payloads)b::bytea[]
    ) WITH ORDINALITY AS new (id, priority, delay, run_at, payload, number)
)
SELECT clock.now, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s) FROM clock
