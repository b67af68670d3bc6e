-- End the sessions of a user, and refuse new ones with an older epoch.
--
-- KEYS  the index of the user's sessions, the user's auth epoch
-- ARGV  the user's epoch in SQL now, for how many ms to remember it, the two possible prefixes of
--       this user's documents, the prefix of session keys, the member of the index to spare or ''
--
-- Sessions of this epoch or a later one are kept, because a revocation may be repeated.
-- Returns how many sessions ended.

local epoch, remember, number, name, prefix, spared = unpack(ARGV)

local function is_theirs(text)
  return string.sub(text, 1, #number) == number or string.sub(text, 1, #name) == name
end

-- The last match is the epoch: the user's data, which could contain this text, is before it.
local function is_older(text)
  local began = string.match(text, '.*"auth_epoch":(%d+)')
  return tonumber(began or '0') < tonumber(epoch)
end

if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(epoch) then
  redis.call('SET', KEYS[2], epoch, 'PX', remember)
end
local ended = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if member ~= spared then
    -- A session id that a caller chose may belong to another user by now.
    local text = redis.call('GET', prefix .. member)
    local theirs = text and is_theirs(text)
    if theirs and is_older(text) then
      ended = ended + redis.call('DEL', prefix .. member)
    end
    if not theirs or is_older(text) then
      redis.call('ZREM', KEYS[1], member)
    end
  end
end
return ended
