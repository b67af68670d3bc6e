-- Give back what requests have spent, as if they had not been admitted.
--
-- KEYS[i]            the hash that holds policy i
-- ARGV[1]            when they were admitted, in microseconds
-- ARGV[2i, 2i+1]     its field, what was spent
--
-- The entry of that time may have been merged into a later one: the first that is not older and
-- holds enough is taken, else the last.

local at = tonumber(ARGV[1])

local function integer(number)
  return string.format('%.0f', number)
end

for i = 1, #KEYS do
  local field, cost = ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  local text = redis.pcall('HGET', KEYS[i], field)
  if type(text) == 'string' then
    local times, counts, time = {}, {}, 0
    for delay, count in string.gmatch(text, '(%d+):(%d+)') do
      time = time + tonumber(delay)
      times[#times + 1] = time
      counts[#counts + 1] = tonumber(count)
    end
    local taken = #times
    for entry = #times, 1, -1 do
      if times[entry] >= at and counts[entry] >= cost then
        taken = entry
      end
    end
    local parts, previous = {}, 0
    for entry = 1, #times do
      local count = counts[entry]
      if entry == taken then
        count = count - cost
      end
      if count > 0 then
        parts[#parts + 1] = integer(times[entry] - previous) .. ':' .. integer(count)
        previous = times[entry]
      end
    end
    if #parts > 0 then
      redis.call('HSET', KEYS[i], field, table.concat(parts, ','))
    else
      redis.call('HDEL', KEYS[i], field)
    end
  end
end
