-- Shows the rate limits of a key: see README.md. It contains no character that a shell or make would
-- change within single quotes.

local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]

local lines = {}
local fields = redis.call("HGETALL", KEYS[1])
for i = 1, table.getn(fields), 2 do
  local name, text = fields[i], fields[i + 1]
  if string.byte(text) == 1 and string.sub(name, -6) ~= "/older" then
    local _, used, older, oldest = struct.unpack("<BI4BI7", text)
    local newest = struct.unpack("<I7", text, string.len(text) - 10)
    local line = "%s: %d requests, the first %.1f s ago, the last %.1f s ago"
    table.insert(lines, string.format(line, name, used, (now - oldest) / 1e6, (now - newest) / 1e6))
  end
end
return lines
