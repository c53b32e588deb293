"""Oracle CPQ's native user: its fields, their shapes, and which attribute of a SCIM user is the home of which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.dialects.dialect import Violations
from schemas.dialects.shapes import Either, Flag, Items, Maybe, Members, Number, Shape, Text
from schemas.folding import fold

URN: Final = "urn:scimgw:params:oracle-cpq:1.0:User"
"""The extension that holds what has no home in SCIM: opaque, for its objects stand inside objects (RFC 7643 section 2.3.8)."""

_TEXT: Final = Maybe(Text())
_FLAG: Final = Maybe(Flag())
_OBJECT: Final = Maybe(Members({}))
_TEXT_VALUE: Final = Members({"value": _TEXT})
_CODE_VALUE: Final = Members({"value": Maybe(Either((Text(), Number(), Flag()), "a string, a number, true or false"))})
_SEGMENT_STATUS: Final = Maybe(Either((Number(choices=(0, 1, 2)), Text(choices=("0", "1", "2"))), "0, 1 or 2"))


def _items(shape: Shape) -> Members:
    return Members({"items": Maybe(Items(shape))})


_SUB_SEGMENT: Final = Members(
    {"checked": _FLAG, "icon": _TEXT, "status": _SEGMENT_STATUS, "title": _TEXT, "variableName": _TEXT}
)
_SEGMENT: Final = Members(
    {
        "checked": _FLAG,
        "icon": _TEXT,
        "subSegments": Maybe(_items(_SUB_SEGMENT)),
        "status": _SEGMENT_STATUS,
        "variableName": _TEXT,
    }
)
_GROUP: Final = Members(
    {
        "company": _OBJECT,
        "segments": Maybe(_items(_SEGMENT)),
        "status": Maybe(_CODE_VALUE),
        "type": Maybe(_CODE_VALUE),
        "users": Maybe(_items(Members({}))),
    }
)
_ACCESS_PERMISSION: Final = Members(
    {
        "hasAccess": _FLAG,
        "restrictedEntityName": _TEXT,
        "type": Maybe(Text(choices=("productFamily", "supportedProductFamily", "dataTableFolder"))),
        "restrictedEntityVariableName": _TEXT,
    }
)
REQUEST: Final[dict[str, Shape]] = {
    "accessPermissions": _items(_ACCESS_PERMISSION),
    "currency": _TEXT_VALUE,
    "dateFormat": _CODE_VALUE,
    "enabledForSSO": _CODE_VALUE,
    "groups": _items(_GROUP),
    "language": _TEXT_VALUE,
    "numberFormat": _CODE_VALUE,
    "status": _CODE_VALUE,
    "timeZone": _TEXT_VALUE,
    "type": _CODE_VALUE,
    "units": _CODE_VALUE,
}
"""``user-request`` as the document has it: objects. What else they hold is kept, for the document forbids nothing."""

_BILLED: Final = (
    "Address1", "Address2", "City", "Company", "Company2", "Country", "Email", "Fax", "FirstName", "LastName", "Phone",
    "StateProvince", "Zip",
)  # fmt: skip
FLAT: Final[dict[str, Shape]] = dict.fromkeys(
    (
        "login", "firstName", "lastName", "email", "phone", "jobTitle", "approvalDelegate",
        *(f"bill{each}" for each in _BILLED), *(f"ship{each}" for each in _BILLED),
    ),
    Text(),
)  # fmt: skip
"""The strings of the same schema, which the document at hand leaves out and its sibling on the native user shows."""

SHAPES: Final[dict[str, Shape]] = {name.lower(): shape for name, shape in (REQUEST | FLAT).items()}
"""Field in lower case → its shape. Names are read in any case: CPQ's own pages write ``enabledForSSO`` and ``…Sso``."""


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The attribute of a SCIM user that is the home of a native field."""

    path: str
    """As a PATCH names it, with which a value is added."""
    cleared: str | None
    """The path that a PATCH removes where the field is not sent; None where it is kept then."""
    default: bool | None = None
    """What it goes back to instead, where that is a value."""
    fallback: str | None = None
    """The field that stands in for one that is not sent."""
    coded: bool = False
    """The field is an object and its ``value`` what counts; the rest of it is kept in the extension."""

    @property
    def attribute(self) -> str:
        """The attribute, without sub-attribute and filter."""
        return self.path.partition("[")[0].partition(".")[0]


def _single(path: str, *, fallback: str | None = None, coded: bool = False) -> Home:
    return Home(path=path, cleared=path, fallback=fallback, coded=coded)


def _work(attribute: str, fallback: str) -> Home:
    # Without its value nothing is left to say of it, so it is the whole element that is cleared.
    element = f'{attribute}[type eq "work"]'
    return Home(path=f"{element}.value", cleared=element, fallback=fallback)


HOMES: Final[dict[str, Home]] = {
    "login": Home(path="userName", cleared=None),
    "firstName": _single("name.givenName", fallback="billFirstName"),
    "lastName": _single("name.familyName", fallback="billLastName"),
    "email": _work("emails", "billEmail"),
    "phone": _work("phoneNumbers", "billPhone"),
    "jobTitle": _single("title"),
    "language": _single("preferredLanguage", coded=True),
    "timeZone": _single("timezone", coded=True),
    "status": Home(path="active", cleared="active", default=True, coded=True),
}
"""Native field → its home (``scim.md`` section 4.3)."""
WORK: Final = "work"
PLURAL_HOMES: Final = frozenset(home.attribute for home in HOMES.values() if "[" in home.path)
"""Multi-valued attributes, of which CPQ has the value of type work."""
_STATUS: Final = {"active": True, "1": True, "inactive": False, "0": False}


def home_value(home: Home, resource: Mapping[str, Any]) -> Any | None:
    """Return what a resource in canonical form, or its attributes alone, have at the home of a field."""
    value = resource.get(home.attribute)
    if home.attribute in PLURAL_HOMES:
        works = (each for each in value or () if fold(each.get("type", "")) == WORK)
        return next((each["value"] for each in works if "value" in each), None)
    return value.get(home.path.partition(".")[2]) if isinstance(value, dict) else value


def coded_value(name: str, field: Mapping[str, Any]) -> str | bool | None:
    """Return what the ``value`` of a coded field means for its attribute, None where it is empty.

    Raises Violations for a status that is neither ``Active`` nor ``Inactive``, nor 1 or 0.
    """
    value = field.get("value")
    if name != "status" or value is None:
        return value if isinstance(value, str) and value else None
    active = None if isinstance(value, bool) else _STATUS.get(str(value).lower())
    if active is None:
        raise Violations(("status.value must be Active or Inactive, or 1 or 0.",))
    return active


def says_more(name: str, field: Mapping[str, Any], value: str | bool | None) -> bool:
    """Tell whether a coded field says more than its attribute does with this value, so that the field must be kept too."""
    if any(member != "value" for member in field):
        return True
    plain = ("Active" if value else "Inactive") if name == "status" else value
    return field.get("value") not in {None, "", plain}
