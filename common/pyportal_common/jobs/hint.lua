-- Leave a hint for one worker. However many are left, it is one member.
-- KEYS: the hint. ARGV: its time to live in ms.

drop_odd(KEYS[1], 'zset')
redis.call('ZADD', KEYS[1], 0, 'due')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
