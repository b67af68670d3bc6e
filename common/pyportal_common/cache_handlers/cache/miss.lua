-- After a miss, or to refresh a value: grant one reader the right to load and fill.
--
-- KEYS  the value, its lease, its fence
-- ARGV  the caller's token, the duration of the lease in ms; 0 after a miss, 1 to refresh a value,
--       2 to replace one that the caller cannot use; to refresh, the remaining ms that it has seen
-- Returns 'hit' and the value if it exists by now, 'fresh' and the value if it was refreshed since
-- the caller saw it, else 'mine', 'leased' or 'fenced'.
--
-- The lease is that of memcache (Nishtala et al., NSDI 2013): an invalidation deletes it, and
-- without it a reader cannot fill. A fence means that a writer is about to commit.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local value, lease, fence = unpack(KEYS)
local token, duration, mode, seen = unpack(ARGV)

if mode == '0' then
  local text = text_of(value)
  if text then
    return { 'hit', text }
  end
elseif seen and redis.call('PTTL', value) > tonumber(seen) then
  local text = text_of(value)
  if text then
    return { 'fresh', text }
  end
end
drop_odd(value, 'string')

drop_odd(fence, 'zset', true)
-- Without a fence nothing is removed, and so a full memory refuses the lease below: only the first
-- write of a script is checked.
if redis.call('EXISTS', fence) == 1 then
  redis.call('ZREMRANGEBYSCORE', fence, '-inf', string.format('%.0f', now))
  if redis.call('EXISTS', fence) == 1 then
    return { 'fenced' }
  end
end
if redis.call('SET', lease, token, 'NX', 'PX', duration) then
  return { 'mine' }
end
drop_odd(lease, 'string', true)
if redis.call('SET', lease, token, 'NX', 'PX', duration) then
  return { 'mine' }
end
return { 'leased' }
