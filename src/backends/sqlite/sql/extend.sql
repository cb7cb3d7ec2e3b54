-- extend: move the end of a lease.
--
-- Parameters: queue, now, id, call, fence, lease. Changes one row if the token is current, else none.
UPDATE jobcore_jobs INDEXED BY jobcore_id SET lease_until = :now + :lease
WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence
