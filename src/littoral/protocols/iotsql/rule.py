"""A compiled statement, and substitution templates: what the rest of Littoral uses of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from littoral.protocols.iotsql.compiler import Closure, compile_expression, compile_selection
from littoral.protocols.iotsql.context import Context, EvaluationError
from littoral.protocols.iotsql.external import check_protos, is_external
from littoral.protocols.iotsql.parser import parse_statement, parse_template_expression
from littoral.protocols.iotsql.syntax import Definition, Expression, SqlError, Variable, walk
from littoral.protocols.iotsql.values import UNDEFINED, Undefined, Value, boolean, string, to_json


class Selected(NamedTuple):
    """The outgoing payload."""

    payload: bytes
    is_json: bool  # False: raw bytes passed on by ``SELECT *``


class Rule:
    """One statement, ready to run. ``topic_filter`` is None when FROM was left out (Basic Ingest only).

    ``external``: evaluating it may raise ``Asked``. ``variables`` are what templates may speak of as well.
    """

    def __init__(self, sql: str) -> None:
        statement = parse_statement(sql)
        select = statement.select
        self.sql = sql
        self.topic_filter = statement.topic_filter
        self.variables = {each.name: each for each in statement.variables}
        asked = (select, *(each.expression for each in statement.variables))
        self.external = any(map(is_external, asked))
        check_protos(asked)
        compiled = [(each, compile_expression(each.expression)) for each in statement.variables]
        needed = _needed(select.where)
        self._first = [each for each in compiled if each[0] in needed]
        self._then = [each for each in compiled if each[0] not in needed]
        self._where: Closure | None = compile_expression(select.where) if select.where is not None else None
        self._whole = [item.expression for item in select.items] == [None]
        self._star = any(item.expression is None for item in select.items)
        self._value = select.value
        self._selection = compile_selection(select)

    def evaluate(self, context: Context) -> Selected | None:
        """None when WHERE is not true. Raises EvaluationError when the payload cannot be what SELECT needs, and Asked
        where an external function has to be called first."""
        row = context.row
        for definition, of in self._first:
            context.variables[definition] = of(row, context)
        if self._where is not None and boolean(self._where(row, context)) is not True:
            return None
        for definition, of in self._then:
            context.variables[definition] = of(row, context)
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


def _needed(where: Expression | None) -> set[Definition]:
    """The variables that WHERE speaks of, and those that they are made of: no other is set for what does not match."""
    found: set[Definition] = set()
    waiting = [where] if where is not None else []
    while waiting:
        for node in walk(waiting.pop()):
            if isinstance(node, Variable) and node.definition not in found:
                found.add(node.definition)
                waiting.append(node.definition.expression)
    return found


_EMPTY = Selected(b"{}", True)


def _serialise(value: Value) -> bytes:
    """Undefined by itself becomes an empty string (iot-sql-data-types)."""
    return to_json("" if isinstance(value, Undefined) else value).encode()


class Template:
    """Text with ``${expression}`` parts, evaluated against the original payload (never the SELECT's aliases), and the
    variables of the statement's SET, as they were when it was evaluated last."""

    def __init__(self, text: str, variables: Mapping[str, Definition]) -> None:
        self.text = text
        self._parts: list[str | Closure] = []
        position = 0
        while (opening := text.find("${", position)) >= 0:
            self._parts.append(text[position:opening])
            expression, position = parse_template_expression(text, opening + 2, variables)
            if is_external(expression):
                raise SqlError("External functions are for the statement; SET a variable to the result", opening)
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


def compile_template(text: str, variables: Mapping[str, Definition] | None = None) -> Template:
    """Raises SqlError."""
    return Template(text, variables or {})


__all__ = ["EvaluationError", "Rule", "Selected", "Template", "compile_rule", "compile_template"]
