"""Changes: what a reader would see of a resource that a command found."""

from __future__ import annotations

import msgspec

from schemas import timestamps
from schemas.changes import image_of
from schemas.commands import Delete
from schemas.records import ResourceImage
from tests.schemas.samples import HASH, MORNING, command, stored, user


def test_an_image_shows_the_resource_and_no_password() -> None:
    image = image_of(command(Delete()), stored(user("ann", title="CTO"), version=3, password=HASH))

    assert image == ResourceImage(
        kind="user",
        v=1,
        version=3,
        created=timestamps.text(MORNING - 1),
        modified=timestamps.text(MORNING),
        doc=msgspec.Raw(msgspec.json.encode(user("ann", title="CTO"))),
    )
    assert HASH.encode() not in msgspec.json.encode(image)


def test_an_image_tells_a_group_from_a_user() -> None:
    assert image_of(command(Delete(), resource_type="Group"), stored(user())).kind == "group"
