-- What the scripts of the Redis layer use of `struct`, which a Redis server has and fakeredis lacks:
-- unsigned integers, in little endian. Numbers are exact up to 2^53.

local struct = {}

-- Call `each` with the size of every integer in a format, such as '<BI4'.
local function sizes_in(format, each)
  assert(string.sub(format, 1, 1) == '<', 'only little endian')
  for kind, size in string.gmatch(string.sub(format, 2), '(%a)(%d*)') do
    assert(kind == 'B' or kind == 'I', 'only unsigned integers')
    each(kind == 'B' and 1 or tonumber(size) or 4)
  end
end

function struct.pack(format, ...)
  local values, bytes = {...}, {}
  local number = 0
  sizes_in(format, function(size)
    number = number + 1
    local rest = math.floor(values[number])
    for _ = 1, size do
      bytes[#bytes + 1] = string.char(rest % 256)
      rest = math.floor(rest / 256)
    end
  end)
  return table.concat(bytes)
end

-- The values, and the position after them.
function struct.unpack(format, text, position)
  local values, at = {}, position or 1
  sizes_in(format, function(size)
    assert(at + size - 1 <= #text, 'data string too short')
    local value = 0
    for offset = size - 1, 0, -1 do
      value = value * 256 + string.byte(text, at + offset)
    end
    values[#values + 1], at = value, at + size
  end)
  values[#values + 1] = at
  return unpack(values)
end

return struct
