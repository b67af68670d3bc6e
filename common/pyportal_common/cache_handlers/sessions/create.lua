-- Create a session.
--
-- KEYS  the session, the index of the user's sessions, the user's auth epoch
-- ARGV  the document without its end, the user's epoch in SQL or '', idle ms, absolute ms, the
--       member of the index, 1 to replace a session with this id; if it continues an earlier
--       session, when that was created
-- Returns the document, or 'revoked' if a later epoch is known, or 'exists'.
--
-- The document ends with the times of the server's clock. It is composed as text, because cjson
-- changes what it decodes and encodes again ([] becomes {}).

local document, epoch, idle, absolute, member, replace, created_at = unpack(ARGV)

if epoch ~= '' and tonumber(redis.call('GET', KEYS[3]) or '0') > tonumber(epoch) then
  return 'revoked'
end
if replace ~= '1' and redis.call('EXISTS', KEYS[1]) == 1 then
  return 'exists'
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local expires = now + tonumber(absolute)
local text = string.format(
  '%s,"created_at":%.0f,"auth_at":%.0f,"expires_at":%.0f}', document, created_at or now, now, expires)
redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', math.min(tonumber(idle), tonumber(absolute))))

-- Entries after their absolute timeout are removed. The index lives as long as the last entry.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[2], string.format('%.0f', expires), member)
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', tonumber(last[2])))
return text
