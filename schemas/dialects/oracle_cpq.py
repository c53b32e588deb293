"""Oracle CPQ's PUT of a user: CPQ's native user goes in, a SCIM-like user comes out.

The document asks for ``user-request``, which is CPQ's own user, and answers ``user-response``, which is SCIM's with two
objects beside it, ``enterpriseUser`` and ``extensionUser``. Decided, and why:

- A PUT never creates: an unknown id is 404, for the document speaks of "an existing user".
- What is not sent goes back to its default, as the v19 page of the native user says (``assumed`` here): CPQ's own fields
  are unset, and so is SCIM's attribute that is the home of a field. What CPQ has no field for stays: other
  sub-attributes, values of another type than work, other extensions. So the PUT becomes a Patch, which names what is
  CPQ's and nothing else.
- Fields without a home in SCIM live in an extension of their own URN, opaque, and come back whole in ``extensionUser``.
- A body with ``schemas`` or ``userName`` has the shape of an answer: what a GET returned can be sent back. A SCIM
  attribute is set where it is there; of a multi-valued one the values whose type the body has, for a body that was made
  without a look at the user does not know the others. A native field beside it must say the same, or it is 400: two
  names of one thing, and nothing tells which was meant.
- Shapes and enumerations are the document's; fields and members that it does not name are kept, for it forbids none.

``assumed``, for what the document leaves open: the mapping of ``scim.md`` section 4.3, with the ``bill…`` name, e-mail
and phone where a native body lacks the plain one; ``login`` that is not sent is kept, for no user can be without;
``status`` that is not sent is Active, which is also what an answer shows where nothing is stored; null is "not sent",
the empty string "no value"; a coded field (``language``, ``timeZone``, ``status``) comes back as it was sent while its
home has that value, and not at all once SCIM's clients changed it; native names are read in any case, for CPQ's pages do
not agree on ``enabledForSSO``; ``addresses``, ``billingFullName`` and ``shippingFullName`` of ``extensionUser`` are views
of the ``bill…`` and ``ship…`` fields unless a body had others; of two work e-mails both are CPQ's one; a PUT that names
no password leaves it, and no answer has it; answers are ``application/json``; an error has Oracle's ``title``, ``status``
and ``o:errorDetails``, whose ``o:errorCode`` is SCIM's scimType or HTTP's phrase.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from schemas.codec import encode
from schemas.commands import DEFAULT_RULES, Patch
from schemas.dialects.dialect import Answer, Asked, Derived, Refused, Route, Shown, Translated
from schemas.dialects.oracle_cpq_answers import user_response
from schemas.dialects.oracle_cpq_bodies import read
from schemas.dialects.oracle_cpq_changes import operations

_USER: Final = "/rest/v19/scim/Users/{id}"
_JSON: Final = "application/json"
_TITLES: Final = {status.value: status.phrase for status in HTTPStatus}


_DERIVED: Final[frozenset[Derived]] = frozenset({"manager"})


class OracleCpq:
    """The contract."""

    name: Final = "oracle_cpq"
    routes: Final = (Route("PUT", _USER, "replace"), Route("GET", _USER, "read"))
    prefixes: Final = ("/rest/v19/scim",)
    schemes: Final = frozenset({"bearer"})
    media_types: Final = frozenset({_JSON, "application/scim+json"})
    rules: Final = DEFAULT_RULES

    def derives(self, asked: Asked) -> frozenset[Derived]:
        """Return what an answer shows beside the stored resource: the manager's name."""
        return _DERIVED

    def translate(self, asked: Asked, body: bytes, preserves: tuple[str, ...]) -> Translated:
        """Return the PUT as a Patch; raises InvalidSyntax, Violations and InvalidValue."""
        said = read(body)
        return Translated(Patch(operations(said, preserves)), said.password)

    def answer(self, asked: Asked, status: int, shown: Shown) -> Answer:
        """Return the user as a ``user-response``."""
        headers = {"Content-Type": _JSON, "Location": shown.location}
        return Answer(status, headers, encode(user_response(shown)))

    def refuse(self, refused: Refused) -> Answer:
        """Return the error with one entry of ``o:errorDetails`` for each thing that is wrong."""
        title = _TITLES.get(refused.status, "Error")
        code = refused.scim_type or title
        details = [
            {"title": title, "detail": detail, "o:errorCode": code}
            for detail in refused.violations or (refused.detail,)
        ]
        body = {"title": title, "status": refused.status, "o:errorDetails": details}
        return Answer(refused.status, {"Content-Type": _JSON}, encode(body))


ORACLE_CPQ: Final = OracleCpq()
