"""The mutants of a module: every way in which one of its expressions or statements is changed a little."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

N = TypeVar("N", bound=ast.AST)

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_COMPOUND: Final = (ast.If, ast.While, ast.For, ast.Try, ast.With, ast.Match, ast.FunctionDef, ast.ClassDef)
_SKIPPED: Final = frozenset({"annotation", "returns", "decorator_list", "type_comment", "pattern", "ctx"})
"""Fields without behaviour of their own: types, the sizes of caches, the shapes of ``match``."""
_UNREACHABLE: Final = frozenset({"assert_never", "cast", "TypeAlias", "TypeVar"})

_SHORT: Final = 80


@dataclass(frozen=True)
class Mutant:
    """One changed module."""

    where: str
    """The function or class with its outer ones, empty for the module itself."""
    change: str
    """``before -> after``; with ``#2`` and so on behind it where the same change is made at another place of ``where``."""
    lines: range
    """Lines of the statement that is changed: what a test must run to notice; a compound one's without its body."""
    tree: ast.Module

    @property
    def name(self) -> str:
        """What tells the mutant from the others of its module, wherever its lines move."""
        return f"{self.where}: {self.change}"


def mutants(source: str) -> Iterator[Mutant]:
    """Yield the mutants of a module's source, in its order.

    Not changed are texts for people (docstrings, and what stands in ``raise`` or is handed to ``_refuse``), annotations,
    decorators, and what only the type checker reaches.
    """
    seen: dict[str, int] = {}
    module = ast.parse(source)
    for place in _places(module, "", None):
        for after in _changes(place):
            change = _described(place, after)
            name = f"{place.where}: {change}"
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                change += f" #{seen[name]}"
            yield Mutant(place.where, change, _header(place.statement), _whole(module, place.node, after))


@dataclass(frozen=True)
class _Place:
    """A node that may be changed, and what its surroundings say about it."""

    node: ast.AST
    parent: ast.AST
    field: str
    where: str
    statement: ast.stmt
    prose: bool


def _places(parent: ast.AST, where: str, statement: ast.stmt | None, *, prose: bool = False) -> Iterator[_Place]:
    for field, value in ast.iter_fields(parent):
        if field in _SKIPPED:
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or _has_no_behaviour(node):
                continue
            owner = node if isinstance(node, ast.stmt) else statement
            inner = where
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inner = f"{where}.{node.name}".lstrip(".")
            told = prose or isinstance(node, ast.Raise) or _called(node) == "_refuse"
            if owner is not None:
                yield _Place(node, parent, field, inner, owner, told)
            yield from _places(node, inner, owner, prose=told)


def _has_no_behaviour(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or _called(node.value) in _UNREACHABLE
    if isinstance(node, ast.AnnAssign):
        return node.value is None or (isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias")
    if isinstance(node, ast.Assign):  # Verb = Literal[…], Step = Decision | …
        return isinstance(node.targets[0], ast.Name) and node.targets[0].id[0].isupper() and node.col_offset == 0
    return _called(node) in _UNREACHABLE


def _called(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else None


def _changes(place: _Place) -> Iterator[ast.AST]:
    """Yield what may stand instead of the node."""
    node = place.node
    if isinstance(node, ast.stmt):
        yield from _of_statement(node)
        return
    if not isinstance(node, ast.expr):
        return
    yield from _of_expression(node, prose=place.prose)
    if _is_condition(place) and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)


def _is_condition(place: _Place) -> bool:
    if isinstance(place.parent, ast.BoolOp):
        return True
    return (place.field == "test" and isinstance(place.parent, ast.If | ast.IfExp | ast.While)) or place.field == "ifs"


def _of_statement(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Break() | ast.Continue():
            yield ast.Pass()
        case ast.Assign(value=value) if not _is_none(value):
            yield _with(node, "value", ast.Constant(None))
        case ast.AnnAssign(value=ast.expr() as value) if not _is_none(value):
            yield _with(node, "value", ast.Constant(None))


def _of_expression(node: ast.expr, *, prose: bool) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(ops=[one]):
            for other in _COMPARISONS[type(one)]:
                yield _with(node, "ops", [other()])
        case ast.BoolOp(op=ast.And()):
            yield ast.BoolOp(ast.Or(), node.values)
        case ast.BoolOp(op=ast.Or()):
            yield ast.BoolOp(ast.And(), node.values)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.BinOp(op=binary) if type(binary) in _ARITHMETIC:
            yield _with(node, "op", _ARITHMETIC[type(binary)]())
        case ast.Call(keywords=keywords):
            for index, keyword in enumerate(keywords):
                # Without zip's strict is the same as with False.
                if keyword.arg is not None and _called(node) != "zip":
                    yield _with(node, "keywords", keywords[:index] + keywords[index + 1 :])
        case ast.Constant(value=bool() as known):
            yield ast.Constant(not known)
        case ast.Constant(value=int() as number):
            yield ast.Constant(number + 1)
        case ast.Constant(value=str() as text) if not prose:
            yield ast.Constant(f"{text}XX")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _with(node: N, field: str, value: object) -> N:
    changed = copy.copy(node)
    setattr(changed, field, value)
    return changed


def _described(place: _Place, after: ast.AST) -> str:
    """Return ``before -> after``, of what is around a constant where that is short: ``True`` alone says too little."""
    if isinstance(place.node, ast.Call) and isinstance(after, ast.Call):
        gone = next(each for each in place.node.keywords if each not in after.keywords)
        return f"{_text(place.node.func)}({gone.arg}=) -> left out"
    if isinstance(place.node, ast.Constant) and not isinstance(place.parent, ast.stmt):
        before = _text(place.parent)
        if len(before) <= _SHORT:
            return f"{before} -> {_text(_replaced(place.parent, place.node, after))}"
    return f"{_shortened(place.node)} -> {_shortened(after)}"


def _shortened(node: ast.AST) -> str:
    text = _text(node)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _replaced(current: N, node: ast.AST, after: ast.AST) -> N:
    """Return the tree with another node instead of ``node``; what is beside the way to it is shared."""
    for field, value in ast.iter_fields(current):
        if isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, ast.AST) and (changed := _changed(each, node, after)) is not each:
                    return _with(current, field, [*value[:index], changed, *value[index + 1 :]])
        elif isinstance(value, ast.AST) and (changed := _changed(value, node, after)) is not value:
            return _with(current, field, changed)
    return current


def _changed(current: ast.AST, node: ast.AST, after: ast.AST) -> ast.AST:
    return ast.copy_location(after, node) if current is node else _replaced(current, node, after)


def _whole(module: ast.Module, node: ast.AST, after: ast.AST) -> ast.Module:
    return ast.fix_missing_locations(_replaced(module, node, after))


def _header(statement: ast.stmt) -> range:
    end = statement.end_lineno or statement.lineno
    if isinstance(statement, _COMPOUND):
        body = statement.cases[0].pattern if isinstance(statement, ast.Match) else statement.body[0]
        end = max(statement.lineno, body.lineno - 1)
    return range(statement.lineno, end + 1)


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
