-- Read a session, and reset its idle timeout if it is touched, or set its time to live.
--
-- KEYS  the session
-- ARGV  1 to touch; or 0 and a time to live in ms, which ends with the absolute timeout at the latest
-- Returns the document and the remaining ms, or nothing. Of the idle time, the ms that are certain.

local text = text_of(KEYS[1])
local session = text and session_in(text)
if not session or is_revoked(text, session) then
  return {}
end

local clock = redis.call('TIME')
local left = session.expires_at - (clock[1] * 1000 + math.floor(clock[2] / 1000))
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {}
end
local ttl = redis.call('PTTL', KEYS[1])
local idle = math.min(session.idle_ms, left)
if ARGV[2] then
  ttl = math.min(tonumber(ARGV[2]), left)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
  return { text, math.floor(ttl) }
end

-- A touch adds a sixtieth, at most a minute, so that the uses within that time need not touch it
-- again and the session still never ends earlier. Never shorter: a session may have been refreshed
-- for longer. Never without expiry.
local most = math.min(idle + math.min(session.idle_ms / 60, 60000), left)
if ttl < 0 or ARGV[1] == '1' and ttl < idle then
  ttl = most
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
end
return { text, math.floor(ttl <= most and math.min(ttl, idle) or ttl) }
