"""Each rule removed once: the line that keeps it patched out, and the seed that shows it.

A patch replaces source text of one function, which must be there exactly once, by other text; the function keeps its
identity, only its code is swapped. ``twin``: the production line is in a Lua script, which the fake Redis does not run;
what is patched out is the line of ``tests/simulation`` that the contract suite holds to the same promise.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, Final

import msgspec

from consumers import apply, deliveries, owner, remote, takeover
from schemas import batches, decide, replays, transactions
from tests.simulation import broker, redis_ports, redis_scripts, redis_server


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """One rule and what takes it away."""

    rule: str
    what: str
    """What goes wrong, in a few words."""
    function: Callable[..., Any]
    line: str
    instead: str
    seeds: tuple[int, ...]
    """Of runs that show it; a change of the product shifts what happens in a run, so there are several."""
    twin: bool = False


_BOOT: Final = vars(redis_server.RedisServer)["boot"].fget

PLANTED: Final = (
    Planted(
        rule="CP-3",
        what="the next transaction begins although the last is not in Redis",
        function=owner.PartitionOwner._persist_up_to,
        line="raise OwnershipLost(str(error)) from error",
        instead="return",
        seeds=(1031, 1057),
    ),
    Planted(
        rule="CP-4",
        what="run_id alone is the boot",
        function=_BOOT,
        line='return f"{self.run_id} {self.replid}"',
        instead="return self.run_id",
        seeds=(1008, 1005),
        twin=True,
    ),
    Planted(
        rule="CP-5",
        what="scripts run without the fence",
        function=redis_scripts.Scripts.fenced,
        line='if self.redis.get(("fence", partition)) != fence:',
        instead="if False:",
        seeds=(1019, 1030, 1042),
        twin=True,
    ),
    Planted(
        rule="CP-6",
        what="the position record forgets refusals and no-ops",
        function=transactions.transaction_of,
        line="place = PositionRecord(offset=position, answered=left)",
        instead="place = PositionRecord(offset=position)",
        seeds=(1000,),
    ),
    Planted(
        rule="CP-7",
        what="numbers are not in the log",
        function=transactions.transaction_of,
        line="state += [StateRecord(number_key(tenant), encode_record(SeqRecord(seq=n))) for tenant, n in batch.numbers.items()]",
        instead="pass",
        seeds=(1000,),
    ),
    Planted(
        rule="CP-8",
        what="a create on an id that existed is carried out",
        function=decide._create,
        line="if view.resource is not None or view.gone:",
        instead="if False:",
        seeds=(1011, 1009),
    ),
    Planted(
        rule="CP-9",
        what="compaction takes records whose outcomes still live",
        function=broker.Broker._compact,
        line="self.settings.compaction_lag_ms",
        instead="0",
        seeds=(1005,),
        twin=True,
    ),
    Planted(
        rule="CP-11",
        what="a take-over goes on without its fence",
        function=redis_ports.FakePartitionStore._owned,
        line="self._scripts.fenced(self._partition, fence)",
        instead="recovered and self._scripts.fenced(self._partition, fence)",
        seeds=(1016, 1004),
        twin=True,
    ),
    Planted(
        rule="CP-13",
        what="an old watermark is good enough",
        function=takeover._usable,
        line="if now - mark.time > OLDEST_MARK_MS or mark.offset < ends.start:",
        instead="if False:",
        seeds=(1086,),
    ),
    Planted(
        rule="CP-14",
        what="a replay restores no outcomes",
        function=replays.fold,
        line="outcomes.append((address.tenant, outcome))",
        instead="pass",
        seeds=(1000,),
    ),
    Planted(
        rule="CP-15",
        what="one recovered partition counts for the shard",
        function=redis_scripts.Scripts.is_whole,
        line="partitions >= self._partitions",
        instead="len(partitions) > 0",
        seeds=(1008, 1010),
        twin=True,
    ),
    Planted(
        rule="CP-17",
        what="a command already answered is decided again",
        function=batches._step,
        line="answer = replay(command, view)",
        instead="answer = None",
        seeds=(1000,),
    ),
    Planted(
        rule="CP-17 (chaining)",
        what="a command does not see what those before it leave",
        function=batches.plan,
        line="_chained(view, changed.get(address))",
        instead="view",
        seeds=(1017, 1005),
    ),
    Planted(
        rule="CP-18",
        what="commands are decided after their budget",
        function=batches.is_late,
        line="return bool(command.budget) and now >= command.accepted_at + command.budget - margin",
        instead="return False",
        seeds=(1000,),
    ),
    Planted(
        rule="CP-18 (append time)",
        what="the budget ends by the gateway's clock alone",
        function=deliveries.decoded,
        line="if command.accepted_at > delivered.appended_at:",
        instead="if False:",
        seeds=(1001,),
    ),
    Planted(
        rule="CP-19",
        what="a refusal at reserve leaves later decisions standing",
        function=batches.plan,
        line="if address in awaiting or key in keys",
        instead="if key in keys",
        seeds=(1001, 1023),
    ),
    Planted(
        rule="CP-20 (stale)",
        what="a reservation outlives the owner that made it",
        function=redis_scripts.Scripts._stale,
        line='return fence.startswith("active:") and fence != token',
        instead="return False",
        seeds=(1025, 1038, 1076),
        twin=True,
    ),
    Planted(
        rule="CP-24",
        what="the watermark moves with the first script of a commit",
        function=redis_ports.FakePartitionStore._commit,
        line="self._scripts.commit(self._partition, changes, outcomes, last)",
        instead="self._scripts.commit(self._partition, changes, outcomes, rest)",
        seeds=(1011, 1017, 1027, 1045),
        twin=True,
    ),
    Planted(
        rule="CP-25",
        what="an expired command leaves an outcome",
        function=batches._step,
        line="return Expired()",
        instead='return Refusal(status=503, detail="too late")',
        seeds=(1000,),
    ),
    Planted(
        rule="CP-26",
        what="a command that kills its worker is tried for ever",
        function=owner.PartitionOwner._batch,
        line=">= MOST_ATTEMPTS",
        instead=">= 10**9",
        seeds=(1006,),
    ),
    Planted(
        rule="CP-27",
        what="a gateway waits longer than the budget",
        function=remote.RemoteCommands.expire,
        line="if waiting.deadline <= now",
        instead="if False",
        seeds=(1000,),
    ),
    Planted(
        rule="CP-30",
        what="an answer that nobody saw is not given again",
        function=apply.ApplyLoop._reserve,
        line="if first is not None:",
        instead="if False:",
        seeds=(1067, 1071, 1120),
    ),
)

_SOURCES: Final = {bug.function.__qualname__: textwrap.dedent(inspect.getsource(bug.function)) for bug in PLANTED}
"""Read when the modules are: who edits them during a long run does not disturb it."""


@contextmanager
def planted(bug: Planted) -> Iterator[None]:
    """Take a rule away for a while."""
    function = bug.function
    assert isinstance(function, FunctionType)
    kept, function.__code__ = function.__code__, _without(function, bug)
    try:
        yield
    finally:
        function.__code__ = kept


def _without(function: FunctionType, bug: Planted) -> CodeType:
    """Return the function's code with the line replaced, which must stand there exactly once."""
    source = _SOURCES[function.__qualname__]
    assert source.count(bug.line) == 1, (
        f"{bug.rule}: the line to remove stands {source.count(bug.line)} times in the source"
    )
    changed = source.replace(bug.line, bug.instead)
    flags = __future__.annotations.compiler_flag
    module = compile(changed, function.__code__.co_filename, "exec", flags=flags, dont_inherit=True)
    name = function.__name__
    code = next(one for one in module.co_consts if isinstance(one, CodeType) and one.co_name == name)
    assert code.co_freevars == function.__code__.co_freevars
    return code
