"""Errors (scim.md P; RFC 7644 section 3.12): ``tests.served`` checks the form of every error of every test."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from schemas import urns
from tests.served import Scim, Service, op, refused, unique, user


def test_P1_an_error_is_a_SCIM_Error_whatever_refuses(service: Service, rfc: Scim) -> None:
    made = rfc.made()
    path = f"/Users/{made['id']}"
    answers: list[tuple[int, Any]] = [
        (400, rfc.post("/Users", {})),
        (400, rfc.get("/Users", filter="x")),
        (400, rfc.get(f"{service.origin}/scim/v9/Users")),
        (401, service.stranger("x").get("/Users")),
        (404, rfc.get("/Users/none")),
        (404, rfc.get("/NoSuchEndpoint")),
        (404, rfc.get(f"{service.origin}/elsewhere")),
        (405, rfc.request("PATCH", "/Users", {})),
        (405, rfc.delete("/Users")),
        (406, rfc.get(path, headers={"Accept": "image/png"})),
        (409, rfc.post("/Users", user(made["userName"]))),
        (412, rfc.delete(path, headers={"If-Match": '"7"'})),
        (413, rfc.request("POST", "/Users", content=b" " * (1024 * 1024 + 1))),
        (415, rfc.request("POST", "/Users", content=b"x", headers={"Content-Type": "text/csv"})),
        (501, rfc.get("/Me")),
    ]
    for status, answer in answers:
        assert answer.status_code == status, answer.text
        assert answer.json()["status"] == str(status)
        assert answer.json()["schemas"] == [urns.ERROR]


def test_P1_scimType_stands_where_the_RFC_defines_it(rfc: Scim) -> None:
    made = rfc.made()
    path = f"/Users/{made['id']}"
    refused(rfc.get("/Users", filter="x"), 400, "invalidFilter")
    refused(rfc.post("/Users", user(made["userName"])), 409, "uniqueness")
    refused(rfc.patch(path, op("replace", "id", value="x")), 400, "mutability")
    refused(rfc.request("POST", "/Users", content=b"{"), 400, "invalidSyntax")
    refused(rfc.patch(path, op("replace", "nosuch", value="x")), 400, "invalidPath")
    refused(rfc.patch(path, op("remove")), 400, "noTarget")
    refused(rfc.post("/Users", user("")), 400, "invalidValue")
    refused(rfc.get("/Users/none"), 404, None)


def test_P1_no_error_repeats_a_value_of_the_request(rfc: Scim) -> None:
    canary = f"canary{uuid.uuid4().hex}"
    made = rfc.made(canary + "-name")
    path = f"/Users/{made['id']}"
    for answer in (
        rfc.post("/Users", user(canary + "-name")),
        rfc.post("/Users", user(active=canary)),
        rfc.post("/Users", user(emails=canary)),
        rfc.post("/Users", user(schemas=[canary])),
        rfc.request("POST", "/Users", content=f'{{"userName":"{canary}'.encode()),
        rfc.get("/Users", filter=f'displayName eq "{canary}"'),
        rfc.get("/Users", filter=f'userName eq "{canary}'),
        rfc.get("/Users", count=canary),
        rfc.get(f"/Users/{canary}"),
        rfc.get(f"/{canary}"),
        rfc.patch(path, op("replace", f'emails[value eq "{canary}"].type', value=canary)),
        rfc.patch(path, op("replace", "active", value=canary)),
        rfc.patch(path, op(canary, "active", value=canary)),
        rfc.put(path, user(canary), headers={"If-Match": f'"{canary}"'}),
        rfc.post("/Users", user(), headers={"Idempotency-Key": canary * 20}),
    ):
        assert answer.status_code >= 400
        assert canary not in answer.text, answer.text


@pytest.mark.parametrize("path", ["/Groups", "/.search", "/Users/.search", "/Users/a/b", "/users", "/", ""])
def test_P2_what_is_not_there_is_404(rfc: Scim, path: str) -> None:
    answer = rfc.get(path)
    assert answer.status_code in {404, 405}
    if answer.status_code == 405:
        refused(answer, 405)


def test_P2_methods_that_are_not_there_are_405_with_Allow(rfc: Scim) -> None:
    made = rfc.made()
    for method, path, allowed in (
        ("PUT", "/Users", {"GET", "HEAD", "POST"}),
        ("POST", f"/Users/{made['id']}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("TRACE", "/Users", {"GET", "HEAD", "POST"}),
        ("PROPFIND", "/Users", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/Users", {"GET", "HEAD", "POST"}),
    ):
        answer = rfc.request(method, path, {} if method == "POST" else None)
        refused(answer, 405)
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allowed


def test_P2_bulk_and_me_are_501(rfc: Scim, service: Service) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        refused(rfc.request(method, "/Me", {} if method in {"POST", "PUT", "PATCH"} else None), 501)
    refused(rfc.post("/Bulk", {}), 501)
    refused(service.stranger().post("/Bulk", {}), 401)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNz", "bearer", "Bearer scimgw_" + "A" * 43, "Bearer \xe9"],
)
def test_P3_401_carries_WWW_Authenticate(service: Service, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    stranger = service.stranger()
    for method, path in (
        ("GET", "/Users"),
        ("POST", "/Users"),
        ("GET", "/Users/x"),
        ("PUT", "/Users/x"),
        ("PATCH", "/Users/x"),
        ("DELETE", "/Users/x"),
        ("GET", "/Outcomes/x"),
        ("GET", "/Me"),
    ):
        answer = stranger.request(method, path, user() if method in {"POST", "PUT", "PATCH"} else None, headers=headers)
        refused(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="scim"'


def test_P3_every_wrong_token_gets_the_same_answer(service: Service) -> None:
    token = service.tokens["rfc"]
    wrong = ["x", token[:-1], token + "x", token.upper(), service.tokens["rfc-expired"], "scimgw_" + "B" * 43]
    answers = {service.stranger(each).get("/Users").text for each in wrong}
    assert len(answers) == 1


def test_P3_the_scheme_is_the_same_in_any_case(service: Service) -> None:
    stranger = service.stranger()
    headers = {"Authorization": f"bEARER   {service.tokens['rfc']}"}
    assert stranger.get("/Users", headers=headers, count=0).status_code == 200


def test_a_tenant_that_does_not_use_SCIM_2_is_forbidden(service: Service) -> None:
    refused(service.caller("oracle").get("/Users"), 403)
    refused(service.caller("oracle").post("/Users", user()), 403)


def test_writes_say_their_txn_and_each_its_own(rfc: Scim) -> None:
    made = rfc.post("/Users", user())
    path = f"/Users/{made.json()['id']}"
    answers = [
        made,
        rfc.put(path, user()),
        rfc.patch(path, op("replace", "title", value="t")),
        rfc.post("/Users", {}),
        rfc.delete(path),
        rfc.delete(path),
        rfc.put(f"/Users/{unique()}", user()),
    ]
    assert len({answer.headers["Scim-Txn"] for answer in answers}) == len(answers)
    assert "Scim-Txn" not in rfc.get("/Users", count=0).headers
