-- push, of an id that is there: what became of its job.
--
-- Parameters: queue, id. Gives state and place, or no row when the id is only remembered.
SELECT state, place FROM jobcore_jobs WHERE queue = :queue AND id = :id
