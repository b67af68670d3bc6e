-- Fill a value if the caller still holds the lease.
--
-- KEYS  the value, its lease
-- ARGV  the token of the lease, the value, ms until it expires
-- Returns 1, or 0 if the lease was deleted by an invalidation or has expired.

if text_of(KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
