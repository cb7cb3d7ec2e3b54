-- push, of jobs that are expected to be new: as push.sql, and cheaper by what it takes to be ready for a conflict at
-- each row, and to answer for each. An id that is in the table is an error (23505), and then nothing is stored.
--
-- Parameters: as push.sql.
-- Gives one row: now, whether someone waits for the queue.
-- Locks: as push.sql.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
), batch AS MATERIALIZED (
    SELECT nextval('{schema}.batches') << 17 AS seq
), stored AS (
    INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, remember, pushed_at, payload)
    SELECT
        %(queue)s, new.id, 'ready', -coalesce(new.priority, 0),
        greatest(clock.now + coalesce(new.delay, 0), new.run_at), batch.seq + new.position,
        coalesce(new.remember, 0), clock.now, new.payload
    FROM clock, batch, unnest(
        %(ids)b::text[], %(positions)b::bigint[], %(priorities)b::bigint[], %(delays)b::bigint[],
        %(run_ats)b::bigint[], %(remembers)b::bigint[], %(payloads)b::bytea[]
    ) AS new (id, position, priority, delay, run_at, remember, payload)
)
SELECT clock.now, EXISTS (SELECT FROM {schema}.sleepers WHERE queue = %(queue)s) FROM clock
