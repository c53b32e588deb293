"""Matillion Data Productivity Cloud and Maia: SCIM users as their directory integration takes and gives them.

One dialect serves three documents. Matillion's two pages (POST, PUT) hold examples and lengths but no schema; Maia's page
(PUT) holds the OpenAPI 3.1 schema of the same user, so that one is the shape of all of it. Decided, and why:

- Where that schema and SCIM differ the schema wins, for a client was written against it: names are case-sensitive, null
  is not "unassigned" but wrong, ``id`` may be missing but not empty, ``schemas`` may be missing, empty or repeated URNs
  are wrong, ``meta`` is required even in a create, unknown properties are accepted because nothing forbids them (and
  are not kept: there is no schema to say what they are), formats are annotations.
- ``userName`` is required beyond the schema: no user can be stored without one.
- ``schemas`` takes any text. What is stored and shown is this server's own list, for the resource is this server's.
- ``id``, ``meta`` and ``groups`` of a body are ignored: the path, the server and the groups say what they are.
- A second ``primary: true`` of an attribute is stored as false: the schema cannot forbid it, SCIM does (RFC 7643
  section 2.4), and the first is the one that was meant.
- ``password`` is in no answer, although the schema of the answer has it (RFC 7643 section 7, returned ``never``).
- A PUT leaves every extension as it is: the document has none, so its silence is not a wish to clear one.
- A create answers 201, a replace 200: "User created successfully", "User updated successfully".

``assumed``: paths without ``/dpc`` are served beside those with it (Maia's path, Matillion's server URL); the body is
``application/json`` and nothing else, the only type in the documents; an answer shows no extension and lists the core
schema alone, for the schema of the answer has nothing else; ``ref`` of a group is its URI below the route that was
used; a problem's ``type`` is ``about:blank``, its ``title`` HTTP's phrase (RFC 9457 section 4.2.1), its ``instance``
the path of the request; ``violations`` is there in every problem, empty where no field is to blame; 401, 405, 409,
412, 413, 415, 422, 428, 429 and 503, which the documents do not know, come as problems too.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec

from schemas import urns
from schemas.codec import decode_json, encode
from schemas.commands import DEFAULT_RULES, Create, Replace
from schemas.dialects.dialect import Answer, Asked, Derived, Refused, Route, Shown, Translated, Violations
from schemas.dialects.shapes import MOST, Flag, Items, Members, Text, known, violations
from schemas.errors import InvalidSyntax, InvalidValue
from schemas.json_values import check_json
from schemas.memberships import Membership
from schemas.resource_types import USER
from schemas.validation import conform, distinct
from schemas.versions import etag

_BASES: Final = ("/dpc/v1/directory-integration/scim/v2", "/v1/directory-integration/scim/v2")
_TITLES: Final = {status.value: status.phrase for status in HTTPStatus}

_TEXT: Final = Text()
_VALUES: Final = Items(Members({"display": _TEXT, "primary": Flag(), "type": _TEXT, "value": _TEXT}))
_ADDRESSES: Final = Items(
    Members(
        {
            "country": _TEXT,
            "display": _TEXT,
            "formatted": _TEXT,
            "locality": _TEXT,
            "postalCode": _TEXT,
            "primary": Flag(),
            "region": _TEXT,
            "streetAddress": _TEXT,
            "type": _TEXT,
        }
    )
)
_GROUP: Final = Members({"display": _TEXT, "ref": _TEXT, "type": Text(choices=("DIRECT", "INDIRECT")), "value": _TEXT})
_META: Final = Members(
    {"created": _TEXT, "lastModified": _TEXT, "location": _TEXT, "resourceType": Text(shortest=1), "version": _TEXT}
)
_NAME: Final = Members(
    {
        "familyName": _TEXT,
        "formatted": _TEXT,
        "givenName": _TEXT,
        "honorificPrefix": _TEXT,
        "honorificSuffix": _TEXT,
        "middleName": _TEXT,
    }
)
SCIM_USER: Final = Members(
    {
        "meta": _META,
        "active": Flag(),
        "addresses": _ADDRESSES,
        "displayName": _TEXT,
        "emails": _VALUES,
        "entitlements": _VALUES,
        "externalId": _TEXT,
        "groups": Items(_GROUP),
        "id": Text(shortest=1),
        "ims": _VALUES,
        "locale": _TEXT,
        "name": _NAME,
        "nickName": _TEXT,
        "password": _TEXT,
        "phoneNumbers": _VALUES,
        "photos": _VALUES,
        "preferredLanguage": _TEXT,
        "profileUrl": _TEXT,
        "roles": _VALUES,
        "schemas": Items(_TEXT, fewest=1, unique=True),
        "timezone": _TEXT,
        "title": _TEXT,
        "userName": _TEXT,
        "userType": _TEXT,
        "x509Certificates": _VALUES,
    },
    required=("meta",),
)
"""``#/components/schemas/ScimUser`` of Maia's document, in the order of Matillion's examples; answers have this order too.

