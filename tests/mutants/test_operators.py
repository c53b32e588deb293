"""The mutants themselves: what is changed, what is left alone, and what they are called."""

from __future__ import annotations

import ast
from textwrap import dedent

from tests.mutants.operators import mutants


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants(dedent(source))]


def test_an_order_is_moved_by_one_and_turned_round() -> None:
    assert changes("x = a < b") == ["x = a < b -> x = None", "a < b -> a <= b", "a < b -> a >= b"]


def test_conditions_are_negated_and_joined_otherwise() -> None:
    assert changes("if a and b: pass") == ["a and b -> a or b", "a -> not a", "b -> not b"]
    assert changes("x = not b") == ["x = not b -> x = None", "not b -> b"]


def test_statements_are_left_out() -> None:
    assert changes("f(x)\ny += 1\nraise error") == [
        "f(x) -> pass",
        "y += 1 -> pass",
        "1 -> 2",
        "raise error -> pass",
    ]


def test_a_result_becomes_none_and_a_named_argument_the_default() -> None:
    source = "def f():\n    return g(a, b=c)\n"
    assert changes(source) == ["return g(a, b=c) -> return None", "g(b=) -> left out"]


def test_texts_for_people_types_and_decorators_stay_as_they_are() -> None:
    source = '''
    """Purpose."""
    Kind = Literal["word"]
    @lru_cache(maxsize=8)
    def f(x: Literal["a"]) -> str:
        """Do."""
        assert_never(x)
        raise Wrong("no")
    '''
    assert changes(source) == ["raise Wrong('no') -> pass"]


def test_the_same_change_at_two_places_has_two_names() -> None:
    found = [mutant.name for mutant in mutants("def f():\n    g()\n    g()\n")]
    assert found == ["f: g() -> pass", "f: g() -> pass #2"]


def test_a_mutant_is_the_module_with_one_change_at_the_lines_of_its_statement() -> None:
    (found,) = mutants("def f():\n    g()\n\n\ndef h(): ...\n")
    assert ast.unparse(found.tree) == "def f():\n    pass\n\ndef h():\n    ..."
    assert found.lines == range(2, 3)


def test_the_lines_of_a_compound_statement_are_those_before_its_body() -> None:
    found = next(mutants("if (a or\n        b):\n    g()\n"))
    assert found.lines == range(1, 3)
