"""Messages that were sent twice: recognised by the id that their sender gave them.

A core's spool sends a message until it is acknowledged, so that one whose PUBACK was lost comes again. It carries the
MQTT 5 user property ``littoral-message-id``.

Theory: an id is *recorded*, durably, as the last step before PUBACK. Recording it first would be wrong: a crash
between recording and delivering would lose the message. So the promise is: delivered to everyone at least once, and
exactly once unless this process died between delivery and PUBACK. (Topic rules are stored under the same id in their
own stream and are deduplicated even then.)

The ids of one read are recorded in one append: a spool that drains costs one, not one a message.

Memory holds the latest ids, read back at start. An id that memory has forgotten is delivered again to ordinary
subscribers; ``MEMORY`` is far beyond what all spools together can have in flight.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from littoral.store.contract import Outgoing, Retention, Streams
from littoral.things.broker import Broker
from littoral.things.broker.batch import Batch, check
from littoral.things.broker.naming import PROPERTY
from littoral.things.broker.router import Route
from littoral.things.broker.session import Session
from littoral.things.message import Publication

STREAM: Final = "things.recorded"
MEMORY: Final = 50_000
MAX_ID: Final = 256
STORED: Final = MEMORY * 64  # bytes; ids of a core are shorter


def message_id(publication: Publication) -> str | None:
    """The id that the sender gave, if it is one that can be kept."""
    if publication.properties is None:
        return None
    for name, value in publication.properties.user_properties:
        if name == PROPERTY:
            return value if 0 < len(value) <= MAX_ID else None
    return None


@dataclass(slots=True, eq=False)
class _Together:
    """The messages with an id of one read: delivered side by side, recorded in one append."""

    batch: Batch  # of the read
    rest: Batch  # what must be done before they are recorded
    done: asyncio.Future[None]
    named: list[tuple[str, int]] = field(default_factory=list)  # id, and how many waits there were before and with it
    stored: list[str] = field(default_factory=list)  # ids of those that wait for appends only

    def delivered(self, results: Sequence[Any]) -> list[str]:
        """The ids of those that nothing failed for."""
        shared = self.rest.appends
        if any(isinstance(each, BaseException) for each in results[:shared]):
            return []
        found, start = self.stored.copy(), shared
        for identity, waits in self.named:
            stop = shared + waits
            if not any(isinstance(each, BaseException) for each in results[start:stop]):
                found.append(identity)
            start = stop
        return found


class Duplicates:
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._latest: _Together | None = None

    async def open(self) -> None:
        """Read the latest ids back. Call once, before use."""
        await self._streams.create(STREAM, Retention(max_bytes=STORED, discard="old"))
        after = 0
        while page := await self._streams.read(STREAM, after=after):
            for message in page:
                self._note(json.loads(message.data))
            after = page[-1].sequence

    def seen(self, identity: str) -> bool:
        """Whether all of its way is already behind it."""
        return identity in self._seen

    def under_way(self, identity: str) -> asyncio.Future[None] | None:
        """Done, or failed, when the first copy is: it came on a connection that is about to be replaced."""
        return self._under_way.get(identity)

    def together(self, batch: Batch) -> _Together:
        """Where the messages of this batch, whose read is not over, are gathered."""
        if self._latest is None or self._latest.batch is not batch:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._latest = _Together(batch, Batch(), done)
            batch.wait(self._finish(self._latest))  # which runs when the read is over
        return self._latest

    def begin(self, together: _Together, identity: str) -> None:
        """Its way has begun: what it waits for is in ``rest``."""
        together.named.append((identity, together.rest.waits))
        self._under_way[identity] = together.done

    def fresh(self, identity: str) -> bool:
        return identity not in self._seen and identity not in self._under_way

    def record(self, batch: Batch, identities: Iterable[str]) -> Batch:
        together = self.together(batch)
        together.stored.extend(identities)
        self._under_way.update(dict.fromkeys(identities, together.done))
        return together.rest

    async def _finish(self, together: _Together) -> None:
        try:
            await self._record(together)
        except BaseException as problem:
            together.done.set_exception(problem)
            together.done.exception()  # who waits for a second copy hears it; there may be nobody
            raise
        finally:
            for identity in (*together.stored, *(identity for identity, _ in together.named)):
                del self._under_way[identity]
        together.done.set_result(None)

    async def _record(self, together: _Together) -> None:
        """Raises NotStored, where one was not delivered; the others are recorded."""
        results = [] if together.rest.empty else await together.rest.start()
        delivered = together.delivered(results)
        if delivered:
            await self._streams.publish(STREAM, [Outgoing(json.dumps(delivered).encode())])
            self._note(delivered)
        check(results)

    def _note(self, identities: Iterable[str]) -> None:
        self._seen.update(dict.fromkeys(identities))
        while len(self._seen) > MEMORY:
            self._seen.popitem(last=False)


class OnceBroker(Broker):
    """The broker, delivering a QoS 1 message with an id once."""

    duplicates: Duplicates | None = None

    @property
    def recording(self) -> Duplicates | None:
        return self.duplicates

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
        together = self.duplicates.together(batch)
        route = super().distribute(publication, sender, together.rest, once)
        self.duplicates.begin(together, identity)
        return route
