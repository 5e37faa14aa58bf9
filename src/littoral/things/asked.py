"""Functions that things ask and wait for: a template's hook, an authorizer.

Owns: the function's resource policy, its time, what counts as its failure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from littoral.aws.invoke import Invocation, Invoker
from littoral.aws.service import ServiceError
from littoral.store.contract import StoreError

TIME: Final = 5.0  # seconds that AWS IoT gives a hook and an authorizer's function

Permits = Callable[[str, str], bool]
"""Whether a function's resource policy lets this ARN of IoT invoke it. Raises ServiceError."""


class NotAnswered(Exception):
    """``why``: NO_FUNCTIONS, NOT_PERMITTED, TIMED_OUT, THROTTLED or FAILED."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


class AskedFunctions:
    def __init__(self, invoker: Invoker | None = None, permits: Permits | None = None) -> None:
        self._invoker = invoker
        self._permits = permits

    async def ask(self, function: str, event: Mapping[str, Any], arn: str) -> bytes:
        """What the function returned, JSON; ``arn`` is what of IoT asks. Raises NotAnswered."""
        try:
            async with asyncio.timeout(TIME):
                result = await self._permitted(function, arn).invoke(Invocation(function, json.dumps(event).encode()))
        except TimeoutError:
            raise NotAnswered("TIMED_OUT", f"{function} did not answer within {TIME:g} seconds") from None
        except (ServiceError, StoreError, ValueError) as problem:
            throttled = isinstance(problem, ServiceError) and problem.code == "TooManyRequestsException"
            raise NotAnswered("THROTTLED" if throttled else "FAILED", f"{function}: {problem}") from None
        if result.function_error is not None:
            raise NotAnswered("FAILED", f"{function} failed: {result.payload[:500]!r}")
        return result.payload

    def _permitted(self, function: str, arn: str) -> Invoker:
        if self._invoker is None:
            raise NotAnswered("NO_FUNCTIONS", "this place runs no functions")
        if self._permits is not None and not self._permits(function, arn):
            words = f"the resource policy of {function} does not let iot.amazonaws.com invoke it for {arn}"
            raise NotAnswered("NOT_PERMITTED", words)
        return self._invoker
