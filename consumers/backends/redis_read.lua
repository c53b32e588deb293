-- Reads of one shard, several at once. ARGV: msgpack of {the shard's partitions, the most bytes of an answer, the most
-- resources of a find, questions}. Answers nothing until the shard is recovered for this boot (INV-11, CP-28).

local asked = cmsgpack.unpack(ARGV[1])
local fields, most_bytes, most_found, questions = asked[1], asked[2], asked[3], asked[4]
local field = missing(fields)
if field then return {'recovering', field} end

-- The live resources of these ids and this type, until they have the most bytes.
local function resources(prefix, ids, kind)
  local found, bytes, from = {}, 0, 1
  while from <= #ids and bytes < most_bytes do
    -- As many as fit by the size of those so far, so that the last of the answer is not one of thousands read in vain.
    local some = 4
    if from > 1 then some = math.floor((most_bytes - bytes) / (bytes / (from - 1) + 1)) + 1 end
    local to = math.min(#ids, from + math.min(some, MOST) - 1)
    local keys = {}
    for i = from, to do keys[i - from + 1] = prefix .. ids[i] end
    for _, value in ipairs(redis.call('MGET', unpack(keys))) do
      if value and bytes < most_bytes and string.find(value, '^%d+ %d+ ' .. kind .. ' 1\n') then
        found[#found + 1] = value
        bytes = bytes + #value - string.find(value, '\n', 1, true)
      end
    end
    from = to + 1
  end
  return found
end

-- The live groups that a resource is in, each with the number of levels it lies above it.
local function groups(records, memberships, member, nested, most)
  local found, seen, level, below = {}, {}, 1, {member}
  while level <= nested and #below > 0 and #found < most do
    local above = {}
    for _, id in ipairs(below) do
      for _, group in ipairs(redis.call('SMEMBERS', memberships .. id)) do
        if not seen[group] and #found < most then
          seen[group] = true
          local value = redis.call('GET', records .. group)
          if value and string.find(value, '^%d+ %d+ Group 1\n') then
            found[#found + 1] = {group, level, value}
            above[#above + 1] = group
          end
        end
      end
    end
    level, below = level + 1, above
  end
  return found
end

local answers = {}
for i, question in ipairs(questions) do
  local what = question[1]
  if what == 'get' then -- key, type
    local value = redis.call('GET', question[2])
    answers[i] = value and string.find(value, '^%d+ %d+ ' .. question[3] .. ' 1\n') and value or false
  elseif what == 'outcome' then -- key
    answers[i] = redis.call('GET', question[2])
  elseif what == 'groups' then -- beginning of keys, beginning of keys of memberships, id, most levels, most groups
    answers[i] = groups(question[2], question[3], question[4], question[5], question[6])
  elseif what == 'page' then -- beginning of keys, type, key of the order, offset, limit
    local order, offset, limit = question[4], question[5], question[6]
    local ids = limit > 0 and redis.call('ZRANGE', order, offset, offset + limit - 1) or {}
    answers[i] = {redis.call('ZCARD', order), resources(question[2], ids, question[3])}
  else -- find: beginning of keys, type, key of the names, name, key of the entries, beginning of members
    local holder = redis.call('HGET', question[4], question[5])
    local ids = {}
    if holder then
      ids[1] = holder
    else
      local members = redis.call('ZRANGEBYLEX', question[6], '[' .. question[7], '(' .. question[7] .. ':',
        'LIMIT', '0', most_found)
      for m, member in ipairs(members) do ids[m] = string.match(member, '[^%z]*$', -80) end
    end
    answers[i] = resources(question[2], ids, question[3])
  end
end
return {'ok', answers}
