"""Transaction slots: few at once, and none for long."""

from __future__ import annotations

import asyncio

from consumers.slots import LONGEST_S, TransactionSlots


async def test_CP22_no_more_than_so_many_hold_a_slot() -> None:
    slots = TransactionSlots(2)
    held = most = 0

    async def hold() -> None:
        nonlocal held, most
        async with slots.one():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0.002)
            held -= 1

    await asyncio.gather(*(hold() for _ in range(10)))

    assert most == 2


async def test_CP22_a_slot_held_too_long_is_given_back_once() -> None:
    slots = TransactionSlots(1)
    order: list[str] = []

    async def hang() -> None:
        async with slots.one():
            await asyncio.sleep(LONGEST_S * 2)
            order.append("slow")

    async def quick(name: str) -> None:
        async with slots.one():
            order.append(name)
            await asyncio.sleep(LONGEST_S * 1.5)

    hanging = asyncio.create_task(hang())
    await asyncio.sleep(0)
    await quick("quick")
    await hanging
    # Had the slow one given its place back a second time, two would get in now.
    async with slots.one():
        waiting = asyncio.create_task(quick("last"))
        await asyncio.sleep(LONGEST_S / 4)
        order.append("held")
    await waiting

    assert order == ["quick", "slow", "held", "last"]


async def test_a_slot_is_given_back_when_its_holder_fails() -> None:
    slots = TransactionSlots(1)
    try:
        async with slots.one():
            raise ValueError
    except ValueError:
        pass
    async with asyncio.timeout(30), slots.one():
        pass
