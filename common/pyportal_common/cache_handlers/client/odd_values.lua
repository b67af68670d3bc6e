-- At the head of every script. A key may hold an odd value: of another type than we store, or
-- without an expiry. It must not fail a script for good, so it gives way where it is a copy.

-- The string at a key. Nothing for no key, or for another type.
local function text_of(key)
  local text = redis.pcall('GET', key)
  if type(text) ~= 'table' then
    return text or nil
  end
  if string.find(tostring(text.err), 'WRONGTYPE', 1, true) then
    return nil
  end
  return redis.call('GET', key) -- fails again, and with it the script
end

-- Remove a key of another type; with `expires` also one that would stay for ever.
local function drop_odd(key, wanted, expires)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and (found ~= wanted or expires and redis.call('PTTL', key) == -1) then
    redis.call('DEL', key)
  end
end
