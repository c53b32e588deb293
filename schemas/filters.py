"""Filters of RFC 7644 section 3.4.2.2: from text to a tree whose names are resolved against a resource type."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal, NoReturn, TypeAlias, assert_never

import msgspec

from schemas.attributes import Attribute, ResourceType
from schemas.errors import InvalidFilter
from schemas.filter_tokens import Kind, Token, tokens
from schemas.folding import fold
from schemas.moments import moment
from schemas.notation import is_name, read_reference, sub_attribute

MAX_TERMS: Final = 50
"""Comparisons and presence tests in one filter."""
MAX_NESTING: Final = 10
"""Parentheses and brackets inside one another."""

Operator = Literal["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
_Value: TypeAlias = str | bool | int | float


class Target(msgspec.Struct, frozen=True):
    """The attribute that a term looks at, spelled as in the table, or as written where no schema defines it.

    Inside brackets ``name`` is a sub-attribute and ``urn`` and ``sub`` are None.
    """

    urn: str | None
    name: str
    sub: str | None
    attribute: Attribute | None
    """Characteristics of what is compared; None for an attribute that the type does not have, and so no value (G4)."""

    @property
    def text(self) -> str:
        """The notation that names it (RFC 7644 section 3.10)."""
        urn = "" if self.urn is None else f"{self.urn}:"
        return f"{urn}{self.name}" if self.sub is None else f"{urn}{self.name}.{self.sub}"


class Compare(msgspec.Struct, frozen=True):
    """``target op value``; ``operand`` is the value in the form that is compared: folded, or an instant."""

    target: Target
    op: Operator
    value: _Value | None
    operand: _Value | datetime | None


class Present(msgspec.Struct, frozen=True):
    """``target pr``."""

    target: Target


class And(msgspec.Struct, frozen=True):
    """Every term holds; no term is itself an And."""

    terms: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True):
    """Some term holds; no term is itself an Or."""

    terms: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True):
    """The term does not hold."""

    term: Filter


class ValuePath(msgspec.Struct, frozen=True):
    """``target[filter]``: one and the same value satisfies the filter."""

    target: Target
    filter: Filter


Filter: TypeAlias = Compare | Present | And | Or | Not | ValuePath


@lru_cache(maxsize=512)
def parse_filter(text: str, resource_type: ResourceType, *, bare_words: bool = False) -> Filter:
    """Return the filter that ``text`` states about resources of the type.

    ``bare_words``: strings may lack their quotes. Raises InvalidFilter, with the place, for wrong syntax, for what
    cannot be compared, and beyond MAX_NOTATION bytes, MAX_TERMS or MAX_NESTING.
    """
    parser = _Parser(text, 0, resource_type, bare_words=bare_words)
    found = parser.expression()
    parser.expect("end")
    return found


def parse_brackets(
    text: str, start: int, resource_type: ResourceType, attribute: Attribute, *, bare_words: bool = False
) -> tuple[Filter, int]:
    """Return the filter in the brackets that open at ``start``, on the attribute's values, and where the text goes on.

    For the paths of PATCH: what no schema defines is refused. Raises InvalidFilter as ``parse_filter`` does.
    """
    parser = _Parser(text, start, resource_type, bare_words=bare_words)
    return parser.brackets(attribute, strict=True)


def indexed_equality(found: Filter) -> tuple[str, str] | None:
    """Return name and value when the filter is exactly one ``eq`` with a string on an attribute that is defined.

    The name is the table's, as in ``userName``, ``emails.value``, ``urn:…:User:employeeNumber``.
    """
    if isinstance(found, Compare) and found.op == "eq" and isinstance(found.value, str) and found.target.attribute:
        return found.target.text, found.value
    return None


def filter_text(found: Filter) -> str:
    """Return the filter as text that ``parse_filter`` reads back to the same tree, names in the table's spelling."""
    match found:
        case Compare():
            return f"{found.target.text} {found.op} {msgspec.json.encode(found.value).decode()}"
        case Present():
            return f"{found.target.text} pr"
        case And():
            terms = (f"({filter_text(term)})" if isinstance(term, Or) else filter_text(term) for term in found.terms)
            return " and ".join(terms)
        case Or():
            return " or ".join(map(filter_text, found.terms))
        case Not():
            return f"not ({filter_text(found.term)})"
        case ValuePath():
            return f"{found.target.text}[{filter_text(found.filter)}]"
        case _:
            assert_never(found)


