"""Errors that belong to the client: what RFC 7644 section 3.12 lets a SCIM server answer, and their neighbours in HTTP."""

from __future__ import annotations

from typing import ClassVar


class ScimError(Exception):
    """A request this server refuses; ``detail`` is for the person who must mend it.

    ``detail`` names attributes, limits and remedies. It never repeats a value out of the request or of a stored
    resource: values are personal data, and details end in other people's logs.
    """

    status: ClassVar[int] = 400
    scim_type: ClassVar[str | None] = None

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidFilter(ScimError):
    """The filter's syntax is wrong, or it compares what cannot be compared (RFC 7644 section 3.12)."""

    scim_type = "invalidFilter"


class TooMany(ScimError):
    """The answer would be larger than the server is willing to compute (RFC 7644 section 3.12)."""

    scim_type = "tooMany"


class Uniqueness(ScimError):
    """The value is in use (RFC 7644 section 3.12)."""

    status = 409
    scim_type = "uniqueness"


class Mutability(ScimError):
    """The attribute may not be changed so (RFC 7644 section 3.12, RFC 7643 section 2.2)."""

    scim_type = "mutability"


class InvalidSyntax(ScimError):
    """The body is not JSON, or not of the shape that the request wants (RFC 7644 section 3.12)."""

    scim_type = "invalidSyntax"


class InvalidPath(ScimError):
    """The path of a PATCH operation is malformed or names an attribute that no schema defines (RFC 7644 section 3.12)."""

    scim_type = "invalidPath"


class NoTarget(ScimError):
    """The path of a PATCH operation yields nothing that could be changed (RFC 7644 section 3.12)."""

    scim_type = "noTarget"


class InvalidValue(ScimError):
    """A required value is missing, or a value has the wrong type or form (RFC 7644 section 3.12)."""

    scim_type = "invalidValue"


class InvalidVersion(ScimError):
    """The protocol version in the URL is not served (RFC 7644 sections 3.12 and 3.13)."""

    scim_type = "invalidVers"


class Unauthorized(ScimError):
    """No token, or one that this server does not know."""

    status = 401


class Forbidden(ScimError):
    """The token is known, but not for this."""

    status = 403


class NotFound(ScimError):
    """No such resource or endpoint, or not in the caller's tenant."""

    status = 404


class MethodNotAllowed(ScimError):
    """The endpoint exists, the method does not."""

    status = 405


class NotAcceptable(ScimError):
    """The caller accepts no media type that this server can write."""

    status = 406


class RequestTimeout(ScimError):
    """The body did not arrive in time."""

    status = 408


class PreconditionFailed(ScimError):
    """If-Match names another version than the stored one (RFC 7644 section 3.14)."""

    status = 412


class TooLarge(ScimError):
    """The body, or the resource that would come of it, exceeds the limit that ``detail`` names."""

    status = 413


class UnsupportedMediaType(ScimError):
    """The body is declared to be something else than JSON."""

    status = 415


class KeyReused(ScimError):
    """The Idempotency-Key belongs to another request, or the id derived from it is spent."""

    status = 422


class PreconditionRequired(ScimError):
    """The tenant wants If-Match on every change, and there was none."""

    status = 428


class TooManyRequests(ScimError):
    """The tenant has more in flight than its credit allows."""

    status = 429


class NotImplementedHere(ScimError):
    """A part of the protocol that this server does not offer (RFC 7644 section 3.12)."""

    status = 501


class Unavailable(ScimError):
    """The server cannot do it now, through no fault of the caller's; the same request may be sent again."""

    status = 503
