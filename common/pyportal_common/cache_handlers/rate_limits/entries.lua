-- The state of a rate limit, for the scripts `window` and `refund`.
--
-- Its field holds a header and the newest entries, at most RECENT; the field of the same name with
-- `/older` holds the older ones, so that an ordinary request does not touch them. An entry says when
-- requests were admitted, in microseconds since 1970, and how many. The header has the format's
-- version, the sum of all entries, the number of older ones, the time of the first entry, and until
-- when, in ms since 1970, the key is known to live.
--
-- What is not such a text counts as nothing, as does what an earlier release stored.

local VERSION, RECENT = 1, 16
local HEAD, HEAD_BYTES = '<BI4BI7I6', 19
local ENTRY, ENTRY_BYTES = '<I7I4', 11

-- The time and the count of an entry. The first has the number 1.
local function entry_in(log, number)
  return struct.unpack(ENTRY, log, (number - 1) * ENTRY_BYTES + 1)
end

-- Read the header of a field into `state`. Returns whether it holds a state.
local function restore(state, text)
  local recent = (#text - HEAD_BYTES) / ENTRY_BYTES
  if recent < 1 or recent > RECENT or recent % 1 ~= 0 or string.byte(text) ~= VERSION then
    return false
  end
  local _, used, older, oldest, lives_until = struct.unpack(HEAD, text)
  local newest = struct.unpack(ENTRY, text, #text - ENTRY_BYTES + 1)
  if oldest > newest then
    return false
  end
  state.text, state.recent, state.older, state.used = text, recent, older, used
  state.oldest, state.newest, state.lives_until = oldest, newest, lives_until
  return true
end

local function header_of(state)
  return struct.pack(HEAD, VERSION, state.used, state.older, state.oldest, state.lives_until)
end

-- Add the newest entries and, from the text of their field, the older ones. If these are damaged
-- they count as nothing.
local function restore_entries(state, older_text)
  state.log = string.sub(state.text, HEAD_BYTES + 1)
  if #older_text == state.older * ENTRY_BYTES then
    state.older_log = older_text
    return
  end
  state.older, state.older_log, state.used = 0, '', 0
  for number = state.recent, 1, -1 do
    local time, count = entry_in(state.log, number)
    state.used, state.oldest = state.used + count, time
  end
end

-- Entry `number` of all.
local function entry_of(state, number)
  if number > state.older then
    return entry_in(state.log, number - state.older)
  end
  return entry_in(state.older_log, number)
end
