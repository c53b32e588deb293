"""VMware Workspace ONE Access: its PATCH of a SCIM 1.1 user, and the read beside it.

The document has one operation, ``PATCH https://{api_host}//SAAS/jersey/manager/api/scim/Users/{id}``, with a partial
``SdkUserResource``. Decided, and why:

- The path is served with one slash before ``SAAS`` and with two: the document writes two, clients join either.
- ``POST`` with ``X-HTTP-Method-Override: PATCH`` is the same: that is how public clients send it where a proxy knows no
  PATCH. The token comes as ``Authorization: HZN`` (the service's own) or ``Bearer``.
- The body is SCIM 1.1's partial resource (``schemas.dialects.scim11``), no PatchOp. The document's example has no
  ``schemas``, so they are not required.
- The example sends what a server says of itself (``id``, ``groups``, ``meta`` but for ``attributes``, ``resourceDescriptor``,
  ``scimObject``, ``internalUserType``, ``userStoreUuid``) and ``"operation": "string"``. All of it is accepted and none of it
  changes anything; of ``operation`` only ``delete`` means something.
- *Not a local user* (403) is whom the *stored* workspace extension calls ``internalUserType: PROVISIONED``, which is
  written over ``/scim/v2``. By what a request says of itself the document's own example could never be answered.
- The workspace extension has no schema here: it is stored under its own URN as it is sent, and ``/scim/v2`` shows it.
- Success is 204 with ``ETag`` and ``Content-Location``, or 200 with the user where ``attributes`` is asked for: the document
  does not say, SCIM 1.1 section 3.3.2 does, and a public script takes 204 alone for success.
- Errors have no body ("Operation doesn't return any data structure"); the transaction stands in ``Scim-Txn``.

``assumed``, each with its reason in ``deploy/dialects/workspace_one.md``: null and empty values ask for nothing; a value
to delete that names nothing is 400; a value without ``value`` is deleted by all its sub-attributes; values that share
their ``value`` are merged or deleted together; a second ``primary: true`` is 400; what ``meta.attributes`` lists and no
schema defines is ignored, what is no attribute notation is 400; a new ``managerId`` removes the ``$ref`` of the manager
before; removing the workspace extension leaves its two server-side attributes; ``userStatus`` and ``softDeleted`` are kept
and change nothing else; the body is ``application/json``; every other error has an empty body too; a read answers the
whole user, or the ``attributes`` asked for.
"""

from __future__ import annotations

from typing import Final

from schemas.attributes import Attribute, Schema
from schemas.codec import decode_json, encode
from schemas.commands import DEFAULT_RULES, Guard, Patch
from schemas.dialects.dialect import Answer, Asked, Derived, Refused, Route, Shown, Translated
from schemas.dialects.scim11 import patch_request, projection, user_document

WORKSPACE: Final = Schema(
    urn="urn:scim:schemas:extension:workspace:1.0",
    name="WorkspaceUser",
    description="What Workspace ONE Access knows of a user beyond SCIM.",
    attributes=(
        Attribute(name="distinguishedName"),
        Attribute(name="domain"),
        Attribute(name="internalUserType", mutability="readOnly"),
        Attribute(name="softDeleted", type="boolean"),
        Attribute(name="userPrincipalName"),
        Attribute(name="userStatus"),
        Attribute(name="userStoreUuid", mutability="readOnly"),
        Attribute(name="firstLoginUrl"),
    ),
)
"""The extension of the document's example; what is readOnly of it is the service's own to say."""

_BASES: Final = ("/SAAS/jersey/manager/api/scim", "//SAAS/jersey/manager/api/scim")
_NOT_LOCAL: Final = Guard(
    filter=f'{WORKSPACE.urn}:internalUserType eq "PROVISIONED"',
    status=403,
    detail="the user is not a local user and cannot be updated",
)


_DERIVED: Final[frozenset[Derived]] = frozenset({"groups", "manager"})


def _has_body(asked: Asked) -> bool:
    """Tell whether the answer shows the user: a change does only where ``attributes`` asks for it."""
    return asked.operation == "read" or "attributes" in asked.query


class WorkspaceOne:
    """The contract of the service."""

    name: Final = "workspace_one"
    routes: Final = tuple(
        route
        for base in _BASES
        for route in (
            Route("PATCH", f"{base}/Users/{{id}}", "patch"),
            Route("POST", f"{base}/Users/{{id}}", "patch", override="PATCH"),
            Route("GET", f"{base}/Users/{{id}}", "read"),
        )
    )
    prefixes: Final = _BASES
    schemes: Final = frozenset({"hzn", "bearer"})
    media_types: Final = frozenset({"application/json"})
    rules: Final = DEFAULT_RULES

    def derives(self, asked: Asked) -> frozenset[Derived]:
        """Return what an answer shows beside the stored resource: groups and manager, where it has a body at all."""
        return _DERIVED if _has_body(asked) else frozenset()

    def translate(self, asked: Asked, body: bytes, preserves: tuple[str, ...]) -> Translated:
        """Return the Patch of a partial user; raises ScimError."""
        projection(asked.query.get("attributes"))  # refused now: once the change is applied, its answer cannot be
        wanted = patch_request(decode_json(body), (WORKSPACE,))
        return Translated(Patch(operations=wanted.operations), wanted.password, _NOT_LOCAL)

    def answer(self, asked: Asked, status: int, shown: Shown) -> Answer:
        """Return the user as SCIM 1.1 writes it, or 204 for a change that asks to see nothing."""
        where = {"Location" if asked.operation == "read" else "Content-Location": shown.location}
        if not _has_body(asked):
            return Answer(204, where)
        wanted = projection(asked.query.get("attributes"))
        document = user_document(shown)
        body = encode(document if wanted is None else wanted.apply(document))
        return Answer(status, {"Content-Type": "application/json", **where}, body)

    def refuse(self, refused: Refused) -> Answer:
        """Return the status alone: the service tells nothing else."""
        return Answer(refused.status)


WORKSPACE_ONE: Final = WorkspaceOne()
