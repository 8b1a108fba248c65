-- Write the counters for the availability of tickets of several events, unless a newer owner has taken over.
-- KEYS: for each event meta, availability. ARGV: for each event: epoch, 1 when these are only some of its ticket types
-- else 0, their number, then pairs (ticket type, JSON). Answers for each event 1 when written, else 0; some are not
-- written when the others are missing.
local answers, at = {}, 1
for i = 1, #KEYS, 2 do
  local last = at + 2 + 2 * tonumber(ARGV[at + 2])
  local owned = tonumber(redis.call('HGET', KEYS[i], 'epoch') or '0') == tonumber(ARGV[at])
  local written = owned and (ARGV[at + 1] == '0' or redis.call('HLEN', KEYS[i + 1]) > 0)
  for j = at + 3, last, 2 do
    if not written then break end
    redis.call('HSET', KEYS[i + 1], ARGV[j], ARGV[j + 1])
  end
  answers[#answers + 1] = written and 1 or 0
  at = last + 1
end
return answers
