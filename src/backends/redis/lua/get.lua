-- get: all that is known of some jobs.
-- KEYS jobs running leases calls
-- ARGV now, ids as msgpack
-- ->   {now, for each its {id, job} or, while it runs, {id, job, run, lease_until, holder}; {} if it is not there}
local ids, answer = cmsgpack.unpack(ARGV[2]), {}
for i, record in ipairs(fetch(jobs, ids)) do
  local id = ids[i]
  local hold = exec('HGET', running, id)
  if hold then
    answer[i] = {id, record, hold, exec('ZSCORE', leases, id), exec('HGET', calls, hold:sub(1, CALL_SIZE) .. '@')}
  else
    answer[i] = record and {id, record} or {}
  end
end
return {now, answer}
