-- wait: note that someone waits for this queue, for ten seconds, and say when to look again.
-- KEYS ready waiters inbox
-- ARGV now, waiter
-- ->   microseconds until a job is due, at least 0; -1: there is none
local time = exec('TIME')  -- waiting takes real time, whatever the test clock says
local seconds = tonumber(time[1])
exec('ZREMRANGEBYSCORE', waiters, '-inf', seconds)
exec('ZADD', waiters, seconds + 10, ARGV[2])
exec('PEXPIRE', waiters, 20000)
if exec('LLEN', inbox) > 0 then return 0 end
local due = soonest(0)
return due and math.max(due - now, 0) or -1
