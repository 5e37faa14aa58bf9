"""Messages that were sent twice: recognised by the id that their sender gave them.

A core's spool sends a message until it is acknowledged, so that one whose PUBACK was lost comes again. It carries the
MQTT 5 user property ``littoral-message-id``.

Theory: an id is *recorded*, durably, as the last step before PUBACK. Recording it first would be wrong: a crash
between recording and delivering would lose the message. So the promise is: delivered to everyone at least once, and
exactly once unless this process died between delivery and PUBACK. (Topic rules are stored under the same id in their
own stream and are deduplicated even then.)

Memory holds the latest ids, read back at start. An id that memory has forgotten is delivered again to ordinary
subscribers; ``MEMORY`` is far beyond what all spools together can have in flight.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Final

from littoral.store.contract import Outgoing, Retention, Streams
from littoral.things.broker import Broker
from littoral.things.broker.batch import Batch
from littoral.things.broker.router import Route
from littoral.things.broker.session import Session
from littoral.things.message import Publication

PROPERTY: Final = "littoral-message-id"
STREAM: Final = "things.seen"
MEMORY: Final = 50_000
MAX_ID: Final = 256


def message_id(publication: Publication) -> str | None:
    """The id that the sender gave, if it is one that can be kept."""
    if publication.properties is None:
        return None
    for name, value in publication.properties.user_properties:
        if name == PROPERTY:
            return value if 0 < len(value) <= MAX_ID else None
    return None


class Duplicates:
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def open(self) -> None:
        """Read the latest ids back. Call once, before use."""
        await self._streams.create(STREAM, Retention(max_messages=MEMORY, discard="old"))
        after = 0
        while page := await self._streams.read(STREAM, after=after):
            for message in page:
                self._seen[message.headers["id"]] = None
            after = page[-1].sequence

    def seen(self, identity: str) -> bool:
        """Whether all of its way is already behind it."""
        return identity in self._seen

    def under_way(self, identity: str) -> asyncio.Future[None] | None:
        """Done, or failed, when the first copy is: it came on a connection that is about to be replaced."""
        return self._under_way.get(identity)

    def begin(self, identity: str, rest: Awaitable[None]) -> asyncio.Future[None]:
        """``rest`` is everything else that must be done before PUBACK; then the id is recorded."""
        future = asyncio.ensure_future(self._finish(identity, rest))
        self._under_way[identity] = future
        future.add_done_callback(lambda _: self._under_way.pop(identity, None))
        return future

    async def _finish(self, identity: str, rest: Awaitable[None]) -> None:
        await rest
        await self._streams.publish(STREAM, [Outgoing(b"", identity, {"id": identity})])
        self._seen[identity] = None
        while len(self._seen) > MEMORY:
            self._seen.popitem(last=False)


class OnceBroker(Broker):
    """The broker, delivering a QoS 1 message with an id once."""

    duplicates: Duplicates | None = None

    def distribute(
        self, publication: Publication, sender: Session | None, batch: Batch, once: str | None = None
    ) -> Route:
        identity = message_id(publication) if publication.qos else None
        if identity is None or self.duplicates is None:
            return super().distribute(publication, sender, batch, once)
        if self.duplicates.seen(identity):
            return self.router.route(publication.topic)
        first = self.duplicates.under_way(identity)
        if first is not None:
            batch.wait(asyncio.shield(first))
            return self.router.route(publication.topic)
        rest = Batch()
        route = super().distribute(publication, sender, rest, once)
        batch.wait(self.duplicates.begin(identity, rest.settle()))
        return route
