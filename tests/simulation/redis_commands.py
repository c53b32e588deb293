"""The commands of Redis that the product sends, with Redis' own answers, on the data of a simulated one.

A command that is not here fails loudly. ``tests/contract/test_simulated_redis.py`` holds each to what a real server answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.simulation.redis_data import NOTHING, Data, Zset

Word = bytes


class Commands(Data):
    """What can be done with the data, a method for each command."""

    def execute(self, words: Sequence[Word]) -> Any:
        """Return the answer to a command. Raises ResponseError, and AssertionError for a command that is not known here."""
        command = _COMMANDS.get(words[0].upper())
        assert command is not None, f"the simulated Redis does not know {words[0].decode()}"
        return command(self, *words[1:])

    def _flushall(self) -> bytes:
        for key in list(self._values):
            self._drop(key)
        return b"OK"

    def _get(self, key: Word) -> Any:
        value = self._read(key, bytes)
        return None if value is NOTHING else value

    def _mget(self, *keys: Word) -> list[Any]:
        values = (self._value(key) for key in keys)
        return [value if type(value) is bytes else None for value in values]

    def _set(self, key: Word, value: Word, *options: Word) -> bytes | None:
        expires: int | None = None
        rest = list(options)
        while rest:
            match rest.pop(0).upper():
                case b"NX":
                    if self._value(key) is not NOTHING:
                        return None
                case b"PX":
                    expires = self._now() + int(rest.pop(0))
                case b"PXAT":
                    expires = int(rest.pop(0))
                case other:
                    raise AssertionError(f"SET {other.decode()}")
        if expires is not None and expires <= self._now():
            self._drop(key)
            return b"OK"
        self._put(key, value, expires)
        return b"OK"

    def _mset(self, *words: Word) -> bytes:
        for key, value in zip(words[::2], words[1::2], strict=True):
            self._put(key, value)
        return b"OK"

    def _del(self, *keys: Word) -> int:
        return sum(self._drop(key) for key in keys)

    def _exists(self, *keys: Word) -> int:
        return sum(self._value(key) is not NOTHING for key in keys)

    def _type(self, key: Word) -> bytes:
        value = self._value(key)
        if value is NOTHING:
            return b"none"
        return _TYPES[type(value)]

    def _pexpire(self, key: Word, milliseconds: Word) -> int:
        value = self._value(key)
        if value is NOTHING:
            return 0
        self._note(key)
        self._values[key] = value if type(value) is bytes else type(value)(value)
        self._expires[key] = self._now() + int(milliseconds)
        return 1

    def _pttl(self, key: Word) -> int:
        if self._value(key) is NOTHING:
            return -2
        expires = self._expires.get(key)
        return -1 if expires is None else expires - self._now()

    def _scan(self, cursor: Word, *options: Word) -> list[Any]:
        """All at once: the answer of a server is as long as it likes."""
        assert cursor == b"0"
        settings = {name.upper(): value for name, value in zip(options[::2], options[1::2], strict=True)}
        pattern = settings.get(b"MATCH", b"*")
        assert pattern.endswith(b"*")
        assert not set(pattern[:-1]) & set(b"*?[\\")
        return [b"0", [key for key in self.there() if key.startswith(pattern[:-1])]]

    # Hashes

    def _hget(self, key: Word, field: Word) -> Any:
        value = self._read(key, dict)
        return None if value is NOTHING else value.get(field)

    def _hmget(self, key: Word, *fields: Word) -> list[Any]:
        value = self._read(key, dict)
        return [None] * len(fields) if value is NOTHING else [value.get(field) for field in fields]

    def _hgetall(self, key: Word) -> list[Word]:
        value = self._read(key, dict)
        return [] if value is NOTHING else [word for pair in value.items() for word in pair]

    def _hset(self, key: Word, *words: Word) -> int:
        value = self._writable(key, dict)
        before = len(value)
        value.update(zip(words[::2], words[1::2], strict=True))
        return len(value) - before

    def _hsetnx(self, key: Word, field: Word, new: Word) -> int:
        if self._hexists(key, field):
            return 0
        return self._hset(key, field, new)

    def _hdel(self, key: Word, *fields: Word) -> int:
        if self._read(key, dict) is NOTHING:
            return 0
        value = self._writable(key, dict)
        found = sum(value.pop(field, None) is not None for field in fields)
        self._drop_if_empty(key, value)
        return found

    def _hexists(self, key: Word, field: Word) -> int:
        return int(self._hget(key, field) is not None)

    def _hlen(self, key: Word) -> int:
        value = self._read(key, dict)
        return 0 if value is NOTHING else len(value)

    def _hincrby(self, key: Word, field: Word, by: Word) -> int:
        value = self._writable(key, dict)
        number = int(value.get(field, b"0")) + int(by)
        value[field] = b"%d" % number
        return number

    def _hscan(self, key: Word, cursor: Word, *_options: Word) -> list[Any]:
        assert cursor == b"0"
        return [b"0", self._hgetall(key)]

    # Sets

    def _sadd(self, key: Word, *members: Word) -> int:
        value = self._writable(key, set)
        before = len(value)
        value.update(members)
        return len(value) - before

    def _srem(self, key: Word, *members: Word) -> int:
        if self._read(key, set) is NOTHING:
            return 0
        value = self._writable(key, set)
        before = len(value)
        value.difference_update(members)
        found = before - len(value)
        self._drop_if_empty(key, value)
        return found

    def _smembers(self, key: Word) -> list[Word]:
        value = self._read(key, set)
        return [] if value is NOTHING else sorted(value)

    def _sismember(self, key: Word, member: Word) -> int:
        value = self._read(key, set)
        return int(value is not NOTHING and member in value)

    def _scard(self, key: Word) -> int:
        value = self._read(key, set)
        return 0 if value is NOTHING else len(value)

    # Sorted sets

    def _ordered(self, key: Word) -> list[tuple[float, bytes]]:
        value = self._read(key, Zset)
        return [] if value is NOTHING else value.ordered()

    def _zadd(self, key: Word, *words: Word) -> int:
        value = self._writable(key, Zset)
        before = len(value)
        for score, member in zip(words[::2], words[1::2], strict=True):
            value[member] = float(score)
        return len(value) - before

    def _zrem(self, key: Word, *members: Word) -> int:
        if self._read(key, Zset) is NOTHING:
            return 0
        value = self._writable(key, Zset)
        found = sum(value.pop(member, None) is not None for member in members)
        self._drop_if_empty(key, value)
        return found

    def _zcard(self, key: Word) -> int:
        value = self._read(key, Zset)
        return 0 if value is NOTHING else len(value)

    def _zscore(self, key: Word, member: Word) -> Any:
        value = self._read(key, Zset)
        return None if value is NOTHING or member not in value else _number(value[member])

    def _zrange(self, key: Word, first: Word, last: Word, *options: Word) -> list[Word]:
        ordered = self._ordered(key)
        count = len(ordered)
        start, stop = (max(0, n + count) if n < 0 else n for n in (int(first), int(last)))
        if int(last) < -count:
            return []
        found = ordered[start : stop + 1]
        if options:
            assert options == (b"WITHSCORES",)
            return [word for score, member in found for word in (member, _number(score))]
        return [member for _, member in found]

    def _zrangebyscore(self, key: Word, least: Word, most: Word, *options: Word) -> list[Word]:
        found = [member for score, member in self._ordered(key) if _above(score, least) and _below(score, most)]
        return _limited(found, options)

    def _zrangebylex(self, key: Word, least: Word, most: Word, *options: Word) -> list[Word]:
        members = [member for _, member in self._ordered(key)]
        return _limited([member for member in members if _after(member, least) and _before(member, most)], options)

    # Streams

    def _xadd(self, key: Word, *words: Word) -> Word:
        rest, most = list(words), None
        if rest[0].upper() == b"MAXLEN":
            about = rest[1] == b"~"
            most = None if about else int(rest[1])  # "about" keeps whole nodes of a hundred: none is cut off here
            del rest[: 3 if about else 2]
        assert rest[0] == b"*"
        value = self._writable(key, list)
        now, last = self._now(), value[-1][0] if value else (0, 0)
        place = (now, 0) if now > last[0] else (last[0], last[1] + 1)
        value.append((place, rest[1:]))
        if most is not None:
            del value[:-most]
        return _entry(place)

    def _xdel(self, key: Word, *entries: Word) -> int:
        value = self._read(key, list)
        if value is NOTHING:
            return 0
        gone, whole = {_place(entry) for entry in entries}, len(value)
        value[:] = [one for one in value if one[0] not in gone]
        return whole - len(value)

    def _xlen(self, key: Word) -> int:
        value = self._read(key, list)
        return 0 if value is NOTHING else len(value)

    def _xrevrange(self, key: Word, end: Word, start: Word, *options: Word) -> list[Any]:
        assert (end, start) == (b"+", b"-")
        value = self._read(key, list)
        found = [] if value is NOTHING else [[_entry(place), fields] for place, fields in reversed(value)]
        return found[: int(options[1])] if options else found

    def _xread(self, *words: Word) -> list[Any] | None:
        """Without waiting: the server waits, and asks again."""
        upper = [word.upper() for word in words]
        count = int(words[upper.index(b"COUNT") + 1]) if b"COUNT" in upper else None
        rest = words[upper.index(b"STREAMS") + 1 :]
        keys, places = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        found: list[Any] = []
        for key, after in zip(keys, places, strict=True):
            value: Any = self._read(key, list)
            if value is NOTHING:
                continue
            bound = _place(after)
            entries = [[_entry(place), fields] for place, fields in value if place > bound][:count]
            if entries:
                found.append([key, entries])
        return found or None


def _entry(place: tuple[int, int]) -> bytes:
    return b"%d-%d" % place


def _place(entry: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)


def _number(score: float) -> bytes:
    return b"%d" % score if score == int(score) else repr(score).encode()


def _above(score: float, bound: Word) -> bool:
    return score > float(bound[1:]) if bound.startswith(b"(") else score >= float(bound)


def _below(score: float, bound: Word) -> bool:
    return score < float(bound[1:]) if bound.startswith(b"(") else score <= float(bound)


def _after(member: Word, bound: Word) -> bool:
    if bound in {b"-", b"+"}:
        return bound == b"-"
    return member > bound[1:] if bound.startswith(b"(") else member >= bound[1:]


def _before(member: Word, bound: Word) -> bool:
    if bound in {b"-", b"+"}:
        return bound == b"+"
    return member < bound[1:] if bound.startswith(b"(") else member <= bound[1:]


def _limited(found: list[Word], options: Sequence[Word]) -> list[Word]:
    if not options:
        return found
    assert options[0].upper() == b"LIMIT"
    offset, count = int(options[1]), int(options[2])
    return found[offset:] if count < 0 else found[offset : offset + count]


_TYPES: Final[dict[type[Any], bytes]] = {bytes: b"string", dict: b"hash", Zset: b"zset", list: b"stream", set: b"set"}
_METHODS: Final[tuple[Callable[..., Any], ...]] = (
    Commands._flushall,
    Commands._get,
    Commands._mget,
    Commands._set,
    Commands._mset,
    Commands._del,
    Commands._exists,
    Commands._type,
    Commands._pexpire,
    Commands._pttl,
    Commands._scan,
    Commands._hget,
    Commands._hmget,
    Commands._hgetall,
    Commands._hset,
    Commands._hsetnx,
    Commands._hdel,
    Commands._hexists,
    Commands._hlen,
    Commands._hincrby,
    Commands._hscan,
    Commands._sadd,
    Commands._srem,
    Commands._smembers,
    Commands._sismember,
    Commands._scard,
    Commands._zadd,
    Commands._zrem,
    Commands._zcard,
    Commands._zscore,
    Commands._zrange,
    Commands._zrangebyscore,
    Commands._zrangebylex,
    Commands._xadd,
    Commands._xdel,
    Commands._xlen,
    Commands._xrevrange,
    Commands._xread,
)
_COMMANDS: Final = {one.__name__.removeprefix("_").upper().encode(): one for one in _METHODS} | {
    b"UNLINK": Commands._del
}
COMMANDS: Final = frozenset(_COMMANDS)
"""Their names."""
