-- reclaim: take over running jobs whose lease has run out, or those of a holder known dead, oldest lease first;
-- or give again what this call holds.
-- KEYS jobs running leases calls holders
-- ARGV now, limit, lease, holder, call, of (empty: whose lease has run out)
-- ->   claims (see `tell`)
local limit, lease, holder, call, of = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local again = held(call)
if again or limit == 0 then return again or '' end

local function held_by(name)
  local rows = {}
  for _, member in ipairs(exec('ZRANGEBYLEX', holders, '[' .. name .. '\0', '(' .. name .. '\1')) do
    local theirs = member:sub(#name + 2)
    for _, id in ipairs(cmsgpack.unpack(exec('HGET', calls, theirs))) do
      local hold = exec('HGET', running, id)
      if hold and hold:sub(1, CALL_SIZE) == theirs then
        rows[#rows + 1] = {id, tonumber(exec('ZSCORE', leases, id))}
      end
    end
  end
  table.sort(rows, function(a, b) return a[2] < b[2] or a[2] == b[2] and a[1] < b[1] end)
  return rows
end

local function run_out()
  local flat, rows = exec('ZRANGEBYSCORE', leases, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit), {}
  for i = 1, #flat, 2 do rows[#rows + 1] = {flat[i], tonumber(flat[i + 1])} end
  return rows
end

local rows = of == '' and run_out() or held_by(of)
while #rows > limit do table.remove(rows) end
local ids = column(rows, 1)
local old = fetch(running, ids)
local answer, holds, ends = {}, {}, {}
for i, record in ipairs(fetch(jobs, ids)) do
  local _, fence, attempt, lost, started_at, _, remember, key = unpacked(RUN, old[i])
  local hold = pack(RUN, call, math.max(fence + 1, now), attempt, lost + 1, started_at, rows[i][2], remember, key)
  tell(answer, ids[i], hold, record, now + lease)
  holds[2 * i - 1], holds[2 * i] = ids[i], hold
  ends[2 * i - 1], ends[2 * i] = now + lease, ids[i]
end
each('ZREM', leases, ids)  -- the first write frees, see claim
each('HSET', running, holds)
each('ZADD', leases, ends)
let_go(old)
note_call(call, holder, ids)
return table.concat(answer)
