-- After a miss, or to refresh a value: grant one reader the right to load and fill.
--
-- KEYS  the value, its lease, its fence
-- ARGV  the caller's token, the duration of the lease in ms, 1 to refresh a value that exists
-- Returns 'hit' and the value if it exists by now, else 'mine', 'leased' or 'fenced'.
--
-- The lease is that of memcache (Nishtala et al., NSDI 2013): an invalidation deletes it, and
-- without it a reader cannot fill. A fence means that a writer is about to commit.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local value = ARGV[3] ~= '1' and redis.pcall('GET', KEYS[1])
if type(value) == 'table' then -- the key holds another type
  redis.call('DEL', KEYS[1])
elseif value then
  return { 'hit', value }
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
if redis.call('EXISTS', KEYS[3]) == 1 then
  return { 'fenced' }
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return { 'mine' }
end
return { 'leased' }
