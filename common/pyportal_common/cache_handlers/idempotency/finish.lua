-- Keep the answer of a request, if the key is still its own.
--
-- KEYS  the record
-- ARGV  the token, ms that the answer lives, its status, content type, location and body
-- Returns 1, or 0 where the lease has ended, whoever may have begun since.

if redis.pcall('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'status', ARGV[3], 'content_type', ARGV[4], 'location', ARGV[5], 'body', ARGV[6])
redis.call('HDEL', KEYS[1], 'token')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
