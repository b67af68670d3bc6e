-- Take a session that has ended off its user's index, unless one of that id has begun since.
--
-- KEYS  the session, the index of its user's sessions
-- ARGV  the member of the index

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
