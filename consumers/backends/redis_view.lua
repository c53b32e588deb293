-- What a batch of commands may look at. ARGV: the owner's fence; msgpack of {the shard's partitions, reservations to let
-- go as {key, name, value} or, of an Idempotency-Key, {key, false, value}, Idempotency-Keys as {key, beginning of an
-- outcome's key}, key of the outcomes held with one}; then keys whose values are wanted.
-- Answers those values, the outcomes of the Idempotency-Keys, and, where there are any, how many outcomes are held with one.

local asked = cmsgpack.unpack(ARGV[2])
local fields, releases, keyed, held = unpack(asked, 1, 4)
-- The boot, too: decided on what a failover has taken back, a number or version would stand twice in the log.
local refusal = refused(ARGV[1], fields, true)
if refusal then return refusal end

for _, release in ipairs(releases) do
  local key, name, value = unpack(release, 1, 3)
  if name then
    if redis.call('HGET', key, name) == value then redis.call('HDEL', key, name) end
  elseif redis.call('GET', key) == value then
    redis.call('DEL', key)
  end
end

local firsts = {}
for i, key in ipairs(keyed) do
  local txn = redis.call('GET', key[1])
  firsts[i] = txn and redis.call('GET', key[2] .. txn)
end
return {'ok', values_of(ARGV, 3, #ARGV), firsts, #keyed > 0 and redis.call('ZCARD', held) or 0}
