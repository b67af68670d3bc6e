-- Tries to write, and every command that the services send, without effect.
-- ARGV: the probe's key, its time to live in ms, the commands as a JSON array of arrays.
-- Returns an error reply if the write is refused, else the numbers of the commands that are not
-- allowed, each followed by the reason.
-- The keys are not in KEYS: one that is not allowed would hide the others.

local function is_forbidden(text)
    return string.find(text, 'NOPERM', 1, true) or string.find(text, 'ACL failure', 1, true)
        or string.find(text, 'executing the script can', 1, true)
        or string.find(text, 'nknown', 1, true)
end

local forbidden = {}

local function attempt(number, words)
    local reply = redis.pcall(unpack(words))
    if type(reply) ~= 'table' or not reply.err then
        return nil
    end
    if is_forbidden(reply.err) then
        forbidden[#forbidden + 1] = number
        forbidden[#forbidden + 1] = reply.err
        return nil
    end
    return reply
end

-- First, because the server checks its memory only before the first write of a script.
local refusal = attempt(0, {'SET', ARGV[1], '1', 'PX', ARGV[2]})
if refusal then
    return refusal
end
for number, words in ipairs(cjson.decode(ARGV[3])) do
    attempt(number, words)
end
return forbidden
