-- Let one request begin under an idempotency key, or say what became of the one that did.
--
-- KEYS  the record: a hash
-- ARGV  the token of who asks, the fingerprint of the request, ms that the lease lives
-- Returns 'begun'; or 'mismatch'; or 'in flight' and the ms that are left of that lease; or 'done'
-- and the answer: status, content type, location, body.
--
-- A record has a token while a request is in flight, and an answer after that. What is neither
-- is no record of ours, and gives way.

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
if redis.call('EXISTS', KEYS[1]) == 1 then -- after any write a full memory would refuse no more
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'fingerprint', fingerprint, 'token', token)
redis.call('PEXPIRE', KEYS[1], lease)
return { 'begun' }
