-- settle, its caps: remove all but the newest finished jobs of a state, or of two that share a cap.
--
-- Parameters: queue, state, other (the second state, or again the first), cap. Gives id and `remember` of each
-- job that went. The two are merged as they are read, from the newest on.
DELETE FROM jobcore_jobs WHERE n IN (
    SELECT n FROM (
        SELECT n FROM jobcore_jobs INDEXED BY jobcore_finished
        WHERE queue = :queue AND state = :state AND state NOT IN ('ready', 'running')
        UNION
        SELECT n FROM jobcore_jobs INDEXED BY jobcore_finished
        WHERE queue = :queue AND state = :other AND state NOT IN ('ready', 'running')
        ORDER BY n DESC LIMIT -1 OFFSET :cap
    )
)
RETURNING id, remember
