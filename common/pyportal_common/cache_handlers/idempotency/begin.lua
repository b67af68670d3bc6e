-- Begin a request with an idempotency key, or return the state of the earlier one.
--
-- KEYS  the record: a hash
-- ARGV  the caller's token, the fingerprint of the request, the duration of the lease in ms
-- Returns 'begun'; or 'mismatch'; or 'in flight' and the remaining ms of that lease; or 'done' and
-- the response: status, content type, location, body.
--
-- A record has a token while its request is in flight, and a response after that. Anything else at
-- the key is replaced.

local token, fingerprint, lease = unpack(ARGV)

local record = redis.pcall('HMGET', KEYS[1], 'fingerprint', 'token', 'status')
local known, owner, status = unpack(record)
if known and (owner or tonumber(status or '')) then
  if known ~= fingerprint then
    return { 'mismatch' }
  end
  if owner then
    return { 'in flight', redis.call('PTTL', KEYS[1]) }
  end
  local answer = redis.call('HMGET', KEYS[1], 'content_type', 'location', 'body')
  return { 'done', tonumber(status), answer[1] or '', answer[2] or '', answer[3] or '' }
end
if redis.call('EXISTS', KEYS[1]) == 1 then -- only now: after a write, full memory would not be refused any more
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'fingerprint', fingerprint, 'token', token)
redis.call('PEXPIRE', KEYS[1], lease)
return { 'begun' }
