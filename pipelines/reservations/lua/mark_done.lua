-- Mark that all events of a partition are installed, unless Redis has lost them or another worker installs them again.
-- KEYS: mark. ARGV: the mark of the start, the mark for done. Returns 1 when it is set, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
