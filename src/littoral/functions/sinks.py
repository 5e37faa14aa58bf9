"""Where records of asynchronous events go that are not for functions: what the site hands in (streams, topics)."""

from __future__ import annotations

import logging
from typing import Any, Protocol

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Destinations that are not functions. The site hands them in."""

    def accepts(self, arn: str) -> bool: ...

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        """Durable when it returns; may be called twice for one record."""


class Sinks:
    """Several as one: the first that accepts an ARN takes its records."""

    def __init__(self, *sinks: Sink | None) -> None:
        self._sinks = [sink for sink in sinks if sink is not None]

    def add(self, sink: Sink) -> None:
        self._sinks.append(sink)

    def accepts(self, arn: str) -> bool:
        return any(sink.accepts(arn) for sink in self._sinks)

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        for sink in self._sinks:
            if sink.accepts(arn):
                await sink.deliver(arn, record)
                return
        log.warning("no way to the destination %s: its record is dropped", arn)
