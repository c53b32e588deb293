-- Forget the whole shard at once (CP-13), but for what gateways wrote: streams of answers, signs of life, unseen marks.
-- ARGV: the owner's fence, which stays, and the beginning of the shard's keys.

local fence, prefix = ARGV[1], ARGV[2]
local refusal = refused(fence, nil, true)
if refusal then return refusal end

local function kept(name) -- a tenant's key has two colons at least
  return string.find(name, '^rep:[^:]*$') or string.find(name, '^gw:[^:]*$') or string.find(name, '^[^:]+:unseen:')
end

local cursor, count = '0', 0
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', prefix .. '*', 'COUNT', '1000')
  cursor = found[1]
  local keys = {}
  for _, key in ipairs(found[2]) do
    if not kept(string.sub(key, #prefix + 1)) then keys[#keys + 1] = key end
  end
  for from = 1, #keys, MOST do
    count = count + redis.call('UNLINK', unpack(keys, from, math.min(#keys, from + MOST - 1)))
  end
until cursor == '0'
redis.call('SET', KEYS[2], fence)
return {'ok', count}
