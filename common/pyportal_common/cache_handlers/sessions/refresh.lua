-- Set the time to live of a session, up to its absolute timeout.
--
-- KEYS  the session
-- ARGV  ms
-- Returns the new time to live in ms, or 0 if there is no such session.

local text = redis.call('GET', KEYS[1])
local is_json, session = pcall(cjson.decode, text or '')
if not is_json or type(session) ~= 'table' or type(session.expires_at) ~= 'number' then
  return 0
end
local clock = redis.call('TIME')
local left = session.expires_at - (clock[1] * 1000 + math.floor(clock[2] / 1000))
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return 0
end
local ttl = math.min(tonumber(ARGV[1]), left)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
return math.floor(ttl)
