"""What ``consumers.partition_ports.PartitionStore`` promises, on every store of the distributed mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import permutations

import msgspec
import pytest

from consumers.errors import NotRecovered, StoreConflict
from consumers.partition_ports import Addressed, OwnershipLost, PartitionStore
from consumers.ports import Contended, Granted, KeyUsed, Reader, Reply, Taken
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from schemas.changes import Change
from schemas.commands import ChangeCommand
from schemas.ids import derived
from schemas.numbering import TOMBSTONE_LIFE_MS, Batch, Watermark
from schemas.records import Address
from schemas.transactions import StateRecord
from tests.contract.commands import create, delete, name_of, new_id, new_name, now, replace
from tests.contract.owner import claim
from tests.contract.partition_log import Partition, create_in, id_in
from tests.contract.partition_stands import PARTITION_STORES, PartitionStand


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.services] if fixture else [])
        for name, (fixture, _) in sorted(PARTITION_STORES.items())
    ]
)
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[PartitionStand]:
    """Give an empty shard."""
    fixture, made = PARTITION_STORES[request.param]
    opened = made("" if fixture is None else request.getfixturevalue(fixture))
    try:
        yield opened
    finally:
        await opened.close()


class Owned:
    """A shard with an owner of each partition."""

    def __init__(self, stand: PartitionStand) -> None:
        self.stand = stand
        self.logs = (Partition(0), Partition(1))
        self.stores = [stand.owner(0), stand.owner(1)]
        self.reader = stand.reader()

    async def take(self, partition: int) -> PartitionStore:
        """Have the partition taken over by a new owner; return the store of the one before."""
        before, self.stores[partition] = self.stores[partition], self.stand.owner(partition)
        await self.logs[partition].take(self.stores[partition])
        return before

    async def apply(self, partition: int, *commands: ChangeCommand) -> None:
        """Have commands applied in a batch."""
        await self.logs[partition].apply(self.stores[partition], *commands)


@pytest.fixture
async def shard(stand: PartitionStand) -> Owned:
    """Give a shard, empty and recovered."""
    owned = Owned(stand)
    for partition in (0, 1):
        await owned.take(partition)
    return owned


def everything(store: PartitionStore, command: ChangeCommand) -> list[Callable[[], Awaitable[object]]]:
    """Return a call of each method that needs the fence."""
    mark = Watermark(offset=0, position=-1, time=now())
    return [
        lambda: store.view([command]),
        lambda: store.reserve([claim(command)]),
        lambda: store.commit(Batch(changes=(), outcomes=(), numbers={}, mark=mark)),
        lambda: store.records(["acme/User/1"]),
        lambda: store.replay((), (), (), {}, mark),
        lambda: store.activate("0:0"),
        store.empty,
        lambda: store.check(now()),
        store.unclean,
        lambda: store.attempt(0),
        store.forgive,
        store.leave,
        lambda: store.forgotten(now(), 10),
    ]


async def ids_found(reader: Reader, name: str) -> list[str]:
    """Return the ids of the users with this userName."""
    found = await reader.find("acme", "User", ("userName", name))
    return [msgspec.json.decode(image.doc)["id"] for image in found]


class TestFences:
    async def test_CP11_a_store_that_took_nothing_over_may_do_nothing(self, stand: PartitionStand) -> None:
        for call in everything(stand.owner(0), create_in(0)):
            with pytest.raises(OwnershipLost):
                await call()

    async def test_CP11_whoever_had_the_fence_before_can_do_nothing_more(self, shard: Owned) -> None:
        before = await shard.take(0)
        for call in everything(before, create_in(0)):
            with pytest.raises(OwnershipLost):
                await call()
        await shard.apply(0, create_in(0))

    async def test_CP11_an_owner_loses_the_partition_when_a_take_over_begins(self, shard: Owned) -> None:
        await shard.stand.owner(0).take()
        for call in everything(shard.stores[0], create_in(0)):
            with pytest.raises(OwnershipLost):
                await call()

    async def test_CP11_of_two_take_overs_at_once_only_the_later_goes_on(self, shard: Owned) -> None:
        first, second = shard.stand.owner(0), shard.stand.owner(0)
        await first.take()
        await second.take()
        with pytest.raises(OwnershipLost):
            await first.replay((), (), (), {}, shard.logs[0].mark)
        with pytest.raises(OwnershipLost):
            await first.activate("1:0")
        await second.replay((), (), (), {}, shard.logs[0].mark)
        await second.activate("2:0")

    async def test_CP5_partitions_do_not_share_a_fence(self, shard: Owned) -> None:
        await shard.take(0)
        await shard.apply(1, create_in(1))

    async def test_CP5_the_watermark_is_what_was_written_last(self, shard: Owned) -> None:
        await shard.apply(0, create_in(0), create_in(0))
        await shard.apply(1, create_in(1))
        found = await shard.stand.owner(0).take()
        assert found is not None
        assert (found.offset, found.position) == (shard.logs[0].mark.offset, 1)
        assert abs(found.time - now()) < 60_000

    async def test_CP5_a_partition_that_nobody_owned_has_no_watermark(self, stand: PartitionStand) -> None:
        assert await stand.owner(0).take() is None


class TestRecovery:
    async def test_CP15_nothing_is_read_or_written_until_all_partitions_are_recovered(
        self, stand: PartitionStand
    ) -> None:
        """INV-11."""
        log, store, reader = Partition(0), stand.owner(0), stand.reader()
        await log.take(store)
        command = create_in(0)
        batch = Batch(changes=(), outcomes=(), numbers={}, mark=log.mark)
        for call in (
            lambda: store.view([command]),
            lambda: store.reserve([claim(command)]),
            lambda: store.commit(batch),
            lambda: reader.get("acme", "User", "1"),
            lambda: reader.find("acme", "User", ("userName", "ann")),
            lambda: reader.page("acme", "User", 0, 1),
            lambda: reader.outcome("acme", "1"),
        ):
            with pytest.raises(NotRecovered):
                await call()
        await Partition(1).take(stand.owner(1))
        await log.apply(store, command)
        await asyncio.sleep(0.1)
        assert await reader.get("acme", "User", command.resource_id) is not None

    async def test_CP13_emptying_forgets_the_shard_and_its_owners_but_not_the_take_over(self, shard: Owned) -> None:
        first, second = create_in(0, external_id="e-1"), create_in(1)
        await shard.apply(0, first)
        await shard.apply(1, second)
        store = shard.stand.owner(0)
        await store.take()
        await store.empty()
        assert await store.records([f"acme/User/{command.resource_id}" for command in (first, second)]) == {}
        with pytest.raises(OwnershipLost):
            await shard.stores[1].check(now())
        with pytest.raises(NotRecovered):
            await shard.reader.get("acme", "User", first.resource_id)
        await shard.logs[0].replay(store, None)
        await store.activate("9:0")
        with pytest.raises(NotRecovered):
            await store.view([first])
        other = shard.stand.owner(1)
        assert await other.take() is None
        await shard.logs[1].replay(other, None)
        await other.activate("9:1")
        await asyncio.sleep(0.1)
        for command in (first, second):
            assert await shard.reader.get("acme", "User", command.resource_id) is not None

    async def test_CP13_an_empty_shard_frees_names(self, shard: Owned) -> None:
        command = create_in(0)
        await shard.apply(0, command)
        await shard.stores[0].take()
        await shard.stores[0].empty()
        for log, store in ((Partition(0), shard.stores[0]), (Partition(1), shard.stores[1])):
            await log.take(store)
        assert await shard.stores[0].reserve([claim(create_in(0, name_of(command)))]) == [Granted()]


class TestReplay:
    async def test_CP14_what_was_logged_and_not_committed_appears_after_the_take_over(self, shard: Owned) -> None:
        command = create_in(0, external_id="e-1")
        await shard.logs[0].logged(shard.stores[0], command)
        assert await shard.reader.get("acme", "User", command.resource_id) is None
        await shard.take(0)
        assert await shard.reader.get("acme", "User", command.resource_id) is not None
        assert len(await shard.reader.find("acme", "User", ("externalId", "e-1"))) == 1
        assert await ids_found(shard.reader, name_of(command)) == [command.resource_id]
        outcome = await shard.reader.outcome("acme", command.txn)
        assert outcome is not None
        assert outcome.status == 201
        await shard.apply(0, replace(command, name_of(command)))

    async def test_CP14_what_is_replayed_again_changes_nothing(self, shard: Owned) -> None:
        command, gone = create_in(0, external_id="e-1"), create_in(0)
        await shard.apply(0, command, gone)
        await shard.apply(0, replace(command, new_name(), external_id="e-2"), delete(gone))
        before = await shard.stores[0].view([command, gone])
        store = shard.stand.owner(0)
        await store.take()
        mark = shard.logs[0].mark
        for stretch in (1, 2, 1000):
            await shard.logs[0].replay(store, msgspec.structs.replace(mark, offset=0), stretch=stretch)
        await store.activate("9:0")
        assert await store.view([command, gone]) == before
        assert len(await shard.reader.find("acme", "User", ("externalId", "e-1"))) == 0
        assert len(await shard.reader.find("acme", "User", ("externalId", "e-2"))) == 1
        assert (await shard.reader.page("acme", "User", 0, 9)).total == 1

    @pytest.mark.parametrize("stretch", [1, 3, 1000])
    async def test_CP14_a_shard_filled_anew_is_as_before(self, shard: Owned, stretch: int) -> None:
        """INV-9, as far as ports tell; with names that pass from one partition to the other."""
        commands = [create_in(n % 2, external_id=f"e-{n % 3}") for n in range(8)]
        names = [name_of(command) for command in commands]
        for n, command in enumerate(commands):
            await shard.apply(n % 2, command)
        await shard.apply(0, replace(commands[0], new_name(), external_id="e-9"))
        await shard.apply(1, replace(commands[1], names[0]))
        await shard.apply(0, delete(commands[2]))
        await shard.apply(1, replace(commands[3], names[2]))
        await shard.apply(0, replace(commands[0], names[1]))
        refused = delete(create_in(0))
        await shard.apply(0, refused)

        async def picture() -> list[object]:
            views = [await store.view(commands) for store in shard.stores]
            found = [await ids_found(shard.reader, name) for name in names]
            entries = [await shard.reader.find("acme", "User", ("externalId", f"e-{n}")) for n in (0, 1, 2, 9)]
            page = await shard.reader.page("acme", "User", 0, 99)
            return [views, found, entries, page, await shard.reader.outcome("acme", refused.txn)]

        before = await picture()
        for order in permutations((0, 1)):
            stores = [shard.stand.owner(0), shard.stand.owner(1)]
            await stores[order[0]].take()
            await stores[order[0]].empty()
            await stores[order[1]].take()
            for partition in order:
                await shard.logs[partition].replay(stores[partition], None, stretch=stretch)
                await stores[partition].activate(f"9:{order[0]}{stretch}")
            shard.stores = stores
            await asyncio.sleep(0.1)
            assert await picture() == before

    async def test_CP14_numbers_go_on_where_the_log_ends(self, shard: Owned) -> None:
        await shard.apply(0, create_in(0), create_in(0))
        await shard.logs[0].logged(shard.stores[0], create_in(0))
        await shard.take(0)
        assert (await shard.stores[0].view([create_in(0)])).numbers == {"acme": 3}

    async def test_CP14_a_tombstone_takes_the_place_away(self, shard: Owned) -> None:
        command = create_in(0)
        await shard.apply(0, command)
        await shard.apply(0, delete(command))
        assert (await shard.stores[0].view([command])).views[0].gone
        shard.logs[0].records.append(StateRecord(f"acme/User/{command.resource_id}", None))
        await shard.take(0)
        assert not (await shard.stores[0].view([command])).views[0].gone
        assert await shard.stores[0].forgotten(now() + 2 * TOMBSTONE_LIFE_MS, 10) == []

    async def test_CP14_a_tombstone_alone_takes_names_and_entries_with_it(self, shard: Owned) -> None:
        """The log keeps no more of a resource than its tombstone; the store still has it alive."""
        command = create_in(0, external_id="e-1")
        await shard.apply(0, command)
        shard.logs[0].records.append(StateRecord(f"acme/User/{command.resource_id}", None))
        await shard.take(0)
        view = (await shard.stores[0].view([command])).views[0]
        assert (view.resource, view.gone) == (None, False)
        assert await shard.reader.find("acme", "User", ("externalId", "e-1")) == ()
        assert (await shard.reader.page("acme", "User", 0, 9)).total == 0
        assert await shard.stores[0].reserve([claim(create_in(0, name_of(command)))]) == [Granted()]

    async def test_CP14_of_many_records_at_once(self, shard: Owned) -> None:
        commands = [create_in(0, external_id="shared") for _ in range(1203)]
        for start in range(0, len(commands), 401):
            await shard.logs[0].logged(shard.stores[0], *commands[start : start + 401])
            await shard.take(0)
        assert (await shard.reader.page("acme", "User", 0, 0)).total == 1203
        assert len(await shard.reader.find("acme", "User", ("externalId", "shared"))) == 1000
        assert (await shard.stores[0].view(commands[:1])).numbers == {"acme": 1203}


class TestReservations:
    async def test_CP19_a_claim_is_granted_as_a_whole_or_not_at_all(self, shard: Owned) -> None:
        holder, free = create_in(1), ("userName", new_name())
        await shard.apply(1, holder)
        held = ("userName", name_of(holder))
        store = shard.stores[0]
        assert await store.reserve([claim(create_in(0), free, held)]) == [Taken(held)]
        assert await shard.stores[1].reserve([claim(create_in(1), free)]) == [Granted()]

    async def test_CP20_a_reservation_of_another_partition_is_in_the_way_but_takes_nothing(self, shard: Owned) -> None:
        name = new_name()
        assert await shard.stores[1].reserve([claim(create_in(1, name))]) == [Granted()]
        assert await shard.stores[0].reserve([claim(create_in(0, name))]) == [Contended()]

    async def test_CP20_a_reservation_is_stale_once_its_partition_is_active_under_another_token(
        self, shard: Owned
    ) -> None:
        name = new_name()
        await shard.stores[1].reserve([claim(create_in(1, name))])
        new = shard.stand.owner(1)
        await new.take()
        ours = create_in(0, name)
        assert await shard.stores[0].reserve([claim(ours)]) == [Contended()], "nobody knows yet what was committed"
        await new.replay((), (), (), {}, shard.logs[1].mark)
        await new.activate("9:0")
        assert await shard.stores[0].reserve([claim(ours)]) == [Granted()]
        assert await new.reserve([claim(create_in(1, name))]) == [Contended()]

    async def test_CP20_the_next_owner_of_the_same_partition_gets_the_name_too(self, shard: Owned) -> None:
        name = new_name()
        await shard.stores[0].reserve([claim(create_in(0, name))])
        await shard.take(0)
        assert await shard.stores[0].reserve([claim(create_in(0, name))]) == [Granted()]

    async def test_CP20_a_name_that_the_replay_found_committed_is_taken(self, shard: Owned) -> None:
        holder = create_in(1)
        await shard.logs[1].logged(shard.stores[1], holder)
        await shard.take(1)
        name = ("userName", name_of(holder))
        assert await shard.stores[0].reserve([claim(create_in(0), name)]) == [Taken(name)]

    async def test_CP20_whoever_waits_holds_nothing_that_another_waits_for(self, shard: Owned) -> None:
        """Two owners, each with a batch whose first command wants what the other's second one wants."""
        first, second, third = (new_name() for _ in range(3))
        blocking = shard.stores[1]
        await blocking.reserve([claim(create_in(1, first)), claim(create_in(1, second))])
        ours = [claim(create_in(0, name)) for name in (first, third)]
        assert await shard.stores[0].reserve(ours) == [Contended(), Contended()]
        assert await blocking.reserve([claim(create_in(1, third))]) == [Granted()]

    async def test_CP21_a_name_is_released_at_commit_not_before(self, shard: Owned) -> None:
        holder = create_in(0)
        await shard.apply(0, holder)
        name = ("userName", name_of(holder))
        batch, _ = await shard.logs[0].logged(shard.stores[0], replace(holder, new_name()))
        assert await shard.stores[1].reserve([claim(create_in(1), name)]) == [Taken(name)]
        await shard.stores[0].commit(batch)
        assert await shard.stores[1].reserve([claim(create_in(1), name)]) == [Granted()]

    async def test_CP21_a_committed_name_is_reserved_no_more(self, shard: Owned) -> None:
        holder = create_in(0)
        await shard.apply(0, holder)
        await shard.apply(0, delete(holder))
        assert await shard.stores[1].reserve([claim(create_in(1, name_of(holder)))]) == [Granted()]

    async def test_CP21_what_was_reserved_for_a_command_that_was_cut_is_let_go(self, shard: Owned) -> None:
        cut, other = create_in(0), create_in(0)
        assert await shard.stores[0].reserve([claim(cut), claim(other)]) == [Granted(), Granted()]
        await shard.stores[0].view([cut])
        rival = create_in(1, name_of(cut))
        assert await shard.stores[1].reserve([claim(rival)]) == [Contended()], "its command is still at hand"
        await shard.stores[0].view([create_in(0)])
        assert await shard.stores[1].reserve([claim(rival)]) == [Granted()]

    async def test_CP24_a_name_that_another_reserved_cannot_be_committed(self, shard: Owned) -> None:
        name = new_name()
        await shard.stores[1].reserve([claim(create_in(1, name))])
        thief = create_in(0, name)
        steps, _ = await shard.logs[0].decided_steps(shard.stores[0], [thief])
        assert isinstance(steps[0], Change)
        log = Partition(0)
        with pytest.raises(AssertionError):
            await log.logged(shard.stores[0], thief)  # not granted
        assert (await shard.stores[0].view([thief])).views[0].resource is None


