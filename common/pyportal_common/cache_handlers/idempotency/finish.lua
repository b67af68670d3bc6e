-- Store the response to a request if the caller still holds the key.
--
-- KEYS  the record
-- ARGV  the token, for how many ms to store the response, its status, content type, location, body
-- Returns 1, or 0 if the lease has ended.

if redis.pcall('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'status', ARGV[3], 'content_type', ARGV[4], 'location', ARGV[5], 'body', ARGV[6])
redis.call('HDEL', KEYS[1], 'token')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
