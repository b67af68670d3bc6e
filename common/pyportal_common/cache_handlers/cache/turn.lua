-- Take a turn, unless any process has taken one lately.
--
-- KEYS  the key of the turns
-- ARGV  ms until the next turn

drop_odd(KEYS[1], 'string', true)
return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1])