def change_in(partition: int, key: str) -> ChangeCommand:
    """Return a PUT of a resource of this partition under an Idempotency-Key."""
    return replace(create_in(partition), new_name(), key=key)


class TestKeys:
    """One Idempotency-Key, used at the same moment on resources of two partitions."""

    async def test_CP30_a_key_that_another_partition_reserved_is_contended(self, shard: Owned) -> None:
        one, other = change_in(0, "k-1"), change_in(1, "k-1")
        assert await shard.stores[0].reserve([claim(one)]) == [Granted()]
        assert await shard.stores[1].reserve([claim(other)]) == [Contended()]
        assert await shard.stores[0].reserve([claim(one)]) == [Granted()]

    async def test_CP30_the_first_outcome_answers_who_waited_for_the_key(self, shard: Owned) -> None:
        target = create_in(0)
        await shard.apply(0, target)
        one, other = replace(target, name_of(target), key="k-1"), change_in(1, "k-1")
        batch, _ = await shard.logs[0].logged(shard.stores[0], one)
        assert await shard.stores[1].reserve([claim(other)]) == [Contended()]
        await shard.stores[0].commit(batch)
        (answer,) = await shard.stores[1].reserve([claim(other)])
        assert isinstance(answer, KeyUsed)
        assert answer.outcome == batch.outcomes[0][1]

    async def test_CP30_a_refused_command_holds_its_key_too(self, shard: Owned) -> None:
        one, other = delete(create_in(0), key="k-1"), change_in(1, "k-1")
        batch, _ = await shard.logs[0].logged(shard.stores[0], one)
        assert batch.changes == ()
        assert await shard.stores[1].reserve([claim(other)]) == [Contended()]
        await shard.stores[0].commit(batch)
        assert isinstance((await shard.stores[1].reserve([claim(other)]))[0], KeyUsed)

    async def test_CP30_a_refusal_for_a_name_is_kept_under_its_key(self, shard: Owned) -> None:
        holder, other = create_in(1), change_in(1, "k-1")
        await shard.apply(1, holder)
        name = ("userName", name_of(holder))
        refused = replace(create_in(0), name[1], key="k-1")
        assert await shard.stores[0].reserve([claim(refused, name)]) == [Taken(name)]
        assert await shard.stores[1].reserve([claim(other)]) == [Contended()]

    async def test_CP30_a_key_whose_command_was_cut_is_let_go(self, shard: Owned) -> None:
        cut, other = change_in(0, "k-1"), change_in(1, "k-1")
        assert await shard.stores[0].reserve([claim(cut)]) == [Granted()]
        await shard.stores[0].view([cut])
        assert await shard.stores[1].reserve([claim(other)]) == [Contended()], "its command is still at hand"
        await shard.stores[0].view([create_in(0)])
        assert await shard.stores[1].reserve([claim(other)]) == [Granted()]

    async def test_CP30_a_key_is_let_go_between_batches(self, shard: Owned) -> None:
        assert await shard.stores[0].reserve([claim(change_in(0, "k-1"))]) == [Granted()]
        await shard.stores[0].check(now())
        assert await shard.stores[1].reserve([claim(change_in(1, "k-1"))]) == [Granted()]

    async def test_CP30_a_key_passes_to_another_resource_of_the_same_partition(self, shard: Owned) -> None:
        cut, other = change_in(0, "k-1"), change_in(0, "k-1")
        assert await shard.stores[0].reserve([claim(cut)]) == [Granted()]
        await shard.stores[0].view([other])
        assert await shard.stores[0].reserve([claim(other)]) == [Granted()]
        await shard.stores[0].view([create_in(0)])
        assert await shard.stores[1].reserve([claim(change_in(1, "k-1"))]) == [Granted()]

    async def test_CP20_CP30_a_key_is_free_once_its_partition_is_active_under_another_token(self, shard: Owned) -> None:
        await shard.stores[1].reserve([claim(change_in(1, "k-1"))])
        new = shard.stand.owner(1)
        await new.take()
        ours = change_in(0, "k-1")
        assert await shard.stores[0].reserve([claim(ours)]) == [Contended()], "nobody knows yet what was committed"
        await new.replay((), (), (), {}, shard.logs[1].mark)
        await new.activate("9:0")
        assert await shard.stores[0].reserve([claim(ours)]) == [Granted()]
        assert await new.reserve([claim(change_in(1, "k-1"))]) == [Contended()]

    async def test_CP14_CP30_an_outcome_that_only_the_log_has_holds_its_key(self, shard: Owned) -> None:
        first = create_in(1)
        await shard.apply(1, first)
        logged, _ = await shard.logs[1].logged(shard.stores[1], replace(first, new_name(), key="k-1"))
        await shard.take(1)
        (answer,) = await shard.stores[0].reserve([claim(change_in(0, "k-1"))])
        assert isinstance(answer, KeyUsed)
        assert answer.outcome == logged.outcomes[0][1]


