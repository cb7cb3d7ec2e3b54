-- claim: take due jobs in the order of their keys, or give again what this call holds.
-- KEYS ready jobs running leases calls holders seq inbox
-- ARGV now, limit, lease, holder, call, max_bytes
-- ->   {now, next_due or -1, claims (see `tell`)}
local limit, lease, holder, call, room = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6])
local again = held(call)
if again or limit == 0 then return {now, now, again or ''} end

-- Takes in what others left in `inbox`, oldest first; true when more is left there.
local function take_in()
  local waiting = exec('LLEN', inbox)
  if waiting == 0 then return false end
  local payloads = exec('RPOP', inbox, 1000)
  local order = exec('INCRBY', seq, #payloads) - #payloads
  local records, members = {}, {}
  for i, payload in ipairs(payloads) do
    local id = string.format('inbox-%.0f-%.0f', now, order + i)
    local key = pack(KEY, 100, now, order + i)
    records[2 * i - 1], records[2 * i] = id, pack(HEAD, 'q', 0, key, now, 0, 0) .. payload
    members[2 * i - 1], members[2 * i] = '0', key .. id
  end
  each('HSET', jobs, records)
  each('ZADD', ready, members)
  return waiting > #payloads
end

local ids, answer, full = {}, {}, take_in()
local lease_until, lease_text = now + lease, text(now + lease)

-- Takes a run of members that lie next to each other, as far as there is room. The first write frees: at
-- `maxmemory` a script may go on from there.
local function take(members)
  local names, holds, ends = {}, {}, {}
  for i, member in ipairs(members) do names[i] = member:sub(KEY_SIZE + 1) end
  local taken = 0
  for i, record in ipairs(fetch(jobs, names)) do
    local id = names[i]
    local remember, note = unpacked(SIZES, record, SIZES_AT)
    local fence, attempt, lost = 0, 0, 0
    if note > 0 then fence, attempt, lost = unpacked(PAST, record, HEAD_SIZE + 1) end
    local size = #record - HEAD_SIZE - note
    if size > room and #ids > 0 then full = true break end
    room = room - size
    local hold = pack(RUN, call, math.max(fence + 1, now), attempt + 1, lost, now, 0, remember, members[i])
    ids[#ids + 1] = id
    tell(answer, id, hold, record, lease_until)
    holds[2 * i - 1], holds[2 * i] = id, hold
    ends[2 * i - 1], ends[2 * i] = lease_text, id
    taken = i
  end
  if taken == 0 then return end
  exec('ZREMRANGEBYLEX', ready, '[' .. members[1], '[' .. members[taken])
  each('HSET', running, holds)
  each('ZADD', leases, ends)
end

-- Growing steps: large payloads beyond `max_bytes` are not read in vain, small ones cost few commands.
local due, step = pack('>I7', now + 1), 25
local member, more = first_from('-'), full
full = false
while member and not full do
  local band = member:sub(1, 1)
  local count = math.min(step, limit - #ids)
  local members = exec('ZRANGEBYLEX', ready, '[' .. band, '(' .. band .. due, 'LIMIT', 0, count)
  if #members == 0 then
    member = first_from('[' .. char(band:byte() + 1))
  else
    take(members)
    full = full or #ids == limit
    step = 500
  end
end
note_call(call, holder, ids)
return {now, (full or more) and now or soonest(now + 1) or -1, table.concat(answer)}
