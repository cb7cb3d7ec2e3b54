-- wake: after a commit that made jobs ready: notify whoever waits for the queue, once.
--
-- Parameters: queue. Gives nothing. Locks: the sleeper's row, so that of many producers one notifies.
DELETE FROM {schema}.sleepers WHERE queue = %(queue)s RETURNING pg_notify('{channel}', queue)
