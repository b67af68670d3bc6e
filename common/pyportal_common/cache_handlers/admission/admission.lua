-- Admit a request: its session, and all of its limits, in one trip.
--
-- KEYS  the session, then the hash of each charge; those of the user's own limits last
-- ARGV  how many of the charges are the user's own, the two ways that documents of the user begin
--       whom they are for, then the arguments of the window script
-- Returns 1, what the session script answers, how many charges were tried, what the window script
-- answers; or 0 and the document where the session is of another user than the one whom the charges
-- are for: nothing is spent then.
--
-- `window` and `session_load` are the scripts of those names, put before this one as functions.
-- Without a session the user's own limits are left out; those of an address apply to everybody.

local own, number, name = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local limited = #ARGV - 3 -- charges

local text = redis.call('GET', KEYS[1])
if own > 0 then
  if not text then
    limited = limited - own
  elseif string.sub(text, 1, #number) ~= number and string.sub(text, 1, #name) ~= name then
    return { 0, text }
  end
end

local hashes, arguments, answer = {}, {}, {}
for i = 1, limited do
  hashes[i] = KEYS[i + 1] -- one for all where they have one identifier
  arguments[i] = ARGV[i + 3]
end
local admitted = true
if limited > 0 then
  answer = window(hashes, arguments)
  admitted = answer[3] == 0
end
return { 1, session_load({ KEYS[1] }, { admitted and '1' or '0' }), limited, answer }
