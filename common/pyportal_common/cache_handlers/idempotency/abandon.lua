-- Release a key if the caller still holds it.
--
-- KEYS  the record
-- ARGV  the token
-- Returns 1, or 0 if the lease has ended.

if redis.pcall('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
