"""Two Redis servers compared key by key, type and value: a rebuilt one must equal the live one (INV-9).

Apart are what is no part of the log: fences, attempts, ``recovered``, reservations, a watermark's time and the last
marker before it, streams of answers, signs of life, unseen marks, and when an outcome expires. Both should be at rest.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal

import msgspec

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_keys import ShardKeys

_APART: Final = re.compile(rb"(?:fence|att|rep|gw|heldk?):[^:]*$|recovered$|[^:]+:(?:rs|rk|unseen):")
_EXPIRING: Final = re.compile(rb"[^:]+:(?:out|key|un):")
_WATERMARK: Final = re.compile(rb"wm:[^:]*$")
_SOON_MS: Final = 10_000
"""What expires so soon may be there on one side only."""
_SOME: Final = 500

Side = Literal["left", "right"]


class Difference(msgspec.Struct, frozen=True, order=True):
    """A key that is not the same on both sides; tells no value, for values are personal data."""

    key: str
    what: str


class _Pair(msgspec.Struct, frozen=True):
    """Both sides of a comparison."""

    left: RedisClient
    right: RedisClient


async def compare(left: RedisClient, right: RedisClient, *, shards: int, most: int = 100) -> list[Difference]:
    """Return up to ``most`` differences, in the order of their keys; none where both hold the same.

    Raises StoreUnavailable when a side cannot be asked.
    """
    pair = _Pair(left, right)
    found: list[Difference] = []
    for shard in range(shards):
        prefix = ShardKeys(shard).prefix.encode()
        async for keys in _keys_of(left, prefix):
            found += await _compared(pair, keys, prefix)
            if len(found) >= most:
                return sorted(found)[:most]
        async for keys in _keys_of(right, prefix):
            kinds = await _kinds(left, keys)
            missing = [key for key, kind in zip(keys, kinds, strict=True) if kind == b"none"]
            found += await _missing(right, missing, prefix, "left")
            if len(found) >= most:
                return sorted(found)[:most]
    return sorted(found)


async def _keys_of(client: RedisClient, prefix: bytes) -> AsyncIterator[list[bytes]]:
    cursor = b"0"
    while True:
        cursor, keys = await client.call("SCAN", cursor, "MATCH", prefix + b"*", "COUNT", _SOME)
        yield list({key for key in keys if not _APART.match(key, len(prefix))})
        if cursor == b"0":
            return


async def _kinds(client: RedisClient, keys: Sequence[bytes]) -> list[bytes]:
    return _sound(await client.calls([("TYPE", key) for key in keys])) if keys else []


async def _missing(client: RedisClient, keys: Sequence[bytes], prefix: bytes, side: Side) -> list[Difference]:
    """Return those keys of a client that the other side lacks and should not."""
    lives = _sound(await client.calls([("PTTL", key) for key in keys])) if keys else []
    return [
        Difference(key.decode(errors="replace"), f"missing on the {side}")
        for key, life in zip(keys, lives, strict=True)
        if life == -1 or (life > _SOON_MS and _EXPIRING.match(key, len(prefix)))
    ]


async def _compared(pair: _Pair, keys: Sequence[bytes], prefix: bytes) -> list[Difference]:
    kinds = list(zip(keys, await _kinds(pair.left, keys), await _kinds(pair.right, keys), strict=True))
    found = await _missing(pair.left, [key for key, _, right in kinds if right == b"none"], prefix, "right")
    strings = []
    for key, left, right in kinds:
        if b"none" in {left, right}:
            continue
        what = None
        if left != right:
            what = f"a {left.decode()} on the left, a {right.decode()} on the right"
        elif left == b"string":
            strings.append(key)
        elif left == b"hash":
            what = await _hashes(pair, key)
        elif left == b"zset":
            what = await _sorted_sets(pair, key)
        else:
            what = f"a {left.decode()}, which is not expected here"
        if what is not None:
            found.append(Difference(key.decode(errors="replace"), what))
    return found + await _strings(pair, strings, prefix)


async def _strings(pair: _Pair, keys: Sequence[bytes], prefix: bytes) -> list[Difference]:
    if not keys:
        return []
    lefts, rights = await pair.left.call("MGET", *keys), await pair.right.call("MGET", *keys)
    found = []
    for key, left, right in zip(keys, lefts, rights, strict=True):
        same = left == right
        if _WATERMARK.match(key, len(prefix)) and left and right:
            same = _same_place(left, right)
        if None in {left, right} and _EXPIRING.match(key, len(prefix)):
            same = True  # expired since its type was asked for
        if not same:
            found.append(Difference(key.decode(errors="replace"), "another value"))
    return found


def _same_place(left: bytes, right: bytes) -> bool:
    """Tell whether two watermarks are at one place: before or behind the marker that ended the last transaction."""
    (offset, position, _), (other, other_position, _) = left.split(), right.split()
    return position == other_position and abs(int(offset) - int(other)) <= 1


async def _hashes(pair: _Pair, key: bytes) -> str | None:
    sizes = [await client.call("HLEN", key) for client in (pair.left, pair.right)]
    if sizes[0] != sizes[1]:
        return f"{sizes[0]} fields on the left, {sizes[1]} on the right"
    cursor = b"0"
    while True:
        cursor, flat = await pair.left.call("HSCAN", key, cursor, "COUNT", _SOME)
        if flat and await pair.right.call("HMGET", key, *flat[::2]) != flat[1::2]:
            return "another field or value"
        if cursor == b"0":
            return None


async def _sorted_sets(pair: _Pair, key: bytes) -> str | None:
    sizes = [await client.call("ZCARD", key) for client in (pair.left, pair.right)]
    if sizes[0] != sizes[1]:
        return f"{sizes[0]} members on the left, {sizes[1]} on the right"
    for start in range(0, sizes[0], _SOME):
        question = ("ZRANGE", key, start, start + _SOME - 1, "WITHSCORES")
        if await pair.left.call(*question) != await pair.right.call(*question):
            return "another member or score"
    return None


def _sound(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
