"""A real broker on a loopback port with a clock that tests move, and clients that speak packets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from littoral.net.listen import listen_stream
from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import (
    Ack,
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
)
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import Access, OpenAccess
from littoral.things.broker import Broker, BrokerLimits
from littoral.things.duplicates import Duplicates, OnceBroker

PATIENCE = 10.0


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The broker runs on uvloop; so do its tests."""
    return {"uvloop": uvloop.new_event_loop}


class Wire:
    """One client. ``expect`` waits for the next packet and checks its type."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, level: int) -> None:
        self.reader, self.writer, self.level = reader, writer, level
        self._decoder = Decoder(level)
        self._packets: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join(encode(packet, self.level) for packet in packets))

    async def next(self) -> Packet | None:
        """None at the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            while not self._packets:
                try:
                    data = await self.reader.read(65536)
                except ConnectionResetError:
                    return None
                if not data:
                    return None
                self._packets = self._decoder.feed(data)
        return self._packets.pop(0)

    async def expect(self, kind: type[Any]) -> Any:
        packet = await self.next()
        assert isinstance(packet, kind), packet
        return packet

    async def subscribe(self, *filters: Filter, **properties: Any) -> list[int]:
        self.send(Subscribe(7, list(filters), properties))
        return list((await self.expect(Suback)).reasons)

    async def nothing_more(self) -> None:
        """Everything that was on its way is here: a PINGRESP overtakes nothing."""
        self.send(Pingreq())
        await self.expect(Pingresp)

    async def publish(self, topic: str, payload: bytes = b"x", **more: Any) -> Ack:
        """QoS 1, acknowledged."""
        self.send(Publish(topic, payload, 1, packet_id=9, **more))
        ack = await self.expect(Ack)
        assert (ack.kind, ack.packet_id) == (4, 9)
        return ack

    async def closed(self) -> None:
        assert await self.next() is None

    def drop(self) -> None:
        """Without DISCONNECT."""
        self.writer.transport.abort()

    async def leave(self) -> None:
        self.send(Disconnect())
        await self.closed()


class Place:
    """A broker, its port, its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_000_000.0
        self.wires: list[Wire] = []
        self.access: Access = OpenAccess()
        self.limits = BrokerLimits()
        self.profile: Any = "mqtt"
        self.kind: type[Broker] = Broker
        self.gone: asyncio.Queue[str] = asyncio.Queue()

    async def start(self, *, durable: bool = True) -> None:
        self.store = await EmbeddedStore.open(self.folder, clock=lambda: self.now) if durable else None
        self.broker = self.kind(
            access=self.access,
            streams=self.store.streams if self.store is not None else None,
            records=self.store.records("broker") if self.store is not None else None,
            clock=lambda: self.now,
            limits=self.limits,
            profile=self.profile,
        )
        self.broker.on_disconnected = lambda client, reason: self.gone.put_nowait(client.client_id)
        if isinstance(self.broker, OnceBroker) and self.store is not None:
            self.broker.duplicates = Duplicates(self.store.streams)
            await self.broker.duplicates.open()
        await self.broker.start()
        self.listener = await listen_stream(self.broker.protocol_factory("tcp"))

    async def stop(self) -> None:
        await self.listener.close()
        await self.broker.close(grace=2.0)
        if self.store is not None:
            await self.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def raw(self, level: int) -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port)
        wire = Wire(reader, writer, level)
        self.wires.append(wire)
        return wire

    async def connect(self, client_id: str, level: int, **more: Any) -> Wire:
        wire, connack = await self.try_connect(client_id, level, **more)
        assert connack.reason == 0
        return wire

    async def try_connect(self, client_id: str, level: int, **more: Any) -> tuple[Wire, Connack]:
        wire = await self.raw(level)
        wire.send(Connect(client_id, level, **more))
        return wire, await wire.expect(Connack)

    async def until_gone(self, client_id: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.gone.get() != client_id:
                pass


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "data")
    yield made
    for wire in made.wires:
        wire.writer.close()
    if hasattr(made, "broker"):
        await made.stop()


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def level(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def durable(level: int) -> dict[str, Any]:
    """What makes a session outlive its connection, for CONNECT."""
    return {"clean": False, **({"properties": {"session_expiry": 3600}} if level == 5 else {})}
