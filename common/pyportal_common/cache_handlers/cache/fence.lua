-- Before a COMMIT: remove values and leases, and block fills until the writer removes its fence.
--
-- KEYS[3i-2 .. 3i]  a value, its lease, its fence
-- ARGV  the writer's token, ms after which the writer counts as dead; if it fills the values when
--       it removes its fence, ms for which it has their leases
--
-- The removal comes first, because it is not refused even if memory is full.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

for i = 1, #KEYS, 3 do
  redis.call('DEL', KEYS[i], KEYS[i + 1])
  if ARGV[3] then
    redis.call('SET', KEYS[i + 1], ARGV[1], 'PX', ARGV[3])
  end
end
for i = 1, #KEYS, 3 do
  drop_odd(KEYS[i + 2], 'zset')
  redis.call('ZADD', KEYS[i + 2], string.format('%.0f', now + ARGV[2]), ARGV[1])
  -- All writers use the same duration, so the last deadline is the longest.
  redis.call('PEXPIRE', KEYS[i + 2], ARGV[2])
end
