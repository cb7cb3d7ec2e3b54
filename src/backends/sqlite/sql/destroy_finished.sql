-- destroy, the rest: no finished jobs of a queue are left to be counted.
--
-- Parameters: queue.
DELETE FROM jobcore_finished_jobs WHERE queue = :queue
