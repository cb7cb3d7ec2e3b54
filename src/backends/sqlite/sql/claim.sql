-- claim: give one waiting job, chosen before in the same transaction, to a holder.
--
-- Parameters: n, now, lease, holder, call. Changes one row.
UPDATE jobcore_jobs SET
    state = 'running', attempt = attempt + 1, started_at = :now,
    call = :call, fence = max(fence + 1, :now), holder = :holder, lease_until = :now + :lease
WHERE n = :n
