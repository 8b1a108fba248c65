-- Write the counters for the availability of tickets, unless a newer owner has taken over.
-- KEYS: meta, availability. ARGV: epoch, then pairs (ticket type, JSON). Answers 1 when written, else 0.
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') ~= tonumber(ARGV[1]) then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
