-- remove: take jobs that are not running out of the store.
-- KEYS jobs ready running remembered succeeded failed timed_out broken
-- ARGV now, ids as msgpack
-- ->   a byte for each: d done, w wrong state, - missing
local finished = {s = succeeded, f = failed, t = timed_out, b = broken}

local function remove(id, job)
  if job.state == 'q' then exec('ZREM', ready, job.key .. id) else exec('ZREM', finished[job.state], id) end
  leave({id}, job.remember > 0 and {forget_at(job.remember), id} or {})
end

local answers = {}
for i, id in ipairs(cmsgpack.unpack(ARGV[2])) do
  local record = exec('HGET', jobs, id)
  if not record then
    answers[i] = '-'
  elseif exec('HEXISTS', running, id) == 1 then
    answers[i] = 'w'
  else
    remove(id, parse(record))
    answers[i] = 'd'
  end
end
return table.concat(answers)
