"""What the figures were measured on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.load.machine import describe, fsync_ms, parse_processor


def test_the_processor_is_the_first_model_name() -> None:
    assert parse_processor("processor\t: 0\nmodel name\t: AMD EPYC 9654\n\nmodel name\t: other\n") == "AMD EPYC 9654"


def test_an_fsync_takes_time_and_leaves_no_file(tmp_path: Path) -> None:
    assert fsync_ms(tmp_path, times=5) > 0
    assert list(tmp_path.iterdir()) == []


def test_the_description_names_no_path_and_no_host(tmp_path: Path) -> None:
    described = msgspec.json.encode(describe(tmp_path)).decode()
    assert "/" not in described
    assert '"commit":"unknown"' in described
