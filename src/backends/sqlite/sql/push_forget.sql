-- push, its housekeeping: forget some ids whose time is over.
--
-- Parameters: now, jobs (how many are pushed). No push pays for all that expired since the last one: twice as many
-- as come in are enough to keep up.
DELETE FROM jobcore_remembered WHERE (queue, id) IN (
    SELECT queue, id FROM jobcore_remembered INDEXED BY jobcore_until WHERE until <= :now LIMIT 2 * :jobs
)
