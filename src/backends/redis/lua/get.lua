-- get: all that is known of some jobs.
-- KEYS jobs running leases
-- ARGV now, ids as msgpack
-- ->   {now, for each its {id, job, run or '', lease_until or ''} or {} if it is not in the store}
local ids, answer = cmsgpack.unpack(ARGV[2]), {}
for i, record in ipairs(fetch(jobs, ids)) do
  answer[i] = record and {
    ids[i], record, exec('HGET', running, ids[i]) or '', exec('ZSCORE', leases, ids[i]) or '',
  } or {}
end
return {now, answer}
