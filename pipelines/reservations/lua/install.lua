-- Set an event's claims in Redis to those of the log, under a new owner's epoch. Claims of an unfinished predecessor
-- are void. KEYS: meta, claims, foreign. ARGV: epoch, n, then n × (place, claim).
-- Answers: FENCED <epoch> | OK <foreign version> <foreign place>…
local epoch = tonumber(ARGV[1])
local stored = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if stored > epoch then return {'FENCED', tostring(stored)} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
redis.call('DEL', KEYS[2])
for i = 3, 2 + 2 * tonumber(ARGV[2]), 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
local answer = redis.call('HKEYS', KEYS[3])
table.insert(answer, 1, redis.call('HGET', KEYS[1], 'foreign_version') or '0')
table.insert(answer, 1, 'OK')
return answer
