-- push, about what it did not store: where the jobs of these ids are.
--
-- Parameters: queue; now (µs, or null: the server's clock); ids[].
-- Gives a row for each id that is known: id, state ('scheduled' where it is ready and lies ahead, 'remembered' where
--   only the id is left). Reads no more than push does, whose caller may have no right to more. Locks nothing.
WITH clock AS MATERIALIZED (
    SELECT coalesce(%(now)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
)
SELECT id, CASE WHEN state = 'ready' AND place > clock.now THEN 'scheduled' ELSE state END
FROM clock, unnest(%(ids)b::text[]) AS asked (wanted) CROSS JOIN LATERAL (
    SELECT id, state, place FROM {schema}.jobs WHERE queue = %(queue)s AND id = asked.wanted
) AS job
WHERE state <> 'remembered' OR place > clock.now
