-- settle, of a success or failure that is kept: the job becomes the newest of its state.
--
-- Parameters: queue, now, id, call, fence, state, reason, value. Changes one row if the token is current, else none.
UPDATE jobcore_jobs INDEXED BY jobcore_id SET
    n = (SELECT max(n) + 1 FROM jobcore_jobs), state = :state, finished_at = :now, reason = :reason, value = :value,
    call = NULL, holder = NULL, lease_until = NULL, lapsed_at = NULL
WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence
