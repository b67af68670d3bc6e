-- Read a session, and with touch give it its idle time again.
--
-- KEYS  the session
-- ARGV  1 to touch
-- Returns the document and the ms it has left, or nothing.

local text = redis.call('GET', KEYS[1])
if not text then
  return {}
end
local is_json, session = pcall(cjson.decode, text)
if not is_json or type(session) ~= 'table' or type(session.expires_at) ~= 'number' then
  return {} -- not ours
end

local clock = redis.call('TIME')
local left = session.expires_at - (clock[1] * 1000 + math.floor(clock[2] / 1000))
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {}
end
local ttl = redis.call('PTTL', KEYS[1])
if ARGV[1] == '1' then
  -- Only ever longer: a session that was refreshed for longer keeps that.
  local idle = math.min(session.idle_ms, left)
  if ttl < idle then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', idle))
    ttl = idle
  end
end
return { text, math.floor(ttl) }
