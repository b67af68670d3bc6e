-- Fill a value if the caller still holds the lease, and no tag was invalidated since.
--
-- KEYS  the value, its lease; then its tags
-- ARGV  the token of the lease, the value, ms until it expires
-- Returns 1, or 0 if the lease was deleted by an invalidation or has expired.

local generations = ''
for i = 3, #KEYS do
  local generation = text_of(KEYS[i])
  if not generation then
    return 0
  end
  generations = generations .. generation .. ';'
end
if text_of(KEYS[2]) ~= ARGV[1] .. generations then
  return 0
end
redis.call('SET', KEYS[1], generations .. ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
