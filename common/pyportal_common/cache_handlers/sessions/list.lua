-- Read sessions of a user. Entries of the index that are not a session of theirs are removed.
--
-- KEYS  the index of the user's sessions
-- ARGV  the two possible prefixes of this user's documents, the prefix of session keys, the members
-- Returns of each current session the member, the document, the remaining ms, and when it was last
-- touched in ms of the server's clock; -1 if its time to live was set by a refresh.

local number, name, prefix = unpack(ARGV)

local now = now_ms()

-- A new session is not touched: its time to live is its idle time.
local function touched_at(session, ttl)
  local age = touched_ms(session) - ttl
  return age < 0 and -1 or math.max(session.auth_at, math.floor(now - age))
end

local current = {}
for i = 4, #ARGV do
  local member = ARGV[i]
  local text = text_of(prefix .. member)
  local session = session_in(text)
  if text and is_of(text, number, name) then
    if session and session.expires_at > now then
      local ttl = redis.call('PTTL', prefix .. member)
      current[#current + 1] = member
      current[#current + 1] = text
      current[#current + 1] = math.min(ttl, session.expires_at - now)
      current[#current + 1] = touched_at(session, ttl)
    end
  elseif not is_odd_index(KEYS[1]) then
    redis.call('ZREM', KEYS[1], member)
  end
end
return current