class TestUnseenAnswers:
    @pytest.mark.parametrize("order", list(permutations((0, 1))))
    async def test_CP30_after_a_rebuild_the_answer_is_that_of_who_holds_the_name(
        self, shard: Owned, order: tuple[int, int]
    ) -> None:
        """Identical creates of two partitions, the first one's user deleted: its gateway and the second's are gone."""
        name = new_name()
        older = msgspec.structs.replace(create_in(0, name), gateway="gone")
        newer = msgspec.structs.replace(older, txn=new_id(), resource_id=id_in(1))
        await shard.apply(0, older)
        await shard.apply(0, delete(older))
        await shard.apply(1, newer)
        again = msgspec.structs.replace(older, txn=new_id(), resource_id=id_in(0))

        async def first_answer() -> str:
            (answer,) = await shard.stores[0].reserve([claim(again)])
            assert isinstance(answer, Taken)
            assert answer.unseen is not None
            return answer.unseen.txn

        assert await first_answer() == newer.txn
        stores = [shard.stand.owner(0), shard.stand.owner(1)]
        await stores[order[0]].take()
        await stores[order[0]].empty()
        await stores[order[1]].take()
        for partition in order:
            await shard.logs[partition].replay(stores[partition], None)
            await stores[partition].activate("9:9")
        shard.stores = stores
        assert await first_answer() == newer.txn


