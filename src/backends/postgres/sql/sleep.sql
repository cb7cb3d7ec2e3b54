-- wait, its announcement: someone waits for these queues.
--
-- Parameters: queues[], sorted. Gives those that nobody waited for till now.
-- Locks: the new rows; waits for a wake that is taking one away.
INSERT INTO {schema}.sleepers (queue)
SELECT * FROM unnest(%(queues)b::text[])
ON CONFLICT (queue) DO NOTHING RETURNING queue
