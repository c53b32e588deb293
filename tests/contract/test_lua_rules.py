"""Each line of the Lua scripts that keeps a rule of the commit protocol is missed: without it, a scenario fails on Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import pytest
import redis

from consumers.backends import redis_scripts
from tests.contract import lua_scenarios as scenarios
from tests.contract import test_partition_store as suite
from tests.contract.lua_scenarios import Shard, recovered
from tests.contract.partition_stands import RedisPartitionStand

pytestmark = pytest.mark.services

SHOULD_HAVE_BEEN_FOUND: Final = (AssertionError, pytest.fail.Exception)
"""What a scenario raises where a promise is broken, not where the patched script itself does not run."""


Scenario = Callable[[Shard], Awaitable[None]]
FENCES, RECOVERY, REPLAY = suite.TestFences(), suite.TestRecovery(), suite.TestReplay()
RESERVATIONS, COMMIT, KEYS = suite.TestReservations(), suite.TestCommit(), suite.TestKeys()


class Line(NamedTuple):
    """A rule, the line that keeps it, what stands instead, and the scenario that then fails."""

    rule: str
    script: str
    line: str
    instead: str
    scenario: Scenario


def on_bare_stand(scenario: Callable[[RedisPartitionStand], Awaitable[None]]) -> Scenario:
    """Return a scenario of the suite that begins with partitions nobody took; the shard is emptied for it."""

    async def run(shard: Shard) -> None:
        with redis.Redis.from_url(shard.url) as client:
            client.flushdb()
        assert isinstance(shard.stand, RedisPartitionStand)
        await scenario(shard.stand)

    run.__name__ = scenario.__name__
    return run


UNRECOVERED = on_bare_stand(RECOVERY.test_CP15_nothing_is_read_or_written_until_all_partitions_are_recovered)
TAKEN_AWAY = FENCES.test_CP11_an_owner_loses_the_partition_when_a_take_over_begins
TWO_TAKE_OVERS = FENCES.test_CP11_of_two_take_overs_at_once_only_the_later_goes_on
STALE = RESERVATIONS.test_CP20_a_reservation_is_stale_once_its_partition_is_active_under_another_token
ONE_BAD_CHANGE = COMMIT.test_CP24_a_batch_with_one_bad_change_leaves_nothing
NO_GAP = COMMIT.test_CP24_versions_and_numbers_leave_no_gap
TOMBSTONE = REPLAY.test_CP14_a_tombstone_takes_the_place_away
RELEASED = RESERVATIONS.test_CP21_a_name_is_released_at_commit_not_before

LINES: Final = (
    Line(
        "CP4",
        "prelude",
        "  if writes and rebooted() then return {'boot'} end\n",
        "",
        scenarios.another_history_ends_what_owners_do,
    ),
    Line(
        "CP4",
        "prelude",
        "\n    and string.find(info, 'master_replid:' .. REPLID, 1, true))",
        ")",
        scenarios.another_history_ends_what_owners_do,
    ),
    Line(
        "CP4",
        "view",
        "refused(ARGV[1], fields, true)",
        "refused(ARGV[1], fields, #releases > 0)",
        scenarios.another_history_ends_what_owners_see,
    ),
    Line(
        "CP4",
        "owner",
        "  if rebooted() then return {'boot'} end\n",
        "",
        scenarios.another_history_ends_a_take_over_that_begins,
    ),
    Line("CP5", "prelude", "  if redis.call('GET', KEYS[2]) ~= fence then return {'fence'} end\n", "", TAKEN_AWAY),
    Line(
        "CP11",
        "owner",
        "  redis.call('SET', KEYS[2], fence)\n",
        "  redis.call('SET', KEYS[2], fence, 'NX')\n",
        TAKEN_AWAY,
    ),
    Line(
        "CP11",
        "owner",
        "if refusal then return refusal end\n",
        "if refusal and step ~= 'activate' then return refusal end\n",
        TWO_TAKE_OVERS,
    ),
    Line(
        "CP11",
        "apply",
        "if refusal then return refusal end\n",
        "if refusal and not replays then return refusal end\n",
        TWO_TAKE_OVERS,
    ),
    Line("CP11", "empty", "if refusal then return refusal end\n", "", scenarios.only_the_fences_owner_empties),
    Line(
        "CP13",
        "empty",
        "redis.call('SET', KEYS[2], fence)\n",
        "",
        scenarios.whoever_empties_keeps_the_fence,
    ),
    Line("CP14", "apply", "    last = math.max(stored, last)\n", "", scenarios.a_replay_does_not_take_numbers_back),
    Line("CP14", "apply", "  redis.call('DEL', forgotten[1])\n", "", TOMBSTONE),
    Line(
        "CP14",
        "apply",
        "  redis.call('DEL', forgotten[1])\n",
        "  if asked.written == 2 then redis.call('DEL', forgotten[1]) end\n",
        scenarios.a_delete_and_its_tombstone_at_once_leave_nothing,
    ),
    Line("CP14", "apply", "  redis.call('ZREM', asked.gone_key, forgotten[2])\n", "", TOMBSTONE),
    Line("CP15", "prelude", "    if not found[i + 1] then return fields[i] end\n", "", UNRECOVERED),
    Line(
        "CP15",
        "prelude",
        "  if found[1] ~= BOOT then return 'boot' end\n",
        "",
        scenarios.what_an_old_boot_recovered_does_not_count,
    ),
    Line(
        "CP15",
        "owner",
        "    redis.call('DEL', KEYS[1])\n",
        "",
        scenarios.what_an_old_boot_recovered_does_not_count_at_activation,
    ),
    Line(
        "CP15",
        "apply",
        "refused(ARGV[1], asked.fields, true)",
        "refused(ARGV[1], nil, true)",
        scenarios.nothing_is_committed_until_all_partitions_are_recovered,
    ),
    Line(
        "CP16",
        "owner",
        "    redis.call('SET', KEYS[3], offset .. ' ' .. position .. ' ' .. ARGV[3])\n",
        "",
        COMMIT.test_CP16_the_watermarks_time_is_refreshed_after_a_minute,
    ),
    Line(
        "CP19",
        "reserve",
        "  if answer == 0 then\n",
        "  do\n",
        RESERVATIONS.test_CP19_a_claim_is_granted_as_a_whole_or_not_at_all,
    ),
    Line(
        "CP20",
        "reserve",
        "string.sub(fence, 1, 7) == 'active:' and fence ~= 'active:' .. token\n",
        "fence ~= 'active:' .. token\n",
        STALE,
    ),
    Line(
        "CP20",
        "reserve",
        "string.sub(fence, 1, 7) == 'active:' and fence ~= 'active:' .. token\n",
        "false\n",
        STALE,
    ),
    Line(
        "CP20",
        "reserve",
        "      answer = -1\n",
        "      answer = {(i - first) / 2 + 1, by}\n",
        RESERVATIONS.test_CP20_a_reservation_of_another_partition_is_in_the_way_but_takes_nothing,
    ),
    Line(
        "CP20",
        "reserve",
        "    if holder and holder ~= id then\n",
        "    if false then\n",
        RESERVATIONS.test_CP20_a_name_that_the_replay_found_committed_is_taken,
    ),
    Line(
        "CP20",
        "reserve",
        "  if answer == -1 then cut = true end\n",
        "",
        RESERVATIONS.test_CP20_whoever_waits_holds_nothing_that_another_waits_for,
    ),
    Line("CP21", "apply", "      holder = without(holder, id)\n", "", RELEASED),
    Line("CP21", "apply", "    holders[group][at] = holder\n", "", RELEASED),
    Line(
        "CP21",
        "apply",
        "      if by == id then let_go[group][at] = true end\n",
        "",
        RESERVATIONS.test_CP21_a_committed_name_is_reserved_no_more,
    ),
    Line(
        "CP21",
        "view",
        " then redis.call('HDEL', key, name) end",
        " then end",
        RESERVATIONS.test_CP21_what_was_reserved_for_a_command_that_was_cut_is_let_go,
    ),
    Line(
        "CP24",
        "apply",
        " then return {'watermark'} end",
        " then end",
        scenarios.a_batch_without_changes_is_not_committed_twice,
    ),
    Line(
        "CP24",
        "apply",
        "  if versions[place] ~= expected then return {'conflict', 'a version is not the expected one'} end\n",
        "",
        ONE_BAD_CHANGE,
    ),
    Line(
        "CP24",
        "apply",
        "  if not replays and (version ~= expected + 1 or (expected > 0 and not lives[place])) then\n",
        "  if false then\n",
        NO_GAP,
    ),
    Line("CP24", "apply", "  elseif stored + count ~= last then\n", "  elseif false then\n", NO_GAP),
    Line(
        "CP24",
        "apply",
        "        if holder and holder ~= id then return {'conflict', 'a name is held by another resource'} end\n",
        "",
        scenarios.a_held_name_cannot_be_committed,
    ),
    Line(
        "CP24",
        "apply",
        "        if by and by ~= id then return {'conflict', 'a name is reserved for another resource'} end\n",
        "",
        scenarios.a_reserved_name_cannot_be_committed,
    ),
    Line(
        "CP24",
        "apply",
        "  if not (was and live) then note(orders, order_key, place, live and since) end",
        "  if live then redis.call('ZADD', order_key, since, id) end\n",
        ONE_BAD_CHANGE,
    ),
    Line(
        "CP28",
        "read",
        "if field then return {'recovering', field} end\n",
        "",
        scenarios.what_is_emptied_is_not_read_by_a_gateway_that_has_read_it_just_now,
    ),
    Line(
        "CP30",
        "reserve",
        "  if keyed[k] and keyed[k] ~= id then return -1 end\n",
        "",
        KEYS.test_CP30_a_key_that_another_partition_reserved_is_contended,
    ),
    Line(
        "CP30",
        "reserve",
        "  keyed[k] = reserver(redis.call('GET', key[3]))\n",
        "  keyed[k] = string.match(redis.call('GET', key[3]) or '', '^%Z+')\n",
        KEYS.test_CP20_CP30_a_key_is_free_once_its_partition_is_active_under_another_token,
    ),
    Line(
        "CP30",
        "reserve",
        "  if used[k] then return used[k] end\n",
        "",
        KEYS.test_CP30_the_first_outcome_answers_who_waited_for_the_key,
    ),
    Line(
        "CP30",
        "reserve",
        "(answer == 0 or type(answer) == 'table')",
        "answer == 0",
        KEYS.test_CP30_a_refusal_for_a_name_is_kept_under_its_key,
    ),
    Line("CP30", "view", "    redis.call('DEL', key)\n", "", KEYS.test_CP30_a_key_whose_command_was_cut_is_let_go),
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.rule}-{line.script}-{line.scenario.__name__}")
async def test_CP4_CP5_CP11_CP13_CP14_CP15_CP16_CP19_CP20_CP21_CP24_CP28_CP30_without_its_line_in_lua_a_scenario_fails(
    line: Line, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = redis_scripts._source
    assert source(line.script).count(line.line) == 1
    async with recovered(redis_url) as shard:
        await line.scenario(shard)

    def patched(name: str) -> str:
        return source(name).replace(line.line, line.instead) if name == line.script else source(name)

    monkeypatch.setattr(redis_scripts, "_source", patched)
    async with recovered(redis_url) as shard:
        with pytest.raises(SHOULD_HAVE_BEEN_FOUND):
            await line.scenario(shard)
