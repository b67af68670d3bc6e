-- Admit a request: load its session, charge all of its rate limits, and read a cached value.
--
-- KEYS  the session, then the hash of each charge
-- ARGV  1 if the charges or the value are those of one user; how a document of this user begins,
--       with the id as a number or as text, or '' twice if they are those of no session; the key of
--       the value, or '' to read none; the value's database, '' for this one; then the arguments of
--       the script `window`
-- Returns 1, the reply of the session script, the reply of `window`, and the text and the remaining
-- ms of the value; or only the error if reading it was refused, and nothing if the request was. If
-- the session belongs to another user, nothing is charged, and 0 and the document are returned, or
-- only 0 if there is none.
--
-- `window` and `session_load` are the scripts of those names, placed before this one as functions.

local must_match, as_number, as_text, value, database = unpack(ARGV, 1, 5)
local FIRST = 5 -- arguments before those of `window`

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

-- Whether a document is that of the expected user, or there is none and none is expected.
local function is_expected(text)
  if not text or as_number == '' then
    return not text and as_number == ''
  end
  return string.sub(text, 1, #as_number) == as_number or string.sub(text, 1, #as_text) == as_text
end

local text = must_match == '1' and text_of(KEYS[1])
if must_match == '1' and not is_expected(text) then
  return { 0, text or nil }
end

local hashes, arguments, answer = {}, {}, {}
for i = 1, #ARGV - FIRST do
  hashes[i] = KEYS[i + 1] -- one for all charges if they have the same identifier
  arguments[i] = ARGV[i + FIRST]
end
local admitted = true
if arguments[1] then
  answer = window(hashes, arguments)
  admitted = answer[3] == 0
end
local session = session_load({ KEYS[1] }, { admitted and '1' or '0' })
local is_read = value ~= '' and admitted and session[1]
return { 1, session, answer, is_read and value_at(value) or {} }
