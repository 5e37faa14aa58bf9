"""External functions: those that ask the world (AWS's name for them), and how a synchronous evaluation waits for it.
``decode(x, 'proto', …)`` is one, for what it decodes by lies in a bucket.

Owns: their arguments, and the dialogue. An expression that meets a call nobody has answered raises ``Asked``; who
evaluates finds the answer, notes it in ``Context.answers`` and evaluates again from the beginning. So a rule without
such functions pays nothing for them, and one call with the same arguments is made once for a message.
Refuses to know: functions, shadows, registries, tables and secrets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols.iotsql import syntax
from littoral.protocols.iotsql.context import Context, EvaluationError
from littoral.protocols.iotsql.syntax import Expression, SqlError
from littoral.protocols.iotsql.values import UNDEFINED, Value, to_json

MAX_CALLS: Final = 10  # by one rule for one message; a nested SELECT could ask for each element
SECRET_TYPES: Final = ("SecretString", "SecretBinary")
MAX_PROTOS: Final = 2  # "within a single SQL expression up to two times"
REGISTRY_APIS: Final = ("DescribeThing", "ListThingGroupsForThing")

Row = dict[str, Value]
Closure = Callable[[Row, Context], Value]
Compile = Callable[[Expression], Closure]


@dataclass(frozen=True, slots=True)
class Question:
    """One call. ``arguments`` is a JSON array, without the role."""

    function: str
    arguments: str

    def list(self) -> list[Any]:
        found: list[Any] = json.loads(self.arguments)
        return found


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The call has failed for good."""

    reason: str


class Asked(Exception):
    """Not an error: the evaluation goes on when the question is answered."""

    def __init__(self, question: Question) -> None:
        super().__init__(f"{question.function}{question.arguments}")
        self.question = question


EXTERNAL: Final = {
    "aws_lambda": (2, 2),
    "get_thing_shadow": (2, 3),
    "get_registry_data": (3, 3),
    "get_dynamodb": (4, 6),
    "get_secret": (3, 4),
}
ONCE: Final = frozenset({"get_dynamodb"})  # "a maximum of one time per SQL statement"


def is_external(root: Expression) -> bool:
    return any(
        isinstance(node, syntax.FunctionCall) and (node.name in EXTERNAL or is_proto(node))
        for node in syntax.walk(root)
    )


def is_proto(node: Expression) -> bool:
    """``decode(x, 'proto', bucket, key, file, message type)``."""
    if not (isinstance(node, syntax.FunctionCall) and node.name == "decode" and len(node.arguments) > 1):
        return False
    scheme = node.arguments[1]
    return isinstance(scheme, syntax.Literal) and scheme.value == "proto"


def check_protos(roots: Iterable[Expression]) -> None:
    """Of one statement. Raises SqlError."""
    found = [node for root in roots for node in syntax.walk(root) if is_proto(node)]
    if len(found) > MAX_PROTOS:
        raise SqlError(f"decode() with 'proto' may stand {MAX_PROTOS} times in one statement")


def ask_proto(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    """Of ``*`` the payload as it came is decoded, or the base64 text that is all of it; else base64 text."""
    whole = isinstance(node.arguments[0], syntax.Star)
    of = compile_(node.arguments[0])
    names = [compile_(argument) for argument in node.arguments[2:]]

    def proto(row: Row, context: Context) -> Value:
        data, where = of(row, context), [name(row, context) for name in names]
        if whole and type(data) is not str:
            data = base64.b64encode(context.payload).decode()
        if type(data) is not str or any(type(each) is not str for each in where):
            return UNDEFINED
        return _answer(Question("decode", to_json([data, *where])), context)

    return proto


def ask(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    """The closure of a call, whose number of arguments was checked. Raises SqlError."""
    arguments = node.arguments
    if node.name != "aws_lambda":
        _check_role(node)
        arguments = arguments[:-1]
    if node.name == "get_registry_data":
        api = arguments[0]
        if not (isinstance(api, syntax.Literal) and api.value in REGISTRY_APIS):
            raise SqlError(f"get_registry_data() knows {' and '.join(REGISTRY_APIS)}", node.position)
    if node.name == "get_secret":
        kind = arguments[1]
        if not (isinstance(kind, syntax.Literal) and kind.value in SECRET_TYPES):
            raise SqlError(f"get_secret() gives {' or '.join(SECRET_TYPES)}", node.position)
    if node.name == "get_dynamodb" and len(arguments) == 4:
        raise SqlError("get_dynamodb() takes a sort key's name and its value, or neither", node.position)
    compiled = [compile_(argument) for argument in arguments]
    names = _names(node.name, len(compiled))

    def external(row: Row, context: Context) -> Value:
        values = [argument(row, context) for argument in compiled]
        if any(type(values[name]) is not str for name in names) or any(value is UNDEFINED for value in values):
            return UNDEFINED
        try:
            question = Question(node.name, to_json(values))
        except ValueError:  # an infinite number
            return UNDEFINED
        return _answer(question, context)

    return external


def _names(function: str, count: int) -> Sequence[int]:
    """The arguments that must be text."""
    if function == "aws_lambda":
        return (0,)
    return (0, *range(1, count, 2)) if function == "get_dynamodb" else range(count)


def _answer(question: Question, context: Context) -> Value:
    if question not in context.answers:
        if len(context.answers) >= MAX_CALLS:
            raise EvaluationError(f"More than {MAX_CALLS} calls of external functions for one message")
        if question.function in ONCE and any(one.function == question.function for one in context.answers):
            raise EvaluationError(f"{question.function}() is called more than once")
        raise Asked(question)
    answer: Value | NoAnswer = context.answers[question]
    if isinstance(answer, NoAnswer):
        raise EvaluationError(f"{question.function}() failed: {answer.reason}")
    return answer


def _check_role(node: syntax.FunctionCall) -> None:
    role = node.arguments[-1]
    if not (isinstance(role, syntax.Literal) and isinstance(role.value, str) and role.value.startswith("arn:")):
        raise SqlError(f"The last argument of {node.name}() is the literal ARN of a role", node.position)