class TestCommit:
    async def test_CP24_a_batch_is_not_committed_twice(self, shard: Owned) -> None:
        store, command = shard.stores[0], create_in(0)
        batch, _ = await shard.logs[0].logged(store, command)
        await store.commit(batch)
        with pytest.raises((OwnershipLost, StoreConflict)):
            await store.commit(batch)
        assert (await store.view([command])).numbers == {"acme": 1}

    async def test_CP24_a_batch_with_one_bad_change_leaves_nothing(self, shard: Owned) -> None:
        store, log = shard.stores[0], shard.logs[0]
        target = create_in(0)
        await log.apply(store, target)
        good = [create_in(0, external_id="e-1") for _ in range(3)]
        batch, _ = await log.logged(store, *good, replace(target, name_of(target)), delete(target), create_in(0))
        changes = list(batch.changes)
        changes[4] = msgspec.structs.replace(changes[4], expected=7, version=8)
        before = await store.view([*good, target])
        with pytest.raises(StoreConflict):
            await store.commit(msgspec.structs.replace(batch, changes=tuple(changes)))
        assert await store.view([*good, target]) == before
        assert await shard.reader.find("acme", "User", ("externalId", "e-1")) == ()
        assert (await shard.reader.page("acme", "User", 0, 9)).total == 1
        for command in good:
            assert await shard.reader.outcome("acme", command.txn) is None
            assert await ids_found(shard.reader, name_of(command)) == []
        await store.commit(batch)
        assert (await shard.reader.page("acme", "User", 0, 9)).total == 4

    async def test_CP24_versions_and_numbers_leave_no_gap(self, shard: Owned) -> None:
        store, log = shard.stores[0], shard.logs[0]
        command = create_in(0)
        batch, _ = await log.logged(store, command)
        gap = msgspec.structs.replace(batch.changes[0], version=2)
        for wrong in (
            msgspec.structs.replace(batch, changes=(gap,)),
            msgspec.structs.replace(batch, numbers={"acme": 2}),
        ):
            with pytest.raises(StoreConflict):
                await store.commit(wrong)
        await store.commit(batch)

    async def test_CP24_a_batch_of_many_commands_is_there_as_a_whole(self, shard: Owned) -> None:
        commands = [create_in(0, external_id="shared") for _ in range(250)]
        await shard.apply(0, *commands)
        assert (await shard.reader.page("acme", "User", 0, 0)).total == 250
        assert (await shard.stores[0].view(commands[:1])).numbers == {"acme": 250}
        await shard.apply(0, *(replace(command, new_name()) for command in commands))
        found = await shard.stand.owner(0).take()
        assert found is not None
        assert (found.offset, found.position) == (len(shard.logs[0].records), 499)

    async def test_CP24_a_batch_of_many_pieces_with_one_bad_change_leaves_nothing(self, shard: Owned) -> None:
        store, log = shard.stores[0], shard.logs[0]
        target = create_in(0)
        await log.apply(store, target)
        batch, _ = await log.logged(store, *(create_in(0) for _ in range(240)), replace(target, name_of(target)))
        changes = (*batch.changes[:-1], msgspec.structs.replace(batch.changes[-1], expected=5, version=6))
        with pytest.raises(StoreConflict):
            await store.commit(msgspec.structs.replace(batch, changes=changes))
        assert (await shard.reader.page("acme", "User", 0, 0)).total == 1
        await store.commit(batch)
        assert (await shard.reader.page("acme", "User", 0, 0)).total == 241

    async def test_CP24_a_whole_life_in_one_batch(self, shard: Owned) -> None:
        command = create_in(0, external_id="e-1")
        await shard.apply(0, command)
        other = replace(command, name_of(command), external_id="e-2")
        await shard.apply(0, other, replace(command, name_of(command), external_id="e-3"), delete(command))
        for value in ("e-1", "e-2", "e-3"):
            assert await shard.reader.find("acme", "User", ("externalId", value)) == ()
        assert (await shard.reader.page("acme", "User", 0, 9)).total == 0

    async def test_CP16_the_watermarks_time_is_refreshed_after_a_minute(self, shard: Owned) -> None:
        await shard.apply(0, create_in(0))
        store, later = shard.stores[0], now() + 61_000
        await store.check(now() + 1000)
        await store.check(later)
        await shard.apply(0, create_in(0))
        await store.check(later + 61_000)
        found = await shard.stand.owner(0).take()
        assert found is not None
        assert found.time == later + 61_000
        assert found.offset == shard.logs[0].mark.offset


