-- due: the jobs of one priority that can be claimed, in their order, as they are once they are claimed (see `claim`).
-- Rows are read one by one, so no limit is needed.
--
-- Parameters: queue, now, priority. Gives n, id, fence, payload, priority, attempt, lost, pushed_at.
SELECT n, id, max(fence + 1, :now), payload, priority, attempt + 1, lost, pushed_at
FROM jobcore_jobs INDEXED BY jobcore_ready
WHERE queue = :queue AND state = 'ready' AND priority = :priority AND place <= :now
ORDER BY place, n
