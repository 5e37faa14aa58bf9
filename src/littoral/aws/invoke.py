"""The invoker: how a capability calls a function without knowing the `functions` capability.

The site hands an ``Invoker`` to edge (triggers), objects (notifications), things (rules) and core (components).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol


class InvokeResult(NamedTuple):
    """What came of a synchronous invocation. Shapes as in Lambda's Invoke API. One is made for every event."""

    payload: bytes  # JSON: the handler's result, or the error object {"errorMessage", "errorType", "stackTrace"}
    function_error: str | None = None  # "Unhandled" when the function failed or timed out
    executed_version: str = "$LATEST"
    log_tail: bytes = b""  # the last 4 KiB of this invocation's log
    cold: bool = False  # an instance was started for this call
    duration: float = 0.0  # seconds in the handler


class Invocation(NamedTuple):
    """One call to a function. ``function`` is a name, a name:qualifier, or an ARN (qualified or not)."""

    function: str
    payload: bytes
    client_context: Mapping[str, Any] = MappingProxyType({})
    tail_log: bool = False
    checked: bool = False  # the payload is known to be JSON of a size that is taken: who calls has written it
    replica_of: str = ""  # region: the call is of a function's replica at an edge location, and is logged as one


class Invoker(Protocol):
    """Raises ServiceError: ResourceNotFoundException, TooManyRequestsException, and the others of the
    Lambda Invoke model. A function's own failure is a result, not an exception."""

    def invoke(self, invocation: Invocation) -> Awaitable[InvokeResult]:
        """Runs at once, whether it is awaited or not."""

    async def invoke_async(self, invocation: Invocation) -> str:
        """Queue durably and return the request id: the event survives ``kill -9`` once this returns."""