class TestAttempts:
    async def test_CP26_attempts_at_an_offset_are_counted_across_owners(self, shard: Owned) -> None:
        assert [await shard.stores[0].attempt(7) for _ in range(2)] == [1, 2]
        await shard.take(0)
        assert await shard.stores[0].attempt(7) == 3
        assert await shard.stores[1].attempt(7) == 1

    async def test_CP26_another_offset_begins_anew(self, shard: Owned) -> None:
        assert [await shard.stores[0].attempt(offset) for offset in (7, 8, 8, 7)] == [1, 1, 2, 1]

    async def test_CP26_forgiven_attempts_count_no_more(self, shard: Owned) -> None:
        await shard.stores[0].attempt(7)
        await shard.stores[0].forgive()
        assert await shard.stores[0].attempt(7) == 1

    async def test_CP26_the_first_owner_finds_nothing_unclean(self, stand: PartitionStand) -> None:
        store = stand.owner(0)
        await store.take()
        assert not await store.unclean()

    async def test_CP26_an_owner_that_did_not_leave_was_unclean(self, shard: Owned) -> None:
        store = shard.stand.owner(0)
        await store.take()
        assert await store.unclean()
        again = shard.stand.owner(0)
        await again.take()
        assert await again.unclean(), "a take-over that ended early does not wash it away"

    async def test_CP26_an_owner_that_left_was_not(self, shard: Owned) -> None:
        await shard.stores[0].leave()
        store = shard.stand.owner(0)
        await store.take()
        assert not await store.unclean()


