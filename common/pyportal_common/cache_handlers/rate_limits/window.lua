-- Sliding windows: all rate limits of one request, charged together or not at all.
--
-- KEYS     the hash of all limits, or one hash for each limit
-- ARGV[i]  limit i, "cost limit seconds shadow field": the cost of the request, the limit, its
--          window, 1 if it is a shadow limit, else 0, and the field, which may contain spaces
-- Returns the number of the tightest enforced limit, or 0, and its state: what remains, the time
-- until it would admit the request (0 if it is admitted), the time until the limit is unused, the
-- time until its oldest entry expires. Then the time now. All times are microseconds of the server's
-- clock. Then, for an admitted request, i for each limit of which less than a fifth is left, and -i
-- for each shadow limit that would have refused it. `entries` describes the format of the fields.
--
-- Shadow limits refuse nothing. Each counts the requests that it would have admitted.
--
-- The window of a field may change. Entries that were dropped before are not known any more, so a
-- longer window counts what the shorter one has kept.
--
-- A window looks back from now, so twice the limit cannot pass around an edge. Up to SLOTS entries
-- are kept unchanged; beyond that, entries in the same 1/63 of the window are merged into the latest
-- of them. Merging only makes entries younger, so the limit holds in every window, and a charge
-- expires up to 1/63 of the window late.
--
-- An ordinary request only appends its entry to the newest ones. The older entries are read when one
-- has expired, when the request is refused, and when the newest ones, each RECENT requests, join
-- them. A key is given an eighth of the window more than it needs, so that few requests extend it.

local SLOTS = 64

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The beginning of the slot of a time. Slots are 1/63 of the window.
local function slot(policy, time)
  return time - time % math.ceil(policy.window / (SLOTS - 1))
end

-- What few requests need. To define these functions takes a good part of an ordinary one's time.
local function define_rare()
  local rare = {}

  function rare.read_entries(policy)
    if not policy.older_log then
      local text = policy.older > 0 and redis.call('HGET', policy.key, policy.field .. '/older')
      restore_entries(policy, text or '')
    end
  end

  local function forget(policy)
    policy.is_older_changed = policy.older > 0
    policy.used, policy.older, policy.older_log = 0, 0, ''
    policy.recent, policy.log, policy.oldest, policy.newest = 0, '', now, now
  end

  local function expire(policy)
    local horizon = now - policy.window
    if policy.newest <= horizon then
      return forget(policy)
    end
    rare.read_entries(policy)
    local expired = 0
    local time, count = entry_of(policy, 1)
    while time <= horizon do -- ends at the newest entry at the latest
      expired, policy.used = expired + 1, math.max(0, policy.used - count)
      time, count = entry_of(policy, expired + 1)
    end
    local of_older = math.min(expired, policy.older)
    local of_recent = expired - of_older
    policy.is_older_changed = policy.is_older_changed or of_older > 0
    policy.older_log = string.sub(policy.older_log, of_older * ENTRY_BYTES + 1)
    policy.log = string.sub(policy.log, of_recent * ENTRY_BYTES + 1)
    policy.older, policy.recent = policy.older - of_older, policy.recent - of_recent
    policy.oldest = time
  end

  local function moved(log, by)
    local parts = {}
    for number = 1, #log / ENTRY_BYTES do
      local time, count = entry_in(log, number)
      parts[number] = struct.pack(ENTRY, math.max(0, time - by), count)
    end
    return table.concat(parts)
  end

  -- The clock was set back: entries in the future would block all requests until then.
  local function move_back(policy)
    rare.read_entries(policy)
    local by = policy.newest - now
    policy.older_log, policy.log = moved(policy.older_log, by), moved(policy.log, by)
    policy.oldest, policy.newest = math.max(0, policy.oldest - by), now
    policy.must_write, policy.is_older_changed = true, policy.older > 0
  end

  -- Bring a state up to this time.
  function rare.update(policy)
    if policy.newest > now then
      move_back(policy)
    end
    if policy.oldest <= now - policy.window then
      expire(policy)
    end
    if policy.lives_until * 1000 > now + policy.window * 9 / 8 then
      policy.lives_until = 0 -- not written with this clock, or for a longer window
    end
    if policy.recent > 0 and policy.lives_until * 1000 < policy.newest + policy.window then
      rare.read_entries(policy) -- the window was shorter; a refused request extends the life, too
      policy.must_write = true
    end
  end

  function rare.wait(policy)
    if policy.older + policy.recent > 0 then -- none if a cost exceeds the limit, as in `usage`
      rare.read_entries(policy)
    end
    local excess = policy.used + policy.cost - policy.limit
    local number, time, count = 0, now, 0
    while excess > 0 and number < policy.older + policy.recent do
      number = number + 1
      time, count = entry_of(policy, number)
      excess = excess - count
    end
    return math.max(1, math.min(time, now) + policy.window - now)
  end

  -- Merge the entries of each slot. All become older ones.
  function rare.merge(policy)
    rare.read_entries(policy)
    local times, counts, parts = {}, {}, {}
    for number = 1, policy.older + policy.recent do
      local last = #times
      local time, count = entry_of(policy, number)
      if last > 0 and slot(policy, times[last]) == slot(policy, time) then
        times[last], counts[last] = time, counts[last] + count
      else
        times[last + 1], counts[last + 1] = time, count
      end
    end
    for number, time in ipairs(times) do
      parts[number] = struct.pack(ENTRY, time, counts[number])
    end
    policy.older, policy.older_log, policy.is_older_changed = #times, table.concat(parts), true
    policy.recent, policy.log, policy.oldest = 0, '', times[1]
  end

  -- The newest entries become older ones.
  function rare.join_older(policy)
    rare.read_entries(policy)
    policy.older, policy.older_log = policy.older + policy.recent, policy.older_log .. policy.log
    policy.recent, policy.log, policy.is_older_changed = 0, '', true
  end

  return rare
