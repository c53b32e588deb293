"""Taking a partition over where only the order of its steps counts; the rest is shown in ``tests/simulation``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from consumers.errors import PartitionHalted
from consumers.metrics import Metrics
from consumers.partition_ports import Ends
from consumers.takeover import OLDEST_MARK_MS, take_over
from schemas.numbering import Watermark
from schemas.records import PositionRecord, encode_record
from schemas.transactions import StateRecord

NOW_MS = 1_800_000_000_000


class Log:
    """A log with these records."""

    def __init__(self, *records: StateRecord) -> None:
        self._records = records

    async def open(self) -> str:
        return "1:0,2:0"

    async def ends(self) -> Ends:
        return Ends(start=0, committed=10, end=10)

    async def read(self, _offset: int, _end: int) -> AsyncIterator[Sequence[StateRecord]]:
        yield self._records


class Store:
    """A store whose watermark was written last at a time."""

    def __init__(self, written_at: int) -> None:
        self._mark: Watermark | None = Watermark(offset=5, position=3, time=written_at)
        self.emptied = 0

    async def take(self) -> Watermark | None:
        return self._mark

    async def empty(self) -> None:
        self.emptied += 1
        self._mark = None

    async def records(self, _keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    async def replay(self, *_: object) -> None: ...

    async def unclean(self) -> bool:
        return False

    async def activate(self, _token: str) -> None: ...


class Feed:
    """Commands up to 20."""

    end = 20

    async def bounds(self) -> tuple[int, int]:
        return 0, self.end


async def taken_over(log: Log, store: Store, feed: Feed | None = None) -> int:
    resumption = await take_over(
        0, log, store, feed or Feed(), metrics=Metrics(), belongs=lambda *_: True, clock=lambda: NOW_MS / 1000  # type: ignore[arg-type]
    )  # fmt: skip
    return resumption.offset


async def test_CP13_a_store_whose_watermark_is_too_old_is_emptied_and_filled_again() -> None:
    old, fresh = Store(NOW_MS - OLDEST_MARK_MS - 1), Store(NOW_MS - OLDEST_MARK_MS)
    assert await taken_over(Log(), old) == 0
    assert await taken_over(Log(), fresh) == 4
    assert (old.emptied, fresh.emptied) == (1, 0)


async def test_CP13_a_partition_that_halts_takes_nobodys_records_out_of_the_store() -> None:
    """Others read of the shard: emptied by what cannot fill it again, it would serve nobody any more."""
    store = Store(NOW_MS - 2 * OLDEST_MARK_MS)
    later = StateRecord("acme/User/x", b'{"kind":"user","v":99}')
    with pytest.raises(PartitionHalted, match="later version"):
        await taken_over(Log(later), store)
    assert store.emptied == 0


async def test_CP13_a_partition_whose_commands_are_gone_empties_nothing_either() -> None:
    store, feed = Store(NOW_MS - 2 * OLDEST_MARK_MS), Feed()
    feed.end = 5
    place = encode_record(PositionRecord(offset=10))
    with pytest.raises(PartitionHalted, match="emptied or made anew"):
        await taken_over(Log(StateRecord("position/0", place)), store, feed)
    assert store.emptied == 0
