-- Before a COMMIT: remove values and leases, and let nobody fill until the writer is done.
--
-- KEYS[3i-2 .. 3i]  a value, its lease, its fence
-- ARGV  the writer's token, ms after which a writer counts as dead
--
-- Removing comes first: it is never refused, also when the memory is full.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

for i = 1, #KEYS, 3 do
  redis.call('DEL', KEYS[i], KEYS[i + 1])
end
for i = 1, #KEYS, 3 do
  redis.call('ZADD', KEYS[i + 2], string.format('%.0f', now + ARGV[2]), ARGV[1])
  -- Writers use one length, so the latest is the longest.
  redis.call('PEXPIRE', KEYS[i + 2], ARGV[2])
end
