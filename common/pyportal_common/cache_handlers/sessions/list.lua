-- Read sessions of a user. Entries of the index that are not a session of theirs are removed.
--
-- KEYS  the index of the user's sessions
-- ARGV  the two possible prefixes of this user's documents, the prefix of session keys, the members
-- Returns the member, the document and the remaining ms of each current session.

local number, name, prefix = unpack(ARGV)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local current = {}
for i = 4, #ARGV do
  local member = ARGV[i]
  local text = text_of(prefix .. member)
  local session = session_in(text)
  if text and is_of(text, number, name) then
    if session and session.expires_at > now then
      current[#current + 1] = member
      current[#current + 1] = text
      current[#current + 1] = redis.call('PTTL', prefix .. member)
    end
  elseif not is_odd_index(KEYS[1]) then
    redis.call('ZREM', KEYS[1], member)
  end
end
return current
