-- End a session.
--
-- KEYS  the session, the stream of ended sessions
-- ARGV  what is in the place of a session that another one continues: it still concerns other
--       requests in flight
-- Returns the document; nothing if there is no session.

local text = text_of(KEYS[1])
if text == ARGV[1] then
  return false
end
redis.call('DEL', KEYS[1]) -- also of another type
record_end(KEYS[1], text, KEYS[2])
return text or false
