"""Value paths for removals by value: as few as the limits on filters allow."""

from __future__ import annotations

import pytest

from schemas.attributes import Attribute
from schemas.errors import InvalidValue
from schemas.filters import MAX_TERMS
from schemas.notation import MAX_NOTATION
from schemas.removals import selecting_paths
from schemas.rules import Rules
from tests.schemas.tables import MEMBERS

_BADGES = Attribute(name="badges", type="any")


def test_L8_an_element_may_be_named_by_as_many_sub_attributes_as_a_filter_has_terms() -> None:
    element = {f"k{number}": number for number in range(MAX_TERMS)}
    (path,) = selecting_paths("badges", _BADGES, [element], Rules())
    assert path.count(" eq ") == MAX_TERMS
    with pytest.raises(InvalidValue, match="too long to select by"):
        selecting_paths("badges", _BADGES, [{**element, "more": 1}], Rules())


def test_L8_every_path_is_filled_to_the_last_byte_before_another_begins() -> None:
    few = [{"value": str(number)} for number in range(MAX_TERMS)]
    room = MAX_NOTATION - len('members[value eq "" or value eq ""]')
    first, second = "a" * (room // 2), "b" * (room - room // 2)
    paths = list(selecting_paths("members", MEMBERS, [*few, {"value": first}, {"value": second}], Rules()))
    assert [path.count(" eq ") for path in paths] == [MAX_TERMS, 2]
    assert len(paths[1]) == MAX_NOTATION
    paths = list(selecting_paths("members", MEMBERS, [*few, {"value": first}, {"value": f"{second}b"}], Rules()))
    assert [path.count(" eq ") for path in paths] == [MAX_TERMS, 1, 1]
