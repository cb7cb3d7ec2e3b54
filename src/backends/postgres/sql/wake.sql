-- wake: after a commit that made jobs ready: notify whoever waits for the queue, once.
--
-- Parameters: queue. Gives nothing that matters. Locks: the sleeper's row, so that of many producers one notifies.
--   Waits for no disk and no standby: after a crash whoever waits says so again.
DELETE FROM {schema}.sleepers WHERE queue = %(queue)s
RETURNING pg_notify('{channel}', queue), set_config('synchronous_commit', 'off', true)
