"""What a statement's external functions ask of the place: functions, shadows, the registry, tables.

Owns: how one question is answered, and what becomes of a failure. Rules that ask nothing never come here.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from littoral.aws.invoke import Invocation
from littoral.protocols.iotsql import Question
from littoral.protocols.iotsql.values import UNDEFINED
from littoral.things.rules.actions import ActionFailed, Sinks, failed
from littoral.things.rules.actions.invoking import may_invoke
from littoral.things.rules.actions.tables import tables_of
from littoral.things.rules.items import attribute, plain

TIMEOUT: Final = 2.0  # "Lambda function calls from rules should be completed within 2000 milliseconds"


async def answer(question: Question, sinks: Sinks, rule: str) -> Any:
    """A JSON value, or UNDEFINED where there is no such shadow or thing. Raises ActionFailed."""
    arguments = question.list()
    try:
        async with asyncio.timeout(TIMEOUT):
            if question.function == "aws_lambda":
                return await _invoke(sinks, rule, *arguments)
            if question.function == "get_dynamodb":
                return await _item(sinks, *arguments)
            if (asked := sinks.answers.get(question.function)) is None:
                raise ActionFailed("nothing here answers it", passing=False)
            return await asked(*arguments)
    except TimeoutError:
        raise ActionFailed(f"no answer within {TIMEOUT:g} seconds", passing=True) from None
    except Exception as error:
        raise failed(error) from error


async def _item(sinks: Sinks, table: str, *key: Any) -> Any:
    """``key``: names and values in turns."""
    wanted = {name: attribute(value) for name, value in zip(key[::2], key[1::2], strict=True)}
    found = await tables_of(sinks).get(table, wanted)
    return UNDEFINED if found is None else {name: plain(value) for name, value in found.items()}


async def _invoke(sinks: Sinks, rule: str, function: str, payload: Any) -> Any:
    invoker = may_invoke(function, sinks, rule)
    result = await invoker.invoke(Invocation(function, json.dumps(payload).encode()))
    if result.function_error is not None:
        raise ActionFailed(f"{function} failed: {result.payload[:500].decode(errors='replace')}", passing=False)
    try:
        return json.loads(result.payload or b"null")
    except ValueError:
        raise ActionFailed(f"{function} did not return JSON", passing=False) from None
