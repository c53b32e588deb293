"""Answers, byte by byte where it matters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.ports import Reply
from gateway import rendering
from schemas import errors, urns
from schemas.outcomes import Outcome, Refusal
from schemas.projection import parse_projection
from schemas.records import ResourceImage
from schemas.resource_types import USER

BASE = "https://scim.example.com/scim/v2"
DOC = {"schemas": [urns.USER], "id": "u-1", "userName": 'Zoë "Z"', "title": "t"}
META = {
    "resourceType": "User",
    "created": "2026-11-21T08:00:00.000Z",
    "lastModified": "2026-11-21T09:00:00.000Z",
    "location": f"{BASE}/Users/u-1",
    "version": 'W/"3"',
}


def image(doc: dict[str, Any] | None = None) -> ResourceImage:
    return ResourceImage(
        kind="user",
        v=1,
        version=3,
        created="2026-11-21T08:00:00.000Z",
        modified="2026-11-21T09:00:00.000Z",
        doc=msgspec.Raw(msgspec.json.encode(DOC if doc is None else doc)),
    )


def outcome(**fields: Any) -> Outcome:
    known: dict[str, Any] = {
        "txn": "t-1",
        "status": 201,
        "resource_type": "User",
        "resource_id": "u-1",
        "version": 1,
        "verb": "create",
        "fingerprint": "f",
        "gateway": "g",
        "decided_at": 0,
    }
    return Outcome(**(known | fields))


def body(response: web.Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def test_a_resource_is_its_stored_text_with_meta() -> None:
    response = rendering.resource_answer(image(), META["location"], None, "application/json", status=201)
    assert body(response) == DOC | {"meta": META}
    assert response.status == 201
    assert response.headers["ETag"] == 'W/"3"'
    assert response.headers["Location"] == META["location"]
    assert response.headers["Content-Type"] == "application/json"


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name != "meta"), st.text(), max_size=5))
def test_whatever_is_stored_the_answer_is_JSON(extra: dict[str, str]) -> None:
    doc = {**extra, "id": "u-1"}
    assert json.loads(rendering.resource_body(image(doc), META["location"], None)) == doc | {"meta": META}


def test_a_projection_is_applied_to_all_of_it_meta_included() -> None:
    projection = parse_projection("title,meta.version", None, USER)
    shown = json.loads(rendering.resource_body(image(), META["location"], projection))
    assert shown == {"schemas": [urns.USER], "id": "u-1", "title": "t", "meta": {"version": 'W/"3"'}}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_has_integers_and_always_Resources(count: int) -> None:
    shown = body(rendering.list_answer(7, 2, [image()] * count, BASE, None, "application/scim+json"))
    assert shown == {
        "schemas": [urns.LIST_RESPONSE],
        "totalResults": 7,
        "startIndex": 2,
        "itemsPerPage": count,
        "Resources": [DOC | {"meta": META}] * count,
    }


@pytest.mark.parametrize("error", errors.ScimError.__subclasses__(), ids=lambda kind: str(kind.__name__))
def test_every_error_of_a_client_is_written_as_SCIM_wants_it(error: type[errors.ScimError]) -> None:
    response = rendering.error_answer(error.status, "what to do", error.scim_type)
    shown = body(response)
    expected = {"schemas": [urns.ERROR], "status": str(error.status), "detail": "what to do"}
    if error.scim_type is not None:
        expected["scimType"] = error.scim_type
    assert shown == expected
    assert response.status == error.status
    assert ("Retry-After" in response.headers) == (error.status in {429, 503})
    assert ("WWW-Authenticate" in response.headers) == (error.status == 401)


def test_a_stored_refusal_is_answered_as_the_error_it_was() -> None:
    response = rendering.refusal_answer(Refusal(status=409, detail="taken", scim_type="uniqueness"))
    assert (response.status, body(response)["scimType"]) == (409, "uniqueness")


def test_a_repeated_answer_has_the_first_ETag_and_the_resource_as_it_is_now() -> None:
    response = rendering.replayed_answer(Reply(outcome(), replayed=True), image(), BASE, None, "application/json")
    assert (response.status, response.headers["ETag"]) == (201, 'W/"1"')
    assert response.headers["Location"] == META["location"]
    assert body(response) == DOC | {"meta": META}


def test_of_a_resource_deleted_meanwhile_only_its_identity_is_told() -> None:
    response = rendering.replayed_answer(Reply(outcome(), replayed=True), None, BASE, None, "application/json")
    assert response.status == 201
    assert body(response) == {
        "schemas": [urns.USER],
        "id": "u-1",
        "meta": {"resourceType": "User", "location": META["location"], "version": 'W/"1"'},
    }


def test_a_repeated_delete_has_no_body() -> None:
    response = rendering.replayed_answer(
        Reply(outcome(status=204, verb="delete"), replayed=True), None, BASE, None, "application/json"
    )
    assert (response.status, response.body) == (204, None)
