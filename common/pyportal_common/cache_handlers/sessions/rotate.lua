-- Continue a session under another id after the user authenticated again. The old id ends at once.
--
-- KEYS  the old session, the new one, the index of the user's sessions, the user's auth epoch
-- ARGV  the document without its end, the revision that was read, the user's epoch in SQL, idle ms,
--       absolute ms, the old and the new member of the index
-- Returns the new document, or 'gone', 'changed' or 'revoked'.
--
-- `create` is the script of that name, placed before this one as a function. The removal comes
-- first, because it is not refused even if memory is full.

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
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], old_member)
local arguments = { document, epoch, idle, absolute, new_member, '1', session.created_at }
return create({ KEYS[2], KEYS[3], KEYS[4] }, arguments)
