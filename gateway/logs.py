"""Logs: one JSON object a line on standard error, with an ``action`` and ids; never an attribute's value."""

from __future__ import annotations

import logging
import traceback
from typing import Any, Final

import msgspec

from schemas import timestamps

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, logger, text, the fields of ``extra``, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "time": timestamps.text(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            line["error"] = _without_values(record.exc_info)
        return _encoder.encode(line).decode()


def _without_values(error: Any) -> str:
    """Return class and traceback of an error, not its text: that may hold a value out of a request."""
    kind, _, trace = error
    return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind is not None else "")


class _NoParserNoise(logging.Filter):
    """Drops what aiohttp logs, with a traceback, about each malformed request: anybody can send those."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Error handling request") or record.levelno < logging.ERROR


def configure(level: int = logging.INFO) -> None:
    """Send all logs to standard error as JSON lines."""
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[to_stderr], force=True)
    logging.getLogger("aiohttp.server").addFilter(_NoParserNoise())
    logging.getLogger("asyncio").setLevel(logging.WARNING)
