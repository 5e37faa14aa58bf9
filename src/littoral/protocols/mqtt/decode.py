"""Bytes to packets. Everything that MQTT calls malformed raises MalformedPacket with the reason code for it.

``Decoder`` is for whoever reads a stream of packets at leisure (a client). The broker scans its reads itself and comes
here for what is not an ordinary PUBLISH or PUBACK.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from littoral.protocols.mqtt import properties as table
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
from littoral.protocols.mqtt.properties import Properties, PublishProperties, read_properties
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import MAX_REMAINING, MalformedPacket, ProtocolViolation, Reader

_PUBACKS: Final = re.compile(rb"(?:@\x02(?!\0\0)..)*", re.DOTALL)


class Decoder:
    """Feed it what arrives; it returns the packets that are complete.

    ``level`` is what packets other than CONNECT are read as; a CONNECT sets it. After a MalformedPacket the
    connection is of no more use.
    """

    def __init__(self, level: int = 5, max_packet: int = MAX_REMAINING) -> None:
        self.level = level
        self.max_packet = max_packet
        self._rest = b""

    def acknowledged(self, data: bytes) -> tuple[tuple[int, ...], bytes]:
        """What arrives, to be fed: the identifiers of the PUBACKs of success that it begins with, and the rest. A
        thousand of these need not become packets."""
        data, self._rest = self._rest + data, b""
        found = _PUBACKS.match(data)
        end = found.end() if found is not None else 0
        return struct.unpack(">" + "2xH" * (end // 4), data[:end]), data[end:]

    def feed(self, data: bytes) -> list[Packet]:
        self._rest = data = self._rest + data
        packets: list[Packet] = []
        at = 0
        while (found := frame(data, at, self.max_packet)) is not None:
            body, end = found
            packet = decode(data[at], data, body, end, self.level)
            if isinstance(packet, Connect):
                self.level = packet.level
            packets.append(packet)
            at = end
        self._rest = data[at:]
        return packets


def frame(data: bytes, at: int, max_packet: int) -> tuple[int, int] | None:
    """Where the body of the packet at ``at`` begins and ends; None where not all of it is there yet."""
    length = shift = 0
    body = at + 1
    while True:
        if body >= len(data):
            return None
        byte = data[body]
        body += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 21:
            raise MalformedPacket("a remaining length of more than four bytes")
    if body + length - at > max_packet:
        raise MalformedPacket(f"a packet of more than {max_packet} bytes", Reason.PACKET_TOO_LARGE)
    return (body, body + length) if body + length <= len(data) else None


def decode(first: int, data: bytes, at: int, end: int, level: int) -> Packet:
    """The packet whose fixed header begins with ``first`` and whose body is ``data[at:end]``."""
    kind, flags = first >> 4, first & 15
    if kind == 3:
        return decode_publish(first, Reader(data, at, end), level)
    wanted = 2 if kind in (6, 8, 10) else 0
    reading = _READERS.get(kind)
    if reading is None:
        raise MalformedPacket("packet type 0")
    if flags != wanted:
        raise MalformedPacket(f"flags {flags} on a packet of type {kind}")
    reader = Reader(data, at, end)
    packet = reading(reader, level)
    reader.finish()
    return packet


def decode_publish(first: int, reader: Reader, level: int) -> Publish:
    qos = first >> 1 & 3
    if qos == 3:
        raise MalformedPacket("QoS 3")
    if first & 8 and not qos:
        raise MalformedPacket("DUP with QoS 0")
    topic = reader.text()
    packet_id = _packet_id(reader) if qos else 0
    properties = None
    if level == 5 and (found := read_properties(reader, table.PUBLISH)):
        properties = PublishProperties.of(found)
    return Publish(topic, reader.rest(), qos, bool(first & 1), bool(first & 8), packet_id, properties)


def _packet_id(reader: Reader) -> int:
    packet_id = reader.two()
    if not packet_id:
        raise ProtocolViolation("packet identifier 0")
    return packet_id


def _properties(reader: Reader, packet: int, level: int) -> Properties:
    return read_properties(reader, packet) if level == 5 else {}


def _connect(reader: Reader, _: int) -> Connect:
    name, level = reader.text(), reader.byte()
    if name != "MQTT":
        if name == "MQIsdp":
            raise ProtocolViolation("MQTT 3.1", Reason.UNSUPPORTED_PROTOCOL_VERSION)
        raise MalformedPacket(f"the protocol is called {name[:16]!r}")
    if level not in (4, 5):
        raise ProtocolViolation(f"protocol level {level}", Reason.UNSUPPORTED_PROTOCOL_VERSION)
    flags = reader.byte()
    if flags & 1:
        raise MalformedPacket("the reserved flag of CONNECT is set")
    keep_alive = reader.two()
    properties = _properties(reader, table.CONNECT, level)
    client_id = reader.text()
    will = _will(reader, flags, level)
    username = reader.text() if flags & 0x80 else None
    if level == 4 and flags & 0x40 and not flags & 0x80:
        raise MalformedPacket("a password without a user name")  # allowed in level 5
    password = reader.binary() if flags & 0x40 else None
    return Connect(client_id, level, bool(flags & 2), keep_alive, will, username, password, properties)


def _will(reader: Reader, flags: int, level: int) -> Will | None:
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    if not flags & 4:
        if qos or retain:
            raise MalformedPacket("flags of a will without a will")
        return None
    if qos == 3:
        raise MalformedPacket("a will of QoS 3")
    found = _properties(reader, table.WILL, level)
    delay = found.pop("will_delay", 0)
    topic, payload = reader.text(), reader.binary()
    return Will(topic, payload, qos, retain, delay, PublishProperties.of(found) if found else None)


def _connack(reader: Reader, level: int) -> Connack:
    flags, reason = reader.byte(), reader.byte()
    if flags > 1:
        raise MalformedPacket("reserved flags of CONNACK are set")
    return Connack(reason, bool(flags), _properties(reader, table.CONNACK, level))


def _ack(kind: int, reader: Reader, level: int) -> Ack:
    packet_id = _packet_id(reader)
    if level == 4 or not reader.left():
        return Ack(kind, packet_id)
    reason = reader.byte()
    return Ack(kind, packet_id, reason, read_properties(reader, kind) if reader.left() else {})


def _subscribe(reader: Reader, level: int) -> Subscribe:
    packet_id = _packet_id(reader)
    properties = _properties(reader, table.SUBSCRIBE, level)
    if len(properties.get("subscription_identifiers", ())) > 1:
        raise ProtocolViolation("two subscription identifiers")
    filters = []
    while reader.left():
        filters.append(_filter(reader.text(), reader.byte(), level))
    if not filters:
        raise ProtocolViolation("SUBSCRIBE without a filter")
    return Subscribe(packet_id, filters, properties)


def _filter(text: str, options: int, level: int) -> Filter:
    qos, handling = options & 3, options >> 4 & 3
    if qos == 3 or options & (0xC0 if level == 5 else 0xFC):
        raise MalformedPacket("reserved bits of the subscription options are set")
    if handling == 3:
        raise ProtocolViolation("retain handling 3")
    return Filter(text, qos, bool(options & 4), bool(options & 8), handling)


def _suback(reader: Reader, level: int) -> Suback:
    return Suback(_packet_id(reader), properties=_properties(reader, table.SUBACK, level), reasons=list(reader.rest()))


def _unsubscribe(reader: Reader, level: int) -> Unsubscribe:
    packet_id = _packet_id(reader)
    properties = _properties(reader, table.UNSUBSCRIBE, level)
    filters = []
    while reader.left():
        filters.append(reader.text())
    if not filters:
        raise ProtocolViolation("UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, filters, properties)


def _unsuback(reader: Reader, level: int) -> Unsuback:
    packet_id = _packet_id(reader)
    properties = _properties(reader, table.UNSUBACK, level)
    return Unsuback(packet_id, properties=properties, reasons=list(reader.rest()) if level == 5 else [])


def _disconnect(reader: Reader, level: int) -> Disconnect:
    if level == 4 or not reader.left():
        return Disconnect()
    reason = reader.byte()
    return Disconnect(reason, read_properties(reader, table.DISCONNECT) if reader.left() else {})


def _auth(reader: Reader, level: int) -> Auth:
    if level == 4:
        raise MalformedPacket("AUTH is not of MQTT 3.1.1")
    if not reader.left():
        return Auth()
    reason = reader.byte()
    return Auth(reason, read_properties(reader, table.AUTH) if reader.left() else {})


def _ack_of(kind: int) -> Callable[[Reader, int], Packet]:
    return lambda reader, level: _ack(kind, reader, level)


_READERS: Final[dict[int, Callable[[Reader, int], Packet]]] = {
    1: _connect,
    2: _connack,
    4: _ack_of(4),
    5: _ack_of(5),
    6: _ack_of(6),
    7: _ack_of(7),
    8: _subscribe,
    9: _suback,
    10: _unsubscribe,
    11: _unsuback,
    12: lambda reader, level: Pingreq(),
    13: lambda reader, level: Pingresp(),
    14: _disconnect,
    15: _auth,
}
