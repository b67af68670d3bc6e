-- Admit a request: load its session, charge all of its rate limits, and read a cached value.
--
-- KEYS  the session, then the hash of each charge; the user's own limits come last
-- ARGV  how many of the charges are the user's own; how a document of the user for whom they are
--       begins, with the id as a number or as text; the key of the value, or '' to read none; 1 if
--       the value is that user's; the value's database, '' for this one; then the arguments of the
--       script `window`
-- Returns 1, the reply of the session script, the number of charges, the reply of `window`, and the
-- text and the remaining ms of the value; or only the error if reading it was refused, and nothing
-- if the request was. If the session belongs to another user, nothing is charged, and 0 and the
-- document are returned.
--
-- `window` and `session_load` are the scripts of those names, placed before this one as functions.
-- Without a session the user's own limits are skipped; the limits of an address always apply.

local own, as_number, as_text, value, is_own, database = unpack(ARGV, 1, 6)
local FIRST = 6 -- arguments before those of `window`
local limited = #ARGV - FIRST -- charges
own = tonumber(own)

-- Must be the last: other keys are not in this database. The caller's connection stays in its own.
-- The key is not in KEYS: if it is not allowed, the session must not be refused.
local function value_at(key)
  local selected = database ~= '' and redis.pcall('SELECT', database)
  if selected and selected.err then
    return { selected.err }
  end
  local text = redis.pcall('GET', key)
  if type(text) == 'table' then
    if not string.find(text.err, 'WRONGTYPE', 1, true) then
      return { text.err }
    end
    text = false
  end
  local left = redis.pcall('PTTL', key)
  return type(left) == 'table' and { left.err } or { text, left }
end

local text = text_of(KEYS[1])
if own > 0 or is_own == '1' then
  if not text then
    limited = limited - own
  elseif string.sub(text, 1, #as_number) ~= as_number
    and string.sub(text, 1, #as_text) ~= as_text then
    return { 0, text }
  end
end

local hashes, arguments, answer = {}, {}, {}
for i = 1, limited do
  hashes[i] = KEYS[i + 1] -- one for all charges if they have the same identifier
  arguments[i] = ARGV[i + FIRST]
end
local admitted = true
if limited > 0 then
  answer = window(hashes, arguments)
  admitted = answer[3] == 0
end
local session = session_load({ KEYS[1] }, { admitted and '1' or '0' })
local is_read = value ~= '' and admitted and session[1]
return { 1, session, limited, answer, is_read and value_at(value) or {} }
