-- Fill a value, if the lease is still the caller's.
--
-- KEYS  the value, its lease
-- ARGV  the token of the lease, the value, ms that it lives
-- Returns 1, or 0 where an invalidation or time has ended the lease.

if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
