-- Replace a session by a mark: another session continues it.
--
-- KEYS  the session, the stream of ended sessions
-- ARGV  the mark, its time to live in ms
-- Returns the document; nothing if there is no session.

local text = text_of(KEYS[1])
if not text then
  return false
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
record_end(KEYS[1], text, KEYS[2])
return text