_DUE: Final[dict[Kind, str]] = {
    ")": "a closing parenthesis",
    "]": "a closing bracket",
    "end": "and, or, or the end",
}
_EQUALITY: Final = frozenset({"eq", "ne"})
_ORDER: Final = frozenset({"gt", "ge", "lt", "le"})
_SUBSTRING: Final = frozenset({"co", "sw", "ew"})
_OPERATORS: Final[dict[str, Operator]] = {
    "eq": "eq", "ne": "ne", "co": "co", "sw": "sw", "ew": "ew", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le"
}  # fmt: skip
_POWERS: Final = {"or": 1, "and": 2}
_WANTED: Final[dict[str, str]] = {
    "boolean": "true or false",
    "integer": "a number",
    "decimal": "a number",
    "string": "a string in quotes",
}
_BOOLEANS: Final = {"true": True, "false": False}


class _Parser:
    """A Pratt parser: ``and`` binds tighter than ``or``, ``not`` and the attribute operators take one operand."""

    def __init__(self, text: str, start: int, resource_type: ResourceType, *, bare_words: bool) -> None:
        self._tokens = tokens(text, start)
        self._next = 0
        self._resource_type = resource_type
        self._bare_words = bare_words
        self._nesting = 0
        self._terms = 0
        self._bracketed = False
        self._strict = False
        self._scope: Attribute | None = None
        """Inside brackets, the attribute whose values are looked at; None there for an undefined one."""

    def expression(self, power: int = 0) -> Filter:
        """Read operands as long as what joins them binds tighter than ``power``."""
        left = self._operand()
        while (binding := _POWERS.get(self._peek().text.lower(), 0)) > power:
            self._take()
            right = self.expression(binding)
            left = _join(And if binding == _POWERS["and"] else Or, left, right)
        return left

    def expect(self, kind: Kind) -> Token:
        """Take the next token, which must be of that kind."""
        token = self._take()
        if token.kind != kind:
            self._refuse(f"{_DUE[kind]} is due", token)
        return token

    def brackets(self, attribute: Attribute | None, *, strict: bool = False) -> tuple[Filter, int]:
        """Read ``[filter]`` on the values of the attribute; return it with the offset behind it."""
        self._open()
        self._bracketed, self._scope, self._strict = True, attribute, strict
        found = self.expression()
        end = self._close("]").start + 1
        # RFC 7644 has no such form, but Entra ID asks for emails[type eq "work"].value eq "…".
        dotted = self._peek()
        if not strict and dotted.kind == "word" and dotted.start == end and dotted.text[0] == ".":
            self._take()
            found = _join(And, found, self._term(dotted._replace(text=dotted.text[1:])))
        self._bracketed = False
        return found, end

    def _operand(self) -> Filter:
        token = self._peek()
        if token.kind == "(":
            return self._group()
        self._take()
        if token.kind != "word":
            self._refuse("an attribute is due", token)
        if token.text.lower() == "not" and self._peek().kind == "(":
            return Not(self._group())
        if self._peek().kind == "[":
            return self._value_path(token)
        return self._term(token)

    def _group(self) -> Filter:
        self._open()
        found = self.expression()
        self._close(")")
        return found

    def _value_path(self, token: Token) -> ValuePath:
        if self._bracketed:
            self._refuse("brackets are inside brackets", self._peek())
        target = self._target(token)
        attribute = target.attribute
        if target.sub is not None or (attribute and not _has_values(attribute)):
            self._refuse("brackets follow what is neither complex nor multi-valued", self._peek())
        found, _ = self.brackets(attribute)
        return ValuePath(target, found)

    def _term(self, token: Token) -> Filter:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise InvalidFilter(f"The filter has more than {MAX_TERMS} comparisons.")
        target = self._target(token)
        operator = self._take()
        word = operator.text.lower()
        if word == "pr":
            return Present(target)
        if word not in _OPERATORS:
            self._refuse("an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr) is due", operator)
        return self._comparison(target, _OPERATORS[word], operator)

    def _comparison(self, target: Target, op: Operator, operator: Token) -> Compare:
        token = self._take()
        if token.kind == "word" and token.text == "null":
            return Compare(target, self._allowed(op, _EQUALITY, operator), None, None)
        target = self._compared(target, token)
        attribute = target.attribute
        value = self._literal(token, attribute)
        if isinstance(value, bool):
            self._allowed(op, _EQUALITY, operator)
        elif not isinstance(value, str):
            self._allowed(op, _EQUALITY | _ORDER, operator)
        elif attribute is not None and attribute.type == "binary":
            self._allowed(op, _EQUALITY | _SUBSTRING, operator)
        return Compare(target, op, value, self._operand_of(attribute, op, value, token))

    def _allowed(self, op: Operator, operators: frozenset[str], token: Token) -> Operator:
        if op not in operators:
            self._refuse(f"{op} does not compare values of this type", token)
        return op

    def _operand_of(self, attribute: Attribute | None, op: Operator, value: _Value, token: Token) -> _Value | datetime:
        """Return the value as it is compared; raises InvalidFilter when it is not of the attribute's type."""
        if attribute is not None and attribute.type != "any":
            wanted = _WANTED.get(attribute.type, _WANTED["string"])
            if _kind(value) != wanted:
                self._refuse(f"{attribute.name} compares with {wanted}", token)
        if not isinstance(value, str):
            return value
        if attribute is not None and attribute.type == "dateTime" and op not in _SUBSTRING:
            instant = moment(value)
            if instant is None:
                self._refuse(f"{attribute.name} compares with a dateTime such as 2008-01-23T04:56:22Z", token)
            return instant
        return value if attribute is not None and attribute.case_exact else fold(value)

    def _literal(self, token: Token, attribute: Attribute | None) -> _Value:
        if token.kind not in {"word", "string"}:
            self._refuse("a value is due", token)
        if not self._bare_words:
            return self._decoded(token)
        kind = None if attribute is None or attribute.type == "any" else _WANTED.get(attribute.type, _WANTED["string"])
        if token.kind == "word" and kind == _WANTED["string"]:
            return token.text
        try:
            value = self._decoded(token)
        except InvalidFilter:
            if token.kind == "string":
                raise
            value = token.text
        # Who leaves quotes away writes True and "true" as well.
        return _BOOLEANS.get(str(value).lower(), value) if kind == _WANTED["boolean"] else value

    def _decoded(self, token: Token) -> _Value:
        try:
            value: _Value = msgspec.json.decode(token.text, type=_Value)
        except msgspec.MsgspecError:
            self._refuse("a value is due: a string in quotes, a number, true, false or null", token)
        return value

    def _target(self, token: Token) -> Target:
        if self._bracketed:
            return self._sub_target(token)
        reference = read_reference(token.text, self._resource_type)
        if reference is None or not reference.name:
            self._refuse("an attribute is due", token)
        sub = reference.sub_name
        target = Target(reference.urn, reference.name, sub, reference.attribute if sub is None else reference.sub)
        return self._askable(target)

    def _sub_target(self, token: Token) -> Target:
        if not is_name(token.text):
            self._refuse("a sub-attribute is due", token)
        scope = self._scope
        if scope is not None and scope.type != "complex" and token.text.lower() == "value":
            # The values of a simple multi-valued attribute are named as RFC 7643 section 2.4 names those of a complex one.
            return Target(None, "value", None, replace(scope, name="value"))
        sub = sub_attribute(scope, token.text)
        if sub is None and self._strict:
            self._refuse("no such sub-attribute is defined", token)
        return self._askable(Target(None, token.text if sub is None else sub.name, None, sub))

    def _askable(self, target: Target) -> Target:
        """Return the target, unless its value is a secret that comparisons would reveal bit by bit (G12)."""
        if target.attribute is not None and target.attribute.returned == "never":
            raise InvalidFilter(f"{target.text} is never returned and cannot be filtered by.")
        return target

    def _compared(self, target: Target, token: Token) -> Target:
        """Return the target itself, or its ``value`` where it is complex (G3)."""
        attribute = target.attribute
        if attribute is None or attribute.type != "complex":
            return target
        value = attribute.sub("value")
        if value is None:
            self._refuse(f"{attribute.name} is complex: compare one of its sub-attributes", token)
        return Target(target.urn, target.name, value.name, value)

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _open(self) -> None:
        self._take()
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise InvalidFilter(f"The filter is nested more than {MAX_NESTING} levels deep.")

    def _close(self, kind: Kind) -> Token:
        self._nesting -= 1
        return self.expect(kind)

    def _refuse(self, reason: str, token: Token) -> NoReturn:
        place = "at its end" if token.kind == "end" else f"at position {token.start + 1}"
        raise InvalidFilter(f"The filter is wrong {place}: {reason}.")


def _kind(value: _Value) -> str:
    if isinstance(value, bool):
        return _WANTED["boolean"]
    return _WANTED["string" if isinstance(value, str) else "decimal"]


def _has_values(attribute: Attribute) -> bool:
    return attribute.multi_valued or attribute.type in {"complex", "any"}


def _join(kind: type[And | Or], left: Filter, right: Filter) -> Filter:
    terms: tuple[Filter, ...] = ()
    for side in (left, right):
        terms += side.terms if isinstance(side, kind) else (side,)
    return kind(terms)
