"""``consumers.ports.Reader`` with resources so large that a page of them would not fit into memory."""

from __future__ import annotations

import msgspec

from consumers.ports import MOST_BYTES, Reader
from schemas.records import ResourceImage
from tests.contract.commands import create
from tests.contract.owner import Owner

MEBIBYTE = 1024 * 1024
LARGE = "x" * (MEBIBYTE - 8192)
FITTING = MOST_BYTES // len(LARGE) + 1
"""So many have MOST_BYTES together, and one less has not."""


def ids(images: tuple[ResourceImage, ...]) -> list[str]:
    return [msgspec.json.decode(image.doc)["id"] for image in images]


async def test_a_page_ends_where_it_grows_too_large_and_the_next_goes_on_there(reader: Reader, owner: Owner) -> None:
    commands = [create(title=LARGE) for _ in range(FITTING + 3)]
    await owner.apply_one_by_one(*commands)
    expected = [command.resource_id for command in commands]

    page = await reader.page("acme", "User", 0, 1000)
    assert (page.total, ids(page.images)) == (len(commands), expected[:FITTING])
    rest = await reader.page("acme", "User", FITTING, 1000)
    assert (rest.total, ids(rest.images)) == (len(commands), expected[FITTING:])
    one = await reader.page("acme", "User", 1, 1)
    assert ids(one.images) == expected[1:2]


async def test_what_shares_a_value_is_found_up_to_the_same_limit(reader: Reader, owner: Owner) -> None:
    commands = [create(title=LARGE, external_id="shared") for _ in range(FITTING + 3)]
    await owner.apply_one_by_one(*commands)
    found = await reader.find("acme", "User", ("externalId", "shared"))
    assert ids(found) == [command.resource_id for command in commands[:FITTING]]
