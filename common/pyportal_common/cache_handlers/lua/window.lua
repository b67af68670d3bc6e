-- Sliding windows: the limits of one request, all of them or none.
--
-- KEYS[i]            the hash that holds policy i
-- ARGV[4i-3 .. 4i]   its field, its limit, its window, what the request costs
-- Returns four numbers a policy: 1 where it alone would admit the request (else 0), what is
-- left, the time until it would admit it (0 where it does), the time until nothing is used.
-- All times are microseconds, as the server's clock gives them. The last number is now.
--
-- A field is "time:count,delay:count,...": when requests were admitted and how many, the first
-- time since 1970, the later ones since the entry before.
--
-- A window looks back from now, so there is no edge at which twice the limit could pass. Up to
-- SLOTS entries are kept as they came; beyond, those in the same 1/63 of the window are merged
-- into the latest of them. Merging only ever makes an entry younger, so the limit holds in every
-- window, and what was used comes back up to 1/63 of the window late.

local SLOTS = 64

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function integer(number)
  return string.format('%.0f', number)
end

local function read(key, field, window)
  local text = redis.pcall('HGET', key, field)
  if type(text) == 'table' then -- somebody stored another type here
    redis.call('DEL', key)
    text = false
  end
  local times, counts, time = {}, {}, 0
  for delay, count in string.gmatch(text or '', '(%d+):(%d+)') do
    time = time + tonumber(delay)
    times[#times + 1] = time
    counts[#counts + 1] = tonumber(count)
  end
  -- A clock that was set back would leave entries in the future, and the door shut until then.
  local ahead = math.max(0, time - now)
  local live = { times = {}, counts = {}, used = 0, moved = ahead > 0 }
  for i = 1, #times do
    if times[i] - ahead > now - window then
      live.times[#live.times + 1] = times[i] - ahead
      live.counts[#live.counts + 1] = counts[i]
      live.used = live.used + counts[i]
    end
  end
  return live
end

local function wait(live, excess, window)
  for i = 1, #live.times do
    excess = excess - live.counts[i]
    if excess <= 0 then
      return live.times[i] + window - now
    end
  end
end

local function merge(live, window)
  local width = math.ceil(window / (SLOTS - 1))
  local times, counts, last = {}, {}, nil
  for i = 1, #live.times do
    local slot = math.floor(live.times[i] / width)
    if slot == last then
      times[#times] = live.times[i]
      counts[#counts] = counts[#counts] + live.counts[i]
    else
      times[#times + 1] = live.times[i]
      counts[#counts + 1] = live.counts[i]
    end
    last = slot
  end
  live.times, live.counts = times, counts
end

local function write(key, field, live, window)
  local parts, previous = {}, 0
  for i = 1, #live.times do
    parts[i] = integer(live.times[i] - previous) .. ':' .. integer(live.counts[i])
    previous = live.times[i]
  end
  redis.call('HSET', key, field, table.concat(parts, ','))
  local ttl = math.ceil(window / 1000)
  if redis.call('PTTL', key) < ttl then
    redis.call('PEXPIRE', key, integer(ttl))
  end
end

local policies, admitted = {}, true
for i = 1, #KEYS do
  local policy = {
    key = KEYS[i],
    field = ARGV[4 * i - 3],
    limit = tonumber(ARGV[4 * i - 2]),
    window = tonumber(ARGV[4 * i - 1]),
    cost = tonumber(ARGV[4 * i]),
  }
  policy.live = read(policy.key, policy.field, policy.window)
  policy.excess = policy.live.used + policy.cost - policy.limit
  admitted = admitted and policy.excess <= 0
  policies[i] = policy
end

local answer = {}
for _, policy in ipairs(policies) do
  local live, retry = policy.live, 0
  if admitted then
    live.times[#live.times + 1] = now
    live.counts[#live.counts + 1] = policy.cost
    live.used = live.used + policy.cost
    if #live.times > SLOTS then
      merge(live, policy.window)
    end
    write(policy.key, policy.field, live, policy.window)
  elseif policy.excess > 0 then
    retry = wait(live, policy.excess, policy.window)
    if live.moved then
      write(policy.key, policy.field, live, policy.window)
    end
  end
  local newest = live.times[#live.times]
  answer[#answer + 1] = policy.excess <= 0 and 1 or 0
  answer[#answer + 1] = math.max(0, policy.limit - live.used)
  answer[#answer + 1] = retry
  answer[#answer + 1] = newest and newest + policy.window - now or 0
end
answer[#answer + 1] = now
return answer
