-- lock: one at a time, for the statements of a queue that must see all that went before.
--
-- Parameters: queue. Gives nothing. Locks: an advisory lock of the queue, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('{schema} ' || %(queue)s, 7061767))
