-- bands: the priorities that waiting jobs have, highest first. One seek each, made as the rows are read.
--
-- Parameters: queue, top (the priority to begin at).
WITH RECURSIVE band (priority) AS (
    SELECT max(priority) FROM jobcore_jobs INDEXED BY jobcore_ready
    WHERE queue = :queue AND state = 'ready' AND priority <= :top
    UNION ALL
    SELECT (
        SELECT max(priority) FROM jobcore_jobs INDEXED BY jobcore_ready
        WHERE queue = :queue AND state = 'ready' AND priority < band.priority
    )
    FROM band WHERE band.priority IS NOT NULL
)
SELECT priority FROM band WHERE priority IS NOT NULL
