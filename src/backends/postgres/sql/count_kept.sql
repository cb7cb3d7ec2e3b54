-- settle, before it first counts on what is counted, and now and then: count anew what the queue keeps. An older jobcore
-- may have settled jobs, or another program deleted some while the triggers that tell of that were not there.
--
-- Parameters: queue. Gives nothing. Runs in settle's transaction under the queue's lock. Reads all that is kept.
WITH told AS (
    DELETE FROM {schema}.uncounted WHERE queue = %(queue)s
)
INSERT INTO {schema}.kept (queue, cap, jobs)
SELECT %(queue)s, cap, (
    SELECT count(*) FROM {schema}.jobs WHERE queue = %(queue)s AND state = ANY (states)
)
FROM (VALUES ('succeeded', ARRAY['succeeded']), ('failed', ARRAY['failed', 'timed_out'])) AS capped (cap, states)
ON CONFLICT (queue, cap) DO UPDATE SET jobs = excluded.jobs
