-- claim: give waiting jobs, chosen before in the same transaction, to a holder.
--
-- Parameters: chosen (JSON: their n), now, lease, holder, call. Changes a row for each.
UPDATE jobcore_jobs SET
    state = 'running', attempt = attempt + 1, started_at = :now,
    call = :call, fence = max(fence + 1, :now), holder = :holder, lease_until = :now + :lease
WHERE n IN (SELECT value FROM json_each(:chosen))
