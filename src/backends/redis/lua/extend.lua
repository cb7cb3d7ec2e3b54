-- extend: let the leases whose token is current end at now + lease.
-- KEYS running leases
-- ARGV now, lease, holds as msgpack [[id, call .. fence], ...]
-- ->   a byte for each: h held, l lost
local lease_until, items = text(now + tonumber(ARGV[2])), cmsgpack.unpack(ARGV[3])
local answers, ids, ends = {}, {}, {}
for i, hold in ipairs(fetch(running, column(items, 1))) do
  local id, token = unpack(items[i])
  if hold and hold:sub(1, TOKEN_SIZE) == token then
    answers[i] = 'h'
    ids[#ids + 1] = id
    ends[#ends + 1] = lease_until
    ends[#ends + 1] = id
  else
    answers[i] = 'l'
  end
end
each('ZREM', leases, ids)  -- the first write frees, see claim
each('ZADD', leases, ends)
return table.concat(answers)
