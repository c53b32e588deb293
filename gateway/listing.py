"""``GET /Users``: pages in a stable order, and the look-ups that identity providers make before every create."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from consumers.ports import MOST_BYTES, Page
from gateway import rendering
from gateway.auth import authenticate
from gateway.bodies import answer_type
from gateway.front import CLIENT, FRONT
from gateway.users import requested_projection
from schemas.errors import InvalidFilter, InvalidValue, TooMany
from schemas.filters import indexed_equality, parse_filter
from schemas.folding import fold
from schemas.resource_types import USER

DEFAULT_COUNT: Final = 100
MAX_COUNT: Final = 1000
"""``filter.maxResults`` of the ServiceProviderConfig: no page is longer (I5)."""
_LARGEST_INDEX: Final = 2**53


async def list_users(request: web.Request) -> web.StreamResponse:
    """``GET /Users?filter&startIndex&count`` (RFC 7644 section 3.4.2; I1 to I5).

    ``sortBy`` is ignored: the ServiceProviderConfig says that sorting is not supported.
    """
    grant = authenticate(request)
    projection = requested_projection(request)
    media_type = answer_type(request)
    query = request.query
    start_index = max(1, _integer(query.get("startIndex"), "startIndex", 1))
    count = min(MAX_COUNT, max(0, _integer(query.get("count"), "count", DEFAULT_COUNT)))
    front = request.app[FRONT]
    text = query.get("filter")
    if text is None:
        page = await front.reader.page(grant.tenant.name, USER.name, start_index - 1, count)
    else:
        found = await _find(request, text)
        page = Page(found.total, found.images[start_index - 1 : start_index - 1 + count])
    return rendering.list_answer(page.total, start_index, page.images, front.base_url(request), projection, media_type)


async def _find(request: web.Request, text: str) -> Page:
    """Return the users that a filter finds by an index.

    Raises InvalidFilter, naming the filters that work, for any other: a scan of everything is no answer to a typing error.
    """
    grant, front = request[CLIENT], request.app[FRONT]
    equality = indexed_equality(parse_filter(text, USER, bare_words=grant.tenant.rules.bare_filter_words))
    match equality:
        case ("userName", value):
            images = await front.reader.find(grant.tenant.name, USER.name, ("userName", fold(value)))
        case ("externalId", value):
            images = await front.reader.find(grant.tenant.name, USER.name, ("externalId", value))
            # What was found may be cut off there; documents are shorter than their records.
            if len(images) > 1 and sum(len(image.doc) for image in images) > MOST_BYTES // 2:
                raise TooMany("the users with this externalId are too many, or too large, for one answer")
        case ("id", value):
            image = await front.reader.get(grant.tenant.name, USER.name, value)
            images = () if image is None else (image,)
        case _:
            raise InvalidFilter('the filters that work are userName eq "…", externalId eq "…" and id eq "…"')
    return Page(len(images), images)


def _integer(text: str | None, name: str, default: int) -> int:
    if text is None or text == "":
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16:
        raise InvalidValue(f"{name} takes an integer")
    return min(int(text), _LARGEST_INDEX)
