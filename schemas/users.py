"""The user of the characteristics table as structs, for the strict decoding that most bodies pass.

A test holds them to the table attribute by attribute. Absent is UNSET, null is refused: what these structs refuse goes
through ``schemas.validation``, which knows every tolerance.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from schemas import urns

Text = str | UnsetType
Flag = bool | UnsetType


class _Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An object of exactly the table's names: without forbid_unknown_fields another case would be lost in silence."""


class Name(_Sent, frozen=True):
    """RFC 7643 section 4.1.1, name."""

    formatted: Text = UNSET
    family_name: Text = UNSET
    given_name: Text = UNSET
    middle_name: Text = UNSET
    honorific_prefix: Text = UNSET
    honorific_suffix: Text = UNSET


class Value(_Sent, frozen=True):
    """One element of a multi-valued attribute with the sub-attributes of RFC 7643 section 2.4."""

    value: Text = UNSET
    display: Text = UNSET
    type: Text = UNSET
    primary: Flag = UNSET


class Address(_Sent, frozen=True):
    """RFC 7643 section 4.1.2, addresses; ``display`` by section 2.4."""

    formatted: Text = UNSET
    display: Text = UNSET
    street_address: Text = UNSET
    locality: Text = UNSET
    region: Text = UNSET
    postal_code: Text = UNSET
    country: Text = UNSET
    type: Text = UNSET
    primary: Flag = UNSET


class Manager(_Sent, frozen=True):
    """RFC 7643 section 4.3, manager; displayName is readOnly and may be anything, for it is ignored."""

    value: Text = UNSET
    ref: Text = msgspec.field(name="$ref", default=UNSET)
    display_name: Any = UNSET


class EnterpriseUser(_Sent, frozen=True):
    """RFC 7643 section 4.3."""

    employee_number: Text = UNSET
    cost_center: Text = UNSET
    organization: Text = UNSET
    division: Text = UNSET
    department: Text = UNSET
    manager: Manager | UnsetType = UNSET


Values = list[Value] | UnsetType


class User(_Sent, frozen=True):
    """RFC 7643 sections 3.1 and 4.1; id, meta and groups are readOnly and may be anything, for they are ignored."""

    schemas: list[str]
    user_name: str
    id: Any = UNSET
    external_id: Text = UNSET
    meta: Any = UNSET
    name: Name | UnsetType = UNSET
    display_name: Text = UNSET
    nick_name: Text = UNSET
    profile_url: Text = UNSET
    title: Text = UNSET
    user_type: Text = UNSET
    preferred_language: Text = UNSET
    locale: Text = UNSET
    timezone: Text = UNSET
    active: Flag = UNSET
    password: Text = UNSET
    emails: Values = UNSET
    phone_numbers: Values = UNSET
    ims: Values = UNSET
    photos: Values = UNSET
    addresses: list[Address] | UnsetType = UNSET
    groups: Any = UNSET
    entitlements: Values = UNSET
    roles: Values = UNSET
    x509_certificates: Values = UNSET
    enterprise_user: EnterpriseUser | UnsetType = msgspec.field(name=urns.ENTERPRISE_USER, default=UNSET)
