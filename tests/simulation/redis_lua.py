"""The product's own Lua scripts, executed by Lua 5.1 as in Redis; ``redis.call`` leads to a simulated server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from lupa import lua51

Call = Callable[[Sequence[bytes]], Any]


class Lua:
    """One interpreter for all simulated servers of this process; scripts leave nothing behind in it."""

    def __init__(self) -> None:
        self._runtime: Any = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
        self._globals = self._runtime.globals()
        self._compiled: dict[bytes, Any] = {}
        self._server: Call | None = None
        self._globals[b"redis"] = self._runtime.table_from({b"call": self._call})
        self._globals[b"cmsgpack"] = self._runtime.table_from({b"unpack": self._unpacked})
        # What a script assigns and nobody declared is an error, as in Redis.
        self._runtime.execute(_PROTECTION)

    def run(self, text: bytes, keys: Sequence[bytes], arguments: Sequence[bytes], server: Call) -> Any:
        """Return what the script answers, as Redis sends it."""
        script = self._compiled.get(text)
        if script is None:
            script = self._compiled[text] = self._runtime.compile(text)
        self._globals[b"KEYS"] = self._runtime.table_from(keys)
        self._globals[b"ARGV"] = self._runtime.table_from(arguments)
        self._server = server
        try:
            return _answer(script())
        finally:
            self._server = None

    def _call(self, *words: Any) -> Any:
        assert self._server is not None
        return self._value(self._server([word if type(word) is bytes else _word(word) for word in words]))

    def _value(self, answer: Any) -> Any:
        """Return an answer of Redis as Lua has it."""
        if answer is None:
            return False
        if type(answer) is list:
            return self._runtime.table_from([self._value(one) for one in answer])
        return answer

    def _unpacked(self, packed: bytes) -> Any:
        return self._table(msgspec.msgpack.decode(packed))

    def _table(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return value.encode()
        if kind is list:
            return self._runtime.table_from([self._table(one) for one in value])
        if kind is dict:
            return self._runtime.table_from(
                {name.encode(): self._table(one) for name, one in value.items() if one is not None}
            )
        return value


@cache
def lua() -> Lua:
    """Return the interpreter of this process."""
    return Lua()


def _word(word: Any) -> bytes:
    """Return an argument of ``redis.call`` as Redis writes it: strings and numbers, nothing else."""
    assert type(word) in {int, float}, f"redis.call takes strings and numbers, no {type(word)}"
    return b"%d" % word if word == int(word) and abs(word) < 1e17 else f"{word:.17g}".encode()


def _answer(value: Any) -> Any:
    kind = type(value)
    if kind is bytes or value is None:
        return value
    if kind is bool:
        return 1 if value else None
    if kind in {int, float}:
        return int(value)
    answer = []
    place = 1
    while (one := value[place]) is not None:
        answer.append(_answer(one))
        place += 1
    return answer


_PROTECTION: Final = b"""
local known = {KEYS = true, ARGV = true}
setmetatable(_G, {
  __newindex = function(globals, name, value)
    if not known[name] then error('a script assigns the global variable ' .. tostring(name)) end
    rawset(globals, name, value)
  end,
  __index = function(_, name) error('a script reads the global variable ' .. tostring(name)) end,
})
"""
