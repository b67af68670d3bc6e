-- After a COMMIT, or one of unknown outcome: remove values and leases again, and the writer's fence.
--
-- KEYS[3i-2 .. 3i]  a value, its lease, its fence
-- ARGV  the writer's token; to fill, for each of the values its text ('': none) and ms until
--       it expires
--
-- A value is filled only if the writer still has the lease that came with its fence: every
-- invalidation by another writer deletes it.

for i = 1, #KEYS, 3 do
  local text, ms = ARGV[(i + 2) / 3 * 2], ARGV[(i + 2) / 3 * 2 + 1]
  local fills = text and text ~= '' and text_of(KEYS[i + 1]) == ARGV[1]
  redis.call('DEL', KEYS[i], KEYS[i + 1])
  if fills then
    redis.call('SET', KEYS[i], text, 'PX', ms)
  end
  drop_odd(KEYS[i + 2], 'zset')
  redis.call('ZREM', KEYS[i + 2], ARGV[1])
end
