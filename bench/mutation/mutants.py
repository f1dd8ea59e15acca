"""Turns a module's source into its mutants: one small fault each, in a function's body or in a constant.

The faults follow the operators that are standard in mutation testing.
Source: Offutt et al. 1996, doi:10.1145/227607.227610 (relational, logical and arithmetic operators suffice).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_BOTH_WAYS: Final[list[tuple[type[ast.AST], type[ast.AST]]]] = [
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Lt, ast.GtE),
    (ast.Gt, ast.LtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.BitAnd, ast.BitOr),
    (ast.LShift, ast.RShift),
]
_ONE_WAY: Final[list[tuple[type[ast.AST], type[ast.AST]]]] = [
    (ast.FloorDiv, ast.Div),
    (ast.Mod, ast.Mult),
    (ast.Pow, ast.Mult),
    (ast.Continue, ast.Break),
    (ast.Break, ast.Pass),
]
SWAPS: Final = [*_BOTH_WAYS, *((other, one) for one, other in _BOTH_WAYS), *_ONE_WAY]
_NAMES: Final = [("min", "max"), ("any", "all"), ("ceil", "floor"), ("lower", "upper")]
RENAMED: Final = {one: other for pair in _NAMES for one, other in (pair, pair[::-1])}
_NEGATED: Final = (ast.Compare, ast.BoolOp)
"""Conditions that already have faults of their own kind, so they aren't negated."""


class Mutant(NamedTuple):
    """One fault: `parent.field`, or its item `place`, becomes `fault`."""

    within: str
    """Qualified name of the function or method, or name of the constant."""
    lines: range
    """Lines of the statement; for a compound one, only of its header."""
    parent: ast.AST
    field: str
    place: int | None
    fault: ast.AST | None

    @property
    def node(self) -> Any:
        held = getattr(self.parent, self.field)
        return held if self.place is None else held[self.place]

    def put(self, node: ast.AST | None) -> None:
        """Put this node where the fault belongs."""
        if self.place is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.place] = node

    @property
    def told(self) -> str:
        """`was` → `became`, each on one line."""
        return " → ".join(_text(node) for node in (self.node, self.fault))


def mutants_of(tree: ast.Module) -> Iterator[Mutant]:
    """Mutants of all functions, methods and annotated constants, except in annotations and docstrings."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield from _of_field(node, "value", None, node.target.id, _lines(node))
        yield from _of_functions(node, "")


def _of_functions(node: ast.AST, prefix: str) -> Iterator[Mutant]:
    if isinstance(node, ast.FunctionDef):
        for place, statement in enumerate(node.body):
            if not (place == 0 and _is_text(statement)):
                yield from _of_field(node, "body", place, prefix + node.name, _lines(statement))
    elif isinstance(node, ast.ClassDef):
        for statement in node.body:
            yield from _of_functions(statement, f"{prefix}{node.name}.")


def _of_field(parent: ast.AST, field: str, place: int | None, within: str, lines: range) -> Iterator[Mutant]:
    node = Mutant(within, lines, parent, field, place, None).node
    if _is_text(node) or isinstance(node, ast.Assert | ast.Import | ast.ImportFrom):
        return
    for fault in _faults(node):
        yield Mutant(within, lines, parent, field, place, fault)
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "format_spec", "type", "ctx", "returns"}:
            continue
        if isinstance(value, ast.AST):
            yield from _of_field(node, name, None, within, _inner(value, lines))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _of_field(node, name, number, within, _inner(item, lines))


def _faults(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - a list of kinds
    """Faults that could replace a node."""
    yield from (other() for one, other in SWAPS if isinstance(node, one))
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value) if value:
            yield ast.Constant("XX")
        case ast.Constant(value=bytes() as value) if value:
            yield ast.Constant(b"XX")
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Name(id=name) if name in RENAMED:
            yield ast.Name(RENAMED[name], ast.Load())
        case ast.Attribute(value=value, attr=name) if name in RENAMED:
            yield ast.Attribute(value, RENAMED[name], ast.Load())
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, _NEGATED):
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension(ifs=[_, *_]):
            yield _with(node, ifs=[])
        case ast.Return(value=ast.AST() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Raise():
            yield ast.Pass()
        case ast.Call(keywords=keywords) if keywords:
            yield from (_with(node, keywords=[*keywords[:at], *keywords[at + 1 :]]) for at in range(len(keywords)))
        case ast.Match(cases=cases):
            yield from (_with(node, cases=[*cases[:at], *cases[at + 1 :]]) for at in range(len(cases)))


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    return type(node)(**(dict(ast.iter_fields(node)) | fields))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _lines(node: Any) -> range:
    """The lines of a statement without its body."""
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    first = body[0] if isinstance(body, list) else None
    if isinstance(first, ast.match_case):
        first = first.pattern
    return range(node.lineno, max(first.lineno, node.lineno + 1) if first is not None else node.end_lineno + 1)


def _inner(node: ast.AST, lines: range) -> range:
    return _lines(node) if isinstance(node, ast.stmt) else lines


def _text(node: ast.AST | None) -> str:
    match node:
        case None | ast.Pass():
            return "nothing"
        case ast.operator() | ast.cmpop() | ast.boolop():
            return type(node).__name__
        case ast.If() | ast.While() | ast.Match() | ast.comprehension():
            return " ".join(ast.unparse(node).split())[:60]
        case _:
            return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())[:80]
