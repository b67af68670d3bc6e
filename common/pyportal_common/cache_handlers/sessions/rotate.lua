-- Continue a session under another id after the user authenticated again. The old id ends at once.
--
-- KEYS  the old session, the new one, the index of the user's sessions, the user's auth epoch
-- ARGV  the document without its end, the revision that was read, the user's epoch in SQL, idle ms,
--       absolute ms, the old and the new member of the index, and as for `create` how many sessions
--       a user may have, and three prefixes
-- Returns the new document, or 'gone', 'changed', 'revoked' or 'unindexed'.
--
-- `create` is the script of that name, placed before this one as a function. The removal comes
-- first, because it is not refused even if memory is full.

local document, revision, epoch, idle, absolute, old_member, new_member, most, number, name, prefix =
  unpack(ARGV)

local session = current_session_in(text_of(KEYS[1]))
if not session then
  return 'gone'
end
if session.revision ~= tonumber(revision) then
  return 'changed'
end
if epoch_at(KEYS[4]) > tonumber(epoch) then
  return 'revoked'
end
if is_odd_index(KEYS[3]) then
  return 'unindexed'
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], old_member)
return create({ KEYS[2], KEYS[3], KEYS[4] }, {
  document, epoch, idle, absolute, new_member, '1', most, number, name, prefix, session.created_at
})
