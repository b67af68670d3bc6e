-- Remove an ended session from the user's index, unless one with this id has been created since.
--
-- KEYS  the session, the index of the user's sessions
-- ARGV  the member of the index

if redis.call('EXISTS', KEYS[1]) == 0 and not is_odd_index(KEYS[2]) then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
