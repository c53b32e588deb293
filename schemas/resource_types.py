"""The characteristics table: every attribute this server knows, as RFC 7643 sections 3.1, 4 and 8.7 define it.

Corrected where the RFC's own JSON disagrees with its text (``scim.md`` B7). Validation, PATCH, filters, projection and
discovery read this table; ``schemas.users`` mirrors it as structs, and a test holds the two together.
"""

from __future__ import annotations

from typing import Final

from schemas import urns
from schemas.attributes import Attribute, ResourceType, Schema

META: Final = Attribute(
    name="meta",
    type="complex",
    mutability="readOnly",
    description="What the server knows about the resource itself.",
    sub_attributes=(
        Attribute(
            name="resourceType", case_exact=True, mutability="readOnly", description="The name of the resource type."
        ),
        Attribute(name="created", type="dateTime", mutability="readOnly", description="When the resource was created."),
        Attribute(
            name="lastModified", type="dateTime", mutability="readOnly", description="When the resource last changed."
        ),
        Attribute(
            name="location",
            type="reference",
            case_exact=True,
            mutability="readOnly",
            reference_types=("uri",),
            description="The URI of the resource.",
        ),
        Attribute(
            name="version", case_exact=True, mutability="readOnly", description="The version, equal to the ETag."
        ),
    ),
)
ID: Final = Attribute(
    name="id",
    case_exact=True,
    mutability="readOnly",
    returned="always",
    uniqueness="global",
    description="The identifier that the server gave the resource.",
)
EXTERNAL_ID: Final = Attribute(
    name="externalId", case_exact=True, description="The identifier that the client gave the resource."
)
SCHEMAS: Final = Attribute(
    name="schemas",
    type="reference",
    multi_valued=True,
    required=True,
    returned="always",
    reference_types=("uri",),
    description="The URNs of the schemas whose attributes the resource has.",
)
COMMON: Final = (SCHEMAS, ID, EXTERNAL_ID, META)


def _text(name: str, description: str) -> Attribute:
    return Attribute(name=name, description=description)


_PRIMARY = Attribute(
    name="primary", type="boolean", description="Whether this is the preferred value; true at most once."
)
_DISPLAY = _text("display", "A name for display.")


def _type(canonical: tuple[str, ...] = ()) -> Attribute:
    return Attribute(name="type", canonical_values=canonical, description="What the value is used for.")


def _plural(name: str, description: str, value: Attribute, canonical: tuple[str, ...] = ()) -> Attribute:
    """Return a multi-valued attribute with the sub-attributes of RFC 7643 section 2.4."""
    return Attribute(
        name=name,
        type="complex",
        multi_valued=True,
        description=description,
        sub_attributes=(value, _DISPLAY, _type(canonical), _PRIMARY),
    )


NAME: Final = Attribute(
    name="name",
    type="complex",
    description="The components of the user's name.",
    sub_attributes=(
        _text("formatted", "The full name, formatted for display."),
        _text("familyName", "The family name."),
        _text("givenName", "The given name."),
        _text("middleName", "The middle names."),
        _text("honorificPrefix", "Titles before the name."),
        _text("honorificSuffix", "Suffixes after the name."),
    ),
)

USER_SCHEMA: Final = Schema(
    urn=urns.USER,
    name="User",
    description="User Account",
    attributes=(
        Attribute(
            name="userName",
            required=True,
            uniqueness="server",
            description="The name by which the user signs in; unique in the tenant, in any case.",
        ),
        NAME,
        _text("displayName", "The name of the user, suitable for display."),
        _text("nickName", "The casual way to address the user."),
        Attribute(
            name="profileUrl",
            type="reference",
            case_exact=True,
            reference_types=("external",),
            description="The URL of the user's online profile.",
        ),
        _text("title", "The user's title, such as Vice President."),
        _text("userType", "The relationship between organization and user."),
        _text("preferredLanguage", "The preferred languages, as in Accept-Language."),
        _text("locale", "The default location, for currency, dates and numbers."),
        _text("timezone", "The time zone, in IANA form."),
        Attribute(name="active", type="boolean", description="Whether the user may use the service."),
        Attribute(
            name="password", mutability="writeOnly", returned="never", description="The clear text password to set."
        ),
        _plural("emails", "E-mail addresses.", _text("value", "The address."), ("work", "home", "other")),
        _plural(
            "phoneNumbers",
            "Telephone numbers.",
            _text("value", "The number, RFC 3966 preferred."),
            ("work", "home", "mobile", "fax", "pager", "other"),
        ),
        _plural(
            "ims",
            "Instant messaging addresses.",
            _text("value", "The address."),
            ("aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"),
        ),
        _plural(
            "photos",
            "Pictures of the user.",
            Attribute(
                name="value",
                type="reference",
                case_exact=True,
                reference_types=("external",),
                description="The URL of the picture.",
            ),
            ("photo", "thumbnail"),
        ),
        Attribute(
            name="addresses",
            type="complex",
            multi_valued=True,
            description="Physical mailing addresses.",
            sub_attributes=(
                _text("formatted", "The full address, formatted for display."),
                # Not in RFC 7643 section 4.1.2 but among the default sub-attributes of section 2.4; Matillion's has it.
                _text("display", "A name of the address for display."),
                _text("streetAddress", "Street, house number, P.O. box."),
                _text("locality", "City or locality."),
                _text("region", "State or region."),
                _text("postalCode", "Postal code."),
                _text("country", "Country, ISO 3166-1 alpha-2 preferred."),
                _type(("work", "home", "other")),
                _PRIMARY,
            ),
        ),
        Attribute(
            name="groups",
            type="complex",
            multi_valued=True,
            mutability="readOnly",
            description="The groups to which the user belongs; changed only through Group.",
            sub_attributes=(
                Attribute(name="value", case_exact=True, mutability="readOnly", description="The id of the group."),
                Attribute(
                    name="$ref",
                    type="reference",
                    case_exact=True,
                    mutability="readOnly",
                    reference_types=("User", "Group"),
                    description="The URI of the group.",
                ),
                Attribute(name="display", mutability="readOnly", description="A name for display."),
                Attribute(
                    name="type",
                    mutability="readOnly",
                    canonical_values=("direct", "indirect"),
                    description="Whether the membership is direct.",
                ),
            ),
        ),
        _plural("entitlements", "Things the user has a right to.", _text("value", "The entitlement.")),
        _plural("roles", "Roles of the user.", _text("value", "The role.")),
        _plural(
            "x509Certificates",
            "Certificates of the user.",
            Attribute(name="value", type="binary", case_exact=True, description="One DER certificate, base64."),
        ),
    ),
)

ENTERPRISE_USER_SCHEMA: Final = Schema(
    urn=urns.ENTERPRISE_USER,
    name="EnterpriseUser",
    description="Enterprise User",
    attributes=(
        _text("employeeNumber", "The number that the organization gave the user."),
        _text("costCenter", "The cost center."),
        _text("organization", "The organization."),
        _text("division", "The division."),
        _text("department", "The department."),
        Attribute(
            name="manager",
            type="complex",
            description="The user's manager.",
            sub_attributes=(
                Attribute(name="value", case_exact=True, description="The id of the manager."),
                Attribute(
                    name="$ref",
                    type="reference",
                    case_exact=True,
                    reference_types=("User",),
                    description="The URI of the manager.",
                ),
                Attribute(name="displayName", mutability="readOnly", description="The manager's name for display."),
            ),
        ),
    ),
)

USER: Final = ResourceType(
    name="User",
    endpoint="/Users",
    description="User Account",
    schema=USER_SCHEMA,
    extensions=(ENTERPRISE_USER_SCHEMA,),
    common=COMMON,
)

RESOURCE_TYPES: Final[dict[str, ResourceType]] = {USER.name: USER}
"""The resource types that are served, by name."""
