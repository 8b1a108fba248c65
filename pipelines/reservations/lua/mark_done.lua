-- All events of a partition are shown, unless Redis has lost them meanwhile or somebody else shows them anew.
-- KEYS: mark. ARGV: the mark of who began, the mark of done. Answers 1 when it is set, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
