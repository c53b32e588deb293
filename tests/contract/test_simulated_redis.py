"""The simulated Redis answers what Redis and Valkey answer: each command that it knows, and Lua's values."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, Final

import msgspec
import pytest
from lupa import lua51
from redis.exceptions import ResponseError

from consumers.backends.redis_client import RedisClient
from consumers.errors import StoreUnavailable
from consumers.settings import RedisSettings
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import EPOCH_S
from tests.simulation.redis_commands import COMMANDS
from tests.simulation.redis_lua import lua
from tests.simulation.redis_server import RedisServer

pytestmark = pytest.mark.services

Word = bytes | str | int
FAR: Final = (int(EPOCH_S) + 10**9) * 1000
"""A time to expire at, in milliseconds since 1970, that is to come for both."""

SEQUENCE: Final = """
GET a | SET a 1 | GET a | SET a 2 NX | GET a | SET b x PX 100000 NX | SET b y PX 100000 NX | GET b | EXISTS a b c a
MSET a 3 c 4 | MGET a b c d | TYPE a | PTTL a | PTTL nothing | DEL a nothing | UNLINK c | GET a
SET e 1 PXAT FAR | SET e 2 | PTTL e | SET e 3 PXAT 1000 | GET e | PEXPIRE nothing 5 | PEXPIRE b 0 | GET b
HSET h f 1 g 2 | HSET h f 3 i 4 | HGET h f | HGET h nothing | HGET nothing f | HMGET h f nothing g | HMGET nothing f g
HGETALL nothing | HEXISTS h f | HEXISTS h nothing | HLEN h | HINCRBY h f 5 | HINCRBY h new 2 | HSETNX h f 9 | HSETNX h j 9
HGET h f | HDEL h f nothing | HDEL h g i new j | EXISTS h | HDEL h f | TYPE h | HLEN h | GET h
HSET h f 1 | GET h | HGET h f | HDEL h f
SADD s x y x | SADD s z | SISMEMBER s x | SISMEMBER s nothing | SCARD s | SREM s x nothing | SREM s y z | EXISTS s | SMEMBERS s
ZADD z 5 e 1 a 3 c | ZADD z 5 b 7 e | ZCARD z | ZSCORE z e | ZSCORE z nothing | ZRANGE z 0 -1 | ZRANGE z 1 2 | ZRANGE z -2 -1
ZRANGE z 0 1 WITHSCORES | ZRANGE z 5 9 | ZRANGE z 0 -9 | ZRANGE nothing 0 -1 | ZRANGEBYSCORE z -inf 5 | ZRANGEBYSCORE z (3 +inf
ZRANGEBYSCORE z 1 (5 | ZRANGEBYSCORE z -inf +inf LIMIT 1 2 | ZRANGEBYSCORE z 0 9 LIMIT 0 -1 | ZREM z a nothing | ZREM z b c e
EXISTS z | ZADD l 0 b 0 a 0 c 0 ab | ZRANGEBYLEX l - + | ZRANGEBYLEX l [ab (c | ZRANGEBYLEX l (a [b | ZRANGEBYLEX l [a + LIMIT 1 2
ZRANGEBYLEX nothing - + | ZRANGE l 0 -1 | TYPE l | ZADD n 1795257600000 a | ZSCORE n a | ZADD n 1.5 a | ZSCORE n a
XLEN x | XDEL x 5-0 6-0 | XREVRANGE x + - | XREAD COUNT 2 STREAMS x 0-0 | TYPE x | FLUSHALL | EXISTS l n
"""

SCRIPTS: Final = (
    "return {1, 2.9, 'x', false, 5}",
    "return {true, 'x', nil, 'y'}",
    "return redis.call('GET', KEYS[1])",
    "return {redis.call('GET', KEYS[1]) == false, redis.call('EXISTS', KEYS[1])}",
    "redis.call('SET', KEYS[1], 1795257600000) return redis.call('GET', KEYS[1])",
    "redis.call('SET', KEYS[1], 1.5) return redis.call('GET', KEYS[1])",
    "redis.call('SET', KEYS[1], 9007199254740992) return redis.call('GET', KEYS[1])",
    "redis.call('HSET', KEYS[1], 'f', 3, 'g', ARGV[1]) return redis.call('HMGET', KEYS[1], 'f', 'x', 'g')",
    "local asked = cmsgpack.unpack(ARGV[2]) return {asked.text, asked.number, asked.list[2], #asked.list, asked.no == nil}",
    "local asked = cmsgpack.unpack(ARGV[2]) return {asked.flag == true, asked.off == false, asked.list[1][2], asked.real}",
    "return {string.match(ARGV[1], '^(%Z+)%z(%d+)%z(.*)$')}",
    "return {#ARGV[1], string.find(ARGV[1], 'b', 1, true), tonumber('12') + 1, string.format('%.0f', 1795257600000)}",
    "local found = redis.call('MGET', KEYS[1], KEYS[2]) return {found[1] or 'no', #found}",
    "return redis.call('SET', KEYS[2], 'x', 'NX') and 'set' or 'was there'",
    "return redis.call('HGETALL', 'nothing')",
    "return unpack(ARGV, 1, 1)",
    "x = 1",
    "return undeclared",
    "return redis.call('NOSUCHCOMMAND')",
    "return redis.call('HGET', KEYS[1], 'f')",
)
ARGUMENTS: Final = (
    b"one\x00b2\x007\x00rest \xc3\xa4",
    msgspec.msgpack.encode(
        {
            "text": "ä\0b",
            "number": 2**40,
            "list": [["a", "b"], "c", 3],
            "no": None,
            "flag": True,
            "off": False,
            "real": 2.5,
        }
    ),
)


class Both:
    """A server, and the simulation of one."""

    def __init__(self, url: str) -> None:
        self.client = RedisClient(RedisSettings(url=url))
        self.loop = VirtualLoop()
        self.server = RedisServer(self.loop, Counter(), loses_reply=lambda: False)

    async def ask(self, *words: Word) -> tuple[Any, Any]:
        """Return the answers of both to a command; refused is refused, whatever the words."""
        try:
            real = await self.client.call(*words)
        except StoreUnavailable:
            real = "refused"
        return real, self.simulated(words)

    def simulated(self, words: Sequence[Word]) -> Any:
        """Return the answer of the simulation."""
        plain = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.server.data.begin(script=True)
        try:
            if plain[0] == b"EVAL":
                count = int(plain[2])
                return lua().run(plain[1], plain[3 : 3 + count], plain[3 + count :], self.server._called)
            return self.server.data.execute(plain)
        except (ResponseError, AssertionError, lua51.LuaError):
            return "refused"
        finally:
            self.server.data.end(script=True)


@pytest.fixture(params=["redis_url", "valkey_url"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """Give both, empty."""
    both = Both(request.getfixturevalue(request.param))
    await both.ask("FLUSHALL")
    yield both
    await both.client.close()
    both.loop.close()


def sequence() -> list[list[str]]:
    """Return the commands of the sequence."""
    return [
        line.replace("FAR", str(FAR)).split() for lines in SEQUENCE.split("\n") for line in lines.split("|") if line
    ]


async def test_every_command_answers_the_same(both: Both) -> None:
    for words in sequence():
        real, simulated = await both.ask(*words)
        if words[0] == "SMEMBERS":
            real = sorted(real)
        assert simulated == real, words


def test_the_sequence_has_every_command_but_those_whose_answers_name_times_or_places() -> None:
    asked = {words[0].encode() for words in sequence()}
    assert COMMANDS - asked == {b"SCAN", b"HSCAN", b"XADD"}


async def test_scans_come_to_the_same(both: Both) -> None:
    await both.ask("MSET", "{s0}:a", 1, "{s0}:b", 2, "other", 3)
    await both.ask("HSET", "h", "f", 1, "g", 2)
    scans: list[tuple[Word, ...]] = [("SCAN", "0", "MATCH", "{s0}:*", "COUNT", 1000), ("HSCAN", "h", "0", "COUNT", 500)]
    for words in scans:
        (cursor, real), (ended, simulated) = await both.ask(*words)
        assert (cursor, ended) == (b"0", b"0")
        assert Counter(simulated) == Counter(real)


async def test_streams_are_read_from_a_place_on(both: Both) -> None:
    places = []
    for n in range(3):
        places.append(await both.ask("XADD", "x", "MAXLEN", "~", 1024, "*", "r", f"entry {n}"))
    for from_place, count in ((None, 5), (0, 5), (1, 1)):
        answers = []
        for side, words in enumerate(zip(*places, strict=True)):
            after = b"0-0" if from_place is None else words[from_place]
            command = ("XREAD", "COUNT", count, "BLOCK", 1, "STREAMS", "x", after)
            found = await both.client.call(*command) if side == 0 else both.simulated(command)
            answers.append([fields for _, entries in found for _, fields in entries])
        assert answers[0] == answers[1] != []
    for side, words in enumerate(zip(*places, strict=True)):
        gone: tuple[tuple[tuple[Word, ...], int], ...] = (
            (("XDEL", "x", words[0], "5-0"), 1),
            (("XDEL", "x", words[0]), 0),
            (("XLEN", "x"), 2),
        )
        for asked, answer in gone:
            assert (await both.client.call(*asked) if side == 0 else both.simulated(asked)) == answer
    for side, words in enumerate(zip(*places, strict=True)):
        newest = ("XREVRANGE", "x", "+", "-", "COUNT", 1)
        found = await both.client.call(*newest) if side == 0 else both.simulated(newest)
        assert found == [[words[-1], [b"r", b"entry 2"]]]
        assert int(words[-1].partition(b"-")[0]) > 10**12


@pytest.mark.parametrize("text", SCRIPTS)
async def test_lua_has_the_same_values(both: Both, text: str) -> None:
    for words in (("EVAL", text, 2, "k1", "k2", *ARGUMENTS), ("TYPE", "k1"), ("GET", "k2")):
        real, simulated = await both.ask(*words)
        assert simulated == real


async def test_at_random(both: Both) -> None:
    random = Random(7)
    for _ in range(1500):
        words = _some_command(random)
        real, simulated = await both.ask(*words)
        if isinstance(real, list) and words[0] in {"HGETALL"}:
            real, simulated = sorted(real), sorted(simulated)
        assert simulated == real, words


def _some_command(random: Random) -> tuple[str, ...]:
    key, other = (random.choice("abcd") for _ in range(2))
    field, value = random.choice("fgh"), str(random.randrange(4))
    return random.choice(
        [
            ("SET", key, value),
            ("SET", key, value, "NX"),
            ("DEL", key, other),
            ("MGET", key, other),
            ("HSET", key, field, value),
            ("HDEL", key, field),
            ("HMGET", key, field, "f"),
            ("HGETALL", key),
            ("HINCRBY", key, "n", value),
            ("ZADD", key, value, field),
            ("ZREM", key, field),
            ("ZRANGE", key, "0", value),
            ("ZRANGEBYSCORE", key, "-inf", value, "LIMIT", "0", "2"),
            ("ZRANGEBYLEX", key, f"[{field}", "+"),
            ("SADD", key, field),
            ("TYPE", key),
            ("EXISTS", key, other),
        ]
    )
