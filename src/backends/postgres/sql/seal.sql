-- seal: at the end of a job's transaction, before its settlement.
--
-- Parameters: mark (as in transact); idle (text: how long the server waits for the COMMIT).
-- Gives whether it is that transaction still, and its id. Locks nothing.
SELECT current_setting('jobcore.transaction', true) = %(mark)s, pg_current_xact_id()::text,
    set_config('idle_in_transaction_session_timeout', %(idle)s, true)
