"""The bare path's three Redis scripts. Each takes the owner's fence and refuses to run for another; one call a batch."""

from __future__ import annotations

from typing import Final

INDEX: Final = "users"
"""Sorted set of all ids, by the time of their creation."""

_FENCED: Final = """
local asked = cmsgpack.unpack(ARGV[1])
if redis.call('GET', KEYS[1]) ~= asked.fence then return redis.error_reply('FENCED another owner') end
"""

VIEW: Final = _FENCED + "return redis.call('MGET', unpack(asked.users))"
"""KEYS: fence. ``users``: their keys. Returns their JSON."""

RESERVE: Final = (
    _FENCED
    + """
local held = redis.call('HMGET', 'names', unpack(asked.names))
local reserved = redis.call('HMGET', 'reserved', unpack(asked.names))
local answers, words, taken = {}, {}, {}
for i, name in ipairs(asked.names) do
  local id = asked.ids[i]
  local by = held[i] or reserved[i] or taken[name]
  if by and by ~= id then
    answers[i] = 0
  else
    answers[i] = 1
    taken[name] = id
    words[#words + 1] = name
    words[#words + 1] = id
  end
end
if #words > 0 then redis.call('HSET', 'reserved', unpack(words)) end
return answers
"""
)
"""KEYS: fence. ``names``, ``ids``: who asks for which name. Returns 1 or, where it is another's, 0 for each."""

APPLY: Final = (
    _FENCED
    + """
if (redis.call('GET', KEYS[2]) or '-1') ~= asked.before then return redis.error_reply('STALE another watermark') end
if #asked.records > 0 then redis.call('MSET', unpack(asked.records)) end
if #asked.names > 0 then
  redis.call('HSET', 'names', unpack(asked.names))
  redis.call('HDEL', 'reserved', unpack(asked.settled))
  redis.call('ZADD', 'users', unpack(asked.index))
end
for i = 1, #asked.outcomes, 2 do
  redis.call('SET', asked.outcomes[i], asked.outcomes[i + 1], 'PX', 600000)
end
redis.call('SET', KEYS[3], asked.number)
redis.call('SET', KEYS[2], asked.position)
for i, stream in ipairs(asked.streams) do
  redis.call('XADD', stream, 'MAXLEN', '~', '1000', '*', 'r', ARGV[1 + i])
end
return 1
"""
)
"""KEYS: fence, watermark, number of the last event. ``records``, ``names``, ``outcomes``: key, value, key, value …

The further ARGV are the entries for ``streams``: Redis' MessagePack knows no bytes.
"""
