"""The dialects that are served beside SCIM 2.0."""

from __future__ import annotations

from typing import Final

from schemas.dialects.dialect import Dialect
from schemas.dialects.matillion import MATILLION
from schemas.dialects.oracle_cpq import ORACLE_CPQ
from schemas.dialects.workspace_one import WORKSPACE_ONE

DIALECTS: Final[tuple[Dialect, ...]] = (MATILLION, WORKSPACE_ONE, ORACLE_CPQ)
