-- destroy, the rest: forget all ids of a queue.
--
-- Parameters: queue.
DELETE FROM jobcore_remembered WHERE queue = :queue
