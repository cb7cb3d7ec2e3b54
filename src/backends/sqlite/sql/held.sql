-- held: what a claim or reclaim gave, as it is given and given again.
--
-- Parameters: queue, call. Gives the fields of `Claim`: those of a reclaim from the lease that ended first on, those
-- of a claim, which have no such lease, by key.
SELECT id, call, fence, payload, priority, attempt, lost, pushed_at, started_at, lease_until, lapsed_at
FROM jobcore_jobs INDEXED BY jobcore_running
WHERE queue = :queue AND call = :call
ORDER BY lapsed_at, priority DESC, place, n
