-- queues: the names of the queues that hold jobs, in order. Goes from one name to the next in the index of ids.
--
-- No parameters. Gives rows of one text.
WITH RECURSIVE names (name) AS (
    SELECT min(queue) FROM jobcore_jobs
    UNION ALL
    SELECT (SELECT min(queue) FROM jobcore_jobs WHERE queue > name) FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL
