"""What ``consumers.ports.Store`` promises, on every back end."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from consumers.errors import StoreConflict
from consumers.ports import Contended, Granted, KeyUsed, Reader, Store, Taken
from schemas.changes import Change, StoredResource
from schemas.commands import ChangeCommand
from schemas.ids import derived
from schemas.numbering import Batch
from schemas.outcomes import KEYED_LIFE_MS, LIFE_MS, UNSEEN_LIFE_MS, Outcome, Refusal
from tests.contract.commands import create, delete, name_of, new_name, now, replace
from tests.contract.owner import Owner, claim, unseen_of
from tests.contract.stands import GATEWAY, StoreStand


async def stored(store: Store, command: ChangeCommand) -> StoredResource | None:
    return (await store.view([command])).views[0].resource


class TestView:
    async def test_reads_a_resource_once_for_all_commands_about_it(self, store: Store, owner: Owner) -> None:
        """A hundred of them about a user of a megabyte must not be a hundred megabytes."""
        command = create()
        await owner.apply(command)
        looks = await store.view([replace(command, name_of(command)), replace(command, new_name()), delete(command)])
        assert looks.views[0].resource is not None
        assert all(each.resource is looks.views[0].resource for each in looks.views)
        assert looks.views[0].size > 100

    async def test_of_a_resource_that_never_was_there_is_nothing(self, store: Store) -> None:
        command = create()
        snapshot = await store.view([command])
        view = snapshot.views[0]
        assert (view.resource, view.gone, view.answered, view.keyed) == (None, False, None, None)
        assert snapshot.numbers == {"acme": 0}

    async def test_of_no_command_is_empty(self, store: Store) -> None:
        snapshot = await store.view([])
        assert (snapshot.views, snapshot.numbers) == ((), {})

    async def test_holds_the_resource_as_it_was_decided(self, store: Store, owner: Owner) -> None:
        command = create(external_id="e-1", password="$argon2id$hash")
        steps = await owner.apply(command)
        assert isinstance(steps[0], Change)
        assert await stored(store, command) == steps[0].resource()

    async def test_keeps_every_character_of_a_value(self, store: Store, owner: Owner, reader: Reader) -> None:
        title = "tab\tquote\"back\\slash\x1e\x1f\x1d\n é漢🎈 |,;'--"
        command = create(new_name() + "ß漢\x1e\x1f'", title=title)
        await owner.apply(command)
        resource = await stored(store, command)
        assert resource is not None
        assert resource.doc["title"] == title
        found = await reader.find("acme", "User", ("userName", resource.names["userName"]))
        assert [msgspec.json.decode(image.doc)["title"] for image in found] == [title]

    async def test_of_a_deleted_resource_is_gone(self, store: Store, owner: Owner) -> None:
        command = create()
        await owner.apply_one_by_one(command, delete(command))
        view = (await store.view([command])).views[0]
        assert view.resource is None
        assert view.gone

    async def test_has_one_entry_for_each_command_in_their_order(self, store: Store, owner: Owner) -> None:
        first, second, missing = create(), create(), create()
        await owner.apply(first, second)
        views = (await store.view([second, missing, first, second])).views
        assert [None if view.resource is None else view.resource.doc["userName"] for view in views] == [
            name_of(second),
            None,
            name_of(first),
            name_of(second),
        ]

    async def test_does_not_see_what_is_only_reserved(self, store: Store, owner: Owner) -> None:
        command = create()
        await owner.reserve(command)
        assert await stored(store, command) is None

    async def test_keeps_tenants_apart(self, store: Store, owner: Owner) -> None:
        ours = create(tenant="acme")
        theirs = create(tenant="globex", resource_id=ours.resource_id)
        await owner.apply(ours)
        snapshot = await store.view([theirs])
        assert snapshot.views[0].resource is None
        assert not snapshot.views[0].gone
        assert snapshot.numbers == {"globex": 0}

    async def test_numbers_go_on_for_each_tenant(self, store: Store, owner: Owner) -> None:
        await owner.apply(create(tenant="acme"), create(tenant="globex"), create(tenant="acme"))
        await owner.apply(create(tenant="acme"))
        snapshot = await store.view([create(tenant="acme"), create(tenant="globex"), create(tenant="initech")])
        assert snapshot.numbers == {"acme": 3, "globex": 1, "initech": 0}


class TestOutcomesInAView:
    async def test_a_command_delivered_again_finds_its_outcome(self, store: Store, owner: Owner) -> None:
        command, other = create(), create()
        await owner.apply(command)
        views = (await store.view([other, command])).views
        assert views[0].answered is None
        assert views[1].answered is not None
        assert (views[1].answered.txn, views[1].answered.status) == (command.txn, 201)

    async def test_a_used_idempotency_key_leads_to_the_first_outcome(self, store: Store, owner: Owner) -> None:
        first = create(key="k-1")
        await owner.apply(first)
        again = create(key="k-1")
        steps = await owner.apply(again)
        assert isinstance(steps[0], Refusal)
        for command in (create(key="k-1"), again):
            keyed = (await store.view([command])).views[0].keyed
            assert keyed is not None
            assert keyed.txn == first.txn

    async def test_another_key_leads_to_nothing(self, store: Store, owner: Owner) -> None:
        await owner.apply(create(key="k-1"), create())
        views = (await store.view([create(key="k-2"), create(), create(key="k-1", tenant="globex")])).views
        assert [view.keyed for view in views] == [None, None, None]

    async def test_an_expired_outcome_is_no_longer_found(self, store: Store, owner: Owner) -> None:
        old = create(accepted_at=now() - LIFE_MS - 1000)
        old_keyed = create(key="k-1", accepted_at=now() - KEYED_LIFE_MS - 1000)
        keyed = create(key="k-2", accepted_at=now() - LIFE_MS - 1000)
        await commit_late(owner, old, old_keyed, keyed)
        views = (await store.view([old, old_keyed, create(key="k-1"), keyed])).views
        assert [view.answered is None for view in views] == [True, True, True, False]
        assert [view.keyed is None for view in views] == [True, True, True, False]

    async def test_a_key_is_free_again_when_its_outcome_expired(self, store: Store, owner: Owner) -> None:
        await commit_late(owner, create(key="k-1", accepted_at=now() - KEYED_LIFE_MS - 1000))
        command = create(key="k-1")
        await owner.apply(command)
        keyed = (await store.view([create(key="k-1")])).views[0].keyed
        assert keyed is not None
        assert keyed.txn == command.txn


async def commit_late(owner: Owner, *commands: ChangeCommand) -> None:
    """Commit commands that were accepted long ago, as a replay of the command log does."""
    batch, _ = await owner.decided(*commands, at=min(command.accepted_at for command in commands))
    await owner.store.commit(batch)


class TestReserve:
    async def test_a_free_name_is_granted(self, owner: Owner) -> None:
        assert await owner.reserve(create()) == [Granted()]

    async def test_a_name_of_a_live_resource_is_taken(self, owner: Owner) -> None:
        holder = create()
        await owner.apply(holder)
        assert await owner.reserve(create(name_of(holder))) == [Taken(("userName", name_of(holder)))]

    async def test_the_holder_is_granted_its_own_name(self, owner: Owner) -> None:
        holder = create()
        await owner.apply(holder)
        assert await owner.reserve(holder) == [Granted()]

    async def test_a_name_claimed_twice_is_granted_to_the_first(self, owner: Owner) -> None:
        name = new_name()
        assert await owner.reserve(create(name), create(), create(name)) == [Granted(), Granted(), Contended()]

    async def test_a_repeated_claim_of_the_same_resource_is_granted(self, owner: Owner) -> None:
        command = create()
        assert await owner.reserve(command, command) == [Granted(), Granted()]
        assert await owner.reserve(command) == [Granted()]

    async def test_a_claim_is_granted_as_a_whole_or_not_at_all(self, store: Store, owner: Owner) -> None:
        holder = create()
        await owner.apply(holder)
        free, held = ("userName", new_name()), ("userName", name_of(holder))
        reservations = await store.reserve([claim(create(), free, held), claim(create(), free)])
        assert reservations == [Taken(held), Granted()]

    async def test_contention_leaves_the_other_names_of_a_claim_free(self, store: Store) -> None:
        first, second = ("userName", new_name()), ("userName", new_name())
        claims = [claim(create(), first), claim(create(), first, second)]
        assert await store.reserve(claims) == [Granted(), Contended()]
        assert await store.reserve([claim(create(), second)]) == [Granted()]

    async def test_CP20_behind_a_contended_claim_nothing_is_reserved(self, store: Store) -> None:
        first, second = ("userName", new_name()), ("userName", new_name())
        claims = [claim(create(), first), claim(create(), first), claim(create(key="k-1"), second)]
        assert await store.reserve(claims) == [Granted(), Contended(), Contended()]
        assert await store.reserve([claim(create(key="k-1"), second)]) == [Granted()]

    async def test_a_holder_outweighs_contention(self, store: Store, owner: Owner) -> None:
        holder = create()
        await owner.apply(holder)
        name, held = ("userName", new_name()), ("userName", name_of(holder))
        assert await store.reserve([claim(create(), name), claim(create(), name, held)]) == [Granted(), Taken(held)]

    async def test_tenants_do_not_share_names(self, owner: Owner) -> None:
        holder = create(tenant="acme")
        await owner.apply(holder)
        assert await owner.reserve(create(name_of(holder), tenant="globex")) == [Granted()]

    async def test_the_same_value_of_another_attribute_is_another_name(self, store: Store, owner: Owner) -> None:
        holder = create()
        await owner.apply(holder)
        assert await store.reserve([claim(create(), ("displayName", name_of(holder)))]) == [Granted()]

    async def test_a_deleted_resource_gives_its_name_back(self, owner: Owner) -> None:
        holder = create()
        await owner.apply_one_by_one(holder, delete(holder))
        assert await owner.reserve(create(name_of(holder))) == [Granted()]

    async def test_a_renamed_resource_gives_its_old_name_back(self, owner: Owner) -> None:
        holder, renamed = create(), new_name()
        await owner.apply_one_by_one(holder, replace(holder, renamed))
        old, new = await owner.reserve(create(name_of(holder)), create(renamed))
        assert old == Granted()
        assert new == Taken(("userName", renamed))


class TestKeys:
    """CP-30: an Idempotency-Key is reserved like a name."""

    async def test_CP30_a_key_claimed_twice_is_granted_to_the_first(self, store: Store) -> None:
        claims = [claim(replace(create(), new_name(), key="k-1")) for _ in range(2)]
        assert await store.reserve(claims) == [Granted(), Contended()]

    async def test_CP30_a_repeated_claim_for_the_same_resource_is_granted(self, store: Store) -> None:
        asking = claim(delete(create(), key="k-1"))
        assert await store.reserve([asking]) == [Granted()]
        assert await store.reserve([asking]) == [Granted()]

    async def test_CP30_a_key_with_an_outcome_gives_it_away(self, store: Store, owner: Owner) -> None:
        target, other = create(), create()
        await owner.apply(target, other)
        first = replace(target, name_of(target), key="k-1")
        await owner.apply(first)
        (answer,) = await store.reserve([claim(delete(other, key="k-1"))])
        assert isinstance(answer, KeyUsed)
        assert (answer.outcome.txn, answer.outcome.fingerprint) == (first.txn, first.fingerprint)
        assert await store.reserve([claim(delete(other, key="k-1")), claim(create())]) == [answer, Granted()]

    async def test_CP30_a_key_comes_before_names(self, store: Store, owner: Owner) -> None:
        holder, keyed = create(), create(key="k-1")
        await owner.apply(holder, keyed)
        (answer,) = await store.reserve([claim(create(name_of(holder), key="k-1"))])
        assert isinstance(answer, KeyUsed)
        rivals = [create(key="k-2"), create(name_of(holder), key="k-2")]
        assert await store.reserve([claim(rival) for rival in rivals]) == [Granted(), Contended()]

    async def test_CP30_a_refusal_for_a_name_has_its_key(self, store: Store, owner: Owner) -> None:
        holder = create()
        await owner.apply(holder)
        refused = create(name_of(holder), key="k-1")
        claims = [claim(refused), claim(delete(holder, key="k-1"))]
        assert await store.reserve(claims) == [Taken(("userName", name_of(holder))), Contended()]

    async def test_CP30_tenants_do_not_share_keys(self, store: Store) -> None:
        claims = [claim(create(tenant=tenant, key="k-1")) for tenant in ("acme", "globex")]
        assert await store.reserve(claims) == [Granted(), Granted()]

    async def test_CP30_a_key_is_free_when_its_outcome_expired(self, store: Store, owner: Owner) -> None:
        await commit_late(owner, create(key="k-1", accepted_at=now() - KEYED_LIFE_MS - 1000))
        assert await store.reserve([claim(create(key="k-1"))]) == [Granted()]


class TestUnseenAnswers:
    """CP-30: an identical create within ten minutes gets the answer that never reached its caller."""

    async def first(self, stand: StoreStand, gateway: str = GATEWAY) -> ChangeCommand:
        command = create(gateway=gateway)
        await Owner(stand.store).apply(command)
        return command

    def again(
        self, first: ChangeCommand, *, principal: str | None = None, fingerprint: str | None = None
    ) -> ChangeCommand:
        return create(
            name_of(first), fingerprint=fingerprint or first.fingerprint, principal=principal or first.principal
        )

    async def unseen(self, stand: StoreStand, command: ChangeCommand, at: int | None = None) -> Outcome | None:
        reservation = (await stand.store.reserve([claim(command, at=at)]))[0]
        assert isinstance(reservation, Taken)
        return reservation.unseen

    async def test_an_answer_that_arrived_is_not_given_again(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        assert await self.unseen(store_stand, self.again(first)) is None

    async def test_a_marked_answer_is_given_again(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        store_stand.mark_unseen("acme", unseen_of(first))
        store_stand.mark_unseen("acme", unseen_of(first))
        outcome = await self.unseen(store_stand, self.again(first))
        assert outcome is not None
        assert (outcome.txn, outcome.resource_id, outcome.status) == (first.txn, first.resource_id, 201)

    async def test_a_mark_may_come_before_the_outcome(self, store_stand: StoreStand) -> None:
        command = create()
        store_stand.mark_unseen("acme", unseen_of(command))
        await Owner(store_stand.store).apply(command)
        assert await self.unseen(store_stand, self.again(command)) is not None

    async def test_an_answer_is_still_the_first_one_after_the_resource_changed(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        await Owner(store_stand.store).apply(replace(first, name_of(first)))
        store_stand.mark_unseen("acme", unseen_of(first))
        outcome = await self.unseen(store_stand, self.again(first))
        assert outcome is not None
        assert (outcome.txn, outcome.version) == (first.txn, 1)

    async def test_an_answer_of_a_gateway_no_longer_alive_is_given_again(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand, gateway="gateway-dead")
        outcome = await self.unseen(store_stand, self.again(first))
        assert outcome is not None
        assert outcome.txn == first.txn

    async def test_answers_of_the_process_before_count_as_unseen(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        await store_stand.close()
        await store_stand.open("gateway-reborn")
        assert await self.unseen(store_stand, self.again(first)) is not None

    async def test_another_principal_or_body_does_not_get_it(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        store_stand.mark_unseen("acme", unseen_of(first))
        assert await self.unseen(store_stand, self.again(first, principal="entra")) is None
        assert await self.unseen(store_stand, self.again(first, fingerprint="another")) is None

    async def test_a_mark_of_another_tenant_does_not_count(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        store_stand.mark_unseen("globex", unseen_of(first))
        assert await self.unseen(store_stand, self.again(first)) is None

    async def test_after_ten_minutes_it_is_given_no_more(self, store_stand: StoreStand) -> None:
        first = await self.first(store_stand)
        store_stand.mark_unseen("acme", unseen_of(first))
        again = self.again(first)
        assert await self.unseen(store_stand, again, at=first.accepted_at + UNSEEN_LIFE_MS) is not None
        assert await self.unseen(store_stand, again, at=first.accepted_at + UNSEEN_LIFE_MS + 1) is None

    async def test_what_is_no_create_gets_none(self, store_stand: StoreStand) -> None:
        first, other = await self.first(store_stand), await self.first(store_stand)
        store_stand.mark_unseen("acme", unseen_of(first))
        reservations = await store_stand.store.reserve(
            [claim(replace(other, name_of(first)), ("userName", name_of(first)))]
        )
        assert reservations == [Taken(("userName", name_of(first)))]


class TestCommit:
    async def test_of_nothing_does_nothing(self, store: Store) -> None:
        await store.commit(Batch(changes=(), outcomes=(), numbers={}))
        assert (await store.view([create()])).numbers == {"acme": 0}

    async def test_is_visible_to_view_and_reader_when_it_returns(
        self, store: Store, reader: Reader, owner: Owner
    ) -> None:
        for _ in range(20):
            command = create()
            await owner.apply(command)
            assert await reader.get("acme", "User", command.resource_id) is not None
            assert await stored(store, command) is not None

    async def test_makes_versions_one_after_the_other(self, store: Store, owner: Owner) -> None:
        command = create()
        await owner.apply(command)
        for version in range(2, 6):
            await owner.apply(replace(command, name_of(command), title=f"title {version}"))
            resource = await stored(store, command)
            assert resource is not None
            assert (resource.version, resource.doc["title"]) == (version, f"title {version}")

    async def test_takes_a_whole_life_in_one_batch(self, store: Store, reader: Reader, owner: Owner) -> None:
        command = create(external_id="e-1")
        await owner.apply(command)
        other = replace(command, name_of(command), external_id="e-2")
        await owner.apply(other, replace(command, name_of(command), external_id="e-3"), delete(command), create())
        assert (await store.view([command])).views[0].gone
        for value in ("e-1", "e-2", "e-3"):
            assert await reader.find("acme", "User", ("externalId", value)) == ()
        assert (await reader.page("acme", "User", 0, 10)).total == 1

    async def test_with_a_stale_version_changes_nothing(self, store: Store, reader: Reader, owner: Owner) -> None:
        target = create(external_id="e-1")
        await owner.apply(target)
        newcomer = create()
        stale, _ = await owner.decided(newcomer, replace(target, new_name(), external_id="e-2"))
        await owner.apply(replace(target, name_of(target), external_id="e-3"))
        with pytest.raises(StoreConflict):
            await store.commit(stale)
        assert await stored(store, newcomer) is None
        snapshot = await store.view([newcomer])
        assert snapshot.numbers == {"acme": 2}
        assert snapshot.views[0].answered is None
        assert (await reader.page("acme", "User", 0, 10)).total == 1
        assert [len(await reader.find("acme", "User", ("externalId", f"e-{n}"))) for n in (1, 2, 3)] == [0, 0, 1]

    async def test_of_a_change_of_a_deleted_resource_changes_nothing(self, store: Store, owner: Owner) -> None:
        target = create()
        await owner.apply(target)
        replacing, _ = await owner.decided(replace(target, name_of(target)))
        deleting, _ = await owner.decided(delete(target))
        await owner.apply(delete(target))
        for stale in (replacing, deleting):
            with pytest.raises(StoreConflict):
                await store.commit(stale)
        assert (await store.view([target])).views[0].gone
        assert (await store.view([target])).numbers == {"acme": 2}

    async def test_of_a_create_over_a_resource_changes_nothing(self, store: Store, owner: Owner) -> None:
        command = create()
        late, _ = await owner.decided(create(resource_id=command.resource_id))
        await owner.apply(command)
        with pytest.raises(StoreConflict):
            await store.commit(late)
        resource = await stored(store, command)
        assert resource is not None
        assert resource.names == {"userName": name_of(command)}

    async def test_of_a_create_over_a_deleted_resource_changes_nothing(self, store: Store, owner: Owner) -> None:
        command = create(resource_id=derived("acme", "okta", "User", "k-1"))
        late, _ = await owner.decided(create(resource_id=command.resource_id))
        await owner.apply_one_by_one(command, delete(command))
        with pytest.raises(StoreConflict):
            await store.commit(late)
        assert (await store.view([command])).views[0].gone

    async def test_with_a_name_that_another_acquired_changes_nothing(self, store: Store, owner: Owner) -> None:
        """INV-4, also for an owner that skipped the reservation."""
        name, bystander = new_name(), create()
        late, _ = await owner.decided(bystander, create(name))
        holder = create(name)
        await owner.apply(holder)
        with pytest.raises(StoreConflict):
            await store.commit(late)
        assert await stored(store, bystander) is None
        assert await owner.reserve(bystander, create(name)) == [Granted(), Taken(("userName", name))]

    async def test_goes_on_after_a_conflict(self, store: Store, owner: Owner) -> None:
        command = create()
        batch, _ = await owner.decided(command)
        await store.commit(batch)
        with pytest.raises(StoreConflict):
            await store.commit(batch)
        again = create()
        await owner.apply(again)
        assert await stored(store, again) is not None

    async def test_a_name_passes_from_hand_to_hand(self, store: Store, owner: Owner) -> None:
        """INV-4 while names are freed and retaken."""
        name, first = new_name(), create()
        holder = create(name)
        await owner.apply(holder, first)
        for _ in range(3):
            await owner.apply(replace(holder, new_name()))
            await owner.apply(replace(first, name))
            holder, first = first, holder
            assert await owner.reserve(create(name)) == [Taken(("userName", name))]
        await owner.apply(delete(holder))
        await owner.apply(create(name))

    async def test_of_outcomes_alone_keeps_them(self, reader: Reader, owner: Owner) -> None:
        refused = delete(create())
        steps = await owner.apply(refused)
        assert isinstance(steps[0], Refusal)
        outcome = await reader.outcome("acme", refused.txn)
        assert outcome is not None
        assert (outcome.status, outcome.error) == (404, steps[0])

    async def test_of_many_commands_at_once(self, store: Store, reader: Reader, owner: Owner) -> None:
        commands = [create(external_id="shared", tenant=f"tenant-{n % 3}") for n in range(1500)]
        await owner.apply(*commands)
        assert sum([(await reader.page(f"tenant-{n}", "User", 0, 0)).total for n in range(3)]) == 1500
        assert (await store.view(commands[:3])).numbers == {f"tenant-{n}": 500 for n in range(3)}

    async def test_of_a_batch_too_large_for_one_statement_is_still_all_or_nothing(
        self, store: Store, reader: Reader, owner: Owner
    ) -> None:
        target = create(tenant="acme")
        await owner.apply(target)
        stale, _ = await owner.decided(*[create() for _ in range(3000)], replace(target, name_of(target)))
        await owner.apply(replace(target, name_of(target), title="first"))
        with pytest.raises(StoreConflict):
            await store.commit(stale)
        assert (await reader.page("acme", "User", 0, 0)).total == 1

    async def test_is_done_though_its_caller_goes_away(self, store: Store, owner: Owner) -> None:
        command = create()
        batch, _ = await owner.decided(command)
        committing = asyncio.create_task(store.commit(batch))
        await asyncio.sleep(0)
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        snapshot = await store.view([command])
        # All or nothing: whichever it is, state, number and outcome agree.
        done = snapshot.views[0].resource is not None
        assert snapshot.numbers == {"acme": 1 if done else 0}
        assert (snapshot.views[0].answered is not None) == done


class TestDurability:
    async def test_everything_is_there_after_closing_and_opening(self, store_stand: StoreStand) -> None:
        kept, removed = create(external_id="e-1", password="$argon2id$hash", key="k-1"), create()
        owner = Owner(store_stand.store)
        await owner.apply(kept, removed)
        await owner.apply(replace(kept, name_of(kept), external_id="e-2"), delete(removed))
        before = await store_stand.store.view([kept, removed])
        image = await store_stand.reader.get("acme", "User", kept.resource_id)
        await store_stand.close()
        await store_stand.open()
        assert await store_stand.store.view([kept, removed]) == before
        assert await store_stand.reader.get("acme", "User", kept.resource_id) == image
        assert len(await store_stand.reader.find("acme", "User", ("externalId", "e-2"))) == 1
        assert (await store_stand.reader.page("acme", "User", 0, 10)).total == 1
        assert await store_stand.reader.outcome("acme", removed.txn) is not None
        taken = await store_stand.store.reserve([claim(create(name_of(kept)))])
        assert taken == [Taken(("userName", name_of(kept)))]

    async def test_opening_and_closing_without_a_change_changes_nothing(self, store_stand: StoreStand) -> None:
        command = create()
        await Owner(store_stand.store).apply(command)
        for _ in range(3):
            await store_stand.close()
            await store_stand.open()
        assert (await store_stand.reader.page("acme", "User", 0, 10)).total == 1
        assert (await store_stand.store.view([command])).numbers == {"acme": 1}
