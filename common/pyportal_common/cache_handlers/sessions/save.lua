-- Replace the document of a session, only if it exists and has the revision that was read.
--
-- KEYS  the session
-- ARGV  the new document without its end, the revision that was read
-- Returns 'saved', 'gone' or 'changed'. The time to live does not change.

local text = redis.call('GET', KEYS[1])
if not text then
  return 'gone'
end
local is_json, session = pcall(cjson.decode, text)
if not is_json or type(session) ~= 'table' or session.revision ~= tonumber(ARGV[2]) then
  return 'changed'
end
local document = string.format(
  '%s,"created_at":%.0f,"auth_at":%.0f,"expires_at":%.0f}',
  ARGV[1], session.created_at, session.auth_at, session.expires_at)
redis.call('SET', KEYS[1], document, 'KEEPTTL')
return 'saved'
