"""A simulated Redis: data that can lose its last writes, a boot that tells, scripts by their digest, connections that break."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import redis
from lupa import lua51
from redis.exceptions import NoScriptError, ResponseError

from consumers.backends.redis_keys import ShardKeys
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import EPOCH_S, Server
from tests.simulation.redis_commands import Commands, Word
from tests.simulation.redis_lua import lua

if TYPE_CHECKING:
    from tests.simulation.redis_connection import Connection

_KEYS: Final = ShardKeys(0)


class RedisServer(Server):
    """One primary. Its boot is ``run_id`` and ``master_replid``: a new one of either is another history (CP-4)."""

    def __init__(self, loop: VirtualLoop, counts: Counter[str], *, loses_reply: Callable[[], bool]) -> None:
        """``loses_reply``: tells of each entry of a stream whether it gets lost."""
        super().__init__("redis", redis.ConnectionError)
        self.carries_out_late = True
        self._loop = loop
        self._counts = counts
        self._loses_reply = loses_reply
        self._ids = itertools.count(1)
        self.run_id = self._id()
        self.replid = self._id()
        self.data = Commands(self.now)
        self._scripts: dict[Word, Word] = {}
        self._connections: list[Connection] = []
        self._blocked: list[tuple[Sequence[Word], asyncio.Future[Any]]] = []
        self.faults: list[str] = []
        """Scripts that failed, or commands that nobody knows: faults of ours."""

    def _id(self) -> str:
        """As long as a real one: none is the beginning of another."""
        return f"{next(self._ids):040x}"

    @property
    def boot(self) -> str:
        """Which history this is."""
        return f"{self.run_id} {self.replid}"

    def now(self) -> int:
        """Return the server's time in milliseconds since 1970."""
        return int((EPOCH_S + self._loop.time()) * 1000)

    @property
    def writes(self) -> int:
        """How many scripts have written."""
        return self.data.writes

    def is_whole(self, partitions: Sequence[int]) -> bool:
        """Tell whether every partition is recovered for this boot."""
        found = self.data.look(_KEYS.recovered.encode()) or {}
        return found.get(b"boot") == self.boot.encode() and all(str(p).encode() in found for p in partitions)

    def flush(self) -> None:
        """Forget everything, as one script's write."""
        self._one((b"FLUSHALL",), script=True)

    # -- Connections -------------------------------------------------------------------------------------------------

    def accept(self, connection: Connection) -> None:
        """Take a connection in."""
        self._connections = [other for other in self._connections if other.is_there]
        self._connections.append(connection)

    def execute(self, connection: Connection, commands: Sequence[Sequence[Word]]) -> Any:
        """Return the answers to commands that came together; a future of them where one of them waits."""
        if connection.broken:
            raise redis.ConnectionError("the connection was closed by the server")
        if len(commands) == 1 and b"BLOCK" in commands[0] and commands[0][0] == b"XREAD":
            return self._waiting(commands[0])
        return [self._answer(connection, words) for words in commands]

    def _answer(self, connection: Connection, words: Sequence[Word]) -> Any:
        try:
            match words[0]:
                case b"EVALSHA":
                    return self._run(words)
                case b"SCRIPT":
                    self._scripts[hashlib.sha1(words[2]).hexdigest().encode()] = words[2]
                    return hashlib.sha1(words[2]).hexdigest().encode()
                case b"SUBSCRIBE":
                    connection.channels.update(words[1:])
                    return [b"subscribe", words[1], 1]
                case b"PUBSUB":
                    return [word for channel in words[2:] for word in (channel, self._listeners(channel))]
                case b"XADD" if self._loses_reply():
                    self._counts["replies lost"] += 1
                    return b"0-0"
                case _:
                    return self._one(words, script=False)
        except ResponseError as error:
            return error

    def _listeners(self, channel: Word) -> int:
        return sum(one.is_there and channel in one.channels for one in self._connections)

    def _one(self, words: Sequence[Word], *, script: bool) -> Any:
        """Carry out a plain command."""
        if words[0] == b"INFO":
            return self._info()
        self.data.begin(script=script)
        try:
            return self.data.execute(words)
        except AssertionError as error:
            self.faults.append(str(error))
            raise ResponseError(f"ERR {error}") from error
        finally:
            self.data.end(script=script)
            if self._blocked:
                self._wake()

    def _info(self) -> bytes:
        return f"# Server\r\nrun_id:{self.run_id}\r\n# Replication\r\nmaster_replid:{self.replid}\r\n".encode()

    def _run(self, words: Sequence[Word]) -> Any:
        text = self._scripts.get(words[1])
        if text is None:
            raise NoScriptError("NOSCRIPT No matching script. Please use EVAL.")
        behind = 3 + int(words[2])
        self.data.begin(script=True)
        try:
            return lua().run(text, words[3:behind], words[behind:], self._called)
        except (lua51.LuaError, AssertionError, ResponseError) as error:
            self.faults.append(f"a script failed: {error}")
            raise ResponseError(f"ERR {error}") from error
        finally:
            self.data.end(script=True)

    def _called(self, words: Sequence[Word]) -> Any:
        return self._info() if words[0] == b"INFO" else self.data.execute(words)

    def _waiting(self, words: Sequence[Word]) -> Any:
        """Return what a stream has, or a future that has it once there is something, or None in the end."""
        found = self.data.execute(words)
        if found is not None:
            return [found]
        future: asyncio.Future[Any] = self._loop.create_future()
        self._blocked.append((words, future))
        self._loop.call_later(int(words[words.index(b"BLOCK") + 1]) / 1000, self._give_up, words, future)
        return future

    def _give_up(self, words: Sequence[Word], future: asyncio.Future[Any]) -> None:
        if not future.done():
            self._blocked.remove((words, future))
            future.set_result([None])

    def _wake(self) -> None:
        waiting, self._blocked = self._blocked, []
        for words, future in waiting:
            found = self.data.execute(words)
            if found is None:
                self._blocked.append((words, future))
            else:
                future.set_result([found])

    def _hang_up(self, *, on: Callable[[Connection], bool]) -> None:
        for connection in self._connections:
            connection.broken = connection.broken or on(connection)
        blocked, self._blocked = self._blocked, []
        for _, future in blocked:
            # The answer of a connection that is closed: whose stays open asks again.
            future.set_exception(redis.ConnectionError("the connection was closed by the server"))

    # -- Faults ------------------------------------------------------------------------------------------------------

    def restart(self, lost: int, *, empty: bool = False) -> None:
        """Come back as another process with all but the last ``lost`` scripts, or with nothing."""
        self.run_id, self.replid = self._id(), self._id()
        self._counts["redis restarts"] += 1
        self._scripts = {}
        self._lose(lost, empty=empty)
        self._hang_up(on=lambda _: True)

    def fail_over_and_back(self, lost: int) -> None:
        """Serve as the same process again what the other side had: its last writes are lost, ``run_id`` is the same.

        It still has its scripts. Gateways' connections break, as Sentinel has it; that one which stays reads for up to a
        second what an old primary serves is no promise (README). Those of owners stay: nothing but the boot stops them.
        """
        self.replid = self._id()
        self._counts["redis failovers"] += 1
        self._lose(lost)
        self._hang_up(on=lambda connection: connection.process.name.startswith("gateway"))

    def _lose(self, lost: int, *, empty: bool = False) -> None:
        self._counts["redis scripts lost"] += min(lost, self.writes)
        if empty:
            self._counts["redis emptied"] += 1
            self.data = Commands(self.now)
        else:
            self.data.undo(lost)

    def fall(self, seconds: float, *, hangs: bool) -> None:
        """Be away for a while."""
        self.up, self.hangs = False, hangs
        self._counts["redis away"] += 1
        self._loop.call_later(seconds, self._rise)

    def _rise(self) -> None:
        self.up = True
