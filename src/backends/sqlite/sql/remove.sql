-- remove: a job that does not run leaves the store.
--
-- Parameters: queue, id. Gives `remember` of the job if it went, else no row.
DELETE FROM jobcore_jobs INDEXED BY jobcore_id
WHERE queue = :queue AND id = :id AND state <> 'running'
RETURNING remember
