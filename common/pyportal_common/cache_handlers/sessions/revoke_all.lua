-- End the sessions of a user, and refuse those that are about to begin on an older epoch.
--
-- KEYS  the index of the user's sessions, the user's auth epoch
-- ARGV  the epoch as SQL has it now, ms to remember it, the two ways that documents of this user
--       begin, the prefix of session keys, the member of the index to spare or ''
--
-- Sessions that began on this epoch or a later one stay: the same revocation may come again.
-- Returns how many sessions were ended.

local epoch, remember, number, name, prefix, spared = unpack(ARGV)

local function is_theirs(text)
  return string.sub(text, 1, #number) == number or string.sub(text, 1, #name) == name
end

-- The number stands after what the user's data could hold, in the part that the server wrote last.
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
    -- An id that a caller chose may have become another user's since.
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
