"""What a rule statement is, as data. No behaviour but walking it.

The grammar, loosest binding first (AWS publishes none; this follows its operator and clause pages)::

    statement  = [SET @name "=" expr {"," @name "=" expr}] SELECT [VALUE] items [FROM 'topic filter'] [WHERE expr]
    items      = item {"," item}          item = "*" | expr [AS name{"." name}]
    expr       = and {OR and}             and  = not {AND not}          not = [NOT] comparison
    comparison = sum [("=" | "<>" | "<" | "<=" | ">" | ">=") sum]
    sum        = product {("+" | "-") product}      product = unary {("*" | "/" | "%") unary}
    unary      = ["-"] postfix            postfix = primary {"." name | "[" expr "]"}
    primary    = literal | name | @name | call | cast | case | "(" expr ")" | "(" nested select ")" | [..] | {..}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_DEPTH = 200  # closures nest as deep as the syntax does; Python's stack is the limit behind this one


class SqlError(ValueError):
    """The statement is not valid, or uses what is not available here. ``position`` is an offset in the text."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """An attribute of the row: of the payload, or of the element inside a nested SELECT."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """``SET @name = expression``. Two are the same only if they are of the same statement: identity tells."""

    name: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Variable:
    definition: Definition


@dataclass(frozen=True, slots=True)
class Star:
    """``*`` as an argument: the whole payload, JSON or not."""


@dataclass(frozen=True, slots=True)
class Member:
    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    of: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str  # "NOT" or "-"
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class FunctionCall:
    name: str  # lower case
    arguments: tuple[Expression, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Cast:
    value: Expression
    target: str  # "string", "int", "decimal" or "boolean"


@dataclass(frozen=True, slots=True)
class Case:
    subject: Expression
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class ArrayLiteral:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectLiteral:
    members: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """One item of a SELECT; ``expression`` is None for ``*``. ``path`` is where the result puts it."""

    expression: Expression | None
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    items: tuple[Selection, ...]
    value: bool  # SELECT VALUE: the one item is the result itself
    where: Expression | None
    source: Expression | None = None  # of a nested SELECT; None at the top, where the payload is the source


@dataclass(frozen=True, slots=True)
class Statement:
    select: Select
    topic_filter: str | None  # None: reachable through Basic Ingest only
    variables: tuple[Definition, ...] = ()


Expression = (
    Literal
    | Name
    | Variable
    | Star
    | Member
    | Item
    | Unary
    | Binary
    | FunctionCall
    | Cast
    | Case
    | ArrayLiteral
    | ObjectLiteral
    | Select
)


def children(node: Expression) -> Iterator[Expression]:  # noqa: PLR0912 - one arm per kind of node
    """The expressions directly below one."""
    match node:
        case Member(of, _):
            yield of
        case Item(of, index):
            yield from (of, index)
        case Unary(_, operand):
            yield operand
        case Binary(_, left, right):
            yield from (left, right)
        case FunctionCall(_, arguments, _):
            yield from arguments
        case Cast(value, _):
            yield value
        case Case(subject, branches, otherwise):
            yield subject
            for when, then in branches:
                yield from (when, then)
            if otherwise is not None:
                yield otherwise
        case ArrayLiteral(items):
            yield from items
        case ObjectLiteral(members):
            yield from (value for _, value in members)
        case Select():
            for item in node.items:
                if item.expression is not None:
                    yield item.expression
            for part in (node.where, node.source):
                if part is not None:
                    yield part
        case _:
            return


def walk(root: Expression) -> Iterator[Expression]:
    """Every expression in one, but for what its variables stand for."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(children(node))


def refuse_too_deep(root: Expression) -> None:
    """A chain of a thousand ``+`` parses flat but evaluates deep: refuse it here rather than overflow there."""
    level: list[Expression] = [root]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in children(node)]
        if not level:
            return
    raise SqlError(f"Expression is nested deeper than {MAX_DEPTH} levels")
