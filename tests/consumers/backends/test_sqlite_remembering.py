"""The store that remembers: when it asks the database, and that it never answers otherwise than the database would."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.apply import Answer, ApplyLoop, straight_to
from consumers.backends import sqlite_remembering
from consumers.backends.sqlite_database import open_writer
from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.backends.sqlite_remembering import RememberingStore, minted_by
from consumers.backends.sqlite_store import SqliteStore
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import StoreConflict, StoreUnavailable
from consumers.metrics import Metrics
from consumers.ports import Claim, Contended, Granted, Reply, Reservation, Snapshot, Store, Taken
from consumers.settings import OutcomeSettings
from schemas.commands import ChangeCommand
from schemas.numbering import Batch
from tests.consumers.faults import Line
from tests.contract.commands import create, delete, name_of, new_name, replace
from tests.contract.owner import Owner, claim, unseen_of
from tests.contract.stands import GATEWAY


class Watched(SqliteStore):
    """A store that counts what it is asked, and fails a commit when it is told to, before or after it is done."""

    def __init__(self, thread: DatabaseThread) -> None:
        super().__init__(thread, gateway=GATEWAY, bound=OutcomeBound(OutcomeSettings()))
        self.viewed = 0
        self.reserved = 0
        self.failing = ""

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        self.viewed += len(commands)
        return await super().view(commands)

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        self.reserved += len(claims)
        return await super().reserve(claims)

    async def commit(self, batch: Batch) -> None:
        failing, self.failing = self.failing, ""
        if failing == "before":
            raise StoreUnavailable("the test says so")
        await super().commit(batch)
        if failing == "after":
            raise StoreUnavailable("the test says so")

    def asked(self) -> tuple[int, int]:
        """Return how many commands and claims it was asked about since the last time."""
        asked = self.viewed, self.reserved
        self.viewed = self.reserved = 0
        return asked


class Opened:
    """A remembering store over a watched one, on a database of its own."""

    def __init__(self, path: Path, most_bytes: int = sqlite_remembering.MOST_RECORD_BYTES) -> None:
        self.thread = DatabaseThread(path, open_writer, "writer")
        self.database = Watched(self.thread)
        self.store = RememberingStore(self.database, self.thread, fresh=minted_by(GATEWAY), most_bytes=most_bytes)
        self.owner = Owner(self.store)

    async def warm(self) -> None:
        """Learn, and make the number of the tenant acme known."""
        await self.store.learn()
        await self.store.view([create()])
        self.database.asked()


@contextlib.asynccontextmanager
async def opened(path: Path, most_bytes: int = sqlite_remembering.MOST_RECORD_BYTES) -> AsyncIterator[Opened]:
    stand = Opened(path / "scimgw.db", most_bytes)
    await stand.thread.open()
    try:
        yield stand
    finally:
        await stand.thread.close()


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(tmp_path) as stand:
        await stand.warm()
        yield stand


class TestWhatNeedsNoDatabase:
    async def test_a_create_of_a_new_name(self, stand: Opened) -> None:
        await stand.owner.apply(create(), create())
        await stand.owner.apply(create())
        assert stand.database.asked() == (0, 0)

    async def test_a_change_of_a_resource_changed_before(self, stand: Opened) -> None:
        target = create(password="$argon2id$hash")
        await stand.owner.apply(target)
        await stand.owner.apply(replace(target, name_of(target), title="first"))
        change = replace(target, name_of(target), title="second")
        resource = (await stand.store.view([change])).views[0].resource
        assert resource is not None
        assert stand.database.asked() == (0, 0)
        assert (resource.version, resource.doc["title"], resource.password) == (2, "first", "$argon2id$hash")
        assert resource == (await stand.database.view([change])).views[0].resource

    async def test_contention_within_a_batch(self, stand: Opened) -> None:
        name = new_name()
        reservations = await stand.owner.reserve(create(name), create(), create(name))
        assert reservations == [Granted(), Granted(), Contended()]
        assert stand.database.asked() == (0, 0)


class TestWhatTheDatabaseIsAsked:
    async def test_the_number_of_a_tenant_not_met_yet(self, stand: Opened) -> None:
        assert (await stand.store.view([create(tenant="globex")])).numbers == {"globex": 0}
        assert stand.database.asked() == (1, 0)

    async def test_any_name_until_all_are_learnt(self, tmp_path: Path) -> None:
        async with opened(tmp_path) as stand:
            await stand.owner.apply(create(), create())
            assert stand.database.asked() == (2, 2)
            await stand.store.learn()
            await stand.owner.apply(create())
            assert stand.database.asked() == (0, 0)

    async def test_a_name_that_is_or_was_held(self, stand: Opened) -> None:
        holder, renamed = create(), new_name()
        await stand.owner.apply(holder)
        await stand.owner.apply(replace(holder, renamed))
        stand.database.asked()
        assert await stand.owner.reserve(create(renamed)) == [Taken(("userName", renamed))]
        assert await stand.owner.reserve(create(name_of(holder))) == [Granted()]
        assert stand.database.asked() == (0, 2)

    async def test_a_command_with_an_idempotency_key(self, stand: Opened) -> None:
        await stand.owner.apply(create(key="k-1"))
        keyed = (await stand.store.view([create(), create(key="k-1"), create()])).views[1].keyed
        assert keyed is not None
        assert stand.database.asked()[0] == 2

    async def test_a_command_of_another_process(self, stand: Opened) -> None:
        command = create(gateway="gateway-dead")
        await stand.owner.apply(command)
        assert (await stand.store.view([command])).views[0].answered is not None
        assert stand.database.asked()[0] == 2

    async def test_a_resource_that_was_deleted(self, stand: Opened) -> None:
        target = create()
        await stand.owner.apply_one_by_one(target, delete(target))
        stand.database.asked()
        assert (await stand.store.view([delete(target)])).views[0].gone
        assert stand.database.asked() == (1, 0)

    async def test_only_what_is_unknown_of_a_batch(self, stand: Opened) -> None:
        known, missing = create(), create()
        await stand.owner.apply(known)
        stand.database.asked()
        views = (await stand.store.view([replace(known, "a"), delete(missing), create()])).views
        assert [view.resource is None for view in views] == [False, True, True]
        assert stand.database.asked() == (1, 0)

    async def test_a_resource_that_made_room_for_others(self, tmp_path: Path) -> None:
        async with opened(tmp_path, most_bytes=4000) as stand:
            await stand.warm()
            made = [create() for _ in range(6)]
            await stand.owner.apply(*made)
            stand.database.asked()
            views = (await stand.store.view([replace(each, name_of(each)) for each in made])).views
            assert [view.resource and view.resource.doc["userName"] for view in views] == [*map(name_of, made)]
            assert 0 < stand.database.asked()[0] < 6

    async def test_numbers_of_more_tenants_than_are_remembered(
        self, stand: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_remembering, "MOST_TENANTS", 2)
        tenants = ("acme", "globex", "initech", "umbrella")
        for _ in range(2):
            await stand.owner.apply(*[create(tenant=tenant) for tenant in tenants])
        snapshot = await stand.store.view([create(tenant=tenant) for tenant in tenants])
        assert snapshot.numbers == dict.fromkeys(tenants, 2)


class TestAfterACommitThatFailed:
    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_the_database_tells_what_became_of_it(self, stand: Opened, when: str) -> None:
        target = create()
        await stand.owner.apply(target)
        batch, _ = await stand.owner.decided(replace(target, "renamed", title="late"), create(), delete(create()))
        stand.database.failing = when
        with pytest.raises(StoreUnavailable):
            await stand.store.commit(batch)
        numbers = (await stand.store.view([create()])).numbers
        resource = (await stand.store.view([replace(target, "another")])).views[0].resource
        assert resource is not None
        assert (resource.version, numbers) == ((2, {"acme": 3}) if when == "after" else (1, {"acme": 1}))
        taken = [Taken(("userName", "renamed"))] if when == "after" else [Granted()]
        assert await stand.owner.reserve(create("renamed")) == taken

    async def test_a_conflict_is_seen_and_the_next_commit_goes_well(self, stand: Opened) -> None:
        target = create()
        await stand.owner.apply(target)
        stale, _ = await stand.owner.decided(replace(target, name_of(target), title="late"))
        await stand.owner.apply(replace(target, name_of(target), title="first"))
        with pytest.raises(StoreConflict):
            await stand.store.commit(stale)
        await stand.owner.apply(replace(target, name_of(target), title="second"))
        resource = (await stand.store.view([delete(target)])).views[0].resource
        assert resource is not None
        assert (resource.version, resource.doc["title"]) == (3, "second")

    async def test_one_whose_caller_went_away_is_seen_when_it_is_done(self, stand: Opened) -> None:
        target = create()
        await stand.owner.apply(target)
        batch, _ = await stand.owner.decided(replace(target, name_of(target), title="abandoned"))
        gate = threading.Event()
        holding = asyncio.create_task(stand.thread.run(lambda _: gate.wait(10)))
        await asyncio.sleep(0)
        committing = asyncio.create_task(stand.store.commit(batch))
        await asyncio.sleep(0)
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        viewing = asyncio.create_task(stand.store.view([delete(target)]))
        await asyncio.sleep(0)
        gate.set()
        await holding
        resource = (await viewing).views[0].resource
        assert resource is not None
        assert resource.doc["title"] == "abandoned"


class TestLearning:
    async def fill(self, path: Path, count: int) -> list[ChangeCommand]:
        made = [create(title="x" * 100) for _ in range(count)]
        async with opened(path) as stand:
            await stand.owner.apply(*made)
            await stand.owner.apply(*[delete(each) for each in made[::3]])
        return made

    async def test_what_the_process_before_left_is_known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite_remembering, "_SLICE", 7)
        monkeypatch.setattr(sqlite_remembering, "_SLICE_BYTES", 3000)
        made = await self.fill(tmp_path, 60)
        async with opened(tmp_path) as stand:
            await stand.warm()
            live = [each for i, each in enumerate(made) if i % 3]
            changes = [replace(each, name_of(each)) for each in live]
            assert (await stand.store.view(changes)) == (await SqliteStore.view(stand.database, changes))
            assert stand.database.asked() == (0, 0)
            for each in live:
                assert await stand.owner.reserve(create(name_of(each))) == [Taken(("userName", name_of(each)))]

    async def test_names_with_separators_and_quotes_are_learnt(self, tmp_path: Path) -> None:
        names = ["\x1e", "\x1f\x1e'", 'q"\\', "é漢🎈"]
        async with opened(tmp_path) as stand:
            await stand.owner.apply(*[create(name) for name in names])
        async with opened(tmp_path) as stand:
            await stand.warm()
            for name in names:
                assert await stand.owner.reserve(create(name)) == [Taken(("userName", name))]

    async def test_the_latest_resources_are_learnt_until_their_bytes_are_used_up(self, tmp_path: Path) -> None:
        made = [create() for _ in range(20)]
        async with opened(tmp_path) as stand:
            await stand.owner.apply(*made)
        async with opened(tmp_path, most_bytes=8000) as stand:
            await stand.warm()
            known = []
            for each in made:
                await stand.store.view([delete(each)])
                known.append(stand.database.asked() == (0, 0))
            assert 3 <= sum(known) < 20
            assert known == sorted(known)

    async def test_what_changes_while_it_is_read_is_not_overwritten(self, tmp_path: Path) -> None:
        kept, removed = create(), create()
        async with opened(tmp_path) as stand:
            await stand.owner.apply(kept, removed)
        async with opened(tmp_path) as stand:
            changes = [replace(kept, name_of(kept), title="new"), delete(removed)]
            batch, _ = await stand.owner.decided(*changes)
            gate = threading.Event()
            reading = stand.thread.run

            async def slow(job: object) -> object:
                """Let a commit in behind the reading of records, before anybody sees what was read."""
                result: object = await reading(job)  # type: ignore[arg-type]
                if stand.store._changed is not None and not gate.is_set():
                    gate.set()
                    await stand.store.commit(batch)
                return result

            stand.thread.run = slow  # type: ignore[method-assign, assignment]
            await stand.store.learn()
            assert gate.is_set()
            views = (await stand.store.view([delete(kept), delete(removed)])).views
            assert views[0].resource is not None
            assert (views[0].resource.doc["title"], views[1].gone) == ("new", True)

    async def test_a_failure_is_only_a_delay(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite_remembering, "_RETRY_S", 0.01)
        made = await self.fill(tmp_path, 10)
        async with opened(tmp_path) as stand:
            reading, failures = stand.thread.run, iter(range(4))

            async def failing(job: object) -> object:
                if next(failures, None) is not None:
                    raise StoreUnavailable("the test says so")
                return await reading(job)  # type: ignore[arg-type]

            stand.thread.run = failing  # type: ignore[method-assign, assignment]
            await stand.warm()
            assert await stand.owner.reserve(create(name_of(made[1]))) == [Taken(("userName", name_of(made[1])))]


async def test_an_unseen_answer_is_found_over_a_name_that_is_remembered(stand: Opened) -> None:
    """CP-30."""
    first = create()
    await stand.owner.apply(first)
    again = create(name_of(first), fingerprint=first.fingerprint)
    assert await stand.store.reserve([claim(again)]) == [Taken(("userName", name_of(first)))]
    stand.store.mark_unseen("acme", unseen_of(first))
    reservation = (await stand.store.reserve([claim(again)]))[0]
    assert isinstance(reservation, Taken)
    assert reservation.unseen is not None
    assert reservation.unseen.txn == first.txn


Act = tuple[str, str, int, str, bool]
"""Verb, tenant, which of the resources made so far, userName, whether it has an Idempotency-Key."""
acts = st.tuples(
    st.sampled_from(["create", "create", "replace", "replace", "delete"]),
    st.sampled_from(["acme", "globex"]),
    st.integers(0, 5),
    st.sampled_from(["Ann", "ann", "Bob", "Cy", "Dee"]),
    st.sampled_from([False, False, False, True]),
)
bursts = st.lists(
    st.tuples(st.lists(acts, min_size=1, max_size=6), st.sampled_from(["", "", "", "", "before", "after", "learn"])),
    max_size=10,
)


@given(bursts)
@settings(max_examples=60, deadline=None)
def test_whatever_is_done_it_answers_as_the_plain_store_does(done: list[tuple[list[Act], str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(compare(Path(directory), done))


async def compare(directory: Path, done: list[tuple[list[Act], str]]) -> None:
    """Apply the same commands to a plain store and a remembering one of little memory: same answers, same rows."""
    (directory / "plain").mkdir()
    (directory / "remembering").mkdir()
    async with opened(directory / "plain") as plain, opened(directory / "remembering", 2500) as remembering:
        made: dict[str, list[ChangeCommand]] = {"acme": [], "globex": []}
        for burst, what in done:
            commands = [command_of(act, made, i) for i, act in enumerate(burst)]
            if what == "learn":
                await remembering.store.learn()
            elif what:
                plain.database.failing = remembering.database.failing = what
            told = [await answers(plain.database, commands), await answers(remembering.store, commands)]
            plain.database.failing = remembering.database.failing = ""
            assert told[0] == told[1]
        assert await rows(plain.thread) == await rows(remembering.thread)


def command_of(act: Act, made: dict[str, list[ChangeCommand]], place: int) -> ChangeCommand:
    verb, tenant, which, name, keyed = act
    key = f"key-{which}" if keyed else None
    there = made[tenant]
    if verb == "create" or not there:
        command = create(name, tenant=tenant, key=key, external_id=f"e-{which}", fingerprint=f"{name}-{which}")
        there.append(command)
        return command
    target = there[which % len(there)]
    if verb == "delete":
        return delete(target)
    return replace(target, name, key=key, title=f"title {place}")


async def answers(store: Store, commands: Sequence[ChangeCommand]) -> list[tuple[object, ...]]:
    """Return what each command is answered, by an apply loop that takes as many at once as it can."""
    line = Line(*commands)
    applying = ApplyLoop(line, store, straight_to(store), metrics=Metrics(), issuer="urn:test")
    task = asyncio.create_task(applying.run(line), name="apply")
    try:
        return [seen(answer) for answer in await line.answered(*commands)]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def seen(answer: Answer) -> tuple[object, ...]:
    if not isinstance(answer, Reply):
        return (type(answer),)
    image = None if answer.image is None else (answer.image.version, bytes(answer.image.doc))
    return msgspec.structs.astuple(answer.outcome), image, answer.replayed


async def rows(thread: DatabaseThread) -> list[list[tuple[object, ...]]]:
    """Return what is stored, but for moments."""

    def read(database: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
        return [
            database.execute(statement).fetchall()
            for statement in (
                "SELECT ordinal, tenant, type, id, txn, version, live FROM resource ORDER BY ordinal",
                "SELECT * FROM name",
                "SELECT * FROM entry",
                "SELECT * FROM number",
                "SELECT * FROM population",
                "SELECT tenant, txn, key, unseen, outcome FROM outcome",
                "SELECT offset, tenant, key FROM event",
            )
        ]

    return await thread.run(read)
