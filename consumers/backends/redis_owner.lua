-- The steps of an owner of a partition beside its batches. KEYS: recovered, the fence, watermark, attempts, gone, outcomes
-- held without and with an Idempotency-Key. ARGV: the owner's fence, the step, what it needs.

local fence, step = ARGV[1], ARGV[2]

if step == 'take' then -- whoever had the fence before has lost it (CP-11)
  if rebooted() then return {'boot'} end
  redis.call('SET', KEYS[2], fence)
  return {'ok', redis.call('GET', KEYS[3])}
end

-- A command is not tried while the shard is being recovered: that must not count as an attempt.
local refusal = refused(fence, step == 'attempt' and {unpack(ARGV, 4)} or nil, true)
if refusal then return refusal end

if step == 'activate' then -- CP-15
  if redis.call('HGET', KEYS[1], 'boot') ~= BOOT then
    redis.call('DEL', KEYS[1])
  end
  redis.call('HSET', KEYS[1], 'boot', BOOT, ARGV[4], '1')
  redis.call('HSET', KEYS[4], 'owner', ARGV[3])
  redis.call('SET', KEYS[2], ARGV[3])
elseif step == 'check' then -- CP-16
  local offset, position, time = string.match(redis.call('GET', KEYS[3]) or '', '^(%S+) (%S+) (%d+)$')
  if time and tonumber(ARGV[3]) - tonumber(time) >= tonumber(ARGV[4]) then
    redis.call('SET', KEYS[3], offset .. ' ' .. position .. ' ' .. ARGV[3])
  end
  return {'ok', bounded(KEYS[6], ARGV[3], tonumber(ARGV[5])), bounded(KEYS[7], ARGV[3])}
elseif step == 'unclean' then
  return {'ok', redis.call('HEXISTS', KEYS[4], 'owner')}
elseif step == 'attempt' then -- CP-26
  if redis.call('HGET', KEYS[4], 'offset') ~= ARGV[3] then
    redis.call('HSET', KEYS[4], 'offset', ARGV[3], 'count', '0')
  end
  return {'ok', redis.call('HINCRBY', KEYS[4], 'count', 1)}
elseif step == 'forgive' then
  redis.call('HDEL', KEYS[4], 'offset', 'count')
elseif step == 'leave' then
  redis.call('HDEL', KEYS[4], 'owner')
elseif step == 'forgotten' then -- CP-8
  return {'ok', redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[3], 'LIMIT', '0', ARGV[4])}
elseif step == 'records' then
  return {'ok', values_of(ARGV, 3, #ARGV)}
else
  return {'conflict', 'no such step'}
end
return {'ok'}
