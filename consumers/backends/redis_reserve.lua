-- Reserve names and Idempotency-Keys, all or nothing a claim (CP-19, CP-20, CP-30). ARGV: the owner's fence; msgpack of {the
-- shard's partitions, the beginning of fence keys, our mark (NUL, partition, NUL, token), groups of names as {key of the
-- holders, key of the reservations, names}, Idempotency-Keys as {key of the first txn, beginning of an outcome's key, key of
-- the reservation}, claims one behind the other as id, place of the Idempotency-Key or 0, place in the list after them that
-- the last of its names stands before, that list of group and place of a name, for how many milliseconds a key is reserved at
-- the most}. Answers for each claim 0 (granted), -1 (contended), {which of its names is
-- taken, from 1, and by whom} or the outcome that its key has by now.

local asked = cmsgpack.unpack(ARGV[2])
local fields, fences, ours, groups, keys, claims, places, life = unpack(asked, 1, 8)
local refusal = refused(ARGV[1], fields, true)
if refusal then return refusal end

local active = {}

-- Whether the owner that reserved is no longer the active one: then its log was replayed, and what is not held was not
-- committed. While its partition is only being taken over, nobody knows.
local function stale(partition, token)
  local fence = active[partition]
  if fence == nil then
    fence = redis.call('GET', fences .. partition) or ''
    active[partition] = fence
  end
  return string.sub(fence, 1, 7) == 'active:' and fence ~= 'active:' .. token
end

-- For whom something is reserved; false for nobody.
local function reserver(value)
  if not value then return false end
  local id, partition, token = string.match(value, '^(%Z+)%z(%d+)%z(.*)$')
  return not stale(partition, token) and id
end

local holders, reserved, added = {}, {}, {}
for g, group in ipairs(groups) do
  holders[g] = fields_of(group[1], group[3])
  reserved[g] = fields_of(group[2], group[3])
  added[g] = {}
  for at, value in ipairs(reserved[g]) do
    if value then reserved[g][at] = reserver(value) end
  end
end
local used, keyed = {}, {}
for k, key in ipairs(keys) do
  local txn = redis.call('GET', key[1])
  used[k] = txn and redis.call('GET', key[2] .. txn)
  keyed[k] = reserver(redis.call('GET', key[3]))
end

-- What a claim is answered: its key comes first, for with it a refusal because of a name is kept, too.
local function answer_to(id, k, first, last)
  if used[k] then return used[k] end
  if keyed[k] and keyed[k] ~= id then return -1 end
  local answer = 0
  for i = first, last, 2 do
    local group, at = places[i], places[i + 1]
    local holder, by = holders[group][at], reserved[group][at]
    if holder and holder ~= id then
      return {(i - first) / 2 + 1, holder}
    elseif by and by ~= id then
      answer = -1
    end
  end
  return answer
end

local answers, cut, first = {}, false, 1
for c = 1, #claims, 3 do
  local id, k, last = claims[c], claims[c + 1], claims[c + 2] - 1
  -- Whoever waits holds nothing that another waits for: the batch ends here, so nothing is reserved behind this.
  local answer = cut and -1 or answer_to(id, k, first, last)
  if answer == -1 then cut = true end
  if answer == 0 then
    for i = first, last, 2 do
      local group, at = places[i], places[i + 1]
      if holders[group][at] ~= id then
        reserved[group][at] = id
        local words = added[group]
        words[#words + 1] = groups[group][3][at]
        words[#words + 1] = id .. ours
      end
    end
  end
  if k > 0 and (answer == 0 or type(answer) == 'table') then
    keyed[k] = id
    redis.call('SET', keys[k][3], id .. ours, 'PX', life)
  end
  answers[#answers + 1] = answer
  first = last + 1
end

for g, words in ipairs(added) do each_some('HSET', groups[g][2], words) end
return {'ok', answers}
