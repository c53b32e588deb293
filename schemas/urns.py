"""The URNs of RFC 7643, RFC 7644 and RFC 9967 that this server reads or writes."""

from typing import Final

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_USER: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SERVICE_PROVIDER_CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
RESOURCE_TYPE: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"

ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST_RESPONSE: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

EVENT: Final = "urn:ietf:params:scim:event:"
CREATE_FULL: Final = EVENT + "prov:create:full"
PUT_FULL: Final = EVENT + "prov:put:full"
PATCH_FULL: Final = EVENT + "prov:patch:full"
DELETE: Final = EVENT + "prov:delete"
ACTIVATE: Final = EVENT + "prov:activate"
DEACTIVATE: Final = EVENT + "prov:deactivate"

DEFAULT_ISSUER: Final = "urn:scimgw"
"""``iss`` of the events where neither an issuer nor a public URL is set (``interfaces.md``, settings)."""
