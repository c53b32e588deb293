"""The structs of a user and the characteristics table say the same, attribute by attribute."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from schemas import urns
from schemas.attributes import Attribute
from schemas.resource_types import ENTERPRISE_USER_SCHEMA, USER
from schemas.users import User


def _assert_same(kind: inspect.Type, attributes: tuple[Attribute, ...], extensions: dict[str, Any]) -> None:
    assert isinstance(kind, inspect.StructType)
    assert kind.forbid_unknown_fields
    assert kind.cls.__struct_config__.frozen
    fields = {field.encode_name: field for field in kind.fields}
    assert fields.keys() == {attribute.name for attribute in attributes} | extensions.keys()
    for attribute in attributes:
        _assert_same_attribute(fields[attribute.name], attribute)
    for urn, members in extensions.items():
        _assert_same(fields[urn].type, members, {})


def _assert_same_attribute(field: inspect.Field, attribute: Attribute) -> None:
    assert field.required == attribute.required, attribute.name
    kind = field.type  # msgspec leaves UNSET out of it; None would make it a union.
    if attribute.mutability == "readOnly":
        assert isinstance(kind, inspect.AnyType), attribute.name
        return
    if attribute.multi_valued:
        assert isinstance(kind, inspect.ListType), attribute.name
        kind = kind.item_type
    if attribute.type == "complex":
        _assert_same(kind, attribute.sub_attributes, {})
    else:
        assert type(kind) is (inspect.BoolType if attribute.type == "boolean" else inspect.StrType), attribute.name


def test_structs_and_table_agree() -> None:
    attributes = (*USER.common, *USER.schema.attributes)
    _assert_same(inspect.type_info(User), attributes, {urns.ENTERPRISE_USER: ENTERPRISE_USER_SCHEMA.attributes})


def test_schemas_stand_first() -> None:
    user = msgspec.json.decode(b'{"userName":"ann","schemas":["urn:x"]}', type=User)
    assert msgspec.json.encode(user) == b'{"schemas":["urn:x"],"userName":"ann"}'
