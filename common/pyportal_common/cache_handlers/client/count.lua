-- Add to a counter.
--
-- KEYS  the counter
-- ARGV  what to add, ms until a counter that has no expiry yet expires
-- Returns the new number as text, or nothing if the key holds another text or the number is too large.

local number = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(number) == 'table' then
  local reason = tostring(number.err)
  local is_odd = string.find(reason, 'not an integer', 1, true)
    or string.find(reason, 'overflow', 1, true)
  return not is_odd and number or nil
end
if redis.call('PTTL', KEYS[1]) == -1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1]) -- exact: a number of Lua has 53 bits
