"""A compiled statement, and substitution templates: what the rest of Littoral uses of this package."""

from __future__ import annotations

from dataclasses import dataclass

from littoral.protocols.iotsql.compiler import Closure, EvaluationError, compile_expression, compile_selection
from littoral.protocols.iotsql.context import Context
from littoral.protocols.iotsql.parser import parse_statement, parse_template_expression
from littoral.protocols.iotsql.values import UNDEFINED, Undefined, Value, boolean, string, to_json


@dataclass(frozen=True, slots=True)
class Selected:
    """The outgoing payload."""

    payload: bytes
    is_json: bool  # False: raw bytes passed on by ``SELECT *``


class Rule:
    """One statement, ready to run. ``topic_filter`` is None when FROM was left out (Basic Ingest only)."""

    def __init__(self, sql: str) -> None:
        statement = parse_statement(sql)
        select = statement.select
        self.sql = sql
        self.topic_filter = statement.topic_filter
        self._where: Closure | None = compile_expression(select.where) if select.where is not None else None
        self._whole = [item.expression for item in select.items] == [None]
        self._star = any(item.expression is None for item in select.items)
        self._value = select.value
        self._selection = compile_selection(select)

    def evaluate(self, context: Context) -> Selected | None:
        """None when WHERE is not true. Raises EvaluationError when the payload cannot be what SELECT needs."""
        row = context.row
        if self._where is not None and boolean(self._where(row, context)) is not True:
            return None
        if self._whole:
            return Selected(context.payload, context.document is not UNDEFINED) if context.payload else _EMPTY
        if self._star and type(context.document) is not dict:
            raise EvaluationError("The payload is not a JSON object, so '*' cannot be combined with other attributes")
        try:
            return Selected(_serialise(self._selection(row, context)), True)
        except ValueError as error:
            raise EvaluationError(f"The result cannot be represented in JSON: {error}") from None
        except RecursionError:
            raise EvaluationError("The payload is nested too deeply") from None


_EMPTY = Selected(b"{}", True)


def _serialise(value: Value) -> bytes:
    """Undefined by itself becomes an empty string (iot-sql-data-types)."""
    return to_json("" if isinstance(value, Undefined) else value).encode()


class Template:
    """Text with ``${expression}`` parts, evaluated against the original payload (never the SELECT's aliases)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str | Closure] = []
        position = 0
        while (opening := text.find("${", position)) >= 0:
            self._parts.append(text[position:opening])
            expression, position = parse_template_expression(text, opening + 2)
            self._parts.append(compile_expression(expression))
        self._parts.append(text[position:])

    @property
    def constant(self) -> bool:
        return len(self._parts) == 1

    def evaluate(self, context: Context) -> str:
        """Null and Undefined become empty text."""
        row = context.row
        return "".join(part if isinstance(part, str) else string(part(row, context)) or "" for part in self._parts)


def compile_rule(sql: str) -> Rule:
    """Raises SqlError."""
    return Rule(sql)


def compile_template(text: str) -> Template:
    """Raises SqlError."""
    return Template(text)


__all__ = ["EvaluationError", "Rule", "Selected", "Template", "compile_rule", "compile_template"]
