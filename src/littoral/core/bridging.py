"""The bridge at work: taps on the local broker, subscriptions above.

A mapping up and one down on the same topic would send every message from above back to where it came from, and where
two cores do so, for ever. So what the bridge brought down is known as it comes by again (the broker tells taps while
it publishes): it does not go up to the topic that it came from, and with ``noLocal`` not at all. What goes up does not
come back either: the link subscribes with MQTT 5's no local.

What a publisher says beside its message (MQTT 5's content type, response topic, correlation data, expiry, its own
properties) goes with it, either way; that it is to be retained goes up where ``retainAsPublished`` is said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import NamedTuple

from littoral.core.bridge import TopicMapping
from littoral.core.link import Link
from littoral.core.ports import Broker, Said, Subscription
from littoral.core.spool import MESSAGE_ID, PLAIN, Extras, Spool
from littoral.protocols.mqtt.packets import Publish
from littoral.protocols.mqtt.properties import PublishProperties


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
        def up(message: Said) -> Awaitable[None] | None:
            target, brought, payload = mapping.prefix + message.topic, _brought.get(), message.payload
            if brought is not None and brought.payload is payload and (mapping.no_local or brought.topic == target):
                return None
            retain, said = mapping.retain and message.retain, carried(message.properties)
            extras = Extras(retain, said) if retain or said is not None else PLAIN
            return self._spool.put(target, payload, message.qos, extras)

        return self._broker.relay(mapping.filter, up)

    def _down(self, mapping: TopicMapping) -> Subscription:
        async def down(message: Publish) -> None:
            mark = _brought.set(_Brought(message.topic, message.payload))
            try:
                said = carried(message.properties)
                await self._broker.publish(mapping.prefix + message.topic, message.payload, 1, said)
            finally:
                _brought.reset(mark)

        return self._link.hear(mapping.filter, down)


def carried(said: PublishProperties | None) -> PublishProperties | None:
    """What goes on of it: nothing that is of one connection, nor the id that a core gave the message."""
    if said is None:
        return None
    own = [each for each in said.user_properties if each[0] != MESSAGE_ID]
    kept = replace(said, user_properties=own, subscription_identifiers=[], topic_alias=None)
    return kept if kept != PublishProperties() else None
