-- Replace the document of a session, only if it exists and has the revision that was read.
--
-- KEYS  the session
-- ARGV  the new document without its end, the revision that was read
-- Returns 'saved', 'gone' or 'changed'. The time to live does not change.

local session = session_in(text_of(KEYS[1]))
if not session then
  return 'gone'
end
if session.revision ~= tonumber(ARGV[2]) then
  return 'changed'
end
local document = string.format(
  '%s,"created_at":%.0f,"auth_at":%.0f,"expires_at":%.0f}',
  ARGV[1], session.created_at, session.auth_at, session.expires_at)
redis.call('SET', KEYS[1], document, 'KEEPTTL')
return 'saved'
