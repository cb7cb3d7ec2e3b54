-- destroy: all jobs of a queue leave the store.
--
-- Parameters: queue.
DELETE FROM jobcore_jobs WHERE queue = :queue
