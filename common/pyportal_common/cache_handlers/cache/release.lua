-- Release a lease if the caller still holds it.
--
-- KEYS  the lease
-- ARGV  its token, ms until another reader may load: 0 for at once
--
-- The generations of tags may follow the token: see `miss`.

if string.sub(text_of(KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then
  if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
end
