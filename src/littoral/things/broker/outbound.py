"""One message on its way out: encoded once for each form that subscribers need, however many they are."""

from __future__ import annotations

import struct
from dataclasses import replace

from littoral.protocols.mqtt.decode import decode_publish
from littoral.protocols.mqtt.encode import publish_parts
from littoral.protocols.mqtt.packets import Publish
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.protocols.mqtt.wire import Reader
from littoral.things.message import Publication

Parts = tuple[bytes, bytes]  # before and after the packet identifier
_STORED = struct.Struct(">d")


class Outbound:
    """``parts`` gives a PUBLISH in two pieces; the same objects for everybody who needs the same bytes."""

    __slots__ = ("_parts", "payload", "properties", "received_at", "retain", "topic")

    def __init__(
        self, topic: str, payload: bytes, retain: bool, properties: PublishProperties | None, received_at: float
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.retain = retain  # as published
        self.properties = properties
        self.received_at = received_at
        self._parts: dict[int, Parts] = {}

    @classmethod
    def of(cls, publication: Publication) -> Outbound:
        properties = publication.properties
        if properties is not None and (properties.topic_alias is not None or properties.subscription_identifiers):
            properties = replace(properties, topic_alias=None, subscription_identifiers=[])
        return cls(publication.topic, publication.payload, publication.retain, properties, publication.received_at)

    def expired(self, now: float) -> bool:
        expiry = self.properties.message_expiry if self.properties is not None else None
        return expiry is not None and now >= self.received_at + expiry

    def parts(self, level: int, qos: int, retain: bool, identifiers: tuple[int, ...] = ()) -> Parts:
        """Fresh from the publisher: the message expiry is what it said."""
        if identifiers:
            return self._encode(level, qos, retain, identifiers, self.properties)
        key = level << 3 | qos << 1 | retain
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = self._encode(level, qos, retain, (), self.properties)
        return parts

    def waited(
        self,
        level: int,
        qos: int,
        retain: bool,
        identifiers: tuple[int, ...],
        now: float,
        *,
        dup: bool = False,
        alias: int = 0,
        named: bool = True,
    ) -> Parts:
        """After a wait: the message expiry is what is left of it (5.0 s. 3.3.2.3.3). With an alias, and unless
        ``named`` by it alone (s. 3.3.2.3.4)."""
        properties = self.properties
        if not dup and not alias and (properties is None or properties.message_expiry is None):
            return self.parts(level, qos, retain, identifiers)
        if properties is not None and properties.message_expiry is not None:
            left = max(1, int(properties.message_expiry - (now - self.received_at)))
            properties = replace(properties, message_expiry=left)
        if alias:
            properties = replace(properties or PublishProperties(), topic_alias=alias)
        return self._encode(level, qos, retain, identifiers, properties, dup, "" if not named else self.topic)

    def _encode(
        self,
        level: int,
        qos: int,
        retain: bool,
        identifiers: tuple[int, ...],
        properties: PublishProperties | None,
        dup: bool = False,
        topic: str | None = None,
    ) -> Parts:
        if identifiers and level == 5:
            properties = replace(properties or PublishProperties(), subscription_identifiers=list(identifiers))
        topic = self.topic if topic is None else topic
        return publish_parts(Publish(topic, self.payload, qos, retain, dup, 0, properties), level)

    # ------------------------------------------------------------------------------------- on disk

    def stored(self, retain: bool, identifiers: tuple[int, ...] = ()) -> bytes:
        """For a stream or a record: when it was received, then a PUBLISH of MQTT 5."""
        head, tail = self.parts(5, 0, retain, identifiers)
        return _STORED.pack(self.received_at) + head + tail

    @classmethod
    def load(cls, data: bytes) -> tuple[Outbound, bool, tuple[int, ...]]:
        """What ``stored`` was made of: the message, its retain flag and subscription identifiers."""
        (received_at,) = _STORED.unpack_from(data)
        first = data[_STORED.size]
        reader = Reader(data, _STORED.size + 1)
        reader.variable()
        found = decode_publish(first, reader, 5)
        identifiers: tuple[int, ...] = ()
        if found.properties is not None and found.properties.subscription_identifiers:
            identifiers = tuple(found.properties.subscription_identifiers)
            found.properties.subscription_identifiers = []
        return cls(found.topic, found.payload, found.retain, found.properties, received_at), found.retain, identifiers
