-- One sale: the key's first answer, or the limit, or places of the section's counter.
-- KEYS: the section, the event's reservations, the event's tickets by user
-- ARGV: event, reservation, user, quantity, fingerprint
-- Returns {reason, first place, price, currency, seconds, width, again}; places are numbered from 0.
local section = redis.call('HMGET', KEYS[1], 'remaining', 'places', 'price', 'currency', 'seconds', 'width', 'limit', 'event')
if not section[1] or section[8] ~= ARGV[1] then
  return {'ticket-type-not-found', 0, 0, '', 0, 1, 0}
end
local function answer(reason, first, again)
  return {reason, first, tonumber(section[3]), section[4], tonumber(section[5]), tonumber(section[6]), again}
end
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known then
  local user, fingerprint, reason, first = string.match(known, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if user ~= ARGV[3] or fingerprint ~= ARGV[5] then
    return answer('idempotency-key-reused', 0, 0)
  end
  return answer(reason, tonumber(first), 1)
end
local quantity, remaining = tonumber(ARGV[4]), tonumber(section[1])
local reason, first = '', tonumber(section[2]) - remaining
if tonumber(redis.call('HGET', KEYS[3], ARGV[3]) or '0') + quantity > tonumber(section[7]) then
  reason = 'limit-exceeded'
elseif remaining < quantity then
  reason = 'sold-out'
else
  redis.call('HINCRBY', KEYS[1], 'remaining', -quantity)
  redis.call('HINCRBY', KEYS[1], 'reserved', quantity)
  redis.call('HINCRBY', KEYS[3], ARGV[3], quantity)
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. '|' .. ARGV[5] .. '|' .. reason .. '|' .. first)
return answer(reason, first, 0)
