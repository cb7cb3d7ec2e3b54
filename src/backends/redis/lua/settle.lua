-- settle: end runs whose token is current; nothing else is touched.
-- KEYS running leases jobs ready calls holders remembered succeeded failed timed_out broken seq waiters wakes
-- ARGV now, keep.failed, keep.succeeded, settlements as msgpack [[id, call .. fence, outcome, ...], ...] with the
--      outcomes s value|nil, r delay reason, f reason, t reason, b reason (fail as), q (return)
-- ->   a byte for each: d done, l lost
local keep_failed, keep_succeeded = tonumber(ARGV[2]), tonumber(ARGV[3])
local items = cmsgpack.unpack(ARGV[4])
local finished = {s = succeeded, f = failed, t = timed_out, b = broken}
local gone, chosen = {}, {}
local count, due = 0, nil

local function drop(id, remember)
  gone[#gone + 1] = id
  if remember > 0 then
    chosen[#chosen + 1] = text(forget_at(remember))
    chosen[#chosen + 1] = id
  end
end

-- Writes the job of a run that has ended; `change` says what is new about it.
local function rewrite(id, hold, change)
  local job = parse(exec('HGET', jobs, id))
  local _, fence, attempt, lost, started_at = unpacked(RUN, hold)
  job.fence, job.attempt, job.lost = fence, attempt, lost
  local times = change(job, started_at)
  exec('HSET', jobs, id, render(job, times))
  return job
end

local function finish(id, hold, state, text)
  rewrite(id, hold, function(job, started_at)
    job.state, job.text = state, text
    return pack(TIMES, started_at, now)
  end)
  exec('ZADD', finished[state], exec('INCR', seq), id)
end

local function requeue(id, hold, change)
  local job = rewrite(id, hold, change)
  local place = place_of(job.key)
  exec('ZADD', ready, 0, job.key .. id)
  if place > now then due = math.min(due or place, place) else count = count + 1 end
end

local move = {f = finish, t = finish, b = finish}

function move.s(id, hold, state, value)
  if keep_succeeded > 0 then return finish(id, hold, state, value) end
  drop(id, (unpacked(REMEMBER, hold, REMEMBER_AT)))
end

function move.r(id, hold, _, delay, reason)
  requeue(id, hold, function(job)
    job.key = pack(KEY, job.key:byte(), now + delay, exec('INCR', seq))
    job.text = reason
  end)
end

function move.q(id, hold)
  requeue(id, hold, function(job) job.attempt = job.attempt - 1 end)
end

-- Keeps the newest `cap` of some states together.
local function trim(cap, states)
  local over = -cap
  for _, state in ipairs(states) do over = over + exec('ZCARD', state) end
  for _ = 1, over do
    local oldest, least = nil, math.huge
    for _, state in ipairs(states) do
      local score = tonumber(exec('ZRANGE', state, 0, 0, 'WITHSCORES')[2])
      if score and score < least then oldest, least = state, score end
    end
    local id = exec('ZPOPMIN', oldest)[1]
    drop(id, parse(exec('HGET', jobs, id)).remember)
  end
end

local answers, ids, holds, settled, outcomes = {}, {}, {}, {}, {}
for i, hold in ipairs(fetch(running, column(items, 1))) do
  local item = items[i]
  local id, token, outcome = item[1], item[2], item[3]
  if hold and hold:sub(1, TOKEN_SIZE) == token and not settled[id] then
    answers[i], settled[id], outcomes[outcome] = 'd', true, true
    ids[#ids + 1] = id
    holds[i] = hold
  else
    answers[i] = 'l'
  end
end
each('ZREM', leases, ids)  -- the first write frees, see claim
each('HDEL', running, ids)
for i, item in ipairs(items) do
  if holds[i] then move[item[3]](item[1], holds[i], item[3], item[4], item[5]) end
end
let_go(holds)
if outcomes.s then trim(keep_succeeded, {succeeded}) end
if outcomes.f or outcomes.t then trim(keep_failed, {failed, timed_out}) end
leave(gone, chosen)
if count > 0 or due then wake(count, due) end
return table.concat(answers)
