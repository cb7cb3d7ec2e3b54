-- find: the n of a job.
--
-- Parameters: queue, id. Gives n, or no row.
SELECT n FROM jobcore_jobs WHERE queue = :queue AND id = :id
