-- What every script begins with. Before it stand RUN_ID, REPLID and BOOT: the boot that the scripts were written for
-- (CP-4). KEYS[1] is the shard's `recovered`, KEYS[2] the fence of the caller's partition.

local MOST = 1000 -- values on Lua's stack at once

-- Whether this is another history than the one the script was written for: its text alone does not tell, because a
-- server that was primary, replica and primary again still has the scripts it was given the first time.
local function rebooted()
  local info = redis.call('INFO', 'server', 'replication')
  return not (string.find(info, 'run_id:' .. RUN_ID, 1, true)
    and string.find(info, 'master_replid:' .. REPLID, 1, true))
end

-- The first of these fields (partitions) that is not recovered for this boot, 'boot' for all; nil for none (INV-11).
local function missing(fields)
  local found = redis.call('HMGET', KEYS[1], 'boot', unpack(fields))
  if found[1] ~= BOOT then return 'boot' end
  for i = 1, #fields do
    if not found[i + 1] then return fields[i] end
  end
  return nil
end

-- Why the owner with this fence may not go on; nil when it may (CP-11, CP-24).
local function refused(fence, fields, writes)
  if redis.call('GET', KEYS[2]) ~= fence then return {'fence'} end
  if writes and rebooted() then return {'boot'} end
  if fields then
    local field = missing(fields)
    if field then return {'recovering', field} end
  end
  return nil
end

-- The answers of a command that answers for each of its last words, by as few calls as the stack allows.
local function asked_for(first, last, words, call)
  if first <= last and last - first < MOST then return call(unpack(words, first, last)) end
  local values, count = {}, 0
  for from = first, last, MOST do
    local to = math.min(last, from + MOST - 1)
    for i, value in ipairs(call(unpack(words, from, to))) do values[count + i] = value end
    count = count + to - from + 1
  end
  return values
end

-- The values of many keys.
local function values_of(keys, first, last)
  return asked_for(first, last, keys, function(...) return redis.call('MGET', ...) end)
end

-- The values of many fields of a hash, in their order, false for none.
local function fields_of(key, fields)
  return asked_for(1, #fields, fields, function(...) return redis.call('HMGET', key, ...) end)
end

-- One command with many arguments after its key, in several where they are too many; an even number at a time.
local function each_some(command, key, words)
  local count = #words
  for from = 1, count, MOST do
    redis.call(command, key, unpack(words, from, math.min(count, from + MOST - 1)))
  end
end

-- Forget of the outcomes held those that have expired, and the oldest beyond `most` with what they are found by; return
-- how many are left. Some at a time: more are made by no script.
local function bounded(held, now, most)
  local expired = redis.call('ZRANGEBYSCORE', held, '-inf', now, 'LIMIT', '0', MOST)
  each_some('ZREM', held, expired)
  local count = redis.call('ZCARD', held)
  if most and count > most then
    local oldest = redis.call('ZRANGE', held, 0, math.min(count - most, MOST) - 1)
    for _, member in ipairs(oldest) do
      for key in string.gmatch(member, '%Z+') do redis.call('DEL', key) end
    end
    each_some('ZREM', held, oldest)
    count = count - #oldest
  end
  return count
end
