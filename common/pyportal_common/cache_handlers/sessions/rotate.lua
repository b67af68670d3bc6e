-- Continue a session under another id after the user authenticated again. The old id ends at once.
--
-- KEYS  the old session, the new one, the stream of ended sessions, the index of the user's sessions,
--       the user's auth epoch
-- ARGV  the document without its end, the revision that was read, the user's epoch in SQL, idle ms,
--       absolute ms, the old and the new member of the index, and as for `create` how many sessions
--       a user may have, and three prefixes
-- Returns the new document, or 'gone', 'changed', 'revoked' or 'unindexed'.
--
-- `create` is the script of that name, placed before this one as a function. The removal comes
-- first, because it is not refused even if memory is full.

local document, revision, epoch, idle, absolute, old_member, new_member, most, number, name, prefix =
  unpack(ARGV)

local text = text_of(KEYS[1])
local session = current_session_in(text)
if not session then
  return 'gone'
end
if session.revision ~= tonumber(revision) then
  return 'changed'
end
if epoch_at(KEYS[5]) > tonumber(epoch) then
  return 'revoked'
end
if is_odd_index(KEYS[4]) then
  return 'unindexed'
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], old_member)
record_end(KEYS[1], text, KEYS[3])
return create({ KEYS[2], KEYS[4], KEYS[5] }, {
  document, epoch, idle, absolute, new_member, '1', most, number, name, prefix, session.created_at
})
