"""Runs: QoS 1 packets of one read for the same durable sessions, stored for them as they came.

A run is one message of a backlog's stream, up to ``LONGEST`` packets. Nothing is decoded on the way in, and on the way
out a packet is two slices around its identifier. What is acknowledged of a run is memory until all of it is: after a
crash the whole run comes again, which at least once allows. Only what is plain is stored so (``router``): no
property but an id (``naming``), no retain flag, receivers that ask for nothing special.
"""

from __future__ import annotations

import struct
from typing import Final

from littoral.protocols.mqtt.decode import decode_publish
from littoral.protocols.mqtt.wire import Reader
from littoral.store.contract import Message, Outgoing
from littoral.things.broker.outbound import Outbound

LONGEST: Final = 100  # packets
_HEADER: Final = "run"  # its value is the protocol level of the packets
_RECEIVED: Final = struct.Struct(">d")


class Kept:
    """One packet of a run. ``head`` and ``tail`` are what stands before and after the packet identifier."""

    __slots__ = ("head", "level", "received_at", "sequence", "tail")

    qos: Final = 1

    def __init__(self, head: bytes, tail: bytes, level: int, sequence: int, received_at: float) -> None:
        self.head = head
        self.tail = tail
        self.level = level
        self.sequence = sequence  # of the run in its stream
        self.received_at = received_at

    def outbound(self) -> Outbound:
        """For a client that is to get it in another form."""
        packet = self.head + b"\0\1" + self.tail
        found = decode_publish(packet[0], Reader(packet, _body(packet, 0)[0]), self.level)
        return Outbound(found.topic, found.payload, False, None, self.received_at)


def outgoing_run(level: int, piece: bytes, now: float) -> Outgoing:
    """``piece``: whole packets, one after the other."""
    return Outgoing(_RECEIVED.pack(now) + piece, None, {_HEADER: str(level)})


def is_run(message: Message | Outgoing) -> bool:
    return _HEADER in message.headers


def unpacked(message: Message) -> list[Kept]:
    data, sequence, level = message.data, message.sequence, int(message.headers[_HEADER])
    (received_at,) = _RECEIVED.unpack_from(data)
    at, end = _RECEIVED.size, len(data)
    head, size = b"", 0
    found = []
    while at < end:
        if not (head and data.startswith(head, at)):  # else as long as the one before, and of the same topic
            body, length = _body(data, at)
            after = body + 2 + int.from_bytes(data[body : body + 2], "big")
            head, size = data[at:after], body + length - at
        stop = at + size
        found.append(Kept(head, data[at + len(head) + 2 : stop], level, sequence, received_at))
        at = stop
    return found


def _body(data: bytes, at: int) -> tuple[int, int]:
    """Where the body of the packet at ``at`` begins, and its length: read as it was when the packet came."""
    length = shift = 0
    for body in range(at + 1, at + 5):
        byte = data[body]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return body + 1, length
        shift += 7
    raise ValueError("no whole packet")
