"""Matillion and Maia: what their document says of a user is what is taken, and what is told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import urns
from schemas.changes import Change, NoChange
from schemas.commands import Create, Replace, Verb
from schemas.decide import decide
from schemas.dialects.dialect import Asked, Refused, Shown, Translated, Violations
from schemas.dialects.matillion import MATILLION, SCIM_USER
from schemas.dialects.shapes import Flag, Items, Members, Shape, Text, known
from schemas.errors import InvalidSyntax, InvalidValue
from schemas.memberships import Membership
from schemas.resource_types import USER, USER_SCHEMA
from schemas.resources import MAX_DEPTH
from tests.dialects.bodies import TEXTS, bodies
from tests.dialects.contracts import example, maia_schema, maia_schemas, validator
from tests.schemas.samples import ANN, command, view

BASE = "/dpc/v1/directory-integration/scim/v2"
LOCATION = f"https://scim.example.com{BASE}/Users/{ANN}"
POST = Asked("create", f"{BASE}/Users", {})
PUT = Asked("replace", f"{BASE}/Users/{ANN}", {})
MADE = "2026-11-21T08:00:00.000Z"
BADGE = "urn:example:badge:1.0:User"


def translated(body: object, asked: Asked = POST, preserves: tuple[str, ...] = ()) -> Translated:
    return MATILLION.translate(asked, body if isinstance(body, bytes) else json.dumps(body).encode(), preserves)


def taken(**members: Any) -> dict[str, Any]:
    """Return what is stored of a create with these members, without ``schemas`` and ``userName``."""
    change = translated({"meta": {}, "userName": "ann", **members}).change
    assert isinstance(change, Create)
    return {name: value for name, value in change.body.items() if name not in {"schemas", "userName"}}


def wrong(body: object) -> tuple[str, ...]:
    """Return what is found wrong with a body."""
    with pytest.raises(Violations) as raised:
        translated(body)
    return raised.value.violations


def stored(verb: Verb, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the user that comes of a change."""
    change = decide(command(verb), view(before))
    assert isinstance(change, Change)
    assert change.doc is not None
    return change.doc


def told(doc: dict[str, Any], groups: tuple[Membership, ...] = (), status: int = 200) -> dict[str, Any]:
    """Return the answer about a user, which is as the document says."""
    shown = Shown(doc=doc, version=3, location=LOCATION, created=MADE, modified=MADE, groups=groups)
    answer = MATILLION.answer(PUT, status, shown)
    assert answer.status == status
    assert answer.headers == {"Content-Type": "application/json", "Location": LOCATION}
    body: dict[str, Any] = json.loads(answer.body)
    assert validator("ScimUser", closed=True).is_valid(body), list(validator("ScimUser", closed=True).iter_errors(body))
    assert "password" not in body
    return body


def problem(refused: Refused) -> dict[str, Any]:
    """Return the problem that is told of an error, which is as the document says."""
    answer = MATILLION.refuse(refused)
    assert answer.status == refused.status
    assert answer.headers == {"Content-Type": "application/problem+json"}
    body: dict[str, Any] = json.loads(answer.body)
    assert validator("ProblemDetail", closed=True).is_valid(body)
    return body


