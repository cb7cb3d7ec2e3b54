-- settle, of a retry: the job waits at a new place.
--
-- Parameters: queue, id, call, fence, place, reason. Changes one row if the token is current, else none.
UPDATE jobcore_jobs INDEXED BY jobcore_id SET
    n = (SELECT max(n) + 1 FROM jobcore_jobs), state = 'ready', place = :place, reason = :reason,
    call = NULL, holder = NULL, started_at = NULL, lease_until = NULL, lapsed_at = NULL
WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence
