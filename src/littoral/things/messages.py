"""The broker as the ``iot-data`` API sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from littoral.things.broker import Broker
from littoral.things.data import Retained
from littoral.things.message import Publication


class BrokerMessages:
    """``Messages`` of ``data``, by a broker; ``dispatch`` takes a publication to where a client's would go."""

    def __init__(self, broker: Broker, dispatch: Callable[[Publication], Awaitable[None]]) -> None:
        self._broker = broker
        self._dispatch = dispatch

    async def publish(self, publication: Publication) -> None:
        await self._dispatch(publication)

    async def retained(self, topic: str) -> Retained | None:
        found = self._broker.retained(topic)
        return None if found is None else Retained(found, found.received_at)

    async def list_retained(self, after: str, limit: int) -> Sequence[Retained]:
        found = sorted(self._broker.list_retained(), key=lambda publication: publication.topic)
        return [Retained(one, one.received_at) for one in found if one.topic > after][:limit]
