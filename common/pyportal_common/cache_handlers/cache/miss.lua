-- After a miss, or to refresh: the right to load and fill, for one of all that want to.
--
-- KEYS  the value, its lease, its fence
-- ARGV  a token of the caller's own, ms that the lease lasts, 1 to refresh a value that is there
-- Returns 'hit' and the value where there is one by now, else 'mine', 'leased' or 'fenced'.
--
-- A lease is what memcache calls one (Nishtala et al., NSDI 2013): an invalidation deletes it, and
-- whoever holds it no more cannot fill. While a fence stands a writer is about to commit.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local value = ARGV[3] ~= '1' and redis.pcall('GET', KEYS[1])
if type(value) == 'table' then -- somebody stored another type here
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