Without ``maxLength`` and ``maxItems`` 2147483647, which no body within this server's limit can exceed.
"""
_PLURAL: Final = tuple(name for name, shape in SCIM_USER.shapes.items() if shape in (_VALUES, _ADDRESSES))
_SHOWN: Final = tuple(name for name in SCIM_USER.shapes if name != "password")


_DERIVED: Final[frozenset[Derived]] = frozenset({"groups"})


class Matillion:
    """The contract of the two services."""

    name: Final = "matillion"
    routes: Final = tuple(
        route
        for base in _BASES
        for route in (
            Route("POST", f"{base}/Users", "create"),
            Route("GET", f"{base}/Users/{{id}}", "read"),
            Route("PUT", f"{base}/Users/{{id}}", "replace"),
        )
    )
    prefixes: Final = _BASES
    schemes: Final = frozenset({"bearer"})
    media_types: Final = frozenset({"application/json"})
    rules: Final = DEFAULT_RULES

    def derives(self, asked: Asked) -> frozenset[Derived]:
        """Return what an answer shows beside the stored resource: the groups."""
        return _DERIVED

    def translate(self, asked: Asked, body: bytes, preserves: tuple[str, ...]) -> Translated:
        """Return the Create or Replace of a ScimUser; raises Violations and InvalidSyntax."""
        user = _user(decode_json(body))
        password = user.pop("password", msgspec.UNSET)
        if asked.operation == "create":
            return Translated(Create(body=user), password=password)
        keeps = preserves if preserves else msgspec.UNSET
        return Translated(Replace(body=user, keeps=keeps, keeps_extensions=True), password=password)

    def answer(self, asked: Asked, status: int, shown: Shown) -> Answer:
        """Return the user as a ScimUser."""
        user = shown.doc | {"schemas": [urns.USER], "meta": _meta(shown)}
        if shown.groups:
            collection = shown.location.rpartition("/Users/")[0] + "/Groups/"
            user["groups"] = [_group(membership, collection) for membership in shown.groups]
        ordered = {name: user[name] for name in _SHOWN if name in user}
        headers = {"Content-Type": "application/json", "Location": shown.location}
        return Answer(status, headers, encode(ordered))

    def refuse(self, refused: Refused) -> Answer:
        """Return the error as a ProblemDetail (RFC 9457), with a violation for each field that is to blame."""
        problem = {
            "type": "about:blank",
            "title": _TITLES.get(refused.status, "Error"),
            "status": refused.status,
            "detail": refused.detail,
            "instance": quote(refused.path, safe="/%:@!$&'()*+,;=~", errors="replace"),
            "violations": refused.violations,
        }
        return Answer(refused.status, {"Content-Type": "application/problem+json"}, encode(problem))


MATILLION: Final = Matillion()


def _user(sent: object) -> dict[str, Any]:
    """Return a ScimUser in canonical form, with its password; raises Violations and InvalidSyntax."""
    if not isinstance(sent, dict):
        raise InvalidSyntax("The body must be a JSON object.")
    try:
        check_json(sent, "The body", cased=True)
        found = (*_wrong_name(sent), *violations(sent, SCIM_USER))
        if found:
            raise Violations(found[:MOST])
        user = known(sent, SCIM_USER) | {"schemas": [urns.USER]}
        for name in _PLURAL:
            if name in user:
                user[name] = _one_primary(user[name])
        return conform(user, USER, DEFAULT_RULES)
    except Violations:
        raise
    except InvalidValue as error:
        raise Violations((error.detail,)) from None  # it names the field: what is wrong is told by the rules of SCIM


def _wrong_name(sent: dict[str, Any]) -> tuple[str, ...]:
    """Return what is wrong with the userName where the schema finds nothing wrong."""
    name = sent.get("userName")
    if "userName" not in sent:
        return ("userName is required.",)
    return ("userName must not be blank.",) if isinstance(name, str) and not name.strip() else ()


def _one_primary(elements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the elements without exact repeats, and with primary false where an earlier one has it true."""
    kept, taken = [], False
    for element in distinct(elements):
        second = taken and element.get("primary") is True
        taken = taken or element.get("primary") is True
        kept.append(element | {"primary": False} if second else element)
    return kept


def _meta(shown: Shown) -> dict[str, Any]:
    meta = {
        "created": shown.created,
        "lastModified": shown.modified,
        "location": shown.location,
        "resourceType": USER.name,
        "version": etag(shown.version),
    }
    return {name: value for name, value in meta.items() if value is not None}


def _group(membership: Membership, collection: str) -> dict[str, Any]:
    group = {} if membership.display is None else {"display": membership.display}
    return group | {
        "ref": collection + membership.group_id,
        "type": "DIRECT" if membership.direct else "INDIRECT",
        "value": membership.group_id,
    }