class TestForgetting:
    async def test_CP8_a_deleted_resource_may_be_forgotten_after_thirty_days(self, shard: Owned) -> None:
        gone, kept = create_in(0), create_in(0)
        spent = create(resource_id=derived("acme", "okta", "User", "k"))
        await shard.apply(0, gone, kept, spent)
        await shard.apply(0, delete(gone), delete(spent))
        store, due = shard.stores[0], now() + TOMBSTONE_LIFE_MS
        assert await store.forgotten(due - 60_000, 10) == []
        assert await store.forgotten(due + 60_000, 10) == [Address("acme", "User", gone.resource_id)]
        assert await store.forgotten(due + 60_000, 0) == []
        assert await shard.stores[1].forgotten(due + 60_000, 10) == []

    async def test_CP8_a_forgotten_place_is_as_if_it_never_was(self, shard: Owned) -> None:
        gone = create_in(0)
        await shard.apply(0, gone)
        await shard.apply(0, delete(gone))
        store, log = shard.stores[0], shard.logs[0]
        address = Address("acme", "User", gone.resource_id)
        log.records.append(StateRecord(f"acme/User/{gone.resource_id}", None))
        await store.commit(Batch(changes=(), outcomes=(), numbers={}, forgotten=(address,), mark=log.mark))
        assert not (await store.view([gone])).views[0].gone
        assert await store.forgotten(now() + 2 * TOMBSTONE_LIFE_MS, 10) == []


