"""Log lines: JSON, with ids; never the text of an error, which may hold a value out of a request."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from gateway.logs import JsonFormatter, _NoParserNoise


def formatted(level: int = logging.INFO, text: str = "said", error: Any = None, **extra: Any) -> Any:
    record = logging.makeLogRecord({"name": "scimgw.x", "levelno": level, "levelname": logging.getLevelName(level)})
    record.msg, record.exc_info, record.created = text, error, 1_795_262_400.007
    record.__dict__.update(extra)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_is_one_JSON_object_with_the_fields_of_extra() -> None:
    line = formatted(action="request", status=201, txn="t-1")
    assert line == {
        "time": "2026-11-21T12:00:00.007Z",
        "level": "info",
        "logger": "scimgw.x",
        "text": "said",
        "action": "request",
        "status": 201,
        "txn": "t-1",
    }


def test_an_error_is_its_class_and_its_traceback_without_its_text() -> None:
    try:
        try:
            raise KeyError("canary-cause")
        except KeyError as cause:
            raise ValueError("canary-text") from cause
    except ValueError:
        line = formatted(logging.ERROR, error=sys.exc_info())
    assert line["error"].endswith("ValueError")
    assert "test_an_error_is_its_class" in line["error"]
    assert "canary-text" not in line["error"].replace('raise ValueError("canary-text")', "")
    assert "canary-cause" not in line["error"]


def test_what_JSON_does_not_know_is_written_as_text() -> None:
    assert formatted(error_kind=ValueError)["error_kind"] == "<class 'ValueError'>"


@pytest.mark.parametrize(
    ("level", "text", "kept"),
    [
        (logging.ERROR, "Error handling request from 127.0.0.1", False),
        (logging.ERROR, "Unhandled exception", True),
        (logging.INFO, "Error handling request", True),
    ],
)
def test_malformed_requests_do_not_fill_the_log(level: int, text: str, kept: bool) -> None:
    record = logging.makeLogRecord({"levelno": level, "msg": text})
    assert _NoParserNoise().filter(record) is kept
