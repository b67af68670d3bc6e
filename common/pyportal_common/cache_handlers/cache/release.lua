-- Give up a lease that is still the caller's.
--
-- KEYS  the lease
-- ARGV  its token, ms until another may load: 0 at once

if redis.call('GET', KEYS[1]) == ARGV[1] then
  if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
end
