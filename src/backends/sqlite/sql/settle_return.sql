-- settle, of a job given back: it waits at its old place, and the attempt is not counted.
--
-- Parameters: queue, id, call, fence. Changes one row if the token is current, else none.
UPDATE jobcore_jobs INDEXED BY jobcore_id SET
    state = 'ready', attempt = attempt - 1,
    call = NULL, holder = NULL, started_at = NULL, lease_until = NULL, lapsed_at = NULL
WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence
