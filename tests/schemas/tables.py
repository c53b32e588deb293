"""A resource type beside User, for what User has no attribute of: members, immutable, simple multi-valued, numbers."""

from __future__ import annotations

from schemas import urns
from schemas.attributes import Attribute, ResourceType, Schema
from schemas.resource_types import COMMON

BADGE_URN = "urn:example:params:scim:schemas:extension:badge:1.0:Group"

MEMBERS = Attribute(
    name="members",
    type="complex",
    multi_valued=True,
    sub_attributes=(
        Attribute(name="value", case_exact=True, mutability="immutable"),
        Attribute(name="$ref", type="reference", case_exact=True, mutability="immutable"),
        Attribute(name="type", mutability="immutable"),
        Attribute(name="display", mutability="readOnly"),
        Attribute(name="note"),
    ),
)
GROUP = ResourceType(
    name="Group",
    endpoint="/Groups",
    description="",
    schema=Schema(
        urn=urns.GROUP,
        name="Group",
        description="",
        attributes=(
            Attribute(name="displayName", required=True),
            MEMBERS,
            Attribute(name="tags", multi_valued=True),
            Attribute(name="codes", multi_valued=True, case_exact=True),
            Attribute(name="birth", mutability="immutable"),
            Attribute(name="level", type="integer"),
            Attribute(name="ratio", type="decimal"),
            Attribute(name="opened", type="dateTime"),
            Attribute(
                name="owner",
                type="complex",
                sub_attributes=(
                    Attribute(name="value", required=True),
                    Attribute(name="since", mutability="immutable"),
                ),
            ),
            Attribute(
                name="doors",
                type="complex",
                multi_valued=True,
                sub_attributes=(
                    Attribute(name="name", required=True),
                    Attribute(name="open", type="boolean"),
                    Attribute(name="floor", type="integer"),
                    Attribute(name="primary", type="boolean"),
                    Attribute(name="built", type="dateTime"),
                    Attribute(name="secret", returned="never"),
                ),
            ),
        ),
    ),
    extensions=(
        Schema(
            urn=BADGE_URN,
            name="Badge",
            description="",
            attributes=(
                Attribute(name="colour"),
                Attribute(name="serial", mutability="immutable"),
                Attribute(name="marks", multi_valued=True),
                Attribute(
                    name="maker",
                    type="complex",
                    sub_attributes=(Attribute(name="value"), Attribute(name="city")),
                ),
                Attribute(
                    name="stamps",
                    type="complex",
                    multi_valued=True,
                    sub_attributes=(Attribute(name="value", required=True), Attribute(name="ink")),
                ),
            ),
        ),
    ),
    common=COMMON,
)


def group_attribute(name: str) -> Attribute:
    """Return the attribute of GROUP."""
    attribute = GROUP.attribute(name)
    assert attribute is not None
    return attribute
