-- Add sessions to the index of their user, which replaces an odd one.
--
-- KEYS  the index
-- ARGV  for each session its absolute timeout in ms, and the member of the index
--
-- The index lives as long as the last entry.

drop_odd(KEYS[1], 'zset')
for i = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.min(tonumber(last[2]), 2 ^ 53)))
end
