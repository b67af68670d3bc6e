-- Replace the document of a session, only if it exists and has the revision that was read.
--
-- KEYS  the session
-- ARGV  the new document without its end, the revision that was read
-- Returns 'saved', 'gone' or 'changed'. The time to live and the auth epoch do not change: it may
-- have been raised since, see `spare`.

local session = current_session_in(text_of(KEYS[1]))
if not session then
  return 'gone'
end
if session.revision ~= tonumber(ARGV[2]) then
  return 'changed'
end
local document = string.format(
  '%s,"created_at":%.0f,"auth_at":%.0f,"expires_at":%.0f}',
  with_epoch(ARGV[1], session.auth_epoch), session.created_at, session.auth_at, session.expires_at)
redis.call('SET', KEYS[1], document, 'KEEPTTL')
return 'saved'
