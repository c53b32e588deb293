"""The bare worker: commands in batches to the log by a transaction, to Redis by a script, and answered by one stream entry."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any, Final

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from tests.load.bare import wire
from tests.load.bare.gathering import Gathered
from tests.load.bare.scripts import APPLY, RESERVE, VIEW

MOST: Final = 500
TRANSACTIONS_AT_ONCE: Final = 2

Record = tuple[bytes, bytes]
"""Key and value."""
Delivered = tuple[int, wire.Command]
"""Offset and command."""


class Change(msgspec.Struct, frozen=True):
    """A decided command."""

    command: wire.Command
    status: int
    body: bytes = b""
    """The user as it will be; nothing where nothing changes."""


class Partition:
    """Applies the commands of one partition, batch by batch."""

    def __init__(
        self, number: int, prefix: str, redis: Redis, producers: Sequence[AIOKafkaProducer], slots: asyncio.Semaphore
    ) -> None:
        self._number = number
        self._prefix = prefix
        self._redis = redis
        self._producers = producers
        self._slots = slots
        self._turn = 0
        self._fence = os.urandom(8).hex()
        self._last = "-1"
        """The watermark in Redis: the last command applied."""
        self._count = 0
        """The number of the last event."""
        self.gathered = Gathered(self._step, most=MOST)

    async def own(self) -> None:
        """Take the partition. Where the last owner stopped is not looked at: the topics are new."""
        await self._redis.set(wire.fence_key(self._number), self._fence)

    async def _step(self, delivered: list[Delivered]) -> None:
        commands = [command for _, command in delivered]
        changes = decided(commands, *await self._looked_at(commands))
        position = str(delivered[-1][0])
        await self._log(changes, position)
        await self._apply(changes, position)

    async def _looked_at(self, commands: Sequence[wire.Command]) -> tuple[dict[str, bytes], set[str]]:
        """Return the users there are, and the ids of those that got the names they asked for; one round trip."""
        ids = list(dict.fromkeys(command.id for command in commands))
        creates = [command for command in commands if command.verb == "create"]
        asking = self._redis.pipeline(transaction=False)
        self._ask(asking, VIEW, users=[wire.user_key(each) for each in ids])
        if creates:
            self._ask(asking, RESERVE, names=[one.user_name for one in creates], ids=[one.id for one in creates])
        found, *granted = await asking.execute()
        users = {each: body for each, body in zip(ids, found, strict=True) if body is not None}
        names = zip(creates, granted[0], strict=True) if creates else ()
        return users, {command.id for command, grant in names if grant}

    async def _log(self, changes: Iterable[Change], position: str) -> None:
        """Write state, events and the place in the commands in one transaction."""
        state: list[Record] = []
        events: list[Record] = []
        for change in changes:
            if change.body:
                self._count += 1
                key = change.command.id.encode()
                state.append((key, change.body))
                events.append((key, event_of(change, self._count)))
        state.append((b"position", position.encode()))
        # The other one may still be between its commit and being allowed to begin again: 20 ms in aiokafka.
        producer = self._producers[self._turn]
        self._turn = 1 - self._turn
        async with self._slots, producer.transaction():
            sent = []
            for topic, records in (("state", state), ("events", events)):
                for batch in _batches(producer, records):
                    answer = await producer.send_batch(batch, f"{self._prefix}.{topic}", partition=self._number)
                    sent.append(answer)
            await asyncio.gather(*sent)

    async def _apply(self, changes: Sequence[Change], position: str) -> None:
        """Make the changes visible and answer, by one script: nobody is told of what it refuses."""
        records: list[str] = []
        names: list[str] = []
        index: list[int | str] = []
        outcomes: list[str] = []
        replies: dict[str, list[wire.Reply]] = defaultdict(list)
        for change in changes:
            command = change.command
            if change.body:
                records += wire.user_key(command.id), change.body.decode()
                if command.verb == "create":
                    names += command.user_name, command.id
                    index += command.at, command.id
            outcomes += f"outcome:{command.txn.hex()}", f"{change.status} {command.id} {command.at}"
            answered = change.body if command.verb == "patch" else b""
            replies[command.gateway].append(wire.Reply(command.txn, change.status, answered))
        asking = self._redis.pipeline(transaction=False)
        self._ask(
            asking,
            APPLY,
            (f"watermark:{self._number}", f"number:{self._number}"),
            [wire.pack(each) for each in replies.values()],
            before=self._last,
            position=position,
            number=str(self._count),
            records=records,
            names=names,
            settled=names[::2],
            index=index,
            outcomes=outcomes,
            streams=[wire.stream_key(gateway) for gateway in replies],
        )
        await asking.execute()
        self._last = position

    def _ask(
        self, pipeline: Any, script: str, keys: Sequence[str] = (), entries: Iterable[bytes] = (), **asked: object
    ) -> None:
        argument = wire.pack({"fence": self._fence, **asked})
        fence = wire.fence_key(self._number)
        pipeline.execute_command("EVALSHA", DIGESTS[script], 1 + len(keys), fence, *keys, argument, *entries)


DIGESTS: Final = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (VIEW, RESERVE, APPLY)}


def decided(commands: Iterable[wire.Command], users: dict[str, bytes], granted: set[str]) -> list[Change]:
    """Return what becomes of each command, in order; ``users`` are the stored ones and are kept up to date."""
    changes = []
    for command in commands:
        if command.verb == "create":
            free = command.id in granted and command.id not in users
            change = Change(command, 201, command.body) if free else Change(command, 409)
        elif command.id in users:
            change = Change(command, 200, _patched(users[command.id], command))
        else:
            change = Change(command, 404)
        if change.body:
            users[command.id] = change.body
        changes.append(change)
    return changes


def _patched(body: bytes, command: wire.Command) -> bytes:
    user = wire.decode_user(body)
    assert user.meta is not None
    version = int(user.meta.version[3:-1]) + 1
    at = datetime.fromtimestamp(command.at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meta = msgspec.structs.replace(user.meta, last_modified=at, version=f'W/"{version}"')
    return wire.encode_user(msgspec.structs.replace(user, display_name=command.body.decode(), meta=meta))


def event_of(change: Change, number: int) -> bytes:
    """Return the event of a change, with the user in it."""
    command = change.command
    event = wire.Event(command.txn.hex(), command.verb, command.id, number, msgspec.Raw(change.body))
    return wire.encode_user(event)


def _batches(producer: AIOKafkaProducer, records: Iterable[Record]) -> Iterator[Any]:
    """Yield batches of the records, in their order."""
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(timestamp=None, key=key, value=value) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)
    yield batch


async def work(bootstrap: str, redis_url: str, prefix: str) -> None:
    """Work until cancelled, or until something fails."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(redis_url, protocol=2))
        for script in DIGESTS:
            await redis.script_load(script)
        slots = asyncio.Semaphore(TRANSACTIONS_AT_ONCE)
        partitions = []
        for number in range(wire.PARTITIONS):
            producers = [
                AIOKafkaProducer(**wire.producer_arguments(bootstrap), transactional_id=f"{prefix}-{number}-{turn}")
                for turn in range(2)
            ]
            for producer in producers:
                await producer.start()
                stack.push_async_callback(producer.stop)
            partitions.append(Partition(number, prefix, redis, producers, slots))
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=MOST
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        consumer.assign([TopicPartition(f"{prefix}.commands", number) for number in range(wire.PARTITIONS)])
        for partition in partitions:
            await partition.own()
        async with asyncio.TaskGroup() as group:
            for partition in partitions:
                group.create_task(partition.gathered.run())
            group.create_task(_feed(consumer, partitions))


async def _feed(consumer: AIOKafkaConsumer, partitions: Sequence[Partition]) -> None:
    while True:
        for place, records in (await consumer.getmany(timeout_ms=1000)).items():
            for record in records:
                partitions[place.partition].gathered.add((record.offset, wire.decode_command(record.value)))


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap", "--redis", "--prefix"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    uvloop.run(work(given.bootstrap, given.redis, given.prefix))


if __name__ == "__main__":
    main()
