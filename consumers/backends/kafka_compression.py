"""How producers compress: LZ4 at its fast level, for which aiokafka has no setting."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

from aiokafka.codec import lz4_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder

LEVEL: Final = 1
"""aiokafka's 9 is LZ4 HC: seven times the time for 8 % fewer bytes of users, a tenth of all that a worker does."""


def compression() -> str:
    """Return the ``compression_type`` of a producer, whose batches from now on are compressed at LEVEL."""
    # The builder's module, compiled or not, looks its encoders up by name when it closes a batch.
    module = sys.modules[DefaultRecordBatchBuilder.__module__]
    module.lz4_encode = partial(lz4_encode, level=LEVEL)  # type: ignore[attr-defined]
    return "lz4"
