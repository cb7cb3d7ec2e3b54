-- settle, of successes that are not kept: the jobs leave the store.
--
-- Parameters: queue, call, fences (a JSON object: of each job's id its fence). One call at a time, as most of what is
-- settled together was claimed together, and an object's items need no parsing of their own.
-- Gives a row for each token that was current: id, `remember` of its job.
DELETE FROM jobcore_jobs WHERE n IN (
    SELECT job.n FROM json_each(:fences) AS hold CROSS JOIN jobcore_jobs AS job INDEXED BY jobcore_id
    WHERE job.queue = :queue AND job.id = hold.key AND job.call = :call AND job.fence = hold.value
)
RETURNING id, remember
