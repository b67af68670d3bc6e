-- Store values. In a script, because MULTI and EXEC would need permissions of their own.
--
-- KEYS  the keys
-- ARGV  ms until they expire, or nothing, then the value of each key

for number, key in ipairs(KEYS) do
  if ARGV[1] == '' then
    redis.call('SET', key, ARGV[number + 1])
  else
    redis.call('SET', key, ARGV[number + 1], 'PX', ARGV[1])
  end
end
