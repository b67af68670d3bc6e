-- After a COMMIT, or one of unknown outcome: remove values and leases again, and the writer's fence.
--
-- KEYS[3i-2 .. 3i]  a value, its lease, its fence
-- ARGV  the writer's token

for i = 1, #KEYS, 3 do
  redis.call('DEL', KEYS[i], KEYS[i + 1])
  drop_odd(KEYS[i + 2], 'zset')
  redis.call('ZREM', KEYS[i + 2], ARGV[1])
end
