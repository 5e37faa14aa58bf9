"""What MQTT does not answer TCP acknowledges at once: a client with Nagle's algorithm may send its next message."""

from __future__ import annotations

import socket
import struct

import pytest

from littoral.protocols.mqtt.packets import Ack, Filter, Packet, Publish
from tests.things.broker.conftest import Place, Wire

UNACKNOWLEDGED = struct.Struct("=24xI")  # tcpi_unacked of the kernel's struct tcp_info


def under_way(wire: Wire) -> int:
    """Segments that the client sent and the broker's kernel has not acknowledged."""
    found = wire.writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNACKNOWLEDGED.size)
    return int(UNACKNOWLEDGED.unpack(found)[0])


async def converse(wire: Wire) -> None:
    """Until the kernel takes it for a dialogue, where acknowledgements ride on answers."""
    for _ in range(20):
        await wire.nothing_more()


@pytest.mark.parametrize("first", ["QoS 0", "PUBACK"])
async def test_what_is_not_answered_is_acknowledged_before_it_is_handled(place: Place, level: int, first: str) -> None:
    await place.start(durable=False)
    listener = await place.connect("listener", level)
    await listener.subscribe(Filter("told", 0))
    sender = await place.connect("sender", level)
    await sender.subscribe(Filter("asked", 1))
    await converse(sender)
    said: list[Packet] = [Publish("told", b"x")]
    if first == "PUBACK":
        await listener.publish("asked")
        said.insert(0, Ack(4, (await sender.expect(Publish)).packet_id))
    sender.send(*said)
    await listener.expect(Publish)
    assert under_way(sender) == 0
