-- Changes of resources, as a commit (CP-24) or a replay of the log (CP-14): everything is looked at before the first write,
-- because Lua does not roll back. ARGV: the owner's fence; msgpack of the map that `redis_changes.py` makes; keys of resources
-- each with its value; values of outcomes. Lists are flat, and what several changes are about stands once in a list of its own,
-- for which its place stands in theirs: a table for each change and each name cost as much as Redis' commands. A replay gives
-- names to whom the log gives them, several at first, because the partitions of a shard are replayed apart.

local asked = cmsgpack.unpack(ARGV[2])
local replays, changes = asked.replays, asked.changes
local refusal = refused(ARGV[1], asked.fields, true)
if refusal then return refusal end
if asked.before then
  local mark = redis.call('GET', asked.mark_key)
  if (mark and string.match(mark, '^%-?%d+ %-?%d+') or '') ~= asked.before then return {'watermark'} end
end

-- Numbers of a tenant are contiguous within a partition.
local number_keys, numbers = {}, {}
for i, number in ipairs(asked.numbers) do number_keys[i] = number[1] end
for i, stored in ipairs(values_of(number_keys, 1, #number_keys)) do
  local last, count = asked.numbers[i][2], asked.numbers[i][3]
  stored = tonumber(stored or 0)
  if replays then
    last = math.max(stored, last)
  elseif stored + count ~= last then
    return {'conflict', 'a number is not the next one'}
  end
  numbers[#numbers + 1] = number_keys[i]
  numbers[#numbers + 1] = string.format('%.0f', last)
end

-- What is stored of the resources and the names, by their places.
local record_keys, groups = asked.records, asked.groups
local versions, creations, lives, ids = {}, {}, {}, {}
for i, value in ipairs(values_of(record_keys, 1, #record_keys)) do
  if value then
    local version, created, live = string.match(value, '^(%d+) (%d+) %a+ (%d)\n')
    versions[i], creations[i], lives[i] = tonumber(version), created, live == '1'
  else
    versions[i], creations[i], lives[i] = 0, false, false
  end
end
local holders, reserved, let_go = {}, {}, {}
for g, group in ipairs(groups) do
  holders[g], reserved[g], let_go[g] = fields_of(group[1], group[3]), fields_of(group[2], group[3]), {}
end

-- The same again for what is to be written, the last word counts: key -> member -> score, and key -> place of a resource ->
-- score, false to remove it.
local entries, orders = {}, {}

local function note(notes, key, member, score)
  local members = notes[key]
  if not members then
    members = {}
    notes[key] = members
  end
  members[member] = score
end

local function without(holder, id)
  local others = {}
  for other in string.gmatch(holder or '', '%S+') do
    if other ~= id then others[#others + 1] = other end
  end
  return #others > 0 and table.concat(others, ' ')
end

local names, indexed, name, entry = asked.names, asked.entries, 1, 1
for first = 1, #changes, 9 do
  local place, id, expected, version, created, live, order_key, last_name, last_entry = unpack(changes, first, first + 8)
  if versions[place] ~= expected then return {'conflict', 'a version is not the expected one'} end
  if not replays and (version ~= expected + 1 or (expected > 0 and not lives[place])) then
    return {'conflict', 'a resource is deleted already'}
  end
  while name < last_name do
    local group, at = names[name + 1], names[name + 2]
    local holder = holders[group][at]
    if names[name] == 0 then
      holder = without(holder, id)
    else
      local reservation = reserved[group][at]
      local by = reservation and string.match(reservation, '^%Z+')
      if replays then
        local others = without(holder, id)
        holder = others and others .. ' ' .. id or id
      else
        if holder and holder ~= id then return {'conflict', 'a name is held by another resource'} end
        if by and by ~= id then return {'conflict', 'a name is reserved for another resource'} end
        holder = id
      end
      if by == id then let_go[group][at] = true end
    end
    holders[group][at] = holder
    name = name + 3
  end
  local was = lives[place]
  local since = was and creations[place] or created
  while entry < last_entry do
    note(entries, indexed[entry + 1], indexed[entry + 2] .. since .. '\0' .. id, indexed[entry] == 1 and '0')
    entry = entry + 3
  end
  if not (was and live) then note(orders, order_key, place, live and since) end -- else it stands there
  versions[place], creations[place], lives[place], ids[place] = version, since, live, id
end
if asked.dry then return {'ok'} end

for g, group in ipairs(groups) do
  local held, free, sets, removals, done = holders[g], let_go[g], {}, {}, {}
  for at, field in ipairs(group[3]) do
    if held[at] then
      sets[#sets + 1] = field
      sets[#sets + 1] = held[at]
    else
      removals[#removals + 1] = field
    end
    if free[at] then done[#done + 1] = field end
  end
  each_some('HDEL', group[1], removals)
  each_some('HSET', group[1], sets)
  each_some('HDEL', group[2], done)
end

-- Sorted sets; `members` says what the notes are about where it is not the member itself.
local function write(notes, members)
  for key, scores in pairs(notes) do
    local adds, removals = {}, {}
    for member, score in pairs(scores) do
      if members then member = members[member] end
      if score then
        adds[#adds + 1] = score
        adds[#adds + 1] = member
      else
        removals[#removals + 1] = member
      end
    end
    each_some('ZREM', key, removals)
    each_some('ZADD', key, adds)
  end
end

write(entries)
write(orders, ids)
each_some('ZADD', asked.gone_key, asked.gone)

-- With the time they expire; of those without an Idempotency-Key also what names their create.
local outcomes, creates, written = asked.outcomes, asked.creates, asked.written
for i = 1, #outcomes, 2 do
  redis.call('SET', outcomes[i], ARGV[written + (i + 1) / 2], 'PXAT', outcomes[i + 1])
end
for i = 1, #creates, 3 do redis.call('SET', creates[i], creates[i + 1], 'PXAT', creates[i + 2]) end
for _, key in ipairs(asked.firsts) do
  redis.call('SET', key[1], key[2], 'PXAT', key[3], 'NX')
  redis.call('DEL', key[4])
end
if #asked.held > 0 then
  each_some('ZADD', asked.held_key, asked.held)
  bounded(asked.held_key, asked.now, asked.most)
end
if #asked.keyed > 0 then
  each_some('ZADD', asked.keyed_key, asked.keyed)
  bounded(asked.keyed_key, asked.now)
end
for from = 1, #numbers, MOST do
  redis.call('MSET', unpack(numbers, from, math.min(#numbers, from + MOST - 1)))
end
for from = 3, written, MOST do
  redis.call('MSET', unpack(ARGV, from, math.min(written, from + MOST - 1)))
end
-- Behind the records: a replay may find a delete and its tombstone in one stretch of the log.
for _, forgotten in ipairs(asked.tombstones) do
  redis.call('DEL', forgotten[1])
  redis.call('ZREM', asked.gone_key, forgotten[2])
end
if asked.mark then redis.call('SET', asked.mark_key, asked.mark) end
return {'ok'}
