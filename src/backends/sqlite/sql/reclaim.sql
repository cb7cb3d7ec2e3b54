-- reclaim: give one running job, chosen before in the same transaction, to another holder.
--
-- Parameters: n, now, lease, holder, call. Changes one row.
UPDATE jobcore_jobs SET
    lost = lost + 1, call = :call, fence = max(fence + 1, :now), holder = :holder,
    lapsed_at = lease_until, lease_until = :now + :lease
WHERE n = :n
