"""Retained messages: the last of each topic, in memory to be sent and in Records to survive.

Bounded in number and bytes; what does not fit is refused to the publisher, nothing older is dropped for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from littoral.protocols.mqtt.topics import has_wildcard, matches
from littoral.store.contract import Records
from littoral.things.broker.limits import BrokerLimits
from littoral.things.broker.outbound import Outbound
from littoral.things.message import Publication

PREFIX: Final = "retained/"


class RetainedFull(Exception):
    """No room for one more retained message."""


class Retained:
    def __init__(self, records: Records | None, limits: BrokerLimits) -> None:
        self._records = records
        self._limits = limits
        self._messages: dict[str, tuple[Outbound, int]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    async def load(self) -> None:
        after = ""
        while self._records is not None:
            page = await self._records.scan(PREFIX, after=after)
            for record in page:
                outbound, _, _ = Outbound.load(record.value[1:])
                self._put(outbound, record.value[0])
            if not page:
                return
            after = page[-1].key

    def store(self, publication: Publication, outbound: Outbound) -> Storing | None:
        """Take effect at once; await what is returned for durability. Raises RetainedFull."""
        topic = publication.topic
        if not publication.payload:  # an empty payload deletes (s. 3.3.1.3)
            had = self._remove(topic)
            return Storing(self._records, PREFIX + topic, None) if had and self._records is not None else None
        self._check(topic, len(publication.payload) + len(topic))
        self._put(outbound, publication.qos)
        if self._records is None:
            return None
        return Storing(self._records, PREFIX + topic, bytes((publication.qos,)) + outbound.stored(True))

    def _check(self, topic: str, size: int) -> None:
        before = self._size(topic)
        if self.bytes - before + size > self._limits.retained_bytes:
            raise RetainedFull(f"more than {self._limits.retained_bytes} bytes of retained messages")
        if not before and len(self._messages) >= self._limits.retained_messages:
            raise RetainedFull(f"more than {self._limits.retained_messages} retained messages")

    def _size(self, topic: str) -> int:
        held = self._messages.get(topic)
        return len(held[0].payload) + len(topic) if held is not None else 0

    def _put(self, outbound: Outbound, qos: int) -> None:
        self._remove(outbound.topic)
        self._messages[outbound.topic] = (outbound, qos)
        self.bytes += self._size(outbound.topic)

    def _remove(self, topic: str) -> bool:
        self.bytes -= self._size(topic)
        return self._messages.pop(topic, None) is not None

    def get(self, topic: str, now: float) -> tuple[Outbound, int] | None:
        held = self._messages.get(topic)
        return None if held is None or held[0].expired(now) else held

    def matching(self, filter: str, now: float) -> Iterator[tuple[Outbound, int]]:
        """(message, QoS) of each topic that the filter matches."""
        if not has_wildcard(filter):
            held = self.get(filter, now)
            if held is not None:
                yield held
            return
        for topic, (outbound, qos) in list(self._messages.items()):
            if matches(filter, topic) and not outbound.expired(now):
                yield outbound, qos


class Storing:
    """One change on its way to the disk."""

    __slots__ = ("_key", "_records", "_value")

    def __init__(self, records: Records, key: str, value: bytes | None) -> None:
        self._records = records
        self._key = key
        self._value = value

    async def done(self) -> None:
        if self._value is None:
            await self._records.delete(self._key)
        else:
            await self._records.put(self._key, self._value)
