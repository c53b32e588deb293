-- Changes of resources, as a commit (CP-24) or a replay of the log (CP-14): everything is looked at before the first write,
-- because Lua does not roll back. ARGV: the owner's fence; msgpack of the map that `redis_changes.py` makes; the values of
-- resources and outcomes, for which their places in ARGV stand in the map. A replay gives names to whom the log gives them, several at first, because the partitions of a shard are replayed apart.

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

-- What is stored of the resources and the names.
local states, record_keys = {}, {}
local holders, reserved, wanted, claimed = {}, {}, {}, {}
for _, change in ipairs(changes) do
  local key = change[1]
  if states[key] == nil then
    states[key] = false
    record_keys[#record_keys + 1] = key
  end
  local names = change[8]
  for i = 1, #names, 4 do
    local holder_key, reservation_key, name = names[i + 1], names[i + 2], names[i + 3]
    local list = wanted[holder_key]
    if not list then
      list = {}
      wanted[holder_key] = list
    end
    list[#list + 1] = name
    if names[i] == 1 then
      list = claimed[reservation_key]
      if not list then
        list = {}
        claimed[reservation_key] = list
      end
      list[#list + 1] = name
    end
  end
end
for i, value in ipairs(values_of(record_keys, 1, #record_keys)) do
  if value then
    local version, created, live = string.match(value, '^(%d+) (%d+) %a+ (%d)\n')
    states[record_keys[i]] = {tonumber(version), created, live == '1'}
  end
end
for key, names in pairs(wanted) do holders[key] = fields_of(key, names) end
for key, names in pairs(claimed) do reserved[key] = fields_of(key, names) end

-- The same again for what is to be written: key -> field -> value, false to remove it; the last word counts.
local held, let_go, entries, places, records, gone = {}, {}, {}, {}, {}, {}

local function note(notes, key, field, value)
  local fields = notes[key]
  if not fields then
    fields = {}
    notes[key] = fields
  end
  fields[field] = value
end

local function without(holder, id)
  local others = {}
  for other in string.gmatch(holder or '', '%S+') do
    if other ~= id then others[#others + 1] = other end
  end
  return #others > 0 and table.concat(others, ' ')
end

for _, change in ipairs(changes) do
  local key, id, expected, version, created, live, value = unpack(change, 1, 7)
  local names, indexed, order_key, record_key, forget = unpack(change, 8, 12)
  local state = states[key] or {0, created, false}
  if state[1] ~= expected then return {'conflict', 'a version is not the expected one'} end
  if not replays and (version ~= expected + 1 or (expected > 0 and not state[3])) then
    return {'conflict', 'a resource is deleted already'}
  end
  for i = 1, #names, 4 do
    local holder_key, name = names[i + 1], names[i + 3]
    local holder = holders[holder_key][name]
    if names[i] == 0 then
      holder = without(holder, id)
    else
      local reservation = reserved[names[i + 2]][name]
      local by = reservation and string.match(reservation, '^%Z+')
      if replays then
        local others = without(holder, id)
        holder = others and others .. ' ' .. id or id
      else
        if holder and holder ~= id then return {'conflict', 'a name is held by another resource'} end
        if by and by ~= id then return {'conflict', 'a name is reserved for another resource'} end
        holder = id
      end
      if by == id then note(let_go, names[i + 2], name, false) end
    end
    holders[holder_key][name] = holder
    note(held, holder_key, name, holder)
  end
  local since = state[3] and state[2] or created
  for i = 1, #indexed, 3 do
    note(entries, indexed[i + 1], indexed[i + 2] .. since .. '\0' .. id, indexed[i] == 1 and '0')
  end
  note(places, order_key, id, live and since)
  if forget then gone[#gone + 1] = forget gone[#gone + 1] = record_key end
  states[key] = {version, since, live}
  records[key] = value and ARGV[value]
end
if asked.dry then return {'ok'} end

local function write(notes, set, remove, value_first)
  for key, fields in pairs(notes) do
    local sets, removals = {}, {}
    for field, value in pairs(fields) do
      if not value then
        removals[#removals + 1] = field
      elseif value_first then
        sets[#sets + 1] = value
        sets[#sets + 1] = field
      else
        sets[#sets + 1] = field
        sets[#sets + 1] = value
      end
    end
    if #removals > 0 then each_some(remove, key, removals) end
    if #sets > 0 then each_some(set, key, sets) end
  end
end

write(held, 'HSET', 'HDEL', false)
write(let_go, 'HSET', 'HDEL', false)
write(entries, 'ZADD', 'ZREM', true)
write(places, 'ZADD', 'ZREM', true)
if #gone > 0 then each_some('ZADD', asked.gone_key, gone) end

-- With the time they expire; of those without an Idempotency-Key also what names their create.
local unkeyed, keyed = {}, {}
for _, outcome in ipairs(asked.outcomes) do
  local key, value, expires, txn, first, reserved_key, created_by, repeated_until = unpack(outcome, 1, 8)
  redis.call('SET', key, ARGV[value], 'PXAT', expires)
  if first then
    redis.call('SET', first, txn, 'PXAT', expires, 'NX')
    redis.call('DEL', reserved_key)
    keyed[#keyed + 1] = expires
    keyed[#keyed + 1] = key
  else
    unkeyed[#unkeyed + 1] = expires
    unkeyed[#unkeyed + 1] = created_by and key .. '\0' .. created_by or key
  end
  if created_by then redis.call('SET', created_by, txn, 'PXAT', repeated_until) end
end
if #unkeyed > 0 then
  each_some('ZADD', asked.held_key, unkeyed)
  bounded(asked.held_key, asked.now, asked.most)
end
if #keyed > 0 then
  each_some('ZADD', asked.keyed_key, keyed)
  bounded(asked.keyed_key, asked.now)
end
for from = 1, #numbers, MOST do
  redis.call('MSET', unpack(numbers, from, math.min(#numbers, from + MOST - 1)))
end
local words = {}
for key, value in pairs(records) do
  if value then
    words[#words + 1] = key
    words[#words + 1] = value
  end
end
for from = 1, #words, MOST do
  redis.call('MSET', unpack(words, from, math.min(#words, from + MOST - 1)))
end
-- Behind the records: a replay may find a delete and its tombstone in one stretch of the log.
for _, forgotten in ipairs(asked.tombstones) do
  redis.call('DEL', forgotten[1])
  redis.call('ZREM', asked.gone_key, forgotten[2])
end
if asked.mark then redis.call('SET', asked.mark_key, asked.mark) end
return {'ok'}
