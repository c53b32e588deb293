"""Each rule removed once: the line that keeps it patched out, and the seed that shows it.

A patch replaces source text of one function, or of one Lua script as it is loaded, which must be there exactly once, by
other text; the function keeps its identity, only its code is swapped.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, Final
from unittest.mock import patch

import msgspec

from consumers import apply, deliveries, owner, remote, takeover, topics
from consumers.backends import redis_scripts, redis_store
from schemas import batches, decide, replays, transactions


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """One rule and what takes it away."""

    rule: str
    what: str
    """What goes wrong, in a few words."""
    function: Callable[..., Any] | None = None
    script: str | None = None
    """One of the two: where the line stands."""
    line: str
    instead: str
    seeds: tuple[int, ...]
    """Of runs that show it; a change of the product shifts what happens in a run, so there are several."""


PLANTED: Final = (
    Planted(
        rule="CP-3",
        what="the next transaction begins although the last is not in Redis",
        function=owner.PartitionOwner._persist_up_to,
        line="raise OwnershipLost(str(error)) from error",
        instead="return",
        seeds=(1002, 1003, 1006),
    ),
    Planted(
        rule="CP-4",
        what="run_id alone is the boot",
        script="prelude",
        line="\n    and string.find(info, 'master_replid:' .. REPLID, 1, true))",
        instead=")",
        seeds=(1006, 1011, 1013),
    ),
    Planted(
        rule="CP-5",
        what="scripts run without the fence",
        script="prelude",
        line="  if redis.call('GET', KEYS[2]) ~= fence then return {'fence'} end\n",
        instead="",
        seeds=(1015, 1033, 1060),
    ),
    Planted(
        rule="CP-6",
        what="the position record forgets refusals and no-ops",
        function=transactions.transaction_of,
        line="place = PositionRecord(offset=position, answered=left)",
        instead="place = PositionRecord(offset=position)",
        seeds=(1000, 1001, 1002, 1003),
    ),
    Planted(
        rule="CP-7",
        what="numbers are not in the log",
        function=transactions.transaction_of,
        line="state += [StateRecord(number_key(tenant), encode_record(SeqRecord(seq=n))) for tenant, n in batch.numbers.items()]",
        instead="pass",
        seeds=(1000, 1001, 1002, 1003),
    ),
    Planted(
        rule="CP-8",
        what="a create on an id that existed is carried out",
        function=decide._create,
        line="if view.resource is not None or view.gone:",
        instead="if False:",
        seeds=(1000, 1003, 1005),
    ),
    Planted(
        rule="CP-9",
        what="compaction takes records whose outcomes still live",
        function=topics.wanted,
        line='"min.compaction.lag.ms": Wanted(str(COMPACTION_LAG_MS), least=COMPACTION_LAG_MS),',
        instead="",
        seeds=(1005, 1019, 1028),
    ),
    Planted(
        rule="CP-11",
        what="a take-over goes on without its fence",
        script="owner",
        line="if refusal then return refusal end\n",
        instead="",
        seeds=(1119, 1074, 1002),
    ),
    Planted(
        rule="CP-13",
        what="an old watermark is good enough",
        function=takeover._usable,
        line="if now - mark.time > OLDEST_MARK_MS or mark.offset < ends.start:",
        instead="if False:",
        seeds=(1001, 1004, 1009, 1010),
    ),
    Planted(
        rule="CP-14",
        what="a replay restores no outcomes",
        function=replays.fold,
        line="outcomes.append((address.tenant, outcome))",
        instead="pass",
        seeds=(1000, 1001, 1002, 1003),
    ),
    Planted(
        rule="CP-15",
        what="one recovered partition counts for the shard",
        script="prelude",
        line="    if not found[i + 1] then return fields[i] end\n",
        instead="",
        seeds=(1010, 1012, 1021, 1025),
    ),
    Planted(
        rule="CP-17",
        what="a command already answered is decided again",
        function=batches._step,
        line="answer = replay(command, view)",
        instead="answer = None",
        seeds=(1003, 1000, 1001, 1002, 1004),
    ),
    Planted(
        rule="CP-17 (chaining)",
        what="a command does not see what those before it leave",
        function=batches.plan,
        line="_chained(view, changed.get(address))",
        instead="view",
        seeds=(1004, 1018, 1021),
    ),
    Planted(
        rule="CP-18",
        what="commands are decided after their budget",
        function=batches.is_late,
        line="return bool(command.budget) and now >= command.accepted_at + command.budget - margin",
        instead="return False",
        seeds=(1001, 1003, 1004, 1006),
    ),
    Planted(
        rule="CP-18 (append time)",
        what="the budget ends by the gateway's clock alone",
        function=deliveries.decoded,
        line="if command.accepted_at > delivered.appended_at:",
        instead="if False:",
        seeds=(1008, 1012, 1019, 1028),
    ),
    Planted(
        rule="CP-19",
        what="a refusal at reserve leaves later decisions standing",
        function=batches.plan,
        line="if address in awaiting or key in keys",
        instead="if key in keys",
        seeds=(1000, 1018, 1026),
    ),
    Planted(
        rule="CP-20 (stale)",
        what="a reservation outlives the owner that made it",
        script="reserve",
        line="string.sub(fence, 1, 7) == 'active:' and fence ~= 'active:' .. token\n",
        instead="false\n",
        seeds=(1181, 1203, 1265),
    ),
    Planted(
        rule="CP-20 (taking over)",
        what="a reservation is stale as soon as its partition is taken over",
        script="reserve",
        line="string.sub(fence, 1, 7) == 'active:' and fence ~= 'active:' .. token\n",
        instead="fence ~= 'active:' .. token\n",
        seeds=(1002, 1035, 1099),
    ),
    Planted(
        rule="CP-20 (busy)",
        what="a name that is only reserved is refused for good",
        function=apply.ApplyLoop._reserve,
        line="return result[:i] if i else [_given_up(commands[0])]",
        instead='result[i] = refusal(Uniqueness("it is reserved"))',
        seeds=(1046, 1111, 1116),
    ),
    Planted(
        rule="CP-24",
        what="the watermark moves with the first script of a commit",
        function=redis_store.RedisPartitionStore._pieces,
        line="mark=None if batch.mark is None or i < last else _text(batch.mark),",
        instead="mark=None if batch.mark is None else _text(batch.mark),",
        seeds=(1005, 1006, 1007, 1009),
    ),
    Planted(
        rule="CP-25",
        what="an expired command leaves an outcome",
        function=batches._step,
        line="return Expired()",
        instead='return Refusal(status=503, detail="too late")',
        seeds=(1000, 1002, 1005, 1006),
    ),
    Planted(
        rule="CP-26",
        what="a command that kills its worker is tried for ever",
        function=owner.PartitionOwner._batch,
        line=">= MOST_ATTEMPTS",
        instead=">= 10**9",
        seeds=(1004, 1055, 1074),
    ),
    Planted(
        rule="CP-27",
        what="a gateway waits longer than the budget",
        function=remote.RemoteCommands.expire,
        line="if waiting.deadline <= now",
        instead="if False",
        seeds=(1004, 1008, 1017, 1019),
    ),
    Planted(
        rule="CP-30",
        what="an answer that nobody saw is not given again",
        function=apply.ApplyLoop._reserve,
        line="if first is not None:",
        instead="if False:",
        seeds=(1000, 1012, 1041),
    ),
    Planted(
        rule="CP-30 (keys)",
        what="a key that another partition reserved is had by both",
        script="reserve",
        line="if keyed[k] and keyed[k] ~= id then return -1 end",
        instead="",
        seeds=(1005, 1009, 1018),
    ),
)

_SOURCES: Final = {
    bug.function.__qualname__: textwrap.dedent(inspect.getsource(bug.function))
    for bug in PLANTED
    if bug.function is not None
}
"""Read when the modules are: who edits them during a long run does not disturb it."""
_SCRIPTS: Final = {name: redis_scripts._source(name) for name in ("prelude", *redis_scripts.NAMES)}
"""The same of the Lua scripts."""


@contextmanager
def planted(bug: Planted) -> Iterator[None]:
    """Take a rule away for a while."""
    if bug.script is not None:
        scripts = _SCRIPTS | {bug.script: _replaced(_SCRIPTS[bug.script], bug)}
        with patch.object(redis_scripts, "_source", scripts.__getitem__):
            yield
        return
    function = bug.function
    assert isinstance(function, FunctionType)
    kept, function.__code__ = function.__code__, _without(function, bug)
    try:
        yield
    finally:
        function.__code__ = kept


def _replaced(source: str, bug: Planted) -> str:
    assert source.count(bug.line) == 1, (
        f"{bug.rule}: the line to remove stands {source.count(bug.line)} times in the source"
    )
    return source.replace(bug.line, bug.instead)


def _without(function: FunctionType, bug: Planted) -> CodeType:
    """Return the function's code with the line replaced, which must stand there exactly once."""
    changed = _replaced(_SOURCES[function.__qualname__], bug)
    flags = __future__.annotations.compiler_flag
    module = compile(changed, function.__code__.co_filename, "exec", flags=flags, dont_inherit=True)
    name = function.__name__
    code = next(one for one in module.co_consts if isinstance(one, CodeType) and one.co_name == name)
    assert code.co_freevars == function.__code__.co_freevars
    return code
