"""Events that a place tells of itself on ``$aws/events/…``, kind by kind as UpdateEventConfigurations turns them on.

Owns: which kinds are on, and the one way out. What an event says is said by who knows the fact (``jobs/events``,
``registry/events``). An event is a message of QoS 1 after the fact; one that is lost with
the process is not told later.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

log = logging.getLogger(__name__)

SETTING: Final = "events"  # of the registry: where what is on is kept
THING: Final = "THING"
TYPE: Final = "THING_TYPE"
ASSOCIATION: Final = "THING_TYPE_ASSOCIATION"
GROUP: Final = "THING_GROUP"
MEMBERSHIP: Final = "THING_GROUP_MEMBERSHIP"
HIERARCHY: Final = "THING_GROUP_HIERARCHY"
JOB: Final = "JOB"
EXECUTION: Final = "JOB_EXECUTION"
KINDS: Final = (
    *(THING, GROUP, TYPE, MEMBERSHIP, HIERARCHY, ASSOCIATION, JOB, EXECUTION),
    *("POLICY", "CERTIFICATE", "CA_CERTIFICATE"),
)


class Events:
    """``enabled`` says which kinds are on; ``publish`` (topic, payload) sends."""

    def __init__(self, publish: Callable[[str, bytes], Awaitable[None]]) -> None:
        self.enabled: Mapping[str, bool] = {}
        self._publish = publish
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._teller: asyncio.Task[None] | None = None

    def on(self, kind: str) -> bool:
        return self.enabled.get(kind, False)

    async def tell(self, topic: str, event: Mapping[str, Any]) -> None:
        """Who calls has asked whether its kind is ``on``."""
        await self._publish(f"$aws/events/{topic}", json.dumps(event).encode())

    def tell_soon(self, topic: str, event: Mapping[str, Any]) -> None:
        """From where nothing can be awaited: in the order of the calls."""
        self._waiting.put_nowait((f"$aws/events/{topic}", json.dumps(event).encode()))

    def start(self) -> None:
        self._teller = asyncio.create_task(self._tell_all(), name="events")

    async def close(self) -> None:
        """What waits is still told."""
        if self._teller is not None:
            await self._waiting.join()
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
            self._teller = None

    async def _tell_all(self) -> None:
        while True:
            topic, payload = await self._waiting.get()
            try:
                await self._publish(topic, payload)
            except Exception:
                log.exception("%s was not told", topic)
            finally:
                self._waiting.task_done()
