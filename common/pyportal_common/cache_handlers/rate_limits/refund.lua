-- Undo the charges of a request, as if it had not been admitted.
--
-- KEYS       the hash of all limits, or one hash for each limit
-- ARGV[1]    when the request was admitted, in microseconds
-- ARGV[i+1]  limit i, "cost name/seconds": what was charged, and the field
--
-- The entry of that time may have been merged into a later one. The charge is taken from the first
-- entry that is not older and holds enough, else from the last. `entries` describes the format.

local at = tonumber(ARGV[1])

local function entries_of(state)
  local times, counts = {}, {}
  for number = 1, state.older + state.recent do
    times[number], counts[number] = entry_of(state, number)
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

local function write(key, field, state, times, counts)
  local parts, used = {}, 0
  for i = 1, #times do
    used, parts[i] = used + counts[i], struct.pack(ENTRY, times[i], counts[i])
  end
  state.used, state.oldest = math.min(used, 2 ^ 32 - 1), times[1]
  state.older = math.max(0, #times - RECENT)
  state.log = table.concat(parts, '', state.older + 1)
  redis.call('HSET', key, field, header_of(state) .. state.log)
  if state.older > 0 then
    redis.call('HSET', key, field .. '/older', table.concat(parts, '', 1, state.older))
  else
    redis.call('HDEL', key, field .. '/older')
  end
end

for i = 2, #ARGV do
  local key = KEYS[i - 1] or KEYS[1]
  local cost, field = string.match(ARGV[i], '^(%S+) (.*)$')
  local texts = redis.pcall('HMGET', key, field, field .. '/older')
  local state = {}
  if not texts.err and restore(state, texts[1] or '') then
    restore_entries(state, texts[2] or '')
    local times, counts = entries_of(state)
    take(times, counts, tonumber(cost))
    if #times > 0 then
      write(key, field, state, times, counts)
    else
      redis.call('HDEL', key, field, field .. '/older')
    end
  end
end
