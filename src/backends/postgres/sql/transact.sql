-- transact: at the beginning of a job's transaction.
--
-- Parameters: mark (a text of its own, by which it is known at its end); timeout (text: what a statement may take,
--   unless the session says so itself; or null).
-- Gives the isolation level. No other can be set after it. Locks nothing.
SELECT current_setting('transaction_isolation'), set_config('jobcore.transaction', %(mark)s, true),
    CASE WHEN current_setting('statement_timeout') = '0'
        THEN set_config('statement_timeout', coalesce(%(timeout)s, '0'), true) END
