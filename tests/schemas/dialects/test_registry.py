"""The dialects that are served: apart from each other, and each in its own form."""

from __future__ import annotations

import pytest

from schemas.dialects.dialect import Dialect, Refused
from schemas.dialects.registry import DIALECTS


def test_each_has_its_name_and_its_paths() -> None:
    assert [dialect.name for dialect in DIALECTS] == ["matillion", "workspace_one", "oracle_cpq"]
    paths = [{route.path for route in dialect.routes} for dialect in DIALECTS]
    assert len(set.union(*paths)) == sum(map(len, paths))
    prefixes = [prefix for dialect in DIALECTS for prefix in dialect.prefixes]
    assert len(set(prefixes)) == len(prefixes)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_route_is_below_a_prefix_and_has_a_read_beside_it(dialect: Dialect) -> None:
    reads = {route.path for route in dialect.routes if route.operation == "read"}
    for route in dialect.routes:
        assert any(route.path.startswith(f"{prefix}/") for prefix in dialect.prefixes)
        assert not route.path.startswith("/scim")
        if route.operation == "create":
            assert f"{route.path}/{{id}}" in reads
        else:
            assert route.path.endswith("/{id}")
            assert route.path in reads
        assert route.method == {"create": "POST", "read": "GET", "replace": "PUT", "patch": "PATCH"}[
            route.operation
        ] or (route.method == "POST" and route.override == "PATCH")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_an_error_has_its_status_in_every_form(dialect: Dialect) -> None:
    for status in (400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 428, 429, 500, 503):
        answer = dialect.refuse(Refused(status, "no", "/x"))
        assert answer.status == status
        assert ("Content-Type" in answer.headers) == bool(answer.body)
