-- Renew trust: remove the values and leases of pending invalidations.
--
-- KEYS  a key to write; then values and leases
--
-- The first DEL has no other effect than to fail on a server that refuses writes: such a server may
-- not remove what later commits invalidate. It is not refused when only memory is full.

redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
end
