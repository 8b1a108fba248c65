-- Take and free seat locks for one event, under the owner's epoch. All or nothing.
-- KEYS: meta, claims, foreign. ARGV: epoch, foreign version the decision was made on, n, then n × (place, claim); a
-- claim of "" frees the place. Answers: OK | FENCED <epoch> | MISSING | LOCKS <version> <place>….
local epoch = tonumber(ARGV[1])
local stored = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if stored > epoch then return {'FENCED', tostring(stored)} end
if stored < epoch then return {'MISSING'} end

-- Foreign locks end by Redis' clock; an ended one changes the version like a freed one.
if redis.call('HLEN', KEYS[3]) > 0 then
  local time = redis.call('TIME')
  local now_us = time[1] * 1000000 + time[2]
  local all = redis.call('HGETALL', KEYS[3])
  for i = 1, #all, 2 do
    local expires = tonumber(string.match(all[i + 1], '|(%d+)$'))
    if expires and expires <= now_us then  -- a lock without expiry was written by hand, and holds until it is removed
      redis.call('HDEL', KEYS[3], all[i])
      redis.call('HINCRBY', KEYS[1], 'foreign_version', 1)
    end
  end
end
local version = redis.call('HGET', KEYS[1], 'foreign_version') or '0'
if version ~= ARGV[2] then
  local answer = redis.call('HKEYS', KEYS[3])
  table.insert(answer, 1, version)
  table.insert(answer, 1, 'LOCKS')
  return answer
end

-- The decision was made on just these foreign locks, so it granted none of their places.
local n = tonumber(ARGV[3])
for i = 4, 3 + 2 * n, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
return {'OK'}
