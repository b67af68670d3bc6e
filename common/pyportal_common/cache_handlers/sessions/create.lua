-- Create a session.
--
-- KEYS  the session, the index of the user's sessions, the user's auth epoch
-- ARGV  the document without its end, the user's epoch in SQL or '', idle ms, absolute ms, the
--       member of the index, 1 to replace a session with this id, how many sessions a user may
--       have, the two possible prefixes of this user's documents, the prefix of session keys; if it
--       continues an earlier session, when that was created
-- Returns the document, or 'revoked' if a later epoch is known, or 'exists', or 'unindexed' if the
-- index is of another type.
--
-- The document ends with the times of the server's clock. It is composed as text, because cjson
-- changes what it decodes and encodes again ([] becomes {}). `index` is the script of that name,
-- placed before this one as a function.

local document, epoch, idle, absolute, member, replace, most, number, name, prefix, created_at =
  unpack(ARGV)
local MOST_AT_ONCE = 200 -- entries of the index that one call examines

if is_odd_index(KEYS[2]) then
  return 'unindexed'
end
if epoch ~= '' and epoch_at(KEYS[3]) > tonumber(epoch) then
  return 'revoked'
end
if replace ~= '1' and redis.call('EXISTS', KEYS[1]) == 1 then
  return 'exists'
end

if epoch == '' then -- the caller knows none: the session begins with the latest
  document = with_epoch(document, epoch_at(KEYS[3]))
end
local now = now_ms()

-- Remove entries of sessions that have ended, then end the oldest, until there is room for one.
local function make_room()
  redis.call('ZREM', KEYS[2], member)
  local surplus = redis.call('ZCARD', KEYS[2]) - most + 1
  if surplus <= 0 then
    return
  end
  local current = {}
  for _, oldest in ipairs(redis.call('ZRANGE', KEYS[2], 0, MOST_AT_ONCE - 1)) do
    local text = text_of(prefix .. oldest)
    if text and is_of(text, number, name) then
      current[#current + 1] = oldest
    else
      redis.call('ZREM', KEYS[2], oldest)
      surplus = surplus - 1
    end
  end
  for i = 1, math.min(surplus, #current) do
    redis.call('DEL', prefix .. current[i])
    redis.call('ZREM', KEYS[2], current[i])
  end
end

local expires = now + tonumber(absolute)
local text = string.format(
  '%s,"created_at":%.0f,"auth_at":%.0f,"expires_at":%.0f}', document, created_at or now, now, expires)
-- The first write: a server whose memory is full refuses no later one of a script.
redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', math.min(tonumber(idle), tonumber(absolute))))
make_room()
index({ KEYS[2] }, { string.format('%.0f', expires), member })
return text
