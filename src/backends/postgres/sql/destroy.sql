-- destroy: remove all of a queue, what is remembered of it too.
--
-- Parameters: queue. Gives nothing. Locks: all of the queue's jobs.
WITH journal AS (
    DELETE FROM {schema}.returns WHERE queue = %(queue)s
), counted AS (
    DELETE FROM {schema}.kept WHERE queue = %(queue)s
), uncounted AS (
    DELETE FROM {schema}.uncounted WHERE queue = %(queue)s
)
DELETE FROM {schema}.jobs WHERE queue = %(queue)s
