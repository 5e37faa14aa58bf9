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

from collections import OrderedDict
from typing import Final

from littoral.store.contract import Outgoing, Retention, Streams
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
        self._in_progress: set[str] = set()

    async def open(self) -> None:
        await self._streams.create(STREAM, Retention(max_messages=MEMORY, discard="old"))
        after = 0
        while page := await self._streams.read(STREAM, after=after):
            for message in page:
                self._seen[message.headers["id"]] = None
            after = page[-1].sequence

    def seen(self, identity: str) -> bool:
        """Whether all of its way is already behind it."""
        return identity in self._seen

    def in_progress(self, identity: str) -> bool:
        """Whether the same message is on its way right now (from a connection that is about to be replaced)."""
        return identity in self._in_progress

    def begin(self, identity: str) -> None:
        self._in_progress.add(identity)

    async def record(self, identity: str) -> None:
        """Durable on return. Call when everything else about the message is."""
        await self._streams.publish(STREAM, [Outgoing(b"", identity, {"id": identity})])
        self._seen[identity] = None
        while len(self._seen) > MEMORY:
            self._seen.popitem(last=False)

    def end(self, identity: str) -> None:
        self._in_progress.discard(identity)
