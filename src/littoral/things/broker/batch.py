"""What must be done before the publishes of one read are acknowledged.

Everything durable of one read is started together and awaited together: one append per durable session, the retained
messages, the taps. Acknowledgements keep the order of the publishes (5.0 s. 4.6), so a batch also waits for the one
before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any

from littoral.store.contract import Outgoing
from littoral.things.broker.backlog import Backlog


class NotStored(Exception):
    """Something that a QoS 1 publisher relies on could not be done; it must not be acknowledged."""


@dataclass(slots=True)
class Owed:
    """An acknowledgement, PUBACK (4) or PUBREC (5), that is sent when the batch is settled."""

    kind: int
    number: int
    reason: int


@dataclass(slots=True)
class OwedRun:
    """PUBACKs of packets that were stored together; the identifiers are as on the wire."""

    numbers: list[bytes]
    kind: int = 4


class Batch:
    __slots__ = ("_appends", "_waits", "count", "owed")

    def __init__(self) -> None:
        self._appends: dict[Backlog, list[Outgoing]] = {}
        self._waits: list[Awaitable[Any]] = []
        self.owed: list[Owed | OwedRun] = []
        self.count = 0  # acknowledgements owed

    def owe(self, owed: Owed | OwedRun) -> None:
        self.owed.append(owed)
        self.count += len(owed.numbers) if isinstance(owed, OwedRun) else 1

    def append(self, backlog: Backlog, message: Outgoing) -> None:
        self._appends.setdefault(backlog, []).append(message)

    def wait(self, waiting: Awaitable[Any]) -> None:
        self._waits.append(waiting)

    @property
    def appends(self) -> int:
        """How many results of ``start`` come first and belong to all of the batch."""
        return len(self._appends)

    @property
    def waits(self) -> int:
        """How many results come after these, one for each ``wait``."""
        return len(self._waits)

    @property
    def empty(self) -> bool:
        return not (self._appends or self._waits)

    def start(self) -> asyncio.Future[list[Any]]:
        """Everything under way, in the order in which it was asked for. The result holds exceptions as values."""
        appends: list[Coroutine[Any, Any, None]] = [
            backlog.append(messages) for backlog, messages in self._appends.items()
        ]
        return asyncio.gather(*appends, *self._waits, return_exceptions=True)

    async def settle(self) -> None:
        """Raises NotStored."""
        if not self.empty:
            check(await self.start())


def check(results: list[Any]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise NotStored(f"{type(result).__name__}: {result}") from result
