-- settle, its caps: remove the oldest finished jobs of a state, or of two that share a cap, that are too many.
--
-- Parameters: queue, state, other (the second state, or again the first), cap. Gives id and `remember` of each
-- job that went. The two are merged as they are read, from the oldest on.
DELETE FROM jobcore_jobs WHERE n IN (
    SELECT n FROM (
        SELECT n FROM jobcore_jobs INDEXED BY jobcore_finished
        WHERE queue = :queue AND state = :state AND state NOT IN ('ready', 'running')
        UNION
        SELECT n FROM jobcore_jobs INDEXED BY jobcore_finished
        WHERE queue = :queue AND state = :other AND state NOT IN ('ready', 'running')
        ORDER BY n LIMIT max(0, (
            SELECT ifnull(sum(jobs), 0) FROM jobcore_finished_jobs WHERE queue = :queue AND state IN (:state, :other)
        ) - :cap)
    )
)
RETURNING id, remember
