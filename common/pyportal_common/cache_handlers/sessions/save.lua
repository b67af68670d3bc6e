-- Replace the document of a session, only if it exists and has the revision that was read.
--
-- KEYS  the session
-- ARGV  the new document, the revision that was read
-- Returns 'saved', 'gone' or 'changed'. The time to live does not change.

local text = redis.call('GET', KEYS[1])
if not text then
  return 'gone'
end
local is_json, session = pcall(cjson.decode, text)
if not is_json or type(session) ~= 'table' or session.revision ~= tonumber(ARGV[2]) then
  return 'changed'
end
redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
return 'saved'
