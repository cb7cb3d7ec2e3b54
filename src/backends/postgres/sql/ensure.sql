-- wait, its look at the triggers: make what is missing, unless somebody is in the way.
--
-- Gives one row: 'healthy', 'mended', or 'busy'. Locks: jobs against writers, if that can be had at once.
SELECT {schema}.ensure_triggers()
