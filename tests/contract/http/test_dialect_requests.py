"""Requests that no client of the documented services sends by accident, on the routes of each dialect."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import Any, Final

import pytest

from schemas.dialects.registry import DIALECTS
from tests.served import Scim, Service, unique

WRITES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "matillion": ("PUT", "/dpc/v1/directory-integration/scim/v2/Users/", {"meta": {}}),
    "maia": ("PUT", "/v1/directory-integration/scim/v2/Users/", {"meta": {}}),
    "workspace_one": ("PATCH", "/SAAS/jersey/manager/api/scim/Users/", {}),
    "workspace_one-double": ("PATCH", "//SAAS/jersey/manager/api/scim/Users/", {}),
    "oracle_cpq": ("PUT", "/rest/v19/scim/Users/", {}),
}
"""Route → a method, the path before the id, and the least of a body."""
FORMS: Final = {
    "matillion": "application/problem+json",
    "maia": "application/problem+json",
    "oracle_cpq": "application/json",
}
"""Route → the media type of its errors; none for Workspace ONE's, which have no body."""


class Writer:
    """Writes one user on one route, and checks that errors come in the route's form."""

    def __init__(self, service: Service, rfc: Scim, name: str) -> None:
        self.user = rfc.made(unique())
        self.method, path, least = WRITES[name]
        self.url = f"{service.origin}{path}{self.user['id']}"
        self.body = least | {"userName": self.user["userName"], "active": True}
        self._form = FORMS.get(name)
        self._token = service.tokens["rfc"]
        self._client = service.stranger().http  # without a token of its own beside the ones given

    def send(self, *headers: tuple[str, str], content: bytes | None = None, method: str | None = None) -> int:
        """Send the body, or another content, with these headers in place of the usual ones of those names."""
        names = {name.lower() for name, _ in headers}
        usual = [("Authorization", f"Bearer {self._token}"), ("Content-Type", "application/json")]
        sent = [*headers, *((name, value) for name, value in usual if name.lower() not in names)]
        body = json.dumps(self.body).encode() if content is None else content
        answer = self._client.request(method or self.method, self.url, content=body, headers=sent)
        if answer.status_code >= 400:
            assert answer.headers.get("Content-Type") == self._form
            assert bool(answer.content) == (self._form is not None)
        return answer.status_code


@pytest.fixture(params=sorted(WRITES))
def writer(service: Service, rfc: Scim, request: pytest.FixtureRequest) -> Writer:
    return Writer(service, rfc, request.param)


def test_of_two_tokens_none_counts(writer: Writer, service: Service) -> None:
    token = ("Authorization", f"Bearer {service.tokens['rfc']}")
    assert writer.send(token) < 300
    assert writer.send(token, token) == 401
    assert writer.send(token, ("Authorization", "HZN x")) == 401


def test_HZN_is_a_scheme_of_Workspace_ONE_alone(writer: Writer, service: Service) -> None:
    status = writer.send(("Authorization", f"HZN {service.tokens['rfc']}"))
    assert status == (204 if "/SAAS/" in writer.url else 401)


def test_415_for_all_but_JSON_in_UTF_8(writer: Writer) -> None:
    for value in ("application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'):
        assert writer.send(("Content-Type", value)) < 300
    for value in ("application/json; charset=utf-16", "application/json, text/plain", "json", "", "*/*"):
        assert writer.send(("Content-Type", value)) == 415


def test_a_compressed_body_is_read_and_measured_unpacked(writer: Writer) -> None:
    body = json.dumps(writer.body).encode()
    assert writer.send(("Content-Encoding", "gzip"), content=gzip.compress(body)) < 300
    assert writer.send(("Content-Encoding", "deflate"), content=zlib.compress(body)) < 300
    assert writer.send(("Content-Encoding", "gzip"), content=gzip.compress(body)[:-4]) == 400
    assert writer.send(("Content-Encoding", "gzip"), content=gzip.compress(b" " * 20_000_000)) == 413
    assert writer.send(("Content-Encoding", "br"), content=body) == 415


def test_a_method_is_overridden_at_Workspace_ONE_alone(writer: Writer) -> None:
    for override in ("PATCH", "patch", "PUT", "DELETE"):
        taken = "/SAAS/" in writer.url and override.lower() == "patch"
        assert writer.send(("X-HTTP-Method-Override", override), method="POST") == (204 if taken else 405)
    assert writer.send(("X-HTTP-Method-Override", "DELETE")) < 300, "only a POST stands for another method"


def test_a_method_is_not_overridden_in_SCIM_2(service: Service, rfc: Scim) -> None:
    path, override = f"/Users/{rfc.made()['id']}", {"X-HTTP-Method-Override": "DELETE"}
    assert rfc.request("POST", path, {}, headers=override).status_code == 405
    assert rfc.get(path, headers=override).status_code == 200


def test_entity_tags_and_keys_that_are_none_are_refused(writer: Writer) -> None:
    for tags in ("", "x", ",".join(['W/"1"'] * 51)):
        assert writer.send(("If-Match", tags)) in {400, 412}
    for key in ("", "k" * 256):
        assert writer.send(("Idempotency-Key", key)) == 400


def test_metrics_name_the_routes_and_never_what_callers_make_of_them(service: Service) -> None:
    marks = [unique("mark") for _ in range(3)]
    for _, path, _ in WRITES.values():
        for each in (f"{path}{marks[0]}", f"{path}{marks[1]}/x", f"{path.rpartition('Users/')[0]}{marks[2]}"):
            assert service.stranger().http.get(service.origin + each).status_code in {401, 404}
    shown = service.metrics()
    assert not any(mark in shown for mark in marks)
    known = {route.path for dialect in DIALECTS for route in dialect.routes}
    below = {f"{prefix}{rest}" for dialect in DIALECTS for prefix in dialect.prefixes for rest in ("", "/{rest}")}
    routes = set(re.findall(r'route="([^"]*)"', shown))
    assert {each for each in routes if not each.startswith("/scim")} <= known | below | {
        "none",
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
    }
