"""What is on its way up: a durable stream with one consumer.

``put`` returns when the message is durable, so a device may be acknowledged. The message id is
``<core>/<epoch>/<sequence>``: the epoch is drawn when the spool is made, so a core that lost its disk and counts from
one again is not taken for the old one; the place above stores by this id, so what is sent twice is kept once.

When the spool is at its limit it refuses (``discard="new"``): then the device gets no acknowledgement and knows,
where Greengrass silently drops the oldest. An operator who prefers new data to old says ``discard="old"``; what is
dropped then is counted.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from littoral.core.denials import Target
from littoral.core.rejected import Rejected, SetAside
from littoral.protocols.mqtt.properties import PublishProperties, properties_block
from littoral.store.contract import Conflict, Consumer, Message, Outgoing, Records, Retention, Streams

STREAM = "core/spool"
EPOCH = "core/spool-epoch"
MESSAGE_ID = "littoral-message-id"
PAGE = 500  # messages put back at once
FOREVER = 10 * 365 * 24 * 3600.0  # seconds; who sends again decides the link, not a timer


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    max_bytes: int = 4 * 1024**3  # of payloads
    max_messages: int | None = None
    discard: Literal["new", "old"] = "new"

    def retention(self) -> Retention:
        """Nothing is spooled by an id of ours, so there is no window to keep."""
        return Retention(self.max_messages, self.max_bytes, discard=self.discard, dedupe_window=0.0)


@dataclass(frozen=True, slots=True)
class Extras:
    """What an MQTT 5 publisher says beside topic and payload."""

    retain: bool = False
    properties: PublishProperties | None = None

    def headers(self) -> dict[str, str]:
        """Kept beside the topic."""
        found = {"retain": "1"} if self.retain else {}
        if self.properties is not None:
            values = self.properties.as_mapping()
            expiry = values.pop("message_expiry", None)
            if expiry is not None:
                found["expiry"] = str(expiry)
            found["properties"] = base64.b64encode(properties_block(values)).decode()
        return found


PLAIN = Extras()


@cache
def _name(size: int) -> bytes:
    """The user property (5.0 s. 2.2.2.2) of a message id of so many bytes, up to these."""
    return properties_block({"user_properties": [(MESSAGE_ID, "x" * size)]})[:-size]


class Spooled(NamedTuple):
    sequence: int
    message_id: str
    payload: bytes
    headers: Mapping[str, str]
    spooled_at: float  # Unix seconds

    @property
    def topic(self) -> str:
        return self.headers["topic"]

    @property
    def retain(self) -> bool:
        return "retain" in self.headers

    @property
    def target(self) -> Target:
        return self.topic, self.retain

    @property
    def since(self) -> float:
        """When it was spooled first: it may have been set aside meanwhile. Unix seconds."""
        return float(self.headers.get("since", self.spooled_at))

    def block(self, now: float) -> bytes | None:
        """Its properties as on the wire, the message id among them; None once its message expiry is over. What it has
        waited here counts (5.0 s. 3.3.2.3.3)."""
        identity = self.message_id.encode()
        named = _name(len(identity)) + identity
        if len(self.headers) == 1:
            return named
        expiry = self.headers.get("expiry")
        if expiry is not None:
            left = int(expiry) - max(0, int(now - self.since))
            if left <= 0:
                return None
            named += properties_block({"message_expiry": left})
        return base64.b64decode(self.headers.get("properties", "")) + named


class Spool:
    """Open with ``Spool.open``. One link drains it."""

    def __init__(
        self, streams: Streams, consumer: Consumer, set_aside: Rejected, identity: str, limits: SpoolLimits, known: int
    ) -> None:
        self._streams = streams
        self._consumer = consumer
        self.set_aside = set_aside
        self.identity = identity
        self.limits = limits
        self.keep_qos0 = True  # while there is no link; else it is dropped then, and counted
        self.online = False
        self._known = known  # up to this sequence all was handed out, or is counted as dropped, or was before the start
        self.dropped = (
            0  # never sent: discard="old" (as of the last ``look``), or of QoS 0 without a link; since the start
        )
        self.rejected = 0  # set aside, since the start

    @classmethod
    async def open(cls, streams: Streams, records: Records, core: str, limits: SpoolLimits | None = None) -> Spool:
        wanted = limits or SpoolLimits()
        await streams.create(STREAM, wanted.retention())
        consumer = await streams.consumer(STREAM, "link", ack_wait=FOREVER)
        set_aside = await Rejected.open(streams)
        known = (await streams.extent(STREAM)).first - 1
        return cls(streams, consumer, set_aside, f"{core}/{await _epoch(records)}", wanted, known)

    async def limit(self, limits: SpoolLimits, *, keep_qos0: bool) -> None:
        """From now on. Raises StoreError."""
        if limits != self.limits:
            await self._streams.create(STREAM, limits.retention())
            self.limits = limits
        self.keep_qos0 = keep_qos0

    async def put(self, topic: str, payload: bytes, qos: int = 1, extras: Extras = PLAIN) -> None:
        """Durable once it returns, but for a QoS 0 that is not to be kept. Raises StreamFull, StorageFailed."""
        if not (qos or self.online or self.keep_qos0):
            self.dropped += 1
            return
        await self._streams.publish(STREAM, [Outgoing(payload, headers={"topic": topic, **extras.headers()})])

    async def fetch(self, limit: int, *, wait: float) -> list[Spooled]:
        """The next in order, each once in this process; after a restart, all that were not acknowledged."""
        found = await self._consumer.fetch(limit, wait=wait)
        if found:
            self._left(found[0].sequence)
            self._known = found[-1].sequence
        identity = self.identity
        return [
            Spooled(sequence, headers.get("id") or f"{identity}/{sequence}", data, headers, at)
            for sequence, data, headers, at, _ in found
        ]

    async def ack(self, sequences: Sequence[int]) -> None:
        """The place above has them."""
        await self._consumer.ack(sequences)

    async def reject(self, spooled: Spooled, reason: str) -> None:
        """Set aside what is not taken, so that it holds up nothing. A crash in the middle sets it aside twice, which
        its id tells. Raises StoreError."""
        since = {} if "expiry" not in spooled.headers else {"since": str(spooled.since)}
        headers = {**spooled.headers, **since, "id": spooled.message_id, "reason": reason}
        await self.set_aside.add(spooled.payload, headers)
        await self._consumer.ack([spooled.sequence])
        self.rejected += 1

    async def retry(self, which: Callable[[SetAside], bool]) -> int:
        """Put these back, behind what waits, under the ids that they had; how many. Raises StoreError: then the rest
        stays set aside."""
        chosen = self.set_aside.chosen(which)
        for start in range(0, len(chosen), PAGE):
            page = chosen[start : start + PAGE]
            found = [message for each in page if (message := await self.set_aside.message(each)) is not None]
            if found:
                await self._streams.publish(STREAM, [Outgoing(each.data, headers=_again(each)) for each in found])
            await self.set_aside.done(page)
        return len(chosen)

    async def drop(self, which: Callable[[SetAside], bool]) -> int:
        """Of what is set aside; how many. Raises StoreError."""
        chosen = self.set_aside.chosen(which)
        await self.set_aside.done(chosen)
        return len(chosen)

    async def pending(self) -> int:
        """How many the place above has not yet acknowledged."""
        return await self._consumer.pending()

    async def look(self) -> None:
        """Count what was dropped, with no link, too."""
        self._left((await self._streams.extent(STREAM)).first)

    def _left(self, first: int) -> None:
        """It is the first that is left of what was not handed out: those before it had to go, the oldest first."""
        self.dropped += max(0, first - 1 - self._known)
        self._known = max(self._known, first - 1)


def _again(message: Message) -> dict[str, str]:
    return {name: value for name, value in message.headers.items() if name != "reason"}


async def _epoch(records: Records) -> str:
    found = await records.get(EPOCH)
    if found is None:
        with contextlib.suppress(Conflict):  # another opened it at the same moment; its epoch holds
            await records.put(EPOCH, secrets.token_hex(4).encode(), expect=0)
        found = await records.get(EPOCH)
    assert found is not None
    return found.value.decode()
