-- counts: how many jobs are in each state.
-- KEYS ready running succeeded failed timed_out broken
-- ARGV now
-- ->   {ready, scheduled, running, succeeded, failed, timed_out, broken}
local due = 0
each_band(function(band)
  due = due + exec('ZLEXCOUNT', ready, '[' .. char(band), '(' .. pack('>BI7', band, now + 1))
end)
return {
  due, exec('ZCARD', ready) - due, exec('HLEN', running),
  exec('ZCARD', succeeded), exec('ZCARD', failed), exec('ZCARD', timed_out), exec('ZCARD', broken),
}
