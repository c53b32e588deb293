"""What ``consumers.ports.Reader`` promises, on every back end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest

from consumers.ports import MOST_GROUPS, MOST_NESTED, Reader
from schemas.commands import ChangeCommand
from schemas.memberships import Membership
from schemas.outcomes import LIFE_MS
from schemas.records import ResourceImage
from tests.contract.commands import create, delete, in_order, name_of, new_name, now, replace
from tests.contract.owner import Owner
from tests.contract.stands import StoreStand


def ids(images: Sequence[ResourceImage]) -> list[str]:
    return [msgspec.json.decode(image.doc)["id"] for image in images]


def ids_of(commands: Sequence[ChangeCommand]) -> list[str]:
    return [command.resource_id for command in commands]


class TestGet:
    async def test_gives_the_resource_with_version_and_times(self, reader: Reader, owner: Owner) -> None:
        command = create(external_id="e-1")
        await owner.apply_one_by_one(command, replace(command, name_of(command), title="Queen"))
        image = await reader.get("acme", "User", command.resource_id)
        assert image is not None
        assert (image.kind, image.version) == ("user", 2)
        assert image.created <= image.modified
        doc = msgspec.json.decode(image.doc)
        assert (doc["id"], doc["userName"], doc["title"]) == (command.resource_id, name_of(command), "Queen")

    async def test_shows_no_password(self, reader: Reader, owner: Owner) -> None:
        command = create(password="$argon2id$hash")
        await owner.apply(command)
        image = await reader.get("acme", "User", command.resource_id)
        assert image is not None
        assert b"argon2id" not in msgspec.json.encode(image)

    async def test_of_unknown_foreign_deleted_and_mistyped_ids_is_none(self, reader: Reader, owner: Owner) -> None:
        """INV-21: they all look the same."""
        command, gone = create(), create()
        await owner.apply(command, gone)
        await owner.apply(delete(gone))
        for tenant, resource_type, resource_id in (
            ("acme", "User", create().resource_id),
            ("globex", "User", command.resource_id),
            ("acme", "Group", command.resource_id),
            ("acme", "User", gone.resource_id),
            ("acme", "User", command.resource_id.upper()),
            ("acme", "User", ""),
            ("acme", "User", 'x"\x1e\x1f,]\x00'),
        ):
            assert await reader.get(tenant, resource_type, resource_id) is None

    async def test_answers_each_of_many_at_once_with_its_own(self, reader: Reader, owner: Owner) -> None:
        commands = [create() for _ in range(300)]
        await owner.apply(*commands)
        asked = [*commands, *(create() for _ in range(50)), *commands[:50]]
        random.Random(7).shuffle(asked)
        known = set(ids_of(commands))
        images = await asyncio.gather(*(reader.get("acme", "User", command.resource_id) for command in asked))
        for command, image in zip(asked, images, strict=True):
            assert ids([image] if image else []) == ([command.resource_id] if command.resource_id in known else [])

    async def test_survives_callers_that_go_away(self, reader: Reader, owner: Owner) -> None:
        commands = [create() for _ in range(20)]
        await owner.apply(*commands)
        reads = [asyncio.create_task(reader.get("acme", "User", command.resource_id)) for command in commands]
        await asyncio.sleep(0)
        for read in reads[::2]:
            read.cancel()
        answers = await asyncio.gather(*reads, return_exceptions=True)
        assert ids([answer for answer in answers[1::2] if isinstance(answer, ResourceImage)]) == ids_of(commands[1::2])

    async def test_sees_what_was_acknowledged_before_it_began(self, reader: Reader, owner: Owner) -> None:
        """INV-8, while other reads are under way."""
        command = create()
        await owner.apply(command)
        for version in range(2, 30):
            others = [asyncio.create_task(reader.get("acme", "User", command.resource_id)) for _ in range(5)]
            await owner.apply(replace(command, name_of(command), title=f"{version}"))
            image = await reader.get("acme", "User", command.resource_id)
            assert image is not None
            assert image.version == version
            await asyncio.gather(*others)


class TestFind:
    async def test_by_name_gives_its_holder(self, reader: Reader, owner: Owner) -> None:
        command, other = create(), create()
        await owner.apply(command, other)
        assert ids(await reader.find("acme", "User", ("userName", name_of(command)))) == [command.resource_id]

    async def test_by_external_id_gives_all_in_the_order_of_creation(self, reader: Reader, owner: Owner) -> None:
        commands = [create(external_id="shared") for _ in range(5)]
        random.Random(1).shuffle(commands)
        commands = in_order(commands)
        await owner.apply_one_by_one(*commands, create(external_id="other"))
        await owner.apply(replace(commands[1], name_of(commands[1]), external_id="shared"))
        assert ids(await reader.find("acme", "User", ("externalId", "shared"))) == ids_of(commands)

    async def test_follows_every_change_of_a_value(self, reader: Reader, owner: Owner) -> None:
        command, renamed = create(external_id="e-1"), new_name()
        await owner.apply_one_by_one(command, replace(command, renamed, external_id="e-2"))
        expected = {
            ("userName", name_of(command)): 0,
            ("userName", renamed): 1,
            ("externalId", "e-1"): 0,
            ("externalId", "e-2"): 1,
        }
        assert {name: len(await reader.find("acme", "User", name)) for name in expected} == expected
        await owner.apply(delete(command))
        assert [await reader.find("acme", "User", name) for name in expected] == [()] * 4

    async def test_compares_as_stored(self, reader: Reader, owner: Owner) -> None:
        """``externalId`` is caseExact; names come folded already."""
        await owner.apply(create("ann", external_id="E-1"))
        assert await reader.find("acme", "User", ("externalId", "e-1")) == ()
        assert await reader.find("acme", "User", ("userName", "ANN")) == ()

    async def test_finds_nothing_of_another_tenant_type_or_attribute(self, reader: Reader, owner: Owner) -> None:
        await owner.apply(create("ann", external_id="e-1"))
        assert await reader.find("globex", "User", ("userName", "ann")) == ()
        assert await reader.find("globex", "User", ("externalId", "e-1")) == ()
        assert await reader.find("acme", "Group", ("userName", "ann")) == ()
        assert await reader.find("acme", "Group", ("externalId", "e-1")) == ()
        assert await reader.find("acme", "User", ("externalId", "ann")) == ()
        assert await reader.find("acme", "User", ("userName", "e-1")) == ()

    async def test_answers_each_of_many_at_once_with_its_own(self, reader: Reader, owner: Owner) -> None:
        commands = [create(external_id=f"e-{n % 7}") for n in range(70)]
        await owner.apply(*commands)
        names = [("externalId", f"e-{n}") for n in range(9)]
        found = await asyncio.gather(
            *(reader.find("acme", "User", name) for name in names),
            *(reader.find("acme", "User", ("userName", name_of(command))) for command in commands),
        )
        assert [ids(images) for images in found[:9]] == [ids_of(commands[n:70:7]) for n in range(7)] + [[], []]
        assert [ids(images) for images in found[9:]] == [[resource_id] for resource_id in ids_of(commands)]

    async def test_gives_the_first_thousand(self, reader: Reader, owner: Owner) -> None:
        commands = [create(external_id="shared") for _ in range(1003)]
        await owner.apply(*commands)
        assert ids(await reader.find("acme", "User", ("externalId", "shared"))) == ids_of(commands[:1000])


class TestPage:
    async def test_of_nothing_is_empty(self, reader: Reader) -> None:
        page = await reader.page("acme", "User", 0, 10)
        assert (page.total, page.images) == (0, ())

    async def test_comes_in_the_order_of_creation_not_of_ids(self, reader: Reader, owner: Owner) -> None:
        commands = [create() for _ in range(10)]
        random.Random(3).shuffle(commands)
        commands = in_order(commands)
        await owner.apply(*commands[:5])
        await owner.apply_one_by_one(*commands[5:])
        page = await reader.page("acme", "User", 0, 100)
        assert (page.total, ids(page.images)) == (10, ids_of(commands))

    async def test_gives_what_is_asked_for(self, reader: Reader, owner: Owner) -> None:
        commands = [create() for _ in range(10)]
        await owner.apply(*commands)
        for offset in range(12):
            for limit in (0, 1, 3, 100):
                page = await reader.page("acme", "User", offset, limit)
                assert (page.total, ids(page.images)) == (10, ids_of(commands[offset : offset + limit]))

    async def test_counts_tenants_and_types_apart(self, reader: Reader, owner: Owner) -> None:
        ours, theirs = create(tenant="acme"), create(tenant="globex")
        await owner.apply(ours, theirs)
        for tenant, resource_type, expected in (
            ("acme", "User", [ours.resource_id]),
            ("globex", "User", [theirs.resource_id]),
            ("initech", "User", []),
            ("acme", "Group", []),
        ):
            page = await reader.page(tenant, resource_type, 0, 10)
            assert (page.total, ids(page.images)) == (len(expected), expected)

    async def test_a_changed_resource_keeps_its_place(self, reader: Reader, owner: Owner) -> None:
        commands = [create() for _ in range(5)]
        await owner.apply(*commands)
        await owner.apply(replace(commands[2], new_name(), external_id="e-1"))
        assert ids((await reader.page("acme", "User", 0, 10)).images) == ids_of(commands)

    async def test_a_deleted_resource_leaves_the_order_of_the_others(self, reader: Reader, owner: Owner) -> None:
        commands = [create() for _ in range(9)]
        await owner.apply(*commands)
        await owner.apply(*(delete(command) for command in commands[::2]))
        late = create()
        await owner.apply(late)
        page = await reader.page("acme", "User", 1, 10)
        assert (page.total, ids(page.images)) == (5, ids_of([*commands[3::2], late]))

    async def test_sees_one_moment(self, reader: Reader, owner: Owner) -> None:
        """Total and resources agree while resources come and go."""
        stop = asyncio.Event()

        async def come_and_go() -> None:
            while not stop.is_set():
                commands = [create() for _ in range(3)]
                await owner.apply(*commands)
                await owner.apply(*(delete(command) for command in commands))

        writing = asyncio.create_task(come_and_go())
        try:
            totals: set[int] = set()
            async with asyncio.timeout(30):
                while len(totals) < 2:
                    for _ in range(100):
                        page = await reader.page("acme", "User", 0, 100)
                        assert len(page.images) == page.total
                        totals.add(page.total)
        finally:
            stop.set()
            await writing
        assert totals == {0, 3}

    @pytest.mark.parametrize("seed", range(4))
    async def test_agrees_with_a_list_kept_beside_it(self, reader: Reader, owner: Owner, seed: int) -> None:
        dice = random.Random(seed)
        live: list[ChangeCommand] = []
        for _ in range(60):
            batch: list[ChangeCommand] = [create(external_id=dice.choice("abc")) for _ in range(dice.randrange(8))]
            leaving = dice.sample(live, min(len(live), dice.randrange(6)))
            touched = [command for command in live if command not in leaving and dice.random() < 0.2]
            await owner.apply(
                *batch,
                *(delete(command) for command in leaving),
                *(replace(command, new_name(), external_id=dice.choice("abc")) for command in touched),
            )
            live = [command for command in live if command not in leaving] + batch
            offset, limit = dice.randrange(len(live) + 3), dice.randrange(20)
            page = await reader.page("acme", "User", offset, limit)
            assert (page.total, ids(page.images)) == (len(live), ids_of(live[offset : offset + limit]))
        found = [ids(await reader.find("acme", "User", ("externalId", value))) for value in "abc"]
        assert sorted(resource_id for part in found for resource_id in part) == sorted(ids_of(live))


class TestOutcome:
    async def test_of_a_decided_command_is_kept(self, reader: Reader, owner: Owner) -> None:
        command = create(key="k-1")
        await owner.apply(command)
        outcome = await reader.outcome("acme", command.txn)
        assert outcome is not None
        assert (outcome.status, outcome.resource_id, outcome.version) == (201, command.resource_id, 1)
        assert (outcome.key, outcome.fingerprint) == ("k-1", command.fingerprint)

    async def test_of_an_unknown_command_is_none(self, reader: Reader, owner: Owner) -> None:
        command = create()
        await owner.apply(command)
        assert await reader.outcome("acme", create().txn) is None
        assert await reader.outcome("globex", command.txn) is None

    async def test_of_a_command_long_ago_is_none(self, reader: Reader, owner: Owner) -> None:
        old = create(accepted_at=now() - LIFE_MS - 1000)
        batch, _ = await owner.decided(old, at=old.accepted_at)
        await owner.store.commit(batch)
        assert await reader.get("acme", "User", old.resource_id) is not None
        assert await reader.outcome("acme", old.txn) is None


class TestGroupsOf:
    async def test_gives_direct_and_indirect_ones_in_the_order_of_their_ids(self, store_stand: StoreStand) -> None:
        user = create().resource_id
        await store_stand.put_group("g2", "Staff", [user])
        await store_stand.put_group("g1", "Company", ["g2"])
        await store_stand.put_group("g3", "Choir", [user, "g1"])
        await store_stand.put_group("g4", "Others", [create().resource_id])
        assert await store_stand.reader.groups_of("acme", user) == (
            Membership("g1", "Company", direct=False),
            Membership("g2", "Staff", direct=True),
            Membership("g3", "Choir", direct=True),
        )

    async def test_of_nobody_and_of_another_tenants_resource_are_none(self, store_stand: StoreStand) -> None:
        user = create().resource_id
        await store_stand.put_group("g1", "Staff", [user])
        assert await store_stand.reader.groups_of("globex", user) == ()
        assert await store_stand.reader.groups_of("acme", "") == ()

    async def test_a_cycle_of_groups_ends(self, store_stand: StoreStand) -> None:
        user = create().resource_id
        await store_stand.put_group("g1", "Hen", [user, "g2"])
        await store_stand.put_group("g2", "Egg", ["g1"])
        found = await store_stand.reader.groups_of("acme", user)
        assert found == (Membership("g1", "Hen", direct=True), Membership("g2", "Egg", direct=False))

    async def test_no_more_levels_and_groups_than_the_limits(self, store_stand: StoreStand) -> None:
        user, other = create().resource_id, create().resource_id
        for level in range(MOST_NESTED + 2):
            await store_stand.put_group(f"n{level:04}", "Nested", [user if level == 0 else f"n{level - 1:04}"])
        assert len(await store_stand.reader.groups_of("acme", user)) == MOST_NESTED
        for number in range(MOST_GROUPS + 1):
            await store_stand.put_group(f"w{number:04}", "Wide", [other])
        assert len(await store_stand.reader.groups_of("acme", other)) == MOST_GROUPS
