-- Set a key free, if it is still the caller's.
--
-- KEYS  the record
-- ARGV  the token
-- Returns 1, or 0 where the lease has ended, whoever may have begun since.

if redis.pcall('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
