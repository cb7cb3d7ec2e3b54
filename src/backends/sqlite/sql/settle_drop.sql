-- settle, of a success that is not kept: the job leaves the store.
--
-- Parameters: queue, id, call, fence. Gives `remember` of the job if the token was current, else no row.
DELETE FROM jobcore_jobs INDEXED BY jobcore_id
WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence
RETURNING remember
