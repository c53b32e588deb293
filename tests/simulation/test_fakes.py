"""The fakes do what they stand for: time, processes, transactions, compaction, a Redis that loses its last writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from consumers.errors import StoreUnavailable
from consumers.partition_ports import OwnershipLost
from consumers.retention import COMPACTION_LAG_MS, DELETE_RETENTION_MS
from tests.simulation.broker import Broker
from tests.simulation.loop import StuckError, VirtualLoop
from tests.simulation.network import Network, Process, Server
from tests.simulation.redis_server import RedisServer

DAY_S = 86_400.0


def broker(loop: VirtualLoop) -> Broker:
    return Broker(loop, Random(0), 1, Counter())


def write(on: Broker, name: str, epoch: int, *records: tuple[str, bytes | None]) -> None:
    """Write records in a transaction, which stays open."""
    writing = on.begin(name, epoch)
    for key, value in records:
        on.state[0].append(on.now(), key, value, (), writing)


def seen(on: Broker) -> list[tuple[str, bytes | None]]:
    return [(entry.key, entry.value) for entry in on.state[0].committed(0, on.state[0].end)]


class TestTime:
    def test_sleeping_takes_no_time(self, loop: VirtualLoop) -> None:
        loop.run_until_complete(asyncio.sleep(100 * DAY_S))
        assert 100 * DAY_S <= loop.time() < 100 * DAY_S + 1

    def test_timers_ring_in_their_order(self, loop: VirtualLoop) -> None:
        order: list[int] = []
        for i in (3, 1, 2):
            loop.call_later(i, order.append, i)
        loop.run_until_complete(asyncio.sleep(4))
        assert order == [1, 2, 3]

    def test_who_waits_for_nothing_is_told(self, loop: VirtualLoop) -> None:
        with pytest.raises(StuckError):
            loop.run_until_complete(loop.create_future())

    def test_a_leap_rings_each_timer_once(self, loop: VirtualLoop) -> None:
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                await asyncio.sleep(1)
                ticks.append(loop.time())

        task = loop.create_task(tick())
        loop.call_later(2.5, loop.leap, DAY_S)
        loop.run_until_complete(asyncio.sleep(4))
        task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        assert len(ticks) == 3


class TestProcesses:
    def call(self, loop: VirtualLoop, process: Process, done: list[str], server: Server) -> asyncio.Task[None]:
        network = Network(loop, Random(1), Counter())
        return process.start(network.call(process, server, lambda: done.append("done")), "call")

    def test_a_dead_one_does_nothing(self, loop: VirtualLoop) -> None:
        process, done = Process("p", loop), list[str]()
        task = self.call(loop, process, done, Server("s", StoreUnavailable))
        process.kill()
        loop.run_until_complete(process.end())
        assert (task.cancelled(), done) == (True, [])

    def test_what_it_starts_dies_with_it(self, loop: VirtualLoop) -> None:
        process, children = Process("p", loop), list[asyncio.Task[None]]()

        async def parent() -> None:
            children.append(asyncio.create_task(asyncio.sleep(1000)))
            await asyncio.sleep(1000)

        process.start(parent(), "parent")
        loop.run_until_complete(asyncio.sleep(1))
        process.kill()
        loop.run_until_complete(process.end())
        assert children[0].cancelled()

    def test_one_that_stands_still_reads_its_answers_later(self, loop: VirtualLoop) -> None:
        process, done = Process("p", loop), list[str]()
        task = self.call(loop, process, done, Server("s", StoreUnavailable))
        loop.call_soon(process.pause, 30)
        loop.run_until_complete(asyncio.sleep(20))
        assert (task.done(), done) == (False, ["done"])
        loop.run_until_complete(task)
        assert loop.time() >= 30

    def test_an_answer_can_be_lost_although_the_call_was_carried_out(self, loop: VirtualLoop) -> None:
        process, done, server = Process("p", loop), list[str](), Server("s", StoreUnavailable)
        server.loss = 1.0
        task = self.call(loop, process, done, server)
        with pytest.raises(StoreUnavailable):
            loop.run_until_complete(task)
        assert done == ["done"]


class TestTransactions:
    def test_nothing_is_seen_before_the_commit(self, loop: VirtualLoop) -> None:
        on = broker(loop)
        _, epoch = on.start_producer("a")
        write(on, "a", epoch, ("k", b"1"))
        assert (seen(on), on.state[0].stable, on.state[0].end) == ([], 0, 1)
        on.commit("a", epoch)
        assert on.state[0].stable == 0, "the markers come later"
        loop.run_until_complete(asyncio.sleep(1))
        assert (seen(on), on.state[0].stable, on.state[0].end) == ([("k", b"1")], 2, 2)

    def test_an_earlier_producer_is_fenced_and_what_it_left_aborted(self, loop: VirtualLoop) -> None:
        on = broker(loop)
        _, epoch = on.start_producer("a")
        write(on, "a", epoch, ("k", b"1"))
        on.start_producer("a")
        with pytest.raises(OwnershipLost):
            on.commit("a", epoch)
        with pytest.raises(OwnershipLost):
            write(on, "a", epoch, ("k", b"2"))
        loop.run_until_complete(asyncio.sleep(1))
        assert (seen(on), on.state[0].stable) == ([], on.state[0].end)

    def test_what_was_decided_is_settled_by_the_next(self, loop: VirtualLoop) -> None:
        on = broker(loop)
        _, epoch = on.start_producer("a")
        write(on, "a", epoch, ("k", b"1"))
        on.commit("a", epoch)
        on.start_producer("a")
        loop.run_until_complete(asyncio.sleep(1))
        assert seen(on) == [("k", b"1")]

    def test_one_left_open_ends_by_itself(self, loop: VirtualLoop) -> None:
        on = broker(loop)
        _, epoch = on.start_producer("a")
        write(on, "a", epoch, ("k", b"1"))
        loop.run_until_complete(asyncio.sleep(16))
        assert (seen(on), on.state[0].stable) == ([], on.state[0].end)


class TestCompaction:
    def filled(self, loop: VirtualLoop, *records: tuple[str, bytes | None]) -> Broker:
        on = broker(loop)
        _, epoch = on.start_producer("a")
        write(on, "a", epoch, *records)
        on.commit("a", epoch)
        loop.run_until_complete(asyncio.sleep(1))
        return on

    def test_keeps_everything_for_its_lag(self, loop: VirtualLoop) -> None:
        on = self.filled(loop, ("k", b"1"), ("k", b"2"))
        loop.leap(COMPACTION_LAG_MS / 1000 - 10)
        on.clean()
        assert seen(on) == [("k", b"1"), ("k", b"2")]
        loop.leap(20)
        on.clean()
        assert seen(on) == [("k", b"2")]

    def test_keeps_a_tombstone_for_a_while_after_it_met_it(self, loop: VirtualLoop) -> None:
        on = self.filled(loop, ("k", b"1"), ("k", None))
        loop.leap(2 * DAY_S)
        on.clean()
        loop.leap(DELETE_RETENTION_MS / 1000 - 10)
        on.clean()
        assert seen(on) == [("k", None)]
        loop.leap(20)
        on.clean()
        assert seen(on) == []

    def test_moves_the_start_of_the_commands(self, loop: VirtualLoop) -> None:
        on = broker(loop)
        on.commands[0].append(on.now(), "k", b"1")
        loop.leap(2 * DAY_S)
        on.commands[0].append(on.now(), "k", b"2")
        loop.leap(2 * DAY_S)
        on.clean()
        assert (on.commands[0].start, on.commands[0].end) == (1, 2)


class TestRedis:
    def filled(self, loop: VirtualLoop) -> RedisServer:
        server = RedisServer(loop, Counter(), loses_reply=lambda: False)
        for script in (
            ["MSET a 1 b 1", "HSET h f 1"],
            ["SET a 2", "DEL b", "HSET h f 2 g 2"],
            ["GET a"],
            ["FLUSHALL"],
        ):
            server.data.begin(script=True)
            for command in script:
                server.data.execute(command.encode().split())
            server.data.end(script=True)
        return server

    def left(self, server: RedisServer) -> tuple[object, ...]:
        return server.data.look(b"a"), server.data.look(b"b"), server.data.look(b"h")

    @pytest.mark.parametrize(
        ("lost", "left"),
        [
            (0, (None, None, None)),
            (1, (b"2", None, {b"f": b"2", b"g": b"2"})),
            (2, (b"1", b"1", {b"f": b"1"})),
            (3, (None, None, None)),
            (9, (None, None, None)),
        ],
    )
    def test_comes_back_with_a_prefix_of_its_scripts(
        self, loop: VirtualLoop, lost: int, left: tuple[object, ...]
    ) -> None:
        server = self.filled(loop)
        boot = server.boot
        server.restart(lost)
        assert self.left(server) == left
        assert server.boot != boot

    def test_a_failover_there_and_back_keeps_the_run_id_only(self, loop: VirtualLoop) -> None:
        server = self.filled(loop)
        run_id, boot = server.run_id, server.boot
        server.fail_over_and_back(1)
        assert (server.run_id, server.data.look(b"a")) == (run_id, b"2")
        assert server.boot != boot

    def test_what_a_plain_command_writes_is_lost_with_the_script_before_it(self, loop: VirtualLoop) -> None:
        server = self.filled(loop)
        server.data.begin(script=False)
        server.data.execute([b"SET", b"sign", b"1"])
        server.data.end(script=False)
        server.restart(1)
        assert server.data.look(b"sign") is None

    def test_keys_expire(self, loop: VirtualLoop) -> None:
        server = self.filled(loop)
        server.data.execute([b"SET", b"sign", b"1", b"PX", b"5000"])
        loop.leap(4)
        assert server.data.look(b"sign") == b"1"
        loop.leap(2)
        assert server.data.look(b"sign") is None
