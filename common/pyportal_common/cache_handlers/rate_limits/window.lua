-- Sliding windows: all rate limits of one request, charged together or not at all.
--
-- KEYS     the hash of all limits, or one hash for each limit
-- ARGV[i]  limit i, "cost limit name/seconds": the cost of the request, the limit, the field
-- Returns the number of the tightest limit and its state: what remains, the time until it would
-- admit the request (0 if it is admitted), the time until the limit is unused. Then the time now.
-- All times are microseconds of the server's clock.
--
-- A field is "used entries spread time:count,delay:count,...". The entries say when requests were
-- admitted and how many: the first time since 1970, each later one since the entry before. In front
-- is their sum: the number of requests, the number of entries, the time from first to last. So an
-- ordinary request reads only the entries that have expired, and appends its own.
--
-- A window looks back from now, so twice the limit cannot pass around an edge. Up to SLOTS entries
-- are kept unchanged; beyond that, entries in the same 1/63 of the window are merged into the latest
-- of them. Merging only makes entries younger, so the limit holds in every window, and a charge
-- expires up to 1/63 of the window late.

local SLOTS = 64
local ENTRY = ':(%d+),?(%d*)' -- a count, and the delay until the next entry

local match, format = string.match, string.format -- `..` would write a time as 1.7e+15

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- Remove expired entries one by one. Entries that cannot be parsed count as nothing.
local function expire(policy)
  local horizon = now - policy.window
  local expired = policy.newest <= horizon
  while policy.oldest <= horizon and not expired do
    local count, delay, log = match(policy.log, '^:(%d+),(%d+)(:%d.*)$')
    if count then
      policy.used, policy.entries = policy.used - count, policy.entries - 1
      policy.oldest, policy.log = policy.oldest + delay, log
    end
    expired = not count
  end
  if expired then
    policy.used, policy.entries, policy.oldest, policy.newest, policy.log = 0, 0, now, now, ''
  end
end

local function restore(policy, text)
  local used, entries, spread, oldest, log = match(text, '^(%d+) (%d+) (%d+) (%d+)(:%d.*)$')
  if not used then
    return
  end
  policy.used, policy.entries, policy.log = tonumber(used), tonumber(entries), log
  policy.oldest = tonumber(oldest)
  policy.newest = policy.oldest + spread
  if policy.newest > now then
    -- The clock was set back: entries in the future would block all requests until then.
    policy.oldest, policy.newest, policy.moved = policy.oldest + now - policy.newest, now, true
  end
  if policy.oldest <= now - policy.window then
    expire(policy)
  end
end

local function wait(policy)
  local excess, time = policy.used + policy.cost - policy.limit, policy.oldest
  for count, delay in string.gmatch(policy.log, ENTRY) do
    excess = excess - count
    if excess <= 0 then
      break
    end
    time = time + (tonumber(delay) or 0)
  end
  return time + policy.window - now
end

local function slot(policy, time)
  return math.floor(time / math.ceil(policy.window / (SLOTS - 1)))
end

local function merge(policy)
  local times, counts, time = {}, {}, policy.oldest
  for count, delay in string.gmatch(policy.log, ENTRY) do
    local last = #times
    if last > 0 and slot(policy, times[last]) == slot(policy, time) then
      times[last], counts[last] = time, counts[last] + count
    else
      times[last + 1], counts[last + 1] = time, count
    end
    time = time + (tonumber(delay) or 0)
  end
  local parts = { format(':%d', counts[1]) }
  for i = 2, #times do
    parts[i] = format('%d:%d', times[i] - times[i - 1], counts[i])
  end
  policy.entries, policy.oldest, policy.log = #times, times[1], table.concat(parts, ',')
end

local function add(policy)
  local delay = now - policy.newest
  local before, since, count
  if policy.entries >= SLOTS then
    if slot(policy, policy.newest) == slot(policy, now) then
      before, since, count = match(policy.log, '^(.*,)(%d+):(%d+)$')
    else
      merge(policy)
    end
  end
  if before then
    policy.log = before .. format('%d:%d', since + delay, count + policy.cost)
  elseif policy.entries > 0 then
    policy.log = policy.log .. format(',%d:%d', delay, policy.cost)
    policy.entries = policy.entries + 1
  else
    policy.log, policy.entries = format(':%d', policy.cost), 1
  end
  policy.used, policy.newest = policy.used + policy.cost, now
end

local function write(key, policies)
  local stored, longest = {}, 0
  for i, policy in ipairs(policies) do
    local spread = policy.newest - policy.oldest
    stored[2 * i - 1] = policy.field
    stored[2 * i] = format('%d %d %d %d', policy.used, policy.entries, spread, policy.oldest)
      .. policy.log
    longest = math.max(longest, policy.window)
  end
  redis.call('HSET', key, unpack(stored))
  -- A key lives to the end of its last ms. GT keeps a later expiry; NX is for a new key.
  local last_ms = format('%d', (now + longest) / 1000)
  if redis.call('PEXPIREAT', key, last_ms, 'GT') == 0 then
    redis.call('PEXPIREAT', key, last_ms, 'NX')
  end
end

local function read(key, policies)
  local fields = {}
  for i, policy in ipairs(policies) do
    fields[i] = policy.field
  end
  local texts = redis.pcall('HMGET', key, unpack(fields))
  if texts.err then -- the key holds another type
    redis.call('DEL', key)
    texts = {}
  end
  for i, policy in ipairs(policies) do
    restore(policy, texts[i] or '')
    if policy.moved then
      write(key, { policy })
    end
  end
end

local policies, groups = {}, {}
for i, text in ipairs(ARGV) do
  local cost, limit, field, seconds = match(text, '^(%S+) (%S+) (.*/(%S+))$')
  policies[i] = {
    field = field,
    cost = tonumber(cost),
    limit = tonumber(limit),
    window = seconds * 1000000,
    used = 0,
    entries = 0,
    oldest = now,
    newest = now,
    log = '', -- the entries without the time of the first
    moved = false,
    left = 0,
    wait = 0,
  }
  groups[i] = { policies[i] }
end
if #KEYS == 1 then
  groups = { policies }
end

local admitted = true
for i, key in ipairs(KEYS) do
  read(key, groups[i])
end
for _, policy in ipairs(policies) do
  admitted = admitted and policy.used + policy.cost <= policy.limit
end

local number = 1 -- of the limit with the longest wait, else of the one with the least remaining
for i, policy in ipairs(policies) do
  local other = policies[number]
  if admitted then
    add(policy)
  elseif policy.used + policy.cost > policy.limit then
    policy.wait = wait(policy)
  end
  policy.left = math.max(0, policy.limit - policy.used)
  local more = policy.left - other.left
  if admitted and (more < 0 or more == 0 and policy.window > other.window)
    or policy.wait > other.wait then
    number = i
  end
end
if admitted then
  for i, key in ipairs(KEYS) do
    write(key, groups[i])
  end
end

local tightest = policies[number]
return { number, tightest.left, tightest.wait, tightest.newest + tightest.window - now, now }
