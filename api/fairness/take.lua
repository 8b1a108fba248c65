-- Takes one token of a bucket (GCRA). KEYS[1]: one rate's keys, a sorted set by the time at which their bucket is full.
-- ARGV: the key, microseconds for one token, microseconds for the whole bucket, the maximum of keys.
-- Returns 0, or the microseconds until there is a token. The clock is Redis' own, so all processes have one.
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval, bucket, keys_max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
local full_at = math.max(tonumber(known or now), now)
local wait = full_at + interval - now - bucket
if wait > 0 then
    return math.ceil(wait)
end
if not known and redis.call('ZCARD', KEYS[1]) >= keys_max then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)  -- a full bucket has no information
    if redis.call('ZCARD', KEYS[1]) >= keys_max then
        redis.call('ZPOPMIN', KEYS[1])  -- to its benefit: the key that has taken least
    end
end
redis.call('ZADD', KEYS[1], string.format('%.0f', full_at + interval), ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.ceil(bucket / 1000) + 1000)
return 0
