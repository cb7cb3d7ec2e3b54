-- settle, of successes that are not kept: the jobs leave the store.
--
-- Parameters: queue, holds (JSON: an array of id, call in hex digits, fence, for each).
-- Gives a row for each token that was current: the token, and `remember` of its job.
DELETE FROM jobcore_jobs WHERE n IN (
    SELECT job.n FROM json_each(:holds) AS hold CROSS JOIN jobcore_jobs AS job INDEXED BY jobcore_id
    WHERE job.queue = :queue AND job.id = json_extract(hold.value, '$[0]')
        AND hex(job.call) = json_extract(hold.value, '$[1]') AND job.fence = json_extract(hold.value, '$[2]')
)
RETURNING id, call, fence, remember
