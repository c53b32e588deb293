"""The examples of the RFCs in ``tests/rfc/``, by clause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "rfc"


def rfc_example(name: str) -> Any:
    """Return the decoded example of that file name without ``.json``, such as ``rfc7643-8.1-user-minimal``."""
    return json.loads((_FOLDER / f"{name}.json").read_bytes())
