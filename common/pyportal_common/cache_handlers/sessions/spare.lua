-- Raise the auth epoch of one session, which a revocation spares.
--
-- KEYS  the session
-- ARGV  the user's epoch in SQL now, the two possible prefixes of this user's documents

local epoch, number, name = unpack(ARGV)

local text = text_of(KEYS[1])
local session = text and is_of(text, number, name) and session_in(text)
if session and session.auth_epoch < tonumber(epoch) then
  redis.call('SET', KEYS[1], with_epoch(text, epoch), 'KEEPTTL')
end
