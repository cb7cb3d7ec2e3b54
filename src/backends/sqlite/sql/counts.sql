-- counts: how many jobs are in each state. Reads indexes only.
--
-- Parameters: queue, now. Gives a row for each state that has jobs: state, how many.
SELECT CASE WHEN place <= :now THEN 'ready' ELSE 'scheduled' END AS view, count(*)
FROM jobcore_jobs INDEXED BY jobcore_ready WHERE queue = :queue AND state = 'ready' GROUP BY view
UNION ALL
SELECT 'running', count(*) FROM jobcore_jobs INDEXED BY jobcore_running WHERE queue = :queue AND state = 'running'
UNION ALL
SELECT state, count(*) FROM jobcore_jobs INDEXED BY jobcore_finished
WHERE queue = :queue AND finished_at IS NOT NULL GROUP BY state
