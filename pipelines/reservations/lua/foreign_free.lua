-- A foreign owner frees places. KEYS: meta, foreign. ARGV: owner, place…. Returns how many places it had.
local freed = 0
for i = 2, #ARGV do
  local lock = redis.call('HGET', KEYS[2], ARGV[i])
  if lock and string.match(lock, '^(.*)|%d+$') == ARGV[1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
    freed = freed + 1
  end
end
if freed > 0 then redis.call('HINCRBY', KEYS[1], 'foreign_version', 1) end
return freed
