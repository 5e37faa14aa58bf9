"""What the place above will not take: set aside, whole and durable, until somebody retries or drops it.

A stream of its own with one consumer, in which what is done with is acknowledged; bounded, so that at last the oldest
goes, and is counted. Facts are in memory, payloads are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from littoral.core.denials import Target
from littoral.store.contract import Consumer, Message, Outgoing, Retention, Streams

STREAM: Final = "core/rejected"
LIMITS: Final = Retention(max_messages=10_000, max_bytes=64 * 1024**2, discard="old", dedupe_window=0.0)
PAGE: Final = 500
FOREVER: Final = 10 * 365 * 24 * 3600.0  # seconds; nothing comes again by itself


@dataclass(frozen=True, slots=True)
class SetAside:
    sequence: int  # in the stream
    message_id: str
    topic: str
    retain: bool
    reason: str
    size: int  # bytes of payload
    at: float  # Unix seconds

    @property
    def target(self) -> Target:
        return self.topic, self.retain


class Rejected:
    """Open with ``Rejected.open``."""

    def __init__(self, streams: Streams, consumer: Consumer) -> None:
        self._streams = streams
        self._consumer = consumer
        self._facts: dict[int, SetAside] = {}
        self.lost = 0  # the oldest, for want of room; since the start

    @classmethod
    async def open(cls, streams: Streams) -> Rejected:
        await streams.create(STREAM, LIMITS)
        made = cls(streams, await streams.consumer(STREAM, "set aside", ack_wait=FOREVER))
        await made._look()
        return made

    def __len__(self) -> int:
        return len(self._facts)

    def facts(self) -> list[SetAside]:
        """In order."""
        return list(self._facts.values())

    async def add(self, payload: bytes, headers: Mapping[str, str]) -> None:
        """Durable once it returns. ``headers``: id, topic, reason, and what else belongs to the message."""
        await self._streams.publish(STREAM, [Outgoing(payload, headers=headers)])
        await self._look()

    async def message(self, fact: SetAside) -> Message | None:
        """Whole."""
        found = await self._streams.read(STREAM, after=fact.sequence - 1, limit=1)
        return found[0] if found and found[0].sequence == fact.sequence else None

    def chosen(self, which: Callable[[SetAside], bool]) -> list[SetAside]:
        return [each for each in self._facts.values() if which(each)]

    async def done(self, facts: Iterable[SetAside]) -> None:
        """They are dealt with."""
        sequences = [each.sequence for each in facts]
        if sequences:
            await self._consumer.ack(sequences)
        for each in sequences:
            self._facts.pop(each, None)

    async def _look(self) -> None:
        """What is new, and what the limit took."""
        while found := await self._consumer.fetch(PAGE):
            self._facts.update({each.sequence: _fact(each) for each in found})
        first = (await self._streams.extent(STREAM)).first
        while self._facts and (oldest := next(iter(self._facts))) < first:
            del self._facts[oldest]
            self.lost += 1


def _fact(message: Message) -> SetAside:
    headers = message.headers
    return SetAside(
        message.sequence,
        headers.get("id", ""),
        headers["topic"],
        "retain" in headers,
        headers.get("reason", ""),
        len(message.data),
        message.published_at,
    )
