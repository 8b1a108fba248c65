-- A foreign owner (a box office, a partner's allotment) takes places of an event. All or nothing.
-- KEYS: meta, claims, foreign. ARGV: owner, expires_us, place….
-- Answers: OK <n> | CLAIMED <place> | LOCKED <place> <owner>.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
for i = 3, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then return {'CLAIMED', ARGV[i]} end
  local lock = redis.call('HGET', KEYS[3], ARGV[i])
  if lock then
    local owner, expires = string.match(lock, '^(.*)|(%d+)$')
    -- An expired lock stays in Redis until a batch removes it, but it has no owner any more.
    if owner ~= ARGV[1] and not (expires and tonumber(expires) <= now_us) then
      return {'LOCKED', ARGV[i], owner or lock}
    end
  end
end
for i = 3, #ARGV do redis.call('HSET', KEYS[3], ARGV[i], ARGV[1] .. '|' .. ARGV[2]) end
redis.call('HINCRBY', KEYS[1], 'foreign_version', 1)
return {'OK', tostring(#ARGV - 2)}
