-- queues: the names of the queues that hold jobs, in order. Goes from one name to the next in the index of ids.
--
-- No parameters. Gives rows of one text. Locks nothing.
WITH RECURSIVE names (name) AS (
    SELECT min(queue) FROM {schema}.jobs
    UNION ALL
    SELECT (SELECT min(queue) FROM {schema}.jobs WHERE queue > name) FROM names WHERE name IS NOT NULL
)
SELECT name FROM names
-- Not those of which only ids are remembered. Each is one look into an index.
WHERE EXISTS (SELECT FROM {schema}.jobs WHERE queue = name AND state = 'ready')
    OR EXISTS (SELECT FROM {schema}.jobs WHERE queue = name AND state = 'running')
    OR EXISTS (
        SELECT FROM {schema}.jobs WHERE queue = name AND state IN ('succeeded', 'failed', 'timed_out', 'broken')
    )
