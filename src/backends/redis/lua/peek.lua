-- peek: list jobs that are ready or scheduled, by key, or finished, newest settled first.
-- KEYS jobs ready succeeded failed timed_out broken
-- ARGV now, state, limit, cursor: the key or the number that the last page ended at, empty for the first page
-- ->   {now, [[id, job], ...], the cursor for the next page or ''}; states as push answers them
local state, limit, after = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local finished = {s = succeeded, f = failed, t = timed_out, b = broken}
local ids, cursors = {}, {}

local function list_finished()
  local bound = after == '' and '+inf' or '(' .. after
  local flat = exec('ZREVRANGEBYSCORE', finished[state], bound, '-inf', 'WITHSCORES', 'LIMIT', 0, limit + 1)
  for i = 1, #flat, 2 do
    ids[#ids + 1] = flat[i]
    cursors[#cursors + 1] = flat[i + 1]
  end
end

-- Within a band, what is ready lies before `due` and what is scheduled behind it.
local function list_queued()
  local due = pack('>I7', now + 1)
  each_band(function(band)
    local low = char(band) .. (state == 'd' and due or '')
    local high = state == 'd' and char(band + 1) or char(band) .. due
    if after < high and #ids <= limit then
      local bound = after < low and '[' .. low or '(' .. after .. '\255'
      for _, member in ipairs(exec('ZRANGEBYLEX', ready, bound, '(' .. high, 'LIMIT', 0, limit + 1 - #ids)) do
        ids[#ids + 1] = member:sub(KEY_SIZE + 1)
        cursors[#cursors + 1] = member:sub(1, KEY_SIZE)
      end
    end
  end)
end

if finished[state] then list_finished() else list_queued() end
local more = #ids > limit
if more then ids[#ids] = nil end
local rows = {}
for i, record in ipairs(fetch(jobs, ids)) do rows[i] = {ids[i], record} end
return {now, rows, more and cursors[limit] or ''}
