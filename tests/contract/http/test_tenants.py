"""Tenants apart (INV-21): nothing of one tenant is read, written or counted through another's token."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.served import Scim, Service, op, refused, unique, user


@pytest.fixture
def other(service: Service) -> Scim:
    return service.caller("other")


@pytest.fixture
def foreign(other: Scim) -> Any:
    """A user of the other tenant."""
    return other.made(externalId=unique(), displayName="Foreign")


def test_INV21_another_tenants_id_is_an_unknown_id(rfc: Scim, other: Scim, foreign: Any) -> None:
    path = f"/Users/{foreign['id']}"
    unknown = "/Users/" + foreign["id"][:-1] + ("0" if foreign["id"][-1] != "0" else "1")
    for method, body, headers in (
        ("GET", None, {}),
        ("GET", None, {"If-None-Match": "*"}),
        ("PUT", user(), {}),
        ("PUT", user(foreign["userName"]), {"If-Match": 'W/"1"'}),
        (
            "PATCH",
            {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [op("remove", "title")]},
            {},
        ),
        ("DELETE", None, {}),
        ("DELETE", None, {"If-Match": "*"}),
    ):
        theirs = rfc.request(method, path, body, headers=headers)
        nobodys = rfc.request(method, unknown, body, headers=headers)
        refused(theirs, 404)
        assert theirs.text == nobodys.text, "foreign and unknown look the same"
    assert other.read(foreign["id"]) == foreign


def test_INV21_another_tenants_users_are_neither_found_nor_listed_nor_counted(
    service: Service, rfc: Scim, foreign: Any
) -> None:
    for text in (
        f'userName eq "{foreign["userName"]}"',
        f'externalId eq "{foreign["externalId"]}"',
        f'id eq "{foreign["id"]}"',
    ):
        assert rfc.find(text)["totalResults"] == 0
    assert service.caller("empty").get("/Users").json()["totalResults"] == 0
    total = rfc.get("/Users", count=0).json()["totalResults"]
    service.caller("other").made()
    assert rfc.get("/Users", count=0).json()["totalResults"] == total


def test_INV21_names_are_unique_in_their_tenant_only(rfc: Scim, foreign: Any) -> None:
    mine = rfc.made(foreign["userName"], externalId=foreign["externalId"])
    assert mine["id"] != foreign["id"]
    refused(rfc.post("/Users", user(foreign["userName"])), 409, "uniqueness")


def test_INV21_outcomes_of_another_tenant_are_unknown(rfc: Scim, other: Scim) -> None:
    txn = other.post("/Users", user()).headers["Scim-Txn"]
    assert other.get(f"/Outcomes/{txn}").json()["state"] == "applied"
    theirs = rfc.get(f"/Outcomes/{txn}").json()
    never = rfc.get("/Outcomes/never").json()
    assert theirs == never | {"txn": txn}


def test_INV21_the_same_Idempotency_Key_is_another_in_another_tenant(rfc: Scim, other: Scim) -> None:
    headers, body = {"Idempotency-Key": unique()}, user()
    mine, theirs = rfc.post("/Users", body, headers=headers), other.post("/Users", body, headers=headers)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]
    refused(other.post("/Users", user(), headers=headers), 422)
    assert rfc.post("/Users", body, headers=headers).json()["id"] == mine.json()["id"]


def test_INV21_events_are_numbered_and_told_apart_by_tenant(service: Service, rfc: Scim, other: Scim) -> None:
    mine, theirs = rfc.made(), other.made()
    for tenant, made in (("rfc", mine), ("other", theirs)):
        events = service.events(tenant)
        keys = {event["key"] for event in events}
        assert f"{tenant}/{made['id']}" in keys
        assert {key.split("/")[0] for key in keys} == {tenant}
        by_partition: dict[int, list[int]] = {}
        for event in events:
            partition, _, number = event["value"]["seq"].partition(":")
            by_partition.setdefault(int(partition), []).append(int(number))
        for numbers in by_partition.values():
            assert numbers == list(range(1, len(numbers) + 1)), "contiguous per tenant and partition"


def test_INV21_metrics_count_each_tenants_commands_by_its_name(service: Service) -> None:
    def commands(tenant: str) -> float:
        found = re.findall(
            rf'^scimgw_commands_total{{[^}}]*tenant="{tenant}"[^}}]*}} ([0-9.e+]+)$', service.metrics(), re.MULTILINE
        )
        return sum(map(float, found))

    mine, theirs = commands("rfc"), commands("other")
    service.caller("other").made()
    assert (commands("rfc"), commands("other")) == (mine, theirs + 1)


def test_a_manager_may_point_anywhere_and_nothing_is_looked_up(rfc: Scim, foreign: Any) -> None:
    made = rfc.made(enterprise={"manager": {"value": foreign["id"]}})
    assert "Foreign" not in rfc.get(f"/Users/{made['id']}").text


def test_an_expired_token_is_refused(service: Service) -> None:
    refused(service.stranger(service.tokens["rfc-expired"]).get("/Users"), 401)


def test_two_tokens_of_a_tenant_see_the_same_users(service: Service, rfc: Scim) -> None:
    made = rfc.made()
    assert service.caller("rfc-second").read(made["id"]) == made
