-- A foreign owner (a box office, a partner's allotment) takes places of an event. All or nothing.
-- KEYS: meta, claims, foreign. ARGV: owner, expires_us, place….
-- Answers: OK <n> | CLAIMED <place> | LOCKED <place> <owner>.
for i = 3, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then return {'CLAIMED', ARGV[i]} end
  local lock = redis.call('HGET', KEYS[3], ARGV[i])
  if lock then
    local owner = string.match(lock, '^(.*)|%d+$')
    if owner ~= ARGV[1] then return {'LOCKED', ARGV[i], owner} end
  end
end
for i = 3, #ARGV do redis.call('HSET', KEYS[3], ARGV[i], ARGV[1] .. '|' .. ARGV[2]) end
redis.call('HINCRBY', KEYS[1], 'foreign_version', 1)
return {'OK', tostring(#ARGV - 2)}
