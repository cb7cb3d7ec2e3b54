-- push, of several jobs in a caller's transaction: whether some of these ids are remembered only, and their time has passed.
--
-- Parameters: queue; now (µs, or null: the server's clock); ids[].
-- Gives a row if there are some. Reads no more than push does, whose caller may have no right to more. Locks nothing.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
)
SELECT true
FROM clock, unnest(%(ids)b::text[]) AS asked (wanted) CROSS JOIN LATERAL (
    SELECT state, place FROM {schema}.jobs WHERE queue = %(queue)s AND id = asked.wanted
) AS job
WHERE state = 'remembered' AND place <= clock.now
LIMIT 1
