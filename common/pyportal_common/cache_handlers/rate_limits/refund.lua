-- Undo the charges of a request, as if it had not been admitted.
--
-- KEYS       the hash of all limits, or one hash for each limit
-- ARGV[1]    when the request was admitted, in microseconds
-- ARGV[i+1]  limit i, "cost name/seconds": what was charged, and the field
--
-- The entry of that time may have been merged into a later one. The charge is taken from the first
-- entry that is not older and holds enough, else from the last. window.lua describes the format.

local at = tonumber(ARGV[1])

local function entries_of(text)
  local times, counts = {}, {}
  local time, log = string.match(text, '^%d+ %d+ %d+ (%d+)(:%d.*)$')
  for count, delay in string.gmatch(log or '', ':(%d+),?(%d*)') do
    times[#times + 1] = tonumber(time)
    counts[#counts + 1] = tonumber(count)
    time = time + (tonumber(delay) or 0)
  end
  return times, counts
end

local function take(times, counts, cost)
  local taken = #times
  for i = #times, 1, -1 do
    if times[i] >= at and counts[i] >= cost then
      taken = i
    end
  end
  counts[taken] = counts[taken] - cost
  if counts[taken] <= 0 then
    table.remove(times, taken)
    table.remove(counts, taken)
  end
end

local function written(times, counts)
  local used, parts = 0, {}
  for i = 1, #times do
    used = used + counts[i]
    parts[i] = i > 1 and times[i] - times[i - 1] .. ':' .. counts[i] or ':' .. counts[i]
  end
  local spread = times[#times] - times[1]
  return used .. ' ' .. #times .. ' ' .. spread .. ' '
    .. string.format('%.0f', times[1]) .. table.concat(parts, ',')
end

for i = 2, #ARGV do
  local key = KEYS[i - 1] or KEYS[1]
  local cost, field = string.match(ARGV[i], '^(%S+) (.*)$')
  local text = redis.pcall('HGET', key, field)
  local times, counts = entries_of(type(text) == 'string' and text or '')
  if #times > 0 then
    take(times, counts, tonumber(cost))
  end
  if #times > 0 then
    redis.call('HSET', key, field, written(times, counts))
  elseif type(text) == 'string' then
    redis.call('HDEL', key, field)
  end
end
