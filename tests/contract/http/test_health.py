"""Health and metrics (interfaces.md, HTTP beside SCIM)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.served import Service, user


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


@pytest.mark.parametrize("probe", ["livez", "readyz", "startupz"])
def test_both_ports_answer_the_probes_without_a_token(service: Service, http: httpx2.Client, probe: str) -> None:
    for origin in (service.origin, service.admin):
        answer = http.get(f"{origin}/{probe}")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["Content-Type"] == "application/json"


def test_metrics_are_on_the_operators_port_alone(service: Service, http: httpx2.Client) -> None:
    assert http.get(f"{service.origin}/metrics").status_code == 404
    answer = http.get(f"{service.admin}/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_SCIM_is_not_on_the_operators_port(service: Service, http: httpx2.Client) -> None:
    headers = {"Authorization": f"Bearer {service.tokens['rfc']}"}
    assert http.get(f"{service.admin}/scim/v2/Users", headers=headers).status_code == 404


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    total = 0.0
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? ([0-9.e+-]+)", line)
        if found and all(f'{label}="{wanted}"' in (found[1] or "") for label, wanted in labels.items()):
            total += float(found[2])
    return total


def test_metrics_agree_with_what_was_done(service: Service) -> None:
    caller = service.caller("rfc")
    before = service.metrics()
    made = caller.made()
    path = f"/Users/{made['id']}"
    caller.get(path)
    caller.get(path)
    caller.post("/Users", user(made["userName"]))
    caller.put(path, user(made["userName"]))
    caller.delete(path)
    service.stranger("wrong").get("/Users")
    after = service.metrics()

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    users, one = "/scim/v2/Users", "/scim/v2/Users/{id}"
    assert grown("scimgw_http_requests_total", route=users, method="POST", status="201") == 1
    assert grown("scimgw_http_requests_total", route=users, method="POST", status="409") == 1
    assert grown("scimgw_http_requests_total", route=one, method="GET", status="200") == 2
    assert grown("scimgw_http_requests_total", route=users, status="401") == 1
    assert grown("scimgw_commands_total", tenant="rfc", verb="create", result="applied") == 1
    assert grown("scimgw_commands_total", tenant="rfc", verb="create", result="refused") == 1
    assert grown("scimgw_commands_total", tenant="rfc", verb="replace", result="no_change") == 1
    assert grown("scimgw_commands_total", tenant="rfc", verb="delete", result="applied") == 1
    assert grown("scimgw_events_total", tenant="rfc") == 2
    assert grown("scimgw_tokens_refused_total") == 1
    assert value(after, "scimgw_commands_in_flight") == 0


def test_metrics_hold_no_ids_and_no_values(service: Service) -> None:
    made = service.caller("rfc").made()
    text = service.metrics()
    assert made["id"] not in text
    assert made["userName"] not in text
