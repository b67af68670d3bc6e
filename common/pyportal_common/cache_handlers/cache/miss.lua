-- After a miss, or to refresh a value: grant one reader the right to load and fill.
--
-- KEYS  the value, its lease, its fence; then each of its tags and the tag's fence
-- ARGV  the caller's token, the duration of the lease in ms; 0 after a miss, 1 to refresh a value,
--       2 to replace one that the caller cannot use; the remaining ms that it has seen, to refresh;
--       with tags the ms that they must outlive
-- Returns 'hit' and the value if it exists by now, 'fresh' and the value if it was refreshed since
-- the caller saw it, else 'mine', 'leased' or 'fenced'.
--
-- The lease is that of memcache (Nishtala et al., NSDI 2013): an invalidation deletes it, and
-- without it a reader cannot fill. A fence means that a writer is about to commit.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local value, lease = unpack(KEYS, 1, 2)
local token, duration, mode, seen, outlived = unpack(ARGV)

-- The generations of the tags, with which the value and its lease begin or end: see tags.py. The
-- token makes a new one, because nobody has used it before.
local generations = ''
for i = 4, #KEYS, 2 do
  drop_odd(KEYS[i], 'string', true)
  local generation = redis.call('GET', KEYS[i])
  if not generation then
    generation = token .. i
    redis.call('SET', KEYS[i], generation, 'PX', outlived)
  elseif redis.call('PTTL', KEYS[i]) < tonumber(outlived) then
    redis.call('PEXPIRE', KEYS[i], outlived)
  end
  generations = generations .. generation .. ';'
end

local function current_text()
  local text = text_of(value)
  if text and string.sub(text, 1, #generations) == generations then
    return string.sub(text, #generations + 1)
  end
end

if mode == '0' then
  local text = current_text()
  if text then
    return { 'hit', text }
  end
elseif mode == '1' and redis.call('PTTL', value) > tonumber(seen) then
  local text = current_text()
  if text then
    return { 'fresh', text }
  end
end
drop_odd(value, 'string')

for i = 3, #KEYS, 2 do
  local fence = KEYS[i]
  drop_odd(fence, 'zset', true)
  -- Without a fence nothing is removed, and so a full memory refuses the lease below: only the
  -- first write of a script is checked.
  if redis.call('EXISTS', fence) == 1 then
    redis.call('ZREMRANGEBYSCORE', fence, '-inf', string.format('%.0f', now))
    if redis.call('EXISTS', fence) == 1 then
      return { 'fenced' }
    end
  end
end
if redis.call('SET', lease, token .. generations, 'NX', 'PX', duration) then
  return { 'mine' }
end
drop_odd(lease, 'string', true)
local held = generations ~= '' and text_of(lease)
if held and string.sub(held, #token + 1) ~= generations then
  redis.call('DEL', lease) -- of a loader that began before a tag was invalidated
end
if redis.call('SET', lease, token .. generations, 'NX', 'PX', duration) then
  return { 'mine' }
end
return { 'leased' }
