-- outcome: of a transaction that settled a job, and whose COMMIT was not answered.
--
-- Parameters: queue; id, call, fence (the token); xid (the transaction's id, as text).
-- Gives a word. 'held': the token is current, so nothing was committed. Else what the server knows of the transaction:
--   'committed' or 'aborted', or null. The token comes first: after a crash an id that was not on disk is given again.
-- Locks: the job, against changes. The transaction holds it until it has ended: that is waited for.
WITH job AS MATERIALIZED (
    SELECT call IS NOT DISTINCT FROM %(call)s AND fence = %(fence)s AS held
    FROM {schema}.jobs WHERE queue = %(queue)s AND id = %(id)s FOR SHARE
)
SELECT CASE WHEN bool_or(held) THEN 'held' ELSE pg_xact_status(%(xid)s::xid8) END FROM job
