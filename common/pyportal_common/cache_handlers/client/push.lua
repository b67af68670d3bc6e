-- Push values to a list, one after the other.
--
-- KEYS  the list
-- ARGV  'left' or 'right', ms until the list expires, how many of the newest values stay (0: all),
--       then the values
-- Returns the length of the list.

local side, expiry, kept = unpack(ARGV, 1, 3)
kept = tonumber(kept)

for i = 4, #ARGV do
  if side == 'left' then
    redis.call('LPUSH', KEYS[1], ARGV[i])
  else
    redis.call('RPUSH', KEYS[1], ARGV[i])
  end
end
if kept > 0 and side == 'left' then
  redis.call('LTRIM', KEYS[1], 0, kept - 1)
elseif kept > 0 then
  redis.call('LTRIM', KEYS[1], -kept, -1)
end
redis.call('PEXPIRE', KEYS[1], expiry)
return redis.call('LLEN', KEYS[1])
