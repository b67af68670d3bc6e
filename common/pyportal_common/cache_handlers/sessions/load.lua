-- Read a session, and reset its idle timeout if it is touched, or set its time to live.
--
-- KEYS  the session
-- ARGV  1 to touch; or 0 and a time to live in ms, which ends with the absolute timeout at the latest
-- Returns the document, the remaining ms, and the time of the server in ms; or nothing. Of the idle
-- time, the ms that are certain.

local text = text_of(KEYS[1])
local session = text and session_in(text)
if not session or is_revoked(text, session) then
  return {}
end

local now = now_ms()
local left = session.expires_at - now
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {}
end
local ttl = redis.call('PTTL', KEYS[1])
if ARGV[2] then
  ttl = math.min(tonumber(ARGV[2]), left)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
  return { text, math.floor(ttl), now }
end

-- Never shorter: a session may have been refreshed for longer. Never without expiry.
local most = touched_ms(session)
if ttl < 0 or ARGV[1] == '1' and ttl < session.idle_ms then
  ttl = most
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
end
return { text, math.floor(math.min(ttl <= most and session.idle_ms or ttl, ttl, left)), now }
