-- push: store each job whose id is neither in the store nor remembered.
-- KEYS jobs ready running remembered seq waiters wakes
-- ARGV now, jobs as msgpack [[id, payload, band, delay, run_at, remember], ...]
-- ->   a byte for each: Q stored and ready, D stored and scheduled, m remembered, else the state of the job of that
--      id: q ready, d scheduled, r running, s, f, t, b
local items = cmsgpack.unpack(ARGV[2])
local order = exec('INCRBY', seq, #items) - #items
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

local answers, members, count, due = {}, {}, 0, nil
for i, item in ipairs(items) do
  local id, payload, band, delay, run_at, remember = unpack(item)
  local place = math.max(now + delay, run_at)
  local key = pack(KEY, band, place, order + i)
  local record = pack(HEAD, 'q', 0, key, now, remember, 0) .. payload
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
