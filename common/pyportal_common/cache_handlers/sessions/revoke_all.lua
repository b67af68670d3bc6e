-- End sessions of a user that are of an older auth epoch.
--
-- KEYS  the index of the user's sessions, the stream of ended sessions
-- ARGV  the user's epoch in SQL now, the two possible prefixes of this user's documents, the prefix
--       of session keys, the members of the index
--
-- Sessions of this epoch or a later one are kept, because a revocation may be repeated. The epoch
-- was raised before the index was read, so no older session can be created meanwhile.
-- Returns how many sessions ended.

local epoch, number, name, prefix = unpack(ARGV)

-- The last match is the epoch: the user's data, which could contain this text, is before it.
local function is_older(text)
  local began = string.match(text, '.*"auth_epoch":(%d+)')
  return tonumber(began or '0') < tonumber(epoch)
end

local ended = 0
for i = 5, #ARGV do
  local member = ARGV[i]
  -- A session id that a caller chose may belong to another user by now.
  local text = text_of(prefix .. member)
  local theirs = text and is_of(text, number, name)
  local older = theirs and is_older(text)
  if older then
    ended = ended + redis.call('DEL', prefix .. member)
    record_end(prefix .. member, text, KEYS[2])
  end
  if (older or not theirs) and not is_odd_index(KEYS[1]) then
    redis.call('ZREM', KEYS[1], member)
  end
end
return ended
