"""The built-in functions: how a call becomes a closure, and those that look at the message or at their literals.

AWS answers wrong arguments with Undefined at run time. So do we for wrong *types*; a wrong *number* of arguments, or a
function that is not here, is refused when the rule is created, because an author cannot have meant it.
Regular expressions must be literals: one that arrives with a message could hold the broker's thread for ever.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TypeVar

from littoral.protocols.iotsql import syntax
from littoral.protocols.iotsql.context import Context, EvaluationError
from littoral.protocols.iotsql.external import EXTERNAL, ask, ask_proto, is_proto
from littoral.protocols.iotsql.plain import PLAIN
from littoral.protocols.iotsql.syntax import Expression, SqlError
from littoral.protocols.iotsql.timeformat import TimeFormat
from littoral.protocols.iotsql.timeparse import TimePattern
from littoral.protocols.iotsql.values import (
    UNDEFINED,
    Undefined,
    Value,
    integer,
    parse_json,
    string,
)

MQTT_PROPERTIES = ("content_type", "correlation_data", "format_indicator", "response_topic")

Row = dict[str, Value]
Closure = Callable[[Row, Context], Value]
Compile = Callable[[Expression], Closure]
T = TypeVar("T")


def call(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    """The closure of a call. Raises SqlError for an unknown function or a wrong number of arguments."""
    special = _SPECIAL.get(node.name)
    if special is not None:
        return special(node, compile_)
    if node.name in _AMBIENT:
        _check_arity(node, 0, 0)
        ambient = _AMBIENT[node.name]
        return lambda row, context: ambient(context)
    if node.name in EXTERNAL:
        _check_arity(node, *EXTERNAL[node.name])
        return ask(node, compile_)
    entry = PLAIN.get(node.name)
    if entry is None:
        raise SqlError(_REFUSED.get(node.name, f"Function {node.name!r} does not exist"), node.position)
    least, most, implementation = entry
    _check_arity(node, least, most)
    arguments = [compile_(argument) for argument in node.arguments]
    if len(arguments) == 1:
        only = arguments[0]
        return lambda row, context: implementation(only(row, context))
    return lambda row, context: implementation(*[argument(row, context) for argument in arguments])


_REFUSED = {
    "machinelearning_predict": "machinelearning_predict() is not available: Amazon Machine Learning takes no new users",
}


def _check_arity(node: syntax.FunctionCall, least: int, most: int) -> None:
    if not least <= len(node.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise SqlError(f"{node.name}() takes {wanted} argument(s), not {len(node.arguments)}", node.position)


def _or_undefined(value: Value | None) -> Value:
    return UNDEFINED if value is None else value


# ----------------------------------------------------------------------------------------- of the message

_AMBIENT: dict[str, Callable[[Context], Value]] = {
    "timestamp": lambda context: context.timestamp,
    "clientid": lambda context: context.client_id if context.client_id is not None else "n/a",
    "principal": lambda context: _or_undefined(context.principal),
    "traceid": lambda context: _or_undefined(context.trace_id),
    "accountid": lambda context: context.account,
    "newuuid": lambda context: context.new_uuid(),
    "sourceip": lambda context: _or_undefined(context.source_ip),
    "rand": lambda context: context.random(),
    "sql_version": lambda context: "2016-03-23",
}


def _topic(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    _check_arity(node, 0, 1)
    if not node.arguments:
        return lambda row, context: context.topic
    of = compile_(node.arguments[0])

    def topic(row: Row, context: Context) -> Value:
        index = of(row, context)
        return context.segment(index if type(index) is int else _or_undefined(integer(index)))

    return topic


def _user_properties(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    _check_arity(node, 1, 1)
    of = compile_(node.arguments[0])

    def user_properties(row: Row, context: Context) -> Value:
        wanted = of(row, context)
        return [value for name, value in context.user_properties if name == wanted] or UNDEFINED

    return user_properties


def _mqtt_property(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    _check_arity(node, 1, 1)
    literal = node.arguments[0]
    if not (isinstance(literal, syntax.Literal) and literal.value in MQTT_PROPERTIES):
        raise SqlError(f"get_mqtt_property() knows {', '.join(MQTT_PROPERTIES)}", node.position)
    wanted = str(literal.value)
    return lambda row, context: context.mqtt_properties.get(wanted, UNDEFINED)


# ------------------------------------------------------------------------------------------ encode, decode


def _encode(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    """``encode(*, 'base64')`` takes the payload as it came, JSON or not."""
    _check_arity(node, 2, 2)
    _check_scheme(node, "base64")
    if isinstance(node.arguments[0], syntax.Star):
        return lambda row, context: base64.b64encode(context.payload).decode()
    of = compile_(node.arguments[0])

    def encode(row: Row, context: Context) -> Value:
        text = string(of(row, context))
        return UNDEFINED if text is None else base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()

    return encode


def _decode(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    if is_proto(node):
        _check_arity(node, 6, 6)
        return ask_proto(node, compile_)
    _check_arity(node, 2, 2)
    _check_scheme(node, "base64", "proto")
    of = compile_(node.arguments[0])

    def decode(row: Row, context: Context) -> Value:
        text = of(row, context)
        if type(text) is not str:
            return UNDEFINED
        try:
            data = base64.b64decode(text, validate=True)
            document = parse_json(data)
            return data.decode() if isinstance(document, Undefined) else document
        except ValueError:  # "returns NULL if the string cannot be decoded"
            return None

    return decode


def _check_scheme(node: syntax.FunctionCall, *known: str) -> None:
    scheme = node.arguments[1]
    if not (isinstance(scheme, syntax.Literal) and scheme.value in known):
        raise SqlError(f"{node.name}() knows the scheme {' and '.join(map(repr, known))} only", node.position)


# ------------------------------------------------------------------------------------- regular expressions


def _regexp(least: int, apply: Callable[..., Value]) -> Callable[[syntax.FunctionCall, Compile], Closure]:
    def build(node: syntax.FunctionCall, compile_: Compile) -> Closure:
        _check_arity(node, least, least)
        literal = node.arguments[1]
        if not (isinstance(literal, syntax.Literal) and isinstance(literal.value, str)):
            raise SqlError(f"The pattern of {node.name}() must be a literal string here", node.position)
        try:
            pattern = re.compile(literal.value)
        except (re.error, RecursionError, OverflowError) as error:
            raise SqlError(f"{node.name}(): {error}", node.position) from None
        subject = compile_(node.arguments[0])
        rest = [compile_(argument) for argument in node.arguments[2:]]

        def run(row: Row, context: Context) -> Value:
            texts = [string(of(row, context)) for of in (subject, *rest)]
            return UNDEFINED if None in texts else apply(pattern, *texts)

        return run

    return build


def _replace_pattern(pattern: re.Pattern[str], text: str, by: str) -> Value:
    """``$1`` refers to a group, as in Java."""
    try:
        return pattern.sub(lambda match: re.sub(r"\$(\d+)", lambda ref: match[int(ref[1])] or "", by), text)
    except (IndexError, re.error):
        return UNDEFINED


def _first_match(pattern: re.Pattern[str], text: str) -> Value:
    match = pattern.search(text)
    return match[0] if match else UNDEFINED


def _pattern(node: syntax.FunctionCall, argument: int, form: Callable[[str], T]) -> T:
    """What is made of the pattern once, as the statement is compiled."""
    literal = node.arguments[argument]
    if not (isinstance(literal, syntax.Literal) and isinstance(literal.value, str)):
        raise SqlError(f"The pattern of {node.name}() must be a literal string here", node.position)
    try:
        return form(literal.value)
    except ValueError as error:
        raise SqlError(f"{node.name}(): {error}", node.position) from None


def _parse_time(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    _check_arity(node, 2, 3)
    layout = _pattern(node, 0, TimeFormat)
    moment = compile_(node.arguments[1])
    zone = compile_(node.arguments[2]) if len(node.arguments) == 3 else None

    def parse_time(row: Row, context: Context) -> Value:
        milliseconds = integer(moment(row, context))
        name = zone(row, context) if zone is not None else "UTC"
        if milliseconds is None or type(name) is not str:
            return UNDEFINED
        return _or_undefined(layout.format(milliseconds, name))

    return parse_time


def _time_to_epoch(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    _check_arity(node, 2, 2)
    pattern = _pattern(node, 1, TimePattern)
    of = compile_(node.arguments[0])

    def time_to_epoch(row: Row, context: Context) -> Value:
        text = string(of(row, context))
        return UNDEFINED if text is None else _or_undefined(pattern.milliseconds(text))

    return time_to_epoch


def _get_or_default(node: syntax.FunctionCall, compile_: Compile) -> Closure:
    """Also where the expression fails, as an external function may."""
    _check_arity(node, 1, 2)
    of = compile_(node.arguments[0])
    otherwise = compile_(node.arguments[1]) if len(node.arguments) == 2 else lambda row, context: UNDEFINED

    def get_or_default(row: Row, context: Context) -> Value:
        try:
            value = of(row, context)
        except EvaluationError:
            return otherwise(row, context)
        return otherwise(row, context) if value is None or value is UNDEFINED else value

    return get_or_default


_SPECIAL: dict[str, Callable[[syntax.FunctionCall, Compile], Closure]] = {
    "topic": _topic,
    "encode": _encode,
    "decode": _decode,
    "parse_time": _parse_time,
    "time_to_epoch": _time_to_epoch,
    "get_or_default": _get_or_default,
    "get_user_properties": _user_properties,
    "get_mqtt_property": _mqtt_property,
    "regexp_matches": _regexp(2, lambda pattern, text: pattern.search(text) is not None),
    "regexp_substr": _regexp(2, _first_match),
    "regexp_replace": _regexp(3, _replace_pattern),
}

FUNCTIONS: tuple[str, ...] = tuple(sorted({*PLAIN, *_AMBIENT, *_SPECIAL, *EXTERNAL, "cast"}))
"""Every function there is, for documentation and tests."""
