"""One connection to Redis or Valkey, shared: what is asked for during a round trip goes into the next one together."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError, ResponseError

from consumers.backends.redis_scripts import Scripts, boot_of, scripts_for
from consumers.errors import StoreUnavailable
from consumers.settings import RedisSettings

Word = bytes | str | int
Command = tuple[Word, ...]

TIMEOUT_S: Final = 5.0
_MOST_A_TRIP: Final = 1000
CONNECTION_ERRORS: Final = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError, RuntimeError)
"""What using a connection raises once it is lost; RuntimeError is uvloop's, where it was reset before it is written to."""


class ScriptGone(Exception):
    """Redis does not have the script: another boot, or somebody flushed the scripts; nothing was done."""


class _Asked(msgspec.Struct):
    """Commands that wait for their answers."""

    commands: Sequence[Command]
    answers: asyncio.Future[list[Any]]
    timeout_s: float


def connection_pool(settings: RedisSettings, timeout_s: float) -> ConnectionPool:
    """Return what makes connections with the settings' address, credentials and TLS; they repeat nothing.

    Only connecting has a time limit, ``timeout_s``: who sends or reads sets one.
    """
    return ConnectionPool.from_url(
        settings.url,
        protocol=2,
        decode_responses=False,
        socket_connect_timeout=timeout_s,
        # Every use is under a time limit of its user: redis-py's own would make a task of each sending.
        socket_timeout=None,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
    )


class AnswerLost(StoreUnavailable):
    """It was sent, and may be done yet: behind what is sent later, over another connection."""