end

local defined
local function rare()
  defined = defined or define_rare()
  return defined
end

-- Charge an admitted request. Its entry is `policy.entry`, behind those in `policy.log`.
local function add(policy)
  local count, entries = policy.cost, policy.older + policy.recent
  local is_full = entries >= SLOTS
  if is_full and policy.newest >= slot(policy, now) then
    local text = policy.log or policy.text
    local _, before = struct.unpack(ENTRY, text, #text - ENTRY_BYTES + 1)
    count, policy.recent = count + before, policy.recent - 1
    policy.log = string.sub(text, policy.log and 1 or HEAD_BYTES + 1, -ENTRY_BYTES - 1)
  elseif is_full then
    rare().merge(policy)
  elseif policy.recent == RECENT then
    rare().join_older(policy)
  elseif not policy.log then
    policy.log = string.sub(policy.text, HEAD_BYTES + 1)
  end
  policy.recent, policy.entry = policy.recent + 1, struct.pack(ENTRY, now, count)
  policy.used, policy.newest, policy.must_write = policy.used + policy.cost, now, true
end

local policies, fields = {}, {}

-- Write the policies from `first` to `last` that changed. They share a key.
local function write(first, last)
  local stored, size, unused, lives_until = {}, 0, {}, 0
  for i = first, last do
    local policy = policies[i]
    if policy.must_write then
      if policy.lives_until * 1000 < now + policy.window then
        policy.lives_until = math.floor((now + policy.window * 9 / 8) / 1000)
        lives_until = math.max(lives_until, policy.lives_until)
      end
      stored[size + 1] = policy.field
      stored[size + 2] = header_of(policy) .. policy.log .. policy.entry
      size = size + 2
      if policy.is_older_changed and policy.older > 0 then
        stored[size + 1], stored[size + 2] = policy.field .. '/older', policy.older_log
        size = size + 2
      elseif policy.is_older_changed then
        unused[#unused + 1] = policy.field .. '/older'
      end
    end
  end
  if size == 0 then
    return -- only shadow limits, which would have refused the request
  end
  local key = policies[first].key
  redis.call('HSET', key, unpack(stored))
  if unused[1] then
    redis.call('HDEL', key, unpack(unused))
  end
  if lives_until > 0 then -- NX is for a new key. GT keeps a later expiry.
    local at = string.format('%.0f', lives_until)
    if redis.call('PEXPIREAT', key, at, 'NX') == 0 then
      redis.call('PEXPIREAT', key, at, 'GT')
    end
  end
end

for i, text in ipairs(ARGV) do
  local cost, limit, seconds, shadow, field =
    string.match(text, '^(%S+) (%S+) (%S+) (%S+) (.*)$')
  fields[i] = field
  policies[i] = {
    key = KEYS[i] or KEYS[1],
    field = field,
    cost = cost * 1,
    limit = limit * 1,
    window = seconds * 1000000,
    is_shadow = shadow == '1',
    used = 0,
    older = 0, -- entries
    recent = 0,
    oldest = now,
    newest = now,
    lives_until = 0,
    text = nil, -- of the field: the header and the newest entries
    log = nil, -- the newest entries, if they were read or changed
    entry = '',
    left = 0,
    wait = 0,
  }
end

local admitted = true
for i, key in ipairs(KEYS) do
  local last = #KEYS == 1 and #policies or i
  local texts = redis.pcall('HMGET', key, unpack(fields, i, last))
  if texts.err then -- the key holds another type
    redis.call('DEL', key)
    texts = {}
  end
  for j = i, last do
    local policy = policies[j]
    if not restore(policy, texts[j - i + 1] or '') then
      policy.log = ''
    elseif policy.newest > now or policy.oldest <= now - policy.window
      or policy.lives_until * 1000 > now + policy.window * 9 / 8
      or policy.lives_until * 1000 < policy.newest + policy.window then
      rare().update(policy)
    end
    if policy.must_write then
      write(j, j)
      policy.must_write = false
    end
    policy.fits = policy.used + policy.cost <= policy.limit
    admitted = admitted and (policy.fits or policy.is_shadow)
  end
end

-- The limit with the longest wait, else the one with the least remaining.
local number, tightest = 0, nil
local notable = {}
for i, policy in ipairs(policies) do
  if admitted and policy.fits then
    add(policy)
  elseif not policy.fits and not policy.is_shadow then
    policy.wait = rare().wait(policy)
  end
  policy.left = math.max(0, policy.limit - policy.used)
  if admitted and not policy.fits then
    notable[#notable + 1] = -i
  elseif admitted and policy.left * 5 < policy.limit then
    notable[#notable + 1] = i
  end
  local more = tightest and policy.left - tightest.left
  if not policy.is_shadow and (not tightest or policy.wait > tightest.wait
    or admitted and (more < 0 or more == 0 and policy.window > tightest.window)) then
    number, tightest = i, policy
  end
end
if admitted then
  for i = 1, #KEYS do
    write(i, #KEYS == 1 and #policies or i)
  end
end

if not tightest then
  return { 0, 0, 0, 0, 0, now, unpack(notable) }
end
local reset, more = tightest.newest + tightest.window - now, tightest.oldest + tightest.window - now
return { number, tightest.left, tightest.wait, reset, more, now, unpack(notable) }
