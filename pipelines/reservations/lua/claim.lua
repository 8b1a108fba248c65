-- Take and free the seat locks of several events, each under its owner's epoch. Each event gets all or nothing; the
-- refusal of one event leaves the others as they are.
-- KEYS: for each event meta, claims, foreign.
-- ARGV: for each event: epoch, foreign version the decision was made on, number of claims, number of ended claims, then
-- the claims as (place, claim), then the places whose claim ends.
-- Answers for each event: OK | FENCED <epoch> | MISSING | LOCKS <version> <place>….
local AT_ONCE = 1000  -- arguments of one HSET or HDEL; Lua's stack holds some thousand
local now_us = nil

-- Foreign locks end by Redis' clock; an ended one changes the version like a freed one.
local function end_foreign(meta, foreign)
  if redis.call('HLEN', foreign) == 0 then return end
  if not now_us then
    local time = redis.call('TIME')
    now_us = time[1] * 1000000 + time[2]
  end
  local all = redis.call('HGETALL', foreign)
  for i = 1, #all, 2 do
    local expires = tonumber(string.match(all[i + 1], '|(%d+)$'))
    if expires and expires <= now_us then  -- a lock without expiry was written by hand, and holds until it is removed
      redis.call('HDEL', foreign, all[i])
      redis.call('HINCRBY', meta, 'foreign_version', 1)
    end
  end
end

local function claim(meta, claims, foreign, at, sets, ends)
  local epoch = tonumber(ARGV[at])
  local stored = tonumber(redis.call('HGET', meta, 'epoch') or '0')
  if stored > epoch then return {'FENCED', tostring(stored)} end
  if stored < epoch then return {'MISSING'} end
  end_foreign(meta, foreign)
  local version = redis.call('HGET', meta, 'foreign_version') or '0'
  if version ~= ARGV[at + 1] then
    local answer = redis.call('HKEYS', foreign)
    table.insert(answer, 1, version)
    table.insert(answer, 1, 'LOCKS')
    return answer
  end
  -- The decision was made on just these foreign locks, so it granted none of their places.
  local first, last = at + 4, at + 3 + 2 * sets
  for i = first, last, AT_ONCE do
    redis.call('HSET', claims, unpack(ARGV, i, math.min(i + AT_ONCE - 1, last)))
  end
  first, last = last + 1, last + ends
  for i = first, last, AT_ONCE do
    redis.call('HDEL', claims, unpack(ARGV, i, math.min(i + AT_ONCE - 1, last)))
  end
  return {'OK'}
end

local answers, at = {}, 1
for i = 1, #KEYS, 3 do
  local sets, ends = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  answers[#answers + 1] = claim(KEYS[i], KEYS[i + 1], KEYS[i + 2], at, sets, ends)
  at = at + 4 + 2 * sets + ends
end
return answers
