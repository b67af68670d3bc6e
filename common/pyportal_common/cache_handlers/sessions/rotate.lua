-- Continue a session under another id after the user authenticated again. The old id ends at once.
--
-- KEYS  the old session, the new one, the index of the user's sessions, the user's auth epoch
-- ARGV  the document without its end, the revision that was read, the user's epoch in SQL, idle ms,
--       absolute ms, the old and the new member of the index
-- Returns the new document, or 'gone', 'changed' or 'revoked'.

local document, revision, epoch, idle, absolute, old_member, new_member = unpack(ARGV)

local text = redis.call('GET', KEYS[1])
if not text then
  return 'gone'
end
local is_json, session = pcall(cjson.decode, text)
if not is_json or type(session) ~= 'table' or session.revision ~= tonumber(revision) then
  return 'changed'
end
if tonumber(redis.call('GET', KEYS[4]) or '0') > tonumber(epoch) then
  return 'revoked'
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local expires = now + tonumber(absolute)
local new_text = string.format(
  '%s,"created_at":%.0f,"auth_at":%.0f,"expires_at":%.0f}',
  document, session.created_at, now, expires)
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], new_text, 'PX', string.format('%.0f', math.min(tonumber(idle), tonumber(absolute))))
redis.call('ZREM', KEYS[3], old_member)
redis.call('ZADD', KEYS[3], string.format('%.0f', expires), new_member)
local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[3], string.format('%.0f', tonumber(last[2])))
return new_text
