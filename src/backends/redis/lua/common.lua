-- What the verbs share. Before each of them stands what it needs of it: every paragraph, but no function that it
-- does not call (one a paragraph). `KEYS` are here under the names that a verb's header gives them. Numbers are exact
-- up to 2^53 and must never be joined to text (Lua keeps 14 digits there).
local exec, pack, unpacked, char = redis.call, struct.pack, struct.unpack, string.char

-- A job in `jobs`: HEAD, note, payload. HEAD is state, told, key, pushed_at, remember, #note.
-- state  q: ready or running; s, f, t, b: succeeded, failed, timed out, broken
-- told   1 when the note ends in a text: the last reason, or a success's value
-- key    band (100 - priority), place, seq: the job's order; with the id behind it, its member in `ready`
-- note   empty until a first run has ended; then PAST (fence, attempt, lost), for a finished job TIMES (started_at,
--        finished_at), and the text
local HEAD, HEAD_SIZE = '>c1Bc14I8I4I4', 32
local SIZES, SIZES_AT = '>I4I4', 25  -- of HEAD, remember and #note
local PAST, PAST_SIZE = '>I8I4I4', 16
local TIMES, TIMES_SIZE = '>I8I8', 16
local KEY, KEY_SIZE = '>BI7I6', 14

-- A run in `running`: call, fence, attempt, lost, started_at, lapsed_at (0: never), remember, key.
local RUN = '>c16I8I4I4I8I8I4c14'
local TOKEN_SIZE, CALL_SIZE = 24, 16
local REMEMBER, REMEMBER_AT = '>I4', 49

-- The store's clock, or the one that tests move by hand.
local now = tonumber(ARGV[1])
if not now then
  local time = exec('TIME')
  now = time[1] * 1000000 + time[2]
end

-- A number as text, exact and made once: Redis is slow at turning a script's numbers into text, over and over.
local function text(number)
  return string.format('%.0f', number)
end

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
  local state, told, key, pushed_at, remember, size = unpacked(HEAD, record)
  local job = {
    state = state, key = key, pushed_at = pushed_at, remember = remember, fence = 0, attempt = 0, lost = 0,
    payload = record:sub(HEAD_SIZE + size + 1),
  }
  if size > 0 then job.fence, job.attempt, job.lost = unpacked(PAST, record, HEAD_SIZE + 1) end
  if told == 1 then
    local before = PAST_SIZE + (state == 'q' and 0 or TIMES_SIZE)
    job.text = record:sub(HEAD_SIZE + before + 1, HEAD_SIZE + size)
  end
  return job
end

-- The record of a job that has run; `times` is given for one that has ended.
local function render(job, times)
  local note = pack(PAST, job.fence, job.attempt, job.lost) .. (times or '') .. (job.text or '')
  local head = pack(HEAD, job.state, job.text and 1 or 0, job.key, job.pushed_at, job.remember, #note)
  return head .. note .. job.payload
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

-- Adds one claim to an answer: the sizes, the lease's end, the run, the job, the id.
local function tell(answer, id, hold, record, lease_until)
  local n = #answer
  answer[n + 1] = pack('>I2I4I8', #id, #record, lease_until)
  answer[n + 2], answer[n + 3], answer[n + 4] = hold, record, id
end

-- What a call still holds, in the order in which it was given; nil if it holds nothing.
local function held(call)
  local ids = exec('HGET', calls, call)
  if not ids then return nil end
  local answer = {}
  for _, id in ipairs(cmsgpack.unpack(ids)) do
    local hold = exec('HGET', running, id)
    if hold and hold:sub(1, CALL_SIZE) == call then
      tell(answer, id, hold, exec('HGET', jobs, id), tonumber(exec('ZSCORE', leases, id)))
    end
  end
  return table.concat(answer)
end

-- Notes what a call was given: its ids, how many of them it still holds, by whom; and the call under its holder.
local function note_call(call, holder, ids)
  if #ids == 0 then return end
  exec('HSET', calls, call, cmsgpack.pack(ids), call .. '#', #ids, call .. '@', holder)
  exec('ZADD', holders, 0, holder .. '\0' .. call)
end

-- Counts down the calls that these runs were held by; a call that holds nothing more is forgotten.
local function let_go(holds)
  local gone = {}
  for _, hold in pairs(holds) do
    local call = hold:sub(1, CALL_SIZE)
    gone[call] = (gone[call] or 0) + 1
  end
  for call, count in pairs(gone) do
    if exec('HINCRBY', calls, call .. '#', -count) == 0 then
      exec('ZREM', holders, exec('HGET', calls, call .. '@') .. '\0' .. call)
      exec('HDEL', calls, call, call .. '#', call .. '@')
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
