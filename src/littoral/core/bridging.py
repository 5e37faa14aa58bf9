"""The bridge at work: taps on the local broker, subscriptions above.

A mapping up and one down on the same topic would send every message from above back to where it came from, and where
two cores do so, for ever. So what the bridge brought down is known as it comes by again (the broker tells taps while
it publishes): it does not go up to the topic that it came from, and with ``noLocal`` not at all. What goes up does not
come back either: the link subscribes with MQTT 5's no local.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from littoral.core.bridge import TopicMapping
from littoral.core.link import Link
from littoral.core.ports import Broker, Subscription
from littoral.core.spool import Spool


class _Brought(NamedTuple):
    """A message that is being published here."""

    topic: str  # above
    payload: bytes  # this very object


_brought: ContextVar[_Brought | None] = ContextVar("_brought", default=None)


class Bridges:
    def __init__(self, broker: Broker, link: Link, spool: Spool) -> None:
        self._broker = broker
        self._link = link
        self._spool = spool
        self._made: dict[TopicMapping, Subscription] = {}

    def change(self, mappings: Sequence[TopicMapping]) -> None:
        """These and no others; what stays the same is not touched."""
        for mapping in [each for each in self._made if each not in mappings]:
            self._made.pop(mapping).close()
        for mapping in mappings:
            if mapping not in self._made:
                self._made[mapping] = self._up(mapping) if mapping.up else self._down(mapping)

    def _up(self, mapping: TopicMapping) -> Subscription:
        def up(topic: str, payload: bytes, qos: int) -> Awaitable[None] | None:
            target, brought = mapping.prefix + topic, _brought.get()
            if brought is not None and brought.payload is payload and (mapping.no_local or brought.topic == target):
                return None
            return self._spool.put(target, payload, qos)

        return self._broker.tap(mapping.filter, up)

    def _down(self, mapping: TopicMapping) -> Subscription:
        async def down(topic: str, payload: bytes, _qos: int) -> None:
            mark = _brought.set(_Brought(topic, payload))
            try:
                await self._broker.publish(mapping.prefix + topic, payload, 1)
            finally:
                _brought.reset(mark)

        return self._link.subscribe(mapping.filter, down)
