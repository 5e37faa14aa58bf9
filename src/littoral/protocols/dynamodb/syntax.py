"""What expressions are made of, before names and values are bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Path:
    """``a.b[3]``; a step that begins with ``#`` is still to be bound."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """``:value``"""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    sign: str  # + or -
    left: Operand
    right: Operand


Operand = Path | Slot | Function | Arithmetic


@dataclass(frozen=True, slots=True)
class Compare:
    sign: str  # = <> < <= > >=
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    inner: Condition


@dataclass(frozen=True, slots=True)
class Both:
    """AND."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """OR."""

    parts: tuple[Condition, ...]


Condition = Compare | Between | In | Not | Both | Either | Function


@dataclass(frozen=True, slots=True)
class Update:
    sets: tuple[tuple[Path, Operand], ...] = ()
    removes: tuple[Path, ...] = ()
    adds: tuple[tuple[Path, Slot], ...] = ()
    deletes: tuple[tuple[Path, Slot], ...] = ()
