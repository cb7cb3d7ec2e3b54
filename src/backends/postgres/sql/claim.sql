-- claim: take due jobs in the order of their key, or give again what `call` holds.
--
-- Parameters: queue; now (µs, or null: the server's clock); jobs (the limit); lease (µs); holder; call;
--   max_bytes; and what this client knows from its last claims (see marks.py): ranks[] with places[] and seqs[],
--   where to begin in that rank, and base_places[] and base_seqs[], where to begin a look; looked and swept (µs: when
--   it last looked, and looked at everything); seen (the number of the last return that it knows of); onward: whether
--   this goes on with what `call` has just begun.
-- Gives at least one row: now; what comes next (µs or null); whether it was given again; the last return, and the
--   ranks and places of all; the oldest open transaction, and this one (null if it took nothing); and then the key
--   and the columns of a job, or nulls when there is none.
-- Locks: the jobs it takes, skipping those that others hold. Writes nothing when nothing is due.
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now,
        -- Never behind real time, so that a reused id's fence rises too where a test's clock stands still.
        greatest(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS fence
), held AS MATERIALIZED (
    SELECT * FROM (SELECT * FROM {schema}.jobs WHERE call = %(call)s OFFSET 0) AS running WHERE queue = %(queue)s
), returned AS MATERIALIZED (
    SELECT n, rank, place FROM {schema}.returns WHERE queue = %(queue)s AND n > %(seen)s
), mark AS MATERIALIZED (
    -- Marks spare us the entries of jobs long gone, which pile up before the first ready job while some
    -- old snapshot is open. They miss what was committed late, so they hold for two seconds; those of the base may
    -- miss what nobody foresees, so they hold for five minutes.
    SELECT
        known.rank, least(begin.place, back.place) AS place,
        CASE WHEN back.place <= begin.place THEN 0 ELSE begin.seq END AS seq
    FROM clock
    CROSS JOIN unnest(
        %(ranks)b::bigint[], %(places)b::bigint[], %(seqs)b::bigint[], %(base_places)b::bigint[], %(base_seqs)b::bigint[]
    ) AS known (rank, place, seq, base_place, base_seq)
    CROSS JOIN LATERAL (
        SELECT known.place, known.seq WHERE clock.now - %(looked)s BETWEEN 0 AND 2000000
        UNION ALL
        SELECT known.base_place, known.base_seq WHERE NOT clock.now - %(looked)s BETWEEN 0 AND 2000000
    ) AS begin (place, seq)
    CROSS JOIN LATERAL (SELECT min(place) AS place FROM returned WHERE rank = known.rank) AS back
    WHERE clock.now - %(swept)s BETWEEN 0 AND 300000000
), band (rank) AS (
    -- The ranks that may hold ready jobs, in order: those with a mark, and what is found between these.
    SELECT -101::bigint
    UNION ALL
    SELECT coalesce(unmarked.rank, marked.rank)
    FROM band
    CROSS JOIN LATERAL (SELECT min(rank) AS rank FROM mark WHERE mark.rank > band.rank) AS marked
    LEFT JOIN LATERAL (
        SELECT job.rank FROM {schema}.jobs AS job
        WHERE job.queue = %(queue)s AND job.state = 'ready'
            AND job.rank > band.rank AND job.rank < coalesce(marked.rank, 101)
        ORDER BY job.rank LIMIT 1
    ) AS unmarked ON true
    WHERE coalesce(unmarked.rank, marked.rank) IS NOT NULL
), due AS MATERIALIZED (
    SELECT job.queue, job.id, job.size
    FROM band
    CROSS JOIN LATERAL (
        SELECT coalesce(min(place), 0) AS place, coalesce(min(seq), 0) AS seq FROM mark WHERE mark.rank = band.rank
    ) AS known
    CROSS JOIN LATERAL (
        SELECT queue, id, octet_length(payload) AS size
        FROM {schema}.jobs
        WHERE queue = %(queue)s AND state = 'ready' AND rank = band.rank
            AND (place, seq) >= (known.place, known.seq) AND place <= (SELECT now FROM clock)
        ORDER BY place, seq LIMIT %(jobs)s FOR UPDATE SKIP LOCKED
    ) AS job
    WHERE %(onward)s OR NOT EXISTS (SELECT FROM held)
    LIMIT %(jobs)s
), fitting AS MATERIALIZED (
    SELECT queue, id FROM (
        SELECT queue, id, row_number() OVER () AS n, sum(size) OVER (ROWS UNBOUNDED PRECEDING) AS bytes FROM due
    ) AS counted
    WHERE bytes <= %(max_bytes)s OR n = 1 AND NOT %(onward)s
), claimed AS (
    UPDATE {schema}.jobs AS job SET
        state = 'running', attempt = attempt + 1, started_at = clock.now, holder = %(holder)s,
        call = %(call)s, fence = greatest(job.fence + 1, clock.fence),
        lease_until = clock.now + %(lease)s, lapsed_at = NULL
    FROM clock, fitting
    WHERE job.queue = fitting.queue AND job.id = fitting.id
    RETURNING job.rank, place, seq, job.id, call, job.fence, payload, -job.rank, attempt, lost, pushed_at, started_at,
        lease_until, lapsed_at
)
SELECT
    clock.now,
    CASE WHEN EXISTS (SELECT FROM held) AND NOT %(onward)s OR (SELECT count(*) FROM fitting) < (SELECT count(*) FROM due)
        OR (SELECT count(*) FROM due) >= %(jobs)s THEN clock.now
    ELSE (
        SELECT min(ahead.place) FROM band CROSS JOIN LATERAL (
            SELECT place FROM {schema}.jobs
            WHERE queue = %(queue)s AND state = 'ready' AND rank = band.rank AND place > (SELECT now FROM clock)
            ORDER BY place LIMIT 1
        ) AS ahead
    ) END,
    EXISTS (SELECT FROM held) AND NOT %(onward)s,
    (SELECT max(n) FROM returned),
    (SELECT array_agg(ARRAY[rank, place]) FROM returned),
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    pg_current_xact_id_if_assigned()::text::bigint,
    given.*
FROM clock LEFT JOIN (
    SELECT * FROM claimed
    UNION ALL
    SELECT rank, place, seq, id, call, fence, payload, -rank, attempt, lost, pushed_at, started_at, lease_until, lapsed_at
    FROM held WHERE NOT %(onward)s
) AS given ON true
