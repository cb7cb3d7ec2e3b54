-- What the verbs share; it stands before each of them. `KEYS` are here under the names that a verb's header
-- gives them. Numbers are exact up to 2^53 and must never be joined to text (Lua keeps 14 digits there).
local exec, pack, unpacked, char = redis.call, struct.pack, struct.unpack, string.char

-- A job in `jobs`: HEAD, note, payload. HEAD is state, told, key, pushed_at, remember, fence, attempt, lost, #note.
-- state  q: ready or running; s, f, t, b: succeeded, failed, timed out, broken
-- told   1 when the note ends in a text: the last reason, or a success's value
-- key    band (100 - priority), place, seq: the job's order; with the id behind it, its member in `ready`
-- note   of a finished job it begins with started_at and finished_at
local HEAD, HEAD_SIZE = '>c1Bc14I8I4I8I4I4I4', 48
local COUNTS, COUNTS_AT = '>I4I8I4I4I4', 25  -- the part of it from `remember` on
local KEY, KEY_SIZE = '>BI7I6', 14

-- A run in `running`: call, fence, attempt, lost, started_at, lapsed_at (0: never), remember, key, then the holder.
local RUN, RUN_SIZE = '>c16I8I4I4I8I8I4c14', 66
local TOKEN_SIZE, CALL_SIZE = 24, 16

-- The store's clock, or the one that tests move by hand.
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = exec('TIME')
  return time[1] * 1000000 + time[2]
end
local now = clock()

-- A command over many values; Lua can't pass 8000 at once.
local function each(command, key, values)
  for first = 1, #values, 5000 do
    exec(command, key, unpack(values, first, math.min(first + 4999, #values)))
  end
end

local function fetch(key, fields)
  if #fields == 0 then return {} end
  if #fields <= 5000 then return exec('HMGET', key, unpack(fields)) end
  local values = {}
  for first = 1, #fields, 5000 do
    for _, value in ipairs(exec('HMGET', key, unpack(fields, first, math.min(first + 4999, #fields)))) do
      values[#values + 1] = value
    end
  end
  return values
end

local function column(rows, n)
  local values = {}
  for i, row in ipairs(rows) do values[i] = row[n] end
  return values
end

local function parse(record)
  local state, told, key, pushed_at, remember, fence, attempt, lost, size = unpacked(HEAD, record)
  return {
    state = state, told = told, key = key, pushed_at = pushed_at, remember = remember, fence = fence,
    attempt = attempt, lost = lost, note = record:sub(HEAD_SIZE + 1, HEAD_SIZE + size),
    payload = record:sub(HEAD_SIZE + size + 1),
  }
end

local function render(job)
  local head = pack(HEAD, job.state, job.told, job.key, job.pushed_at, job.remember, job.fence,
    job.attempt, job.lost, #job.note)
  return head .. job.note .. job.payload
end

local function place_of(key)
  local _, place = unpacked('>BI7', key)
  return place
end

-- The first member of `ready` from a bound on.
local function first_from(bound)
  return exec('ZRANGEBYLEX', ready, bound, '+', 'LIMIT', 0, 1)[1]
end

-- Calls `visit(band)` for each priority that has jobs, the highest first.
local function each_band(visit)
  local member = first_from('-')
  while member do
    local band = member:byte()
    visit(band)
    member = first_from('[' .. char(band + 1))
  end
end

-- The smallest place from `since` on, over all priorities; nil if there is none.
local function soonest(since)
  local least
  each_band(function(band)
    local bound = '[' .. pack('>BI7', band, since)
    local member = exec('ZRANGEBYLEX', ready, bound, '(' .. char(band + 1), 'LIMIT', 0, 1)[1]
    if member then least = math.min(least or math.huge, place_of(member)) end
  end)
  return least
end

-- Leaves a marker for each job that is ready, one a waiter at the most; markers that lie there count. A job that
-- comes due before all others is told to every waiter: each of them has to know how long it may sleep.
local function wake(count, due)
  local waiting = exec('ZCARD', waiters)
  if waiting == 0 then return end
  if due and due <= soonest(now + 1) then count = waiting end
  local markers = {}
  for i = 1, math.min(count, waiting - exec('LLEN', wakes)) do markers[i] = '' end
  each('LPUSH', wakes, markers)
  if #markers > 0 then exec('PEXPIRE', wakes, 60000) end
end

-- One claim as it is answered: the sizes, the lease's end, the run, the job, the id.
local function claimed(id, hold, record, lease_until)
  return pack('>I2I4I8', #id, #record, lease_until) .. hold:sub(1, RUN_SIZE) .. record .. id
end

-- What a call still holds, in the order in which it was given; nil if it holds nothing.
local function held(call)
  local ids = exec('HGET', calls, call)
  if not ids then return nil end
  local answer = {}
  for _, id in ipairs(cmsgpack.unpack(ids)) do
    local hold = exec('HGET', running, id)
    if hold and hold:sub(1, CALL_SIZE) == call then
      local lease_until = tonumber(exec('ZSCORE', leases, id))
      answer[#answer + 1] = claimed(id, hold, exec('HGET', jobs, id), lease_until)
    end
  end
  return table.concat(answer)
end

-- Notes what a call was given: its ids, how many of them it still holds, and itself under its holder.
local function note_call(call, holder, ids)
  if #ids == 0 then return end
  exec('HSET', calls, call, cmsgpack.pack(ids), call .. '#', #ids)
  exec('ZADD', holders, 0, holder .. '\0' .. call)
end

-- Counts down the calls that these runs were held by; a call that holds nothing more is forgotten.
local function let_go(holds)
  local gone, member = {}, {}
  for _, hold in pairs(holds) do
    local call = hold:sub(1, CALL_SIZE)
    gone[call] = (gone[call] or 0) + 1
    member[call] = hold:sub(RUN_SIZE + 1) .. '\0' .. call
  end
  for call, count in pairs(gone) do
    if exec('HINCRBY', calls, call .. '#', -count) <= 0 then
      exec('HDEL', calls, call, call .. '#')
      exec('ZREM', holders, member[call])
    end
  end
end

-- Takes jobs out of the store. `chosen` are pairs of when to forget and an id; for each of them, up to two that
-- are due are forgotten, so that what is remembered doesn't outgrow its time.
local function leave(ids, chosen)
  each('HDEL', jobs, ids)
  each('ZADD', remembered, chosen)
  if #chosen > 0 then
    each('ZREM', remembered, exec('ZRANGEBYSCORE', remembered, '-inf', now, 'LIMIT', 0, #chosen))
  end
end

local function forget_at(remember)
  return now + remember * 1000000
end
