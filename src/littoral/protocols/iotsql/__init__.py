"""The SQL of AWS IoT topic rules, version 2016-03-23: text in, closures out.

Owns: the language (https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-reference.html). Refuses to know:
MQTT, actions, clocks, randomness. What the world supplies (time, topic, identifiers) comes in a ``Context``.

=============  =====================================================================================
``tokens``     text to tokens, lazily, so that a ``${…}`` template can stop at its closing brace
``syntax``     what a statement is: frozen dataclasses
``parser``     tokens to syntax; every refusal is an ``SqlError`` that names the place
``values``     the eight types, Undefined among them, and AWS's conversion tables
``plain``      the functions of values alone, one table
``functions``  those that look at the message or at their literals
``timeformat`` for ``parse_time``; ``timeparse`` for ``time_to_epoch``
``external``   functions that ask the world: an evaluation stops at the question, and is begun again with the answer
``compiler``   syntax to closures of (row, context)
``rule``       a compiled statement: ``Rule.evaluate(context)``; and substitution templates
=============  =====================================================================================

A statement is parsed and compiled once, when the rule is created; a message runs closures only.
"""

from littoral.protocols.iotsql.context import Context, EvaluationError
from littoral.protocols.iotsql.external import Asked, NoAnswer, Question
from littoral.protocols.iotsql.rule import Rule, Selected, Template, compile_rule, compile_template
from littoral.protocols.iotsql.syntax import SqlError

__all__ = [
    "Asked",
    "Context",
    "EvaluationError",
    "NoAnswer",
    "Question",
    "Rule",
    "Selected",
    "SqlError",
    "Template",
    "compile_rule",
    "compile_template",
]
