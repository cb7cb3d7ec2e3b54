-- waiting: the waiting jobs of one priority, in their order. Rows are read one by one, so no limit is needed.
--
-- Parameters: queue, priority, place and n (of the job after which to begin), until (the last place to give).
-- Gives priority, place and n.
SELECT priority, place, n FROM jobcore_jobs INDEXED BY jobcore_ready
WHERE queue = :queue AND state = 'ready' AND priority = :priority AND (place, n) > (:place, :n) AND place <= :until
ORDER BY place, n
