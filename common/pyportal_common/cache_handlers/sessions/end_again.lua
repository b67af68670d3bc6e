-- End sessions again that the server has brought back.
--
-- ARGV  for each the key of the session, and the times of its document: another session may have
--       its id by now
-- Returns how many there were.

local found = 0
for i = 1, #ARGV, 2 do
  local text = text_of(ARGV[i])
  if text and times_in(text) == ARGV[i + 1] then
    found = found + redis.call('DEL', ARGV[i])
  end
end
return found
