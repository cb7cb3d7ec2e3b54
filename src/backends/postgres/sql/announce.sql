-- join, its wake: notify whoever waits for the queue, if and when the caller's transaction commits.
--
-- Parameters: queue. Gives nothing that matters. Takes no row away: that would hold up other producers.
SELECT pg_notify('{channel}', %(queue)s)
