-- What the scripts of sessions share: reading documents, members of an index and auth epochs.

local NUMBERS = { 'revision', 'auth_epoch', 'idle_ms', 'created_at', 'auth_at', 'expires_at' }
local END = ',"revision":(%d+),"auth_epoch":(%d+),"idle_ms":(%d+),"created_at":(%d+),"auth_at":(%d+),"expires_at":(%d+)}$'
local LONGEST_END = 180 -- bytes

-- The numbers at the end of a document; nothing for what does not end so, or no text. Scripts do not
-- decode documents: that takes longer than all else that a request does.
local function session_in(text)
  local session = {}
  local found = { string.match(text or '', END, -LONGEST_END) }
  for i, name in ipairs(NUMBERS) do
    local number = tonumber(found[i])
    if not number or number >= 2 ^ 53 then
      return nil
    end
    session[name] = number
  end
  return session
end

-- The time of the server, in ms.
local function now_ms()
  local clock = redis.call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

-- The same for a session before its absolute timeout, which its key may outlive.
local function current_session_in(text)
  local session = session_in(text)
  return session and session.expires_at > now_ms() and session or nil
end

-- The time to live of a touched session. It is a sixtieth more than the idle time, at most a minute,
-- so that the uses within that time need not touch it again and the session still never ends
-- earlier. The absolute timeout does not shorten it: what is left of it says when the last touch was.
local function touched_ms(session)
  return session.idle_ms + math.min(session.idle_ms / 60, 60000)
end

-- Whether a document begins with its user: as a number, or as text.
local function is_of(text, number, name)
  return string.sub(text, 1, #number) == number or string.sub(text, 1, #name) == name
end

-- The auth epoch in Redis; 0 if there is none. An odd one gives way.
local function epoch_at(key)
  drop_odd(key, 'string', true)
  local digits = string.match(text_of(key) or '', '^%d+$')
  return digits and #digits <= 15 and tonumber(digits) or 0
end

-- Whether the sessions of this user that began with this one were revoked. That does not depend on
-- the index, which may have lost an entry. Ids of other forms are not users of the services.
local function is_revoked(text, session)
  local id = string.match(text, '^{"user_id":"?([%w@._-]+)"?,')
  local digits = id and string.match(text_of('user:auth_epoch:' .. id) or '', '^%d+$')
  return digits and #digits <= 15 and tonumber(digits) > session.auth_epoch
end

-- A document, with or without its end, with another auth epoch. The user's data, which may contain
-- the same text, is before it.
local function with_epoch(document, epoch)
  local head, tail = string.match(document, '^(.*"auth_epoch":)%d+(,"idle_ms":%d+.*)$')
  return head and string.format('%s%.0f%s', head, epoch, tail) or document
end

-- The times at the end of a document, which no save changes: they tell a session from a later one
-- with its id. Nothing for what is no session.
local function times_in(text)
  local tail = string.sub(text or '', -LONGEST_END)
  return string.match(tail, ',"created_at":%d+,"auth_at":%d+,"expires_at":%d+}$')
end

-- Add the end of a session to the stream of ended sessions, for the processes that repeat it. Call
-- this after the removal: a server whose memory is full refuses only the first write of a script.
-- The session has ended even if this fails.
local function record_end(key, text, ended)
  local times = times_in(text)
  if times then
    drop_odd(ended, 'stream')
    local function add()
      return redis.pcall('XADD', ended, 'MAXLEN', '~', '2000', '*', 'key', key, 'times', times)
    end
    local added = add()
    if type(added) == 'table' and string.find(added.err, 'last possible ID', 1, true) then
      -- An entry with the largest id was added past the scripts. Processes have received what the
      -- stream had.
      redis.pcall('DEL', ended)
      add()
    end
    redis.pcall('PEXPIRE', ended, '60000')
  end
end

-- Whether the index is of another type: its sessions must be found before it is replaced.
local function is_odd_index(key)
  local found = redis.call('TYPE', key).ok
  return found ~= 'zset' and found ~= 'none'
end
