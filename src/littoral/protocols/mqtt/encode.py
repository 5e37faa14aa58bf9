"""Packets to bytes. ``level`` is 4 (MQTT 3.1.1) or 5; raises ValueError for what no packet can hold."""

from __future__ import annotations

from functools import lru_cache

from littoral.protocols.mqtt.packets import (
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Filter,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from littoral.protocols.mqtt.properties import Properties, encode_properties
from littoral.protocols.mqtt.wire import encode_binary, encode_text, encode_variable

PINGRESP = b"\xd0\x00"


def encode(packet: Packet, level: int) -> bytes:
    """The whole packet."""
    if isinstance(packet, Publish):
        head, tail = publish_parts(packet, level)
        return head + (packet.packet_id.to_bytes(2, "big") if packet.qos else b"") + tail
    first, body = _body(packet, level)
    return _framed(first, body)


def publish_parts(packet: Publish, level: int) -> tuple[bytes, bytes]:
    """A PUBLISH in two pieces: the packet identifier goes between them where ``qos`` is not 0.

    So one encoding serves every subscriber: only these two bytes differ.
    """
    topic = encode_text(packet.topic)
    properties = b""
    if level == 5:
        properties = b"\0" if packet.properties is None else encode_properties(packet.properties.as_mapping())
    length = len(topic) + (2 if packet.qos else 0) + len(properties) + len(packet.payload)
    first = 0x30 | (8 if packet.dup else 0) | packet.qos << 1 | (1 if packet.retain else 0)
    return bytes((first,)) + encode_variable(length) + topic, properties + packet.payload


def publish_with(block: bytes, topic: str, payload: bytes, packet_id: int, *, retain: bool = False) -> bytes:
    """A PUBLISH of MQTT 5 and QoS 1 whose properties are encoded already (``properties_block``)."""
    rest = encode_variable(len(block))
    head = _head(b"3" if retain else b"2", topic, 2 + len(rest) + len(block) + len(payload))
    return b"".join((head, packet_id.to_bytes(2, "big"), rest, block, payload))


@lru_cache(maxsize=1024)
def _head(first: bytes, topic: str, rest: int) -> bytes:
    """Of a PUBLISH, up to the packet identifier: ``rest`` bytes follow. A sender has few topics and sizes."""
    name = encode_text(topic)
    return first + encode_variable(len(name) + rest) + name


def again(publish: bytes) -> bytes:
    """The same PUBLISH with DUP."""
    return bytes((publish[0] | 8,)) + publish[1:]


def _framed(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_variable(len(body)) + body


def _body(packet: Packet, level: int) -> tuple[int, bytes]:
    first, body = 0, b""
    match packet:
        case Connect():
            first, body = 0x10, _connect(packet)
        case Connack():
            flags = bytes((1 if packet.session_present else 0, packet.reason))
            first, body = 0x20, flags + _properties(packet.properties, level)
        case Ack():
            first, body = packet.kind << 4 | (2 if packet.kind == 6 else 0), _ack(packet, level)
        case Subscribe():
            first, body = 0x82, _identified(packet, level) + b"".join(map(_filter, packet.filters))
        case Suback():
            first, body = 0x90, _identified(packet, level) + bytes(packet.reasons)
        case Unsubscribe():
            first, body = 0xA2, _identified(packet, level) + b"".join(map(encode_text, packet.filters))
        case Unsuback():
            first, body = 0xB0, _identified(packet, level) + (bytes(packet.reasons) if level == 5 else b"")
        case Pingreq():
            first = 0xC0
        case Pingresp():
            first = 0xD0
        case Disconnect():
            first, body = 0xE0, _reasoned(packet, level)
        case Auth():
            first, body = 0xF0, _reasoned(packet, level)
    return first, body


def _properties(properties: Properties, level: int) -> bytes:
    return encode_properties(properties) if level == 5 else b""


def _identified(packet: Subscribe | Suback | Unsubscribe | Unsuback, level: int) -> bytes:
    return packet.packet_id.to_bytes(2, "big") + _properties(packet.properties, level)


def _filter(line: Filter) -> bytes:
    options = line.qos | line.no_local << 2 | line.retain_as_published << 3 | line.retain_handling << 4
    return encode_text(line.filter) + bytes((options,))


def _ack(packet: Ack, level: int) -> bytes:
    body = packet.packet_id.to_bytes(2, "big")
    if level == 5 and (packet.reason or packet.properties):
        body += bytes((packet.reason,))
        if packet.properties:
            body += encode_properties(packet.properties)
    return body


def _reasoned(packet: Disconnect | Auth, level: int) -> bytes:
    if level != 5 or not (packet.reason or packet.properties):
        return b""
    return bytes((packet.reason,)) + encode_properties(packet.properties)


def _connect(packet: Connect) -> bytes:
    flags = 2 if packet.clean else 0
    payload = encode_text(packet.client_id)
    if packet.will is not None:
        flags |= 4 | packet.will.qos << 3 | (0x20 if packet.will.retain else 0)
        payload += _will(packet.will, packet.level)
    if packet.username is not None:
        flags |= 0x80
        payload += encode_text(packet.username)
    if packet.password is not None:
        flags |= 0x40
        payload += encode_binary(packet.password)
    head = encode_text("MQTT") + bytes((packet.level, flags)) + packet.keep_alive.to_bytes(2, "big")
    return head + _properties(packet.properties, packet.level) + payload


def _will(will: Will, level: int) -> bytes:
    properties = b""
    if level == 5:
        values = will.properties.as_mapping() if will.properties is not None else {}
        properties = encode_properties({**values, **({"will_delay": will.delay} if will.delay else {})})
    return properties + encode_text(will.topic) + encode_binary(will.payload)
