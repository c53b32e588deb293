"""Batches are compressed at the level we want, which no setting of aiokafka's gives."""

from __future__ import annotations

import random

import cramjam
from aiokafka.producer.message_accumulator import BatchBuilder

from consumers.backends.kafka_compression import compression


def _batch(compression_type: int) -> bytes:
    random.seed(7)
    builder = BatchBuilder(1 << 20, compression_type, is_transactional=False)
    for _ in range(100):
        value = bytes(random.choices(b"abcdefgh ", k=600))
        assert builder.append(timestamp=0, key=b"acme/x", value=value) is not None
    return bytes(builder._build())


def test_a_batch_is_what_LZ4_makes_at_its_fast_level() -> None:
    assert compression() == "lz4"
    header = 61  # bytes of a batch before its records
    records, batch = _batch(0)[header:], _batch(3)[header:]

    def lz4(level: int) -> bytes:
        compressor = cramjam.lz4.Compressor(level=level, content_checksum=False, block_linked=False)
        compressor.compress(records)
        return bytes(compressor.finish())

    assert batch == lz4(1)
    assert batch != lz4(9)
