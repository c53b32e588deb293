"""The store of one partition's owner on Redis or Valkey: every step is one script under fence and boot (CP-4, CP-5)."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from consumers.backends.redis_changes import (
    Packing,
    change_words,
    claim_words,
    farewell_words,
    forgotten_words,
    number_words,
    outcome_words,
    packed,
    records_of,
)
from consumers.backends.redis_client import AnswerLost, RedisClient, ScriptGone, Word
from consumers.backends.redis_keys import ShardKeys
from consumers.backends.redis_records import is_of_type
from consumers.backends.redis_reply_streams import send
from consumers.backends.redis_reservations import Reservations
from consumers.backends.redis_scripts import Scripts, refusal
from consumers.backends.redis_unseen import first_answer
from consumers.backends.redis_views import view_of
from consumers.errors import NotRecovered
from consumers.partition_ports import Addressed, Held, OwnershipLost
from consumers.ports import Claim, Contended, Granted, KeyUsed, Reservation, Snapshot, Taken
from consumers.settings import OutcomeSettings
from schemas.changes import StoredResource, View
from schemas.commands import ChangeCommand
from schemas.numbering import Batch, StoredChange, Watermark
from schemas.outcomes import KEYED_LIFE_MS, Outcome, decode_outcome
from schemas.partitions import partitions_of_shard, shard_of_partition
from schemas.records import Address, address_of, resource_key

MOST_COMMANDS: Final = 100
"""Commands of one apply script: nobody else is served while it runs (CP-24)."""
MARK_AGE_MS: Final = 60_000
"""After this the watermark's time is refreshed (CP-16)."""
EMPTY_TIMEOUT_S: Final = 120.0

_encoder = msgspec.msgpack.Encoder()
_NOTHING: Final = View()
_GRANTED: Final = Granted()


