-- push: store each job whose id is neither in the store nor remembered.
-- KEYS jobs ready running remembered seq waiters wakes
-- ARGV now, jobs as msgpack [ids, sizes, bands, delays, run_ats, remembers], their payloads: a table for each job would
--      take longer
-- ->   a byte for each: Q stored and ready, D stored and scheduled, m remembered, else the state of the job of that
--      id: q ready, d scheduled, r running, s, f, t, b
local ids, sizes, bands, delays, run_ats, remembers = unpack(cmsgpack.unpack(ARGV[2]))
local order = exec('INCRBY', seq, #ids) - #ids
local any_remembered = exec('ZCARD', remembered) > 0

local function is_remembered(id)
  local until_ = any_remembered and exec('ZSCORE', remembered, id)
  return until_ and tonumber(until_) > now
end

local function state_of(id)
  local job = parse(exec('HGET', jobs, id))
  if job.state ~= 'q' then return job.state end
  if exec('HEXISTS', running, id) == 1 then return 'r' end
  return place_of(job.key) > now and 'd' or 'q'
end

local answers, members, count, due, at = {}, {}, 0, nil, 1
for i, id in ipairs(ids) do
  local place = math.max(now + delays[i], run_ats[i])
  local key = pack(KEY, bands[i], place, order + i)
  local record = pack(HEAD, 'q', 0, key, now, remembers[i], 0) .. ARGV[3]:sub(at, at + sizes[i] - 1)
  at = at + sizes[i]
  if is_remembered(id) then
    answers[i] = 'm'
  elseif exec('HSETNX', jobs, id, record) == 0 then
    answers[i] = state_of(id)
  else
    members[#members + 1] = '0'
    members[#members + 1] = key .. id
    if place > now then
      answers[i], due = 'D', math.min(due or place, place)
    else
      answers[i], count = 'Q', count + 1
    end
  end
end
each('ZADD', ready, members)
if #members > 0 then wake(count, due) end
return table.concat(answers)
