-- Read a session, and reset its idle timeout if it is touched, or set its time to live.
--
-- KEYS  the session
-- ARGV  1 to touch; or 0 and a time to live in ms, which ends with the absolute timeout at the latest
-- Returns the document and the remaining ms, or nothing.

local text = redis.call('GET', KEYS[1])
if not text then
  return {}
end
local is_json, session = pcall(cjson.decode, text)
if not is_json or type(session) ~= 'table' or type(session.expires_at) ~= 'number' then
  return {} -- not a session
end

local clock = redis.call('TIME')
local left = session.expires_at - (clock[1] * 1000 + math.floor(clock[2] / 1000))
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {}
end
local ttl = redis.call('PTTL', KEYS[1])
if ARGV[2] then
  ttl = math.min(tonumber(ARGV[2]), left)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
elseif ARGV[1] == '1' then
  -- Never shorter: a session may have been refreshed for longer.
  local idle = math.min(session.idle_ms, left)
  if ttl < idle then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', idle))
    ttl = idle
  end
end
return { text, math.floor(ttl) }