class RedisClient:
    """A connection that is made at the first use, and again at the next use after it was lost.

    Nothing is ever sent twice: redis-py would repeat each command ten times, scripts too. Everything goes through one
    task, in the order of the calls, so a caller that is cancelled leaves no half-read answer to the next one
    (CVE-2023-28858); what it asked for is done all the same.
    """

    def __init__(self, settings: RedisSettings, *, timeout_s: float = TIMEOUT_S) -> None:
        """``timeout_s``: how long an answer, or a connection, may take."""
        self._timeout_s = timeout_s
        self._pool = connection_pool(settings, timeout_s)
        self._connection: AbstractConnection | None = None
        self._waiting: list[_Asked] = []
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.connections = 0
        """How often it connected: whoever sees it rise asks anew whom it talks to (CP-28)."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as the last command showed."""
        return self._connection is not None

    async def call(self, *command: Word, timeout_s: float | None = None) -> Any:
        """Return the answer to one command. Raises StoreUnavailable; then it may or may not have been done."""
        answer = (await self.calls([command], timeout_s=timeout_s))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def calls(self, commands: Sequence[Command], *, timeout_s: float | None = None) -> list[Any]:
        """Return the answers to several commands, in order; one that failed has a StoreUnavailable for its answer."""
        return await self.send(commands, timeout_s=timeout_s)

    def send(self, commands: Sequence[Command], *, timeout_s: float | None = None) -> asyncio.Future[list[Any]]:
        """Queue commands behind all that were queued before; the answers as of ``calls``."""
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._closed:
            answers.set_exception(StoreUnavailable("the connection to Redis is closed"))
            return answers
        self._waiting.append(_Asked(commands, answers, self._timeout_s if timeout_s is None else timeout_s))
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve(), name="redis")
        return answers

    async def load(self) -> Scripts:
        """Ask which boot this is and give Redis the scripts for it. Raises StoreUnavailable."""
        scripts = scripts_for(await self.boot())
        answers = await self.calls([("SCRIPT", "LOAD", text) for text in scripts.texts.values()])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return scripts

    async def boot(self) -> str:
        """Return the boot (CP-4): ``run_id`` and ``master_replid``, parted by a blank. Raises StoreUnavailable."""
        return boot_of(await self.call("INFO", "server", "replication"))

    async def run(
        self, scripts: Scripts, name: str, keys: Sequence[str], *arguments: Word, timeout_s: float | None = None
    ) -> list[Any]:
        """Return the answer of a script. Raises ScriptGone, and StoreUnavailable as ``call``."""
        command = ("EVALSHA", scripts.digests[name], len(keys), *keys, *arguments)
        answer: list[Any] = await self.call(*command, timeout_s=timeout_s)
        return answer

    async def close(self) -> None:
        """Let go of the connection; what waits is told so."""
        self._closed = True
        # More than once: a driver may swallow a cancellation, as Python 3.11's asyncio.wait_for does where it is just done.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.1)
        self._fail(self._waiting, StoreUnavailable("the connection to Redis is closed"))
        self._waiting = []
        await self._disconnect(nowait=False)

    async def _serve(self) -> None:
        """Make round trips while there is something to ask; a broken connection ends the trips it was in."""
        while not self._closed:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                asked, self._waiting = self._waiting[:_MOST_A_TRIP], self._waiting[_MOST_A_TRIP:]
                sent = False
                try:
                    connection = await self._connected()
                    sent = True
                    await self._round_trip(connection, asked)
                except CONNECTION_ERRORS as error:
                    await self._disconnect()
                    self._fail(asked, AnswerLost(str(unavailable(error))) if sent else unavailable(error))
                except BaseException:
                    self._fail(asked, StoreUnavailable("the connection to Redis is closed"))
                    await self._disconnect()
                    raise

    async def _round_trip(self, connection: AbstractConnection, asked: Sequence[_Asked]) -> None:
        # By hiredis itself: redis-py's asynchronous connection packs word by word in Python, 3 µs a write.
        packed = [pack_command(cast("Any", command)) for one in asked for command in one.commands]
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s) as limit:
            await connection.send_packed_command(packed, check_health=False)
            for one in asked:
                answers = []
                for _ in one.commands:
                    limit.reschedule(loop.time() + one.timeout_s)
                    answers.append(await _answer(connection))
                if not one.answers.done():
                    one.answers.set_result(answers)

    async def _connected(self) -> AbstractConnection:
        """Return the connection, a new one where the last was lost, also while nobody was using it."""
        connection = self._connection
        if connection is not None and not await _ended(connection):
            return connection
        await self._disconnect()
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        self._connection = connection
        async with asyncio.timeout(self._timeout_s):
            await connection.connect_check_health(check_health=False, retry_socket_connect=False)
        self.connections += 1
        return connection

    async def _disconnect(self, *, nowait: bool = True) -> None:
        """Close the connection; TLS says good-bye first, which is waited for where nobody else waits."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await connection.disconnect(nowait=nowait)

    def _fail(self, asked: Sequence[_Asked], error: StoreUnavailable) -> None:
        for one in asked:
            if not one.answers.done():
                one.answers.set_exception(error)
                one.answers.exception()  # a caller may be gone: nobody need read it


async def _ended(connection: AbstractConnection) -> bool:
    """Tell whether a connection was lost while nobody used it; redis-py itself sees that it was closed, not a reset."""
    reader = connection._reader
    return reader is None or reader.exception() is not None or await connection.can_read()


async def _answer(connection: AbstractConnection) -> Any:
    try:
        # No time limit of its own: with one it answers None where it, or the socket's (ETIMEDOUT), is over, which is
        # what a missing key answers.
        return await connection.read_response()
    except NoScriptError as error:
        return ScriptGone(str(error))
    except ResponseError as error:
        return unavailable(error)


def unavailable(error: BaseException) -> StoreUnavailable:
    """Return a driver's error as an operator's: what to look at, never an address with its password, nor a key's value."""
    if isinstance(error, AuthenticationError):
        return StoreUnavailable("Redis refused the credentials; check user and password in redis.url")
    if isinstance(error, NoPermissionError):
        return StoreUnavailable(f"Redis refused: {error}; give its user the right to it (deploy/runbook.md)")
    if isinstance(error, ResponseError):
        return StoreUnavailable(f"Redis refused ({type(error).__name__}): {error}; see its log and INFO")
    if reason := _of_tls(error):
        return StoreUnavailable(
            f"no TLS with Redis ({reason}); check ssl_ca_certs in redis.url and its certificate's names"
        )
    return StoreUnavailable(f"Redis is not reachable or too slow ({type(error).__name__}); is it running?")


def _of_tls(error: BaseException | None) -> str | None:
    """Return what TLS found wrong, where it was TLS, in the error or behind it."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error.reason or type(error).__name__
        found = re.search(r"\[SSL: ([A-Z_]+)\]|SSLCertVerificationError", str(error))
        if found:
            return found[1] or "certificate verify failed"
        error = error.__cause__ or error.__context__
    return None
