"""Users of Oracle CPQ: a ``user-request`` with every documented field, and what a PUT and a GET make of one."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import msgspec

from schemas import urns
from schemas.commands import Patch
from schemas.dialects.dialect import Asked, Shown
from schemas.dialects.oracle_cpq import ORACLE_CPQ
from schemas.dialects.oracle_cpq_fields import URN
from schemas.patch import apply_patch
from schemas.patch_requests import Operation
from schemas.resource_types import USER

ID: Final = "0199c1a2-b3c6-7102-8304-05060708090a"
PATH: Final = f"/rest/v19/scim/Users/{ID}"
LOCATION: Final = f"https://scim.example.com{PATH}"

GROUPS: Final[dict[str, Any]] = {
    "items": [
        {
            "company": {"name": "_host"},
            "segments": {
                "items": [
                    {
                        "checked": True,
                        "icon": "/img/a.png",
                        "subSegments": {
                            "items": [
                                {"checked": False, "icon": "b", "status": "2", "title": "East", "variableName": "e"}
                            ]
                        },
                        "status": 1,
                        "variableName": "region",
                    }
                ]
            },
            "status": {"value": "1"},
            "type": {"value": "SalesGroup", "displayValue": "Sales Group"},
            "users": {"items": [{"login": "bob"}]},
            "variableName": "sales",
        }
    ]
}
NATIVE: Final[dict[str, Any]] = {
    "login": "ann",
    "firstName": "Ann",
    "lastName": "Lee",
    "email": "ann@example.com",
    "phone": "+1 555 0100",
    "jobTitle": "Engineer",
    "approvalDelegate": "bob",
    "billAddress1": "1 Main Street",
    "billAddress2": "Floor 2",
    "billCity": "Austin",
    "billCompany": "Example",
    "billCompany2": "Example East",
    "billCountry": "US",
    "billEmail": "bills@example.com",
    "billFax": "+1 555 0101",
    "billFirstName": "Bill",
    "billLastName": "Payer",
    "billPhone": "+1 555 0102",
    "billStateProvince": "TX",
    "billZip": "78701",
    "shipAddress1": "2 Dock Road",
    "shipLastName": "Stock",
    "accessPermissions": {
        "items": [
            {
                "hasAccess": True,
                "restrictedEntityName": "Laptops",
                "type": "productFamily",
                "restrictedEntityVariableName": "laptops",
            },
            {"hasAccess": False, "type": "supportedProductFamily"},
            {"hasAccess": True, "type": "dataTableFolder"},
        ]
    },
    "currency": {"value": "USD", "displayValue": "US Dollar"},
    "dateFormat": {"value": 1, "displayValue": "MM/dd/yyyy"},
    "enabledForSSO": {"value": True},
    "groups": GROUPS,
    "language": {"value": "en", "displayValue": "English"},
    "numberFormat": {"value": "####.##"},
    "status": {"value": "1", "displayValue": "Active"},
    "timeZone": {"value": "America/Chicago"},
    "type": {"value": "FullAccess"},
    "units": {"value": "IN_LBS"},
    "isWebServicesOnly": False,
    "organizations": [],
}
"""Every field of the document, those of its sibling, and two that neither of ours knows."""
STORED: Final[dict[str, Any]] = {
    "schemas": [urns.USER, URN],
    "id": ID,
    "userName": "ann",
    "active": True,
    "name": {"givenName": "Ann", "familyName": "Lee"},
    "emails": [{"type": "work", "value": "ann@example.com"}],
    "phoneNumbers": [{"type": "work", "value": "+1 555 0100"}],
    "title": "Engineer",
    "preferredLanguage": "en",
    "timezone": "America/Chicago",
    URN: {
        name: value
        for name, value in NATIVE.items()
        if name not in {"login", "firstName", "lastName", "email", "phone", "jobTitle", "timeZone"}
    },
}
"""The user that it makes of one with nothing but a name."""


def bare(**members: Any) -> dict[str, Any]:
    """Return a stored user with nothing but a name, and what is given; extensions by their URN."""
    listed = [urns.USER, *(name for name in members if ":" in name)]
    return {"schemas": listed, "id": ID, "userName": "ann", **members}


def operations(body: Any, preserves: tuple[str, ...] = ()) -> tuple[Operation, ...]:
    """Return what a PUT of the body asks for."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    change = ORACLE_CPQ.translate(Asked("replace", PATH, {}), text, preserves).change
    assert isinstance(change, Patch)
    return change.operations


def put(stored: dict[str, Any], body: Any, preserves: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the stored user as a PUT of the body leaves it."""
    before = copy.deepcopy(stored)
    after = apply_patch(operations(body, preserves), stored, USER, ORACLE_CPQ.rules)
    assert stored == before
    return after


def shown(doc: dict[str, Any], **more: Any) -> Shown:
    """Return a stored user as the gateway hands it over."""
    times = {"created": "2026-11-20T09:00:00.000Z", "modified": "2026-11-21T12:00:00.000Z"}
    return Shown(**{"doc": doc, "version": 3, "location": LOCATION, **times, **more})


def get(doc: dict[str, Any], **more: Any) -> Any:
    """Return the body of the answer that shows a stored user."""
    return json.loads(ORACLE_CPQ.answer(Asked("read", PATH, {}), 200, shown(doc, **more)).body)


def canonical(doc: dict[str, Any]) -> bytes:
    """Return the user so that 1 and true differ, and the order of members does not count."""
    return msgspec.json.encode({**doc, "schemas": sorted(doc["schemas"])}, order="sorted")
