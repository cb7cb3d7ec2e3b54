-- reclaim: give running jobs, chosen before in the same transaction, to another holder.
--
-- Parameters: chosen (JSON: their n), now, lease, holder, call. Changes a row for each.
UPDATE jobcore_jobs SET
    lost = lost + 1, call = :call, fence = max(fence + 1, :now), holder = :holder,
    lapsed_at = lease_until, lease_until = :now + :lease
WHERE n IN (SELECT value FROM json_each(:chosen))
