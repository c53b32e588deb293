-- Reserve names, all or nothing a claim (CP-19, CP-20). ARGV: the owner's fence; msgpack of {the shard's partitions, the
-- beginning of fence keys, our mark (NUL, partition, NUL, token), groups of names as {key of the holders, key of the
-- reservations, names}, claims as {id, {group, place of a name, ...}}}. Answers for each claim 0 (granted), -1 (contended)
-- or which of its names is taken, from 1.

local asked = cmsgpack.unpack(ARGV[2])
local fields, fences, ours, groups, claims = asked[1], asked[2], asked[3], asked[4], asked[5]
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

local holders, reserved, added = {}, {}, {}
for g, group in ipairs(groups) do
  holders[g] = fields_of(group[1], group[3])
  reserved[g] = fields_of(group[2], group[3])
  added[g] = {}
  for name, value in pairs(reserved[g]) do
    if value then
      local id, partition, token = string.match(value, '^(%Z+)%z(%d+)%z(.*)$')
      reserved[g][name] = not stale(partition, token) and id
    end
  end
end

local answers = {}
for c, claim in ipairs(claims) do
  local id, places, answer = claim[1], claim[2], 0
  for i = 1, #places, 2 do
    local group = places[i]
    local name = groups[group][3][places[i + 1]]
    local holder, by = holders[group][name], reserved[group][name]
    if holder and holder ~= id then
      answer = (i + 1) / 2
      break
    elseif by and by ~= id then
      answer = -1
    end
  end
  if answer == 0 then
    for i = 1, #places, 2 do
      local group = places[i]
      local name = groups[group][3][places[i + 1]]
      if holders[group][name] ~= id then
        reserved[group][name] = id
        local words = added[group]
        words[#words + 1] = name
        words[#words + 1] = id .. ours
      end
    end
  end
  answers[c] = answer
end

for g, words in ipairs(added) do each_some('HSET', groups[g][2], words) end
return {'ok', answers}
