-- Admit a request: load its session and charge all of its rate limits.
--
-- KEYS  the session, then the hash of each charge; the user's own limits come last
-- ARGV  how many of the charges are the user's own; the two possible prefixes of documents of the
--       user for whom they are; then the arguments of the script `window`
-- Returns 1, the reply of the session script, the number of charges, the reply of `window`. If the
-- session belongs to another user, nothing is charged, and 0 and the document are returned.
--
-- `window` and `session_load` are the scripts of those names, placed before this one as functions.
-- Without a session the user's own limits are skipped; the limits of an address always apply.

local own, number, name = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local limited = #ARGV - 3 -- charges

local text = text_of(KEYS[1])
if own > 0 then
  if not text then
    limited = limited - own
  elseif string.sub(text, 1, #number) ~= number and string.sub(text, 1, #name) ~= name then
    return { 0, text }
  end
end

local hashes, arguments, answer = {}, {}, {}
for i = 1, limited do
  hashes[i] = KEYS[i + 1] -- one for all charges if they have the same identifier
  arguments[i] = ARGV[i + 3]
end
local admitted = true
if limited > 0 then
  answer = window(hashes, arguments)
  admitted = answer[3] == 0
end
return { 1, session_load({ KEYS[1] }, { admitted and '1' or '0' }), limited, answer }
