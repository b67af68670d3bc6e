-- List the current sessions of a user. Entries of the index without a session are removed.
--
-- KEYS  the index of the user's sessions
-- ARGV  the two possible prefixes of this user's documents, the prefix of session keys
-- Returns the member, the document and the remaining ms of each session.

local number, name, prefix = unpack(ARGV)

local function is_theirs(text)
  return string.sub(text, 1, #number) == number or string.sub(text, 1, #name) == name
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local current = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local text = redis.call('GET', prefix .. member)
  if text and is_theirs(text) then
    local is_json, session = pcall(cjson.decode, text)
    if is_json and session.expires_at > now then
      current[#current + 1] = member
      current[#current + 1] = text
      current[#current + 1] = redis.call('PTTL', prefix .. member)
    end
  else
    redis.call('ZREM', KEYS[1], member)
  end
end
return current