class TestReplies:
    async def test_CP25_each_answer_reaches_its_gateway(self, shard: Owned) -> None:
        command = create_in(0)
        await shard.apply(0, command)
        outcome = await shard.reader.outcome("acme", command.txn)
        image = await shard.reader.get("acme", "User", command.resource_id)
        assert outcome is not None
        assert image is not None
        answers: list[Reply | SubmissionError] = [
            Reply(outcome, image),
            Reply(outcome, replayed=True),
            Busy("t-2"),
            Expired("t-3"),
            Failed("t-4"),
            OutcomeUnknown("t-5"),
        ]
        got: dict[str, list[tuple[str, Reply | SubmissionError]]] = {"one": [], "two": []}
        sources = [
            asyncio.create_task(shard.stand.replies(gateway).run(lambda *answer, to=to: to.append(answer)))
            for gateway, to in got.items()
        ]
        await shard.stores[0].reply([Addressed("one", "acme", f"t-{n}", one) for n, one in enumerate(answers)])
        await shard.stores[1].reply([Addressed("two", "acme", "t-9", answers[0])])
        async with asyncio.timeout(60):
            while len(got["one"]) < len(answers) or not got["two"]:
                await asyncio.sleep(0.01)
        for source in sources:
            source.cancel()
        await asyncio.gather(*sources, return_exceptions=True)
        assert [txn for txn, _ in got["one"]] == [f"t-{n}" for n in range(len(answers))]
        for (_, answer), sent in zip(got["one"], answers, strict=True):
            assert type(answer) is type(sent)
            if isinstance(answer, Reply) and isinstance(sent, Reply):
                assert (answer.outcome, answer.replayed) == (sent.outcome, sent.replayed)
        assert [txn for txn, _ in got["two"]] == ["t-9"]

    async def test_CP25_answers_to_nobody_are_lost_in_silence(self, shard: Owned) -> None:
        await shard.stores[0].reply([])
        await shard.stores[0].reply([Addressed("nobody", "acme", "t-1", Busy("t-1"))])
