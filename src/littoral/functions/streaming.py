"""A function's response that comes in pieces: from the instance that makes it to the one who reads it.

Owns: the few hundred kilobytes between them. An instance says that the response begins, gives pieces, and is told to
wait when the reader is slow; in the end the runner says what came of it all. Who reads may leave at any time: the
function goes on as on AWS, and what it still says is dropped. Knows no socket and no protocol.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from littoral.aws.invoke import InvokeResult
from littoral.functions.outcome import error_payload

HIGH = 256 * 1024  # bytes unread at which the instance is made to wait; it goes on below half of it
JSON = "application/json"


def too_large(limit: int) -> bytes:
    """The error object of a response beyond what is allowed."""
    message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    return error_payload("Function.ResponseSizeTooLarge", message)


class Taker(Protocol):
    """Where an instance puts a response that comes in pieces."""

    on_room: Callable[[], None]  # set by the instance: called when ``full`` is over

    def begin(self, content_type: str) -> None: ...

    def feed(self, data: bytes) -> None: ...

    @property
    def full(self) -> bool: ...

    @property
    def over(self) -> int:
        """The limit in bytes where the response went beyond it, else 0."""

    def taken(self) -> bytes:
        """What the outcome's payload is to be when the function has ended well."""


def _nothing() -> None:
    """Nobody waits."""


class Collected:
    """All of it in one payload, for callers of a plain Invoke."""

    def __init__(self, limit: int) -> None:
        self.on_room = _nothing
        self.full = False
        self._limit = limit
        self._size = 0
        self._pieces: list[bytes] = []

    def begin(self, content_type: str) -> None:
        """Who gets one payload is not told its type."""

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._pieces.append(data)

    @property
    def over(self) -> int:
        return self._limit if self._size > self._limit else 0

    def taken(self) -> bytes:
        return b"".join(self._pieces)


class ResponseStream:
    """Pieces for one reader, who iterates; then ``result`` says what came of the execution."""

    def __init__(self, version: str, limit: int) -> None:
        self.executed_version = version
        self.content_type = ""  # once begun
        self.result: InvokeResult | None = None  # once it has ended
        self.on_room = _nothing
        self._limit = limit
        self._size = 0
        self._unread = 0
        self._pieces: deque[bytes] = deque()
        self._left = False  # nobody reads any more
        self._problem: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    # the instance's side

    def begin(self, content_type: str) -> None:
        self.content_type = content_type or "application/octet-stream"
        self._wake()

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if not data or self._left or self._size > self._limit:
            return
        self._pieces.append(data)
        self._unread += len(data)
        self._wake()

    @property
    def full(self) -> bool:
        return self._unread > HIGH

    @property
    def over(self) -> int:
        return self._limit if self._size > self._limit else 0

    def taken(self) -> bytes:
        return b""

    # the runner's side

    def finish(self, result: InvokeResult) -> None:
        """The execution has ended. What a function returned whole is one piece."""
        if not self.content_type and result.function_error is None:
            self.begin(JSON)
            self.feed(result.payload)
        self.result = result
        self._wake()

    def fail(self, problem: BaseException) -> None:
        """The place could not do it: the reader gets this."""
        self._problem = problem
        self._wake()

    # the reader's side

    async def begun(self) -> None:
        """Until the first piece may come or the execution has ended. Raises what ``fail`` was given."""
        while not self.content_type and self.result is None:
            await self._moved()

    def __aiter__(self) -> ResponseStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self.result is not None:
                raise StopAsyncIteration
            await self._moved()
        data = self._pieces.popleft()
        self._took(len(data))
        return data

    async def aclose(self) -> None:
        """Nobody reads any more."""
        self._left = True
        self._pieces.clear()
        self._took(self._unread)

    def _took(self, size: int) -> None:
        before = self._unread
        self._unread -= size
        if self._unread <= HIGH // 2 < before:
            self.on_room()

    async def _moved(self) -> None:
        if self._problem is not None:
            raise self._problem
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
