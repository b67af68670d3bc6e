-- Read a part of the index of a user's sessions; before that, raise the user's auth epoch.
--
-- KEYS  the index; to raise the epoch, the user's auth epoch
-- ARGV  the cursor of ZSCAN, how many to read; with an epoch, the user's in SQL now, and for how
--       many ms to remember it
-- Returns the next cursor and the members, or 'unindexed' for an index of another type.

local cursor, count, epoch, remember = unpack(ARGV)

if KEYS[2] and epoch_at(KEYS[2]) < tonumber(epoch) then
  redis.call('SET', KEYS[2], epoch, 'PX', remember)
end
if is_odd_index(KEYS[1]) then
  return 'unindexed'
end
local part = redis.call('ZSCAN', KEYS[1], cursor, 'COUNT', count)
local reply = { part[1] }
for i = 1, #part[2], 2 do
  reply[#reply + 1] = part[2][i]
end
return reply
