"""The population of a run: made over HTTP, written to a file for the Lua scripts, counted again afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from tests.load.connections import Connection, connections
from tests.load.errors import RunFailed
from tests.load.users import name_of, user_body, user_name

CONNECTIONS: Final = 64
PAGE: Final = 100


class _Created(msgspec.Struct, frozen=True):
    id: str


class _Meta(msgspec.Struct, frozen=True):
    version: str


class _Listed(msgspec.Struct, frozen=True):
    id: str
    meta: _Meta


class _Page(msgspec.Struct, frozen=True):
    total: int = msgspec.field(name="totalResults")
    resources: list[_Listed] = msgspec.field(name="Resources", default_factory=list)


def load(port: int, token: str, count: int, *, limit_s: float = 600) -> list[tuple[str, str]]:
    """Create ``count`` users and return (id, userName) of each. Raises RunFailed at the first answer but 201."""
    return asyncio.run(asyncio.wait_for(_load(port, token, count), limit_s))


async def _load(port: int, token: str, count: int) -> list[tuple[str, str]]:
    numbers = iter(range(count))
    made: list[tuple[str, str]] = []

    async def fill(connection: Connection) -> None:
        for number in numbers:
            name = name_of("popul-", number)
            answer = await connection.ask("POST", "/scim/v2/Users", user_body(name))
            if answer.status != 201:
                raise RunFailed(f"create answered {answer.status} {answer.body[:300]!r}")
            made.append((msgspec.json.decode(answer.body, type=_Created).id, user_name(name)))

    try:
        async with connections(port, token, min(CONNECTIONS, max(count, 1))) as opened, asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(fill(connection))
    except* (RunFailed, OSError) as failures:
        raise RunFailed(f"the population: {failures.exceptions[0]}") from None
    return made


def write_file(path: Path, users: list[tuple[str, str]]) -> None:
    """Write one ``id userName`` a line."""
    path.write_text("".join(f"{identifier} {name}\n" for identifier, name in users))


def read_file(path: Path) -> list[tuple[str, str]]:
    """Return what ``write_file`` wrote."""
    return [(line.split(" ")[0], line.split(" ")[1]) for line in path.read_text().splitlines()]


def total_users(port: int, token: str) -> int:
    """Return ``totalResults`` of all users."""
    return asyncio.run(_total(port, token))


async def _total(port: int, token: str) -> int:
    async with connections(port, token, 1) as (connection,):
        return (await _page(connection, 1, 1)).total


def changes_applied(port: int, token: str) -> int:
    """Return how many changes the users have seen since their creation: the sum of (version - 1) over all of them."""
    return asyncio.run(_changes(port, token))


async def _changes(port: int, token: str) -> int:
    versions: dict[str, int] = {}
    async with connections(port, token, 1) as (connection,):
        total = (await _page(connection, 1, 1)).total
        for start in range(1, total + 1, PAGE):
            page = await _page(connection, start, PAGE)
            versions |= {user.id: version_number(user.meta.version) for user in page.resources}
    if len(versions) != total:
        raise RunFailed(f"{total} users by totalResults, {len(versions)} in the pages")
    return sum(versions.values()) - total


def version_number(etag: str) -> int:
    """Return n of ``W/"n"``."""
    return int(etag.removeprefix('W/"').removesuffix('"'))


async def _page(connection: Connection, start: int, count: int) -> _Page:
    answer = await connection.ask("GET", f"/scim/v2/Users?startIndex={start}&count={count}")
    if answer.status != 200:
        raise RunFailed(f"a list answered {answer.status} {answer.body[:300]!r}")
    return msgspec.json.decode(answer.body, type=_Page)