def as_schema(shape: Shape) -> dict[str, Any]:
    """Return a shape as the document would write it."""
    match shape:
        case Text():
            return (
                {"type": "string"}
                | ({"enum": list(shape.choices)} if shape.choices else {})
                | ({"minLength": shape.shortest} if shape.shortest else {})
            )
        case Flag():
            return {"type": "boolean"}
        case Items():
            return (
                {"type": "array", "items": as_schema(shape.shape)}
                | ({"minItems": shape.fewest} if shape.fewest else {})
                | ({"uniqueItems": True} if shape.unique else {})
            )
        case Members():
            return {
                "type": "object",
                "properties": {name: as_schema(below) for name, below in shape.shapes.items()},
            } | ({"required": list(shape.required)} if shape.required else {})
        case other:
            raise AssertionError(f"the document has no {other}")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of the document with its references followed, without annotations and limits beyond any body."""
    if "$ref" in schema:
        return resolved(maia_schemas()[schema["$ref"].rpartition("/")[2]])
    kept = {name: value for name, value in schema.items() if name not in {"xml", "format", "maxLength", "maxItems"}}
    if "items" in kept:
        kept["items"] = resolved(kept["items"])
    if "properties" in kept:
        kept["properties"] = {name: resolved(below) for name, below in kept["properties"].items()}
    return kept


def test_the_shape_is_the_documents_schema() -> None:
    assert as_schema(SCIM_USER) == resolved(maia_schema("ScimUser"))


def test_the_order_is_that_of_the_documents_examples() -> None:
    assert list(SCIM_USER.shapes) == list(example("matillion", "post-user-response"))


def test_every_attribute_of_scim_and_its_parts_have_a_place_in_the_document() -> None:
    # Nothing but extensions is out of a PUT's sight, and groups have ``ref`` for ``$ref``.
    attributes = (*USER.common, *USER_SCHEMA.attributes)
    assert {attribute.name for attribute in attributes} == set(SCIM_USER.shapes)
    for attribute in attributes:
        shape = SCIM_USER.shapes[attribute.name]
        shape = shape.shape if isinstance(shape, Items) else shape
        parts = {sub.name.removeprefix("$") for sub in attribute.sub_attributes}
        assert parts == (set(shape.shapes) if isinstance(shape, Members) else set()), attribute.name


@pytest.mark.parametrize(("asked", "name"), [(POST, "post-user-request"), (PUT, "put-user-request")])
def test_a_documents_example_is_stored_and_told(asked: Asked, name: str) -> None:
    sent = example("matillion", name)
    result = translated(sent, asked)
    assert isinstance(result.change, (Create, Replace))
    assert result.password == "<string>"
    assert result.guard is msgspec.UNSET
    assert result.change.body["schemas"] == [urns.USER]
    assert not {"id", "meta", "groups", "password"} & set(result.change.body)
    answer = told({"schemas": [urns.USER], "id": ANN, **result.change.body}, status=201)
    ignored = {"id", "meta", "groups", "password", "schemas"}
    assert {key: answer[key] for key in answer if key not in ignored} == {
        key: sent[key] for key in sent if key not in ignored
    }
    assert answer["meta"] == {
        "created": MADE, "lastModified": MADE, "location": LOCATION, "resourceType": "User", "version": 'W/"3"',
    }  # fmt: skip


def test_a_put_is_a_replace_that_keeps_extensions_and_what_the_tenant_preserves() -> None:
    body = {"meta": {}, "userName": "ann"}
    change = translated(body, PUT, ("title", "name.familyName")).change
    assert change == Replace(
        {"schemas": [urns.USER], "userName": "ann"}, keeps=("title", "name.familyName"), keeps_extensions=True
    )
    assert translated(body, PUT).change == Replace({"schemas": [urns.USER], "userName": "ann"}, keeps_extensions=True)


def test_a_put_clears_what_it_omits_and_leaves_extensions() -> None:
    before = {
        "schemas": [urns.USER, urns.ENTERPRISE_USER, BADGE],
        "id": ANN,
        "userName": "ann",
        "title": "CTO",
        "nickName": "Annie",
        urns.ENTERPRISE_USER: {"department": "IT"},
        BADGE: {"deep": [{"a": 1}]},
    }
    change = translated({"meta": {}, "userName": "ann", "nickName": "A"}, PUT).change
    after = stored(change, before)
    assert after == {name: value for name, value in before.items() if name != "title"} | {"nickName": "A"}
    answer = told(after)
    assert answer["schemas"] == [urns.USER]
    assert not any(":" in name for name in answer)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"userName": "ann"}, ("meta is required.",)),
        ({"meta": None, "userName": "ann"}, ("meta must be an object.",)),
        ({"meta": {"resourceType": ""}, "userName": "ann"}, ("meta.resourceType must have at least 1 character.",)),
        ({"meta": {}}, ("userName is required.",)),
        ({"meta": {}, "userName": ""}, ("userName must not be blank.",)),
        ({"meta": {}, "userName": " \t\u2003"}, ("userName must not be blank.",)),
        ({"meta": {}, "userName": None}, ("userName must be a string.",)),
        ({"meta": {}, "username": "ann"}, ("userName is required.",)),
        ({}, ("userName is required.", "meta is required.")),
        ({"meta": {}, "userName": "ann", "id": ""}, ("id must have at least 1 character.",)),
        ({"meta": {}, "userName": "ann", "schemas": []}, ("schemas must have at least 1 value.",)),
        ({"meta": {}, "userName": "ann", "schemas": ["a", "a"]}, ("schemas must not have a value twice.",)),
        ({"meta": {}, "userName": "ann", "active": "true"}, ("active must be true or false.",)),
        ({"meta": {}, "userName": "ann", "emails": [{"primary": 1}]}, ("emails[0].primary must be true or false.",)),
        ({"meta": {}, "userName": "ann", "emails": {"value": "a"}}, ("emails must be an array.",)),
        ({"meta": {}, "userName": "ann", "groups": [{"type": "direct"}]},
         ("groups[0].type must be one of DIRECT, INDIRECT.",)),
        ({"meta": {}, "userName": "ann", "title": None, "name": {"givenName": 1}},
         ("title must be a string.", "name.givenName must be a string.")),
        ({"meta": {}, "userName": "ann", "addresses": [{"display": []}]}, ("addresses[0].display must be a string.",)),
    ],
)  # fmt: skip
def test_a_wrong_body_is_refused_with_the_fields_that_are_wrong(body: object, expected: tuple[str, ...]) -> None:
    assert wrong(body) == expected


def test_no_more_than_twenty_violations_are_told() -> None:
    found = wrong({"emails": [{"value": 1}] * 50})
    assert len(found) == 20
    assert found[:3] == ("userName is required.", "meta is required.", "emails[0].value must be a string.")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"1", b'{"meta":{},"userName":"\xff"}'])
def test_what_is_no_object_in_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidSyntax):
        translated(body)


def test_nesting_beyond_the_limit_is_refused_wherever_it_is() -> None:
    for levels in (MAX_DEPTH + 1, 500, 100_000):
        deep = b"[" * levels + b"]" * levels
        with pytest.raises(InvalidSyntax):
            translated(b'{"meta":{},"userName":"ann","unknown":' + deep + b"}")


@pytest.mark.parametrize("name", ["title", "unknown", "password", "userName"])
@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85"])
def test_control_characters_are_refused_wherever_they_are(name: str, character: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        translated({"meta": {}, "userName": "ann", name: f"a{character}b"})


def test_more_values_than_can_be_kept_and_too_long_a_name_are_refused() -> None:
    with pytest.raises(Violations, match="emails must have at most"):
        taken(emails=[{"value": str(index)} for index in range(10_001)])
    with pytest.raises(InvalidValue, match="externalId is longer"):
        taken(externalId="é" * 600)


def test_properties_that_the_document_does_not_know_are_accepted_and_not_kept() -> None:
    assert taken(TITLE=None, favourite={"colour": [1]}, emails=[{"value": "a", "$ref": 1}], **{BADGE: {"a": 1}}) == {
        "emails": [{"value": "a"}]
    }


def test_any_text_is_taken_for_a_urn_and_the_servers_own_is_stored() -> None:
    for sent in (["x"], ["x", ""], [urns.USER], [urns.USER.upper(), urns.USER]):
        change = translated({"meta": {}, "userName": "ann", "schemas": sent}).change
        assert isinstance(change, Create)
        assert change.body == {"schemas": [urns.USER], "userName": "ann"}


def test_id_meta_and_groups_of_a_body_are_ignored() -> None:
    assert taken(id="other", meta={"version": 'W/"9"', "created": "then"}, groups=[{"value": "g"}]) == {}


def test_formats_are_annotations() -> None:
    sent: dict[str, Any] = {
        "profileUrl": "not a URL",
        "photos": [{"value": ""}],
        "x509Certificates": [{"value": "no base64!"}],
        "addresses": [{"country": "Germany", "display": "home"}],
        "locale": "?",
    }
    assert taken(meta={"created": "yesterday"}, **sent) == sent


def test_a_second_primary_is_stored_as_false() -> None:
    emails = [{"value": "a", "primary": True}, {"value": "b", "primary": False}, {"value": "c", "primary": True}]
    expected = [{"value": "a", "primary": True}, {"value": "b", "primary": False}, {"value": "c", "primary": False}]
    assert taken(emails=emails, addresses=[{"primary": True}, {"primary": True, "type": "x"}]) == {
        "emails": expected,
        "addresses": [{"primary": True}, {"primary": False, "type": "x"}],
    }


def test_an_exact_repeat_is_stored_once() -> None:
    same = {"value": "a", "primary": True}
    assert taken(roles=[same, dict(same), {"value": "b"}, {}]) == {"roles": [same, {"value": "b"}]}


def test_a_password_is_handed_over_and_none_changes_none() -> None:
    for asked in (POST, PUT):
        assert translated({"meta": {}, "userName": "ann", "password": "geheim"}, asked).password == "geheim"
        assert translated({"meta": {}, "userName": "ann"}, asked).password is msgspec.UNSET


def test_groups_are_told_with_ref_and_a_type_in_upper_case() -> None:
    groups = (Membership("g-1", "Admins", True), Membership("g-2", None, False))
    answer = told({"schemas": [urns.USER], "id": ANN, "userName": "ann"}, groups)
    collection = f"https://scim.example.com{BASE}/Groups"
    assert answer["groups"] == [
        {"display": "Admins", "ref": f"{collection}/g-1", "type": "DIRECT", "value": "g-1"},
        {"ref": f"{collection}/g-2", "type": "INDIRECT", "value": "g-2"},
    ]
    assert "groups" not in told({"schemas": [urns.USER], "id": ANN, "userName": "ann"})


def test_of_a_user_deleted_meanwhile_its_identity_is_told() -> None:
    identity = {"schemas": [urns.USER], "id": ANN}
    shown = Shown(doc=identity, version=1, location=LOCATION, created=None, modified=None)
    body = json.loads(MATILLION.answer(POST, 201, shown).body)
    assert validator("ScimUser", closed=True).is_valid(body)
    assert body == identity | {"meta": {"location": LOCATION, "resourceType": "User", "version": 'W/"1"'}}


def test_an_error_is_a_problem() -> None:
    assert problem(Refused(409, "userName is in use", f"{BASE}/Users", "uniqueness")) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "userName is in use",
        "instance": f"{BASE}/Users",
        "violations": [],
    }


def test_a_problem_has_the_violations() -> None:
    told_with = problem(Refused(400, "a; b", "/x", "invalidValue", ("a", "b")))
    assert (told_with["detail"], told_with["violations"]) == ("a; b", ["a", "b"])


def test_what_scims_rules_find_wrong_with_a_field_is_a_violation_too() -> None:
    with pytest.raises(Violations) as raised:
        MATILLION.translate(Asked("create", "/x", {}), b'{"meta":{},"userName":"ann","title":"\\u0007"}', ())
    assert raised.value.violations == (raised.value.detail,)
    assert "title" in raised.value.detail


def test_each_answer_shows_the_groups() -> None:
    assert MATILLION.derives(Asked("create", "/x", {})) == {"groups"}


def test_a_wrong_header_is_no_violation_of_the_body() -> None:
    assert problem(Refused(400, "Idempotency-Key takes 1 to 255.", "/x", "invalidValue"))["violations"] == []
    assert problem(Refused(400, "The body is not UTF-8.", "/x", "invalidSyntax"))["violations"] == []


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 417, 422, 428, 429, 499, 500, 503]
)
def test_every_status_is_told_as_a_problem(status: int) -> None:
    assert problem(Refused(status, "no", "/x"))["status"] == status


@pytest.mark.parametrize("path", ["/a%20b", "/ä\udcff\ud800", '/"><x', "/" + "a" * 9000])
def test_any_path_is_told_as_a_uri(path: str) -> None:
    instance = problem(Refused(404, "no", path))["instance"]
    assert instance.isascii()
    assert not set(instance) & set('"<> ')
    assert instance.startswith("/")


def test_the_routes_are_the_documents_and_a_read_beside_them() -> None:
    assert {(route.method, route.path, route.operation) for route in MATILLION.routes} == {
        (method, f"{base}/v1/directory-integration/scim/v2/Users{tail}", operation)
        for base in ("", "/dpc")
        for method, tail, operation in (
            ("POST", "", "create"), ("PUT", "/{id}", "replace"), ("GET", "/{id}", "read"),
        )
    }  # fmt: skip


def expected_to_pass(body: Any) -> bool:
    """Tell what the document says of a body, and the one rule beyond it."""
    return validator("ScimUser").is_valid(body) and bool(body.get("userName", "").strip())


@settings(max_examples=500)
@given(st.booleans().flatmap(lambda wrong: bodies("ScimUser", maia_schemas(), wrong=wrong)), st.none() | TEXTS)
def test_bodies_are_taken_exactly_where_the_schema_says_so(body: Any, name: str | None) -> None:
    if isinstance(body, dict) and name is not None:
        body |= {"userName": name}
    if not expected_to_pass(body):
        with pytest.raises((Violations, InvalidSyntax)) as raised:
            translated(body)
        found = raised.value.violations if isinstance(raised.value, Violations) else ()
        assert problem(Refused(400, raised.value.detail, "/x", violations=found))["violations"] == list(found)
        assert bool(found) == isinstance(body, dict)
        return
    doc = stored(translated(body).change)
    assert doc["schemas"] == [urns.USER]
    again = translated(told(doc), PUT).change
    assert isinstance(decide(command(again), view(doc)), NoChange)


@settings(max_examples=150)
@given(bodies("ScimUser", maia_schemas(), wrong=False))
def test_what_is_stored_is_what_was_sent(body: dict[str, Any]) -> None:
    body["userName"] = "ann"
    change = translated(body).change
    assert isinstance(change, Create)
    for name, value in known(body, SCIM_USER).items():
        kept = change.body.get(name)
        if name == "schemas":
            assert kept == [urns.USER]
        elif name in {"id", "meta", "groups", "password"}:
            assert kept is None
        elif isinstance(value, list):
            assert all(without_primary(one) in map(without_primary, value) for one in kept or [])
            assert all(
                without_primary(one) in map(without_primary, kept or []) for one in value if without_primary(one)
            )
            assert sum(one.get("primary", False) for one in kept or []) == any(one.get("primary") for one in value)
        else:
            assert kept == (value if value != {} else None)


def without_primary(element: dict[str, Any]) -> dict[str, Any]:
    """Return an element but for what may change of it."""
    return {name: value for name, value in element.items() if name != "primary"}
