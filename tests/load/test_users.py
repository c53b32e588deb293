"""The user of the rows."""

from __future__ import annotations

import json

from tests.load.users import NAME_LENGTH, name_of, user_body, user_name


def test_the_user_is_as_large_as_the_one_that_the_floors_were_set_with() -> None:
    assert len(user_body(name_of("popul-", 1))) == 1013


def test_every_number_makes_another_user_of_the_same_length() -> None:
    bodies = [user_body(name_of("popul-", number)) for number in (0, 1, 199_999)]
    assert {len(body) for body in bodies} == {1013}
    assert len({json.loads(body)["userName"] for body in bodies}) == 3
    assert len({json.loads(body)["externalId"] for body in bodies}) == 3
    assert len(name_of("popul-", 199_999)) == NAME_LENGTH


def test_the_name_in_the_population_is_the_one_in_the_body() -> None:
    name = name_of("popul-", 7)
    assert json.loads(user_body(name))["userName"] == user_name(name)