class RedisPartitionStore:
    """``consumers.partition_ports.PartitionStore``; an instance for each owner, the client may be shared."""

    def __init__(
        self,
        client: RedisClient,
        *,
        partition: int,
        shards: int,
        partitions: int,
        outcomes: OutcomeSettings = OutcomeSettings(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._partition = partition
        shard = shard_of_partition(partition, shards=shards, partitions=partitions)
        self._fields = tuple(str(p) for p in partitions_of_shard(shard, shards=shards, partitions=partitions))
        self._keys = keys = ShardKeys(shard)
        self._outcomes = outcomes
        self._clock = clock
        self._script_keys = (keys.recovered, keys.fence(partition))
        self._owner_keys = (
            *self._script_keys,
            keys.watermark(partition),
            keys.attempts(partition),
            keys.gone(partition),
            keys.held(partition),
            keys.held_keyed(partition),
        )
        self._scripts: Scripts | None = None
        self._fence = ""
        self._token = ""
        self._mark = ""
        """Offset and position that this owner wrote last, or found; "" for none."""
        self._reservations = Reservations(keys)

    # -- Ownership ----------------------------------------------------------------------------------------------------

    async def take(self) -> Watermark | None:
        """See ``PartitionStore.take``; gives Redis the scripts of its boot first."""
        self._fence = ""
        self._reservations.outdate(self._own_mark)
        self._scripts = await self._client.load()
        fence = f"taking:{uuid.uuid4().hex}"
        (found,) = await self._run("owner", self._owner_keys, fence, "take")
        self._fence = fence
        if found is None:
            self._mark = ""
            return None
        offset, position, written = (int(part) for part in found.split())
        self._mark = f"{offset} {position}"
        return Watermark(offset=offset, position=position, time=written)

    async def activate(self, token: str) -> None:
        """See ``PartitionStore.activate``."""
        fence = f"active:{token}"
        await self._step("activate", fence, str(self._partition))
        self._fence, self._token = fence, token

    async def check(self, now: int) -> Held:
        """See ``PartitionStore.check``."""
        unkeyed, keyed = await self._step("check", str(now), str(MARK_AGE_MS), str(self._outcomes.most))
        releases = [*self._reservations.outdated, *self._reservations.releases((), self._own_mark)]
        if releases:
            with contextlib.suppress(NotRecovered), _not_repeated():
                question = _encoder.encode((self._fields, releases, [], ""))
                await self._run("view", self._script_keys, self._fence, question)
                self._reservations.clear()
        return Held(unkeyed, keyed)

    async def unclean(self) -> bool:
        """See ``PartitionStore.unclean``."""
        return bool((await self._step("unclean"))[0])

    async def attempt(self, offset: int) -> int:
        """See ``PartitionStore.attempt``."""
        return int((await self._step("attempt", str(offset), *self._fields))[0])

    async def forgive(self) -> None:
        """See ``PartitionStore.forgive``."""
        await self._step("forgive")

    async def leave(self) -> None:
        """See ``PartitionStore.leave``."""
        await self._step("leave")

    async def forgotten(self, now: int, most: int) -> list[Address]:
        """See ``PartitionStore.forgotten``."""
        (found,) = await self._step("forgotten", str(now), str(most))
        addresses = (address_of(key.decode()) for key in found)
        return [address for address in addresses if address is not None]

    async def empty(self) -> None:
        """See ``PartitionStore.empty``; one script, during which Redis answers BUSY to everybody if there is much."""
        await self._run("empty", self._script_keys, self._fence, self._keys.prefix, timeout_s=EMPTY_TIMEOUT_S)
        self._mark = ""

    # -- Replay -------------------------------------------------------------------------------------------------------

    async def records(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See ``PartitionStore.records``."""
        return records_of(keys, await self._values(keys))

    async def replay(
        self,
        changes: Sequence[StoredChange],
        tombstones: Sequence[Address],
        outcomes: Sequence[tuple[str, Outcome]],
        numbers: dict[str, int],
        mark: Watermark,
    ) -> None:
        """See ``PartitionStore.replay``; in scripts of at most MOST_COMMANDS, the watermark with the last."""
        keys = self._keys
        now = self._now()
        changed = [change_words(keys, change) for change in changes]
        changed += await self._farewells(tombstones, {change.key for change in changes})
        answered = [words for tenant, o in outcomes if (words := outcome_words(keys, tenant, o, now)) is not None]
        forgotten = [forgotten_words(keys, address) for address in tombstones]
        pieces = max(1, *(-(-len(part) // MOST_COMMANDS) for part in (changed, answered)))
        for piece in range(pieces):
            part = slice(piece * MOST_COMMANDS, (piece + 1) * MOST_COMMANDS)
            last = piece == pieces - 1
            packing = Packing(
                fields=None,
                replays=True,
                changes=changed[part],
                outcomes=answered[part],
                numbers=number_words(keys, self._partition, numbers, ()) if last else (),
                tombstones=forgotten if last else (),
                before=self._mark,
                mark=_text(mark) if last else None,
                **self._places(now),
            )
            await self._run("apply", self._script_keys, self._fence, *packed(packing))
        self._mark = f"{mark.offset} {mark.position}"

    async def _farewells(self, tombstones: Sequence[Address], changed: set[str]) -> list[list[Any]]:
        """Return what takes back names and entries of resources that are live here and of which the log has no change."""
        addresses = {resource_key(a.tenant, a.resource_type, a.resource_id): a for a in tombstones}
        asked = [key for key in addresses if key not in changed]
        words = [
            farewell_words(self._keys, addresses[key], value)
            for key, value in zip(asked, await self._values(asked), strict=True)
            if value is not None
        ]
        return [word for word in words if word is not None]

    async def _values(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is stored of the resources with these records."""
        if not keys:
            return []
        addresses = [address_of(key) for key in keys]
        asked = [self._keys.record(a.tenant, a.resource_id) if a else self._keys.prefix for a in addresses]
        (values,) = await self._step("records", *asked)
        return [
            value if value is None or (a is not None and is_of_type(value, a.resource_type)) else None
            for a, value in zip(addresses, values, strict=True)
        ]

    # -- Batches ------------------------------------------------------------------------------------------------------

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """See ``consumers.ports.Store.view``; lets go what was reserved for commands that are not among these."""
        if not commands:
            return Snapshot((), {})
        keys = self._keys
        places = list(dict.fromkeys((command.tenant, command.resource_id) for command in commands))
        tenants = list(dict.fromkeys(command.tenant for command in commands))
        keyed = list(dict.fromkeys((c.tenant, c.key) for c in commands if c.key is not msgspec.UNSET))
        asked = [keys.record(*place) for place in places]
        asked += [keys.outcome(command.tenant, command.txn) for command in commands]
        asked += [keys.number(tenant, self._partition) for tenant in tenants]
        releases = self._reservations.releases(commands, self._own_mark)
        firsts_asked = [(keys.first(tenant, key), keys.outcome(tenant, "")) for tenant, key in keyed]
        question = (self._fields, releases, firsts_asked, keys.held_keyed(self._partition))
        with _not_repeated() if releases else contextlib.nullcontext():
            values, firsts, held = await self._run(
                "view", self._script_keys, self._fence, _encoder.encode(question), *asked
            )
        self._reservations.let_go(commands)
        numbers = {t: int(value or 0) for t, value in zip(tenants, values[-len(tenants) :], strict=True)}
        if not any(islice(values, len(places) + len(commands))) and not any(firsts):
            return Snapshot((_NOTHING,) * len(commands), numbers, full=held >= self._outcomes.most_keyed)
        stored = dict(zip(places, values, strict=False))
        outcomes = dict(zip(keyed, firsts, strict=True))
        answered = values[len(places) : len(places) + len(commands)]
        resources: dict[bytes, StoredResource] = {}
        return Snapshot(
            tuple(
                view_of(command, stored[command.tenant, command.resource_id], answer, outcomes, resources)
                for command, answer in zip(commands, answered, strict=True)
            ),
            numbers,
            full=held >= self._outcomes.most_keyed,
        )

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """See ``consumers.ports.Store.reserve``."""
        if not claims:
            return []
        self._reservations.note(claims)
        question = claim_words(self._keys, claims)
        with _not_repeated():
            (answers,) = await self._run(
                "reserve",
                self._script_keys,
                self._fence,
                _encoder.encode((self._fields, self._keys.fences, self._own_mark, *question, KEYED_LIFE_MS)),
            )
        made: list[Reservation] = []
        for claim, answer in zip(claims, answers, strict=True):
            if answer == 0:
                made.append(_GRANTED)
            elif answer == -1:
                made.append(Contended())
            elif isinstance(answer, bytes):
                made.append(KeyUsed(decode_outcome(answer)))
            else:
                place, holder = answer
                made.append(
                    Taken(claim.names[place - 1], await first_answer(self._client, self._keys, claim, holder.decode()))
                )
        return made

    async def commit(self, batch: Batch) -> None:
        """See ``consumers.ports.Store.commit``; as one script, or looked at as a whole and then written in several.

        Where it fails between two of them, the watermark has not moved: a take-over gets the rest from the log.
        """
        pieces = self._pieces(batch)
        if not pieces:
            return
        # A caller that goes away must not leave half of the pieces unwritten.
        await asyncio.shield(asyncio.ensure_future(self._commit(batch, pieces)))

    async def _commit(self, batch: Batch, pieces: Sequence[Packing]) -> None:
        if len(pieces) > 1:
            changes = [[*words[:6], False, *words[7:]] for piece in pieces for words in piece.changes]
            whole = msgspec.structs.replace(pieces[-1], dry=True, changes=changes, outcomes=(), tombstones=())
            await self._run("apply", self._script_keys, self._fence, *packed(whole))
        for piece in pieces:
            await self._run("apply", self._script_keys, self._fence, *packed(piece))
        if batch.mark is not None:
            self._mark = f"{batch.mark.offset} {batch.mark.position}"
        self._reservations.committed(batch)

    def _pieces(self, batch: Batch) -> list[Packing]:
        """Return the batch in pieces of at most MOST_COMMANDS, an outcome with its change; none where nothing is to be done."""
        keys = self._keys
        if not (batch.changes or batch.outcomes or batch.numbers or batch.forgotten or batch.mark):
            return []
        now = self._now()
        count = max(1, -(-max(len(batch.changes), len(batch.outcomes)) // MOST_COMMANDS))
        changes: list[list[Any]] = [[] for _ in range(count)]
        outcomes: list[list[Any]] = [[] for _ in range(count)]
        pieces: dict[str, int] = {}
        for i, change in enumerate(batch.changes):
            pieces[change.txn] = i // MOST_COMMANDS
            changes[i // MOST_COMMANDS].append(change_words(keys, change))
        for i, (tenant, outcome) in enumerate(batch.outcomes):
            words = outcome_words(keys, tenant, outcome, now)
            if words is not None:
                outcomes[pieces.get(outcome.txn, i // MOST_COMMANDS)].append(words)
        numbers = number_words(keys, self._partition, batch.numbers, batch.changes)
        last = count - 1
        return [
            Packing(
                fields=self._fields,
                replays=False,
                changes=changes[i],
                outcomes=outcomes[i],
                numbers=numbers if i == last else (),
                tombstones=[forgotten_words(keys, address) for address in batch.forgotten] if i == last else (),
                before=None if batch.mark is None else self._mark,
                mark=None if batch.mark is None or i < last else _text(batch.mark),
                **self._places(now),
            )
            for i in range(count)
        ]

    # -- Answers ------------------------------------------------------------------------------------------------------

    async def reply(self, replies: Sequence[Addressed]) -> None:
        """See ``PartitionStore.reply``."""
        await send(self._client, self._keys, replies)

    # -- Parts --------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock() * 1000)

    @property
    def _own_mark(self) -> str:
        """What a reservation of ours ends with, behind the id of its resource."""
        return f"\0{self._partition}\0{self._token}"

    def _places(self, now: int) -> dict[str, Any]:
        """Return what is the same in each call of the apply script."""
        keys, partition = self._keys, self._partition
        return {
            "mark_key": keys.watermark(partition),
            "gone_key": keys.gone(partition),
            "held_key": keys.held(partition),
            "keyed_key": keys.held_keyed(partition),
            "now": str(now),
            "most": self._outcomes.most,
        }

    async def _step(self, step: str, *words: Word) -> list[Any]:
        return await self._run("owner", self._owner_keys, self._fence, step, *words)

    async def _run(self, name: str, keys: Sequence[str], *words: Word, timeout_s: float | None = None) -> list[Any]:
        """Run a script under the fence, which is the first of the words; return what it answers.

        Raises OwnershipLost, NotRecovered, StoreConflict and StoreUnavailable as the port says.
        """
        if self._scripts is None or not words[0]:
            raise OwnershipLost("the partition was not taken over")
        try:
            status, *answer = await self._client.run(self._scripts, name, keys, *words, timeout_s=timeout_s)
        except ScriptGone as error:
            raise OwnershipLost("Redis does not know the scripts of this boot any more") from error
        if status != b"ok":
            raise refusal(status, answer)
        return answer


@contextlib.contextmanager
def _not_repeated() -> Iterator[None]:
    """Give the partition up where an answer is lost: what arrives late must find another fence (CP-20).

    A reservation that comes behind its own release would keep a name from everybody; a release that comes behind the next
    reservation would give the name away.
    """
    try:
        yield
    except AnswerLost as error:
        raise OwnershipLost(f"a reservation may yet be made or let go: {error}") from error


def _text(mark: Watermark) -> str:
    return f"{mark.offset} {mark.position} {mark.time}"
