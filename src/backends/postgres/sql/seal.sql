-- seal: at the end of a job's transaction, before its settlement.
--
-- Parameters: mark (as in transact).
-- Gives whether it is that transaction still, and its id. Locks nothing.
SELECT current_setting('jobcore.transaction', true) = %(mark)s, pg_current_xact_id()::text
