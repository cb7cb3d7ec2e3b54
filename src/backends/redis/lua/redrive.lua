-- redrive: put jobs that failed back at a new place, their attempts and losses forgotten.
-- KEYS jobs ready running failed timed_out broken seq waiters wakes
-- ARGV now, ids as msgpack
-- ->   a byte for each: d done, w wrong state, - missing
local finished = {f = failed, t = timed_out, b = broken}

local function redrive(id, job)
  exec('ZREM', finished[job.state], id)
  job.state, job.text, job.attempt, job.lost = 'q', nil, 0, 0
  job.key = pack(KEY, job.key:byte(), now, exec('INCR', seq))
  exec('HSET', jobs, id, render(job))
  exec('ZADD', ready, 0, job.key .. id)
end

local answers, count = {}, 0
for i, id in ipairs(cmsgpack.unpack(ARGV[2])) do
  local record = exec('HGET', jobs, id)
  local job = record and parse(record)
  if not job then
    answers[i] = '-'
  elseif not finished[job.state] then
    answers[i] = 'w'
  else
    redrive(id, job)
    answers[i], count = 'd', count + 1
  end
end
if count > 0 then wake(count) end
return table.concat(answers)
