"""MQTT through our broker and through mosquitto, by the same load generator, in the same run.

``.venv/bin/python bench/bench_mqtt.py [--seconds 1.5]`` prints messages per second into each broker, and the ratio,
for QoS 0 and 1: one publisher to one and to ten subscribers, to a wildcard over 90 topics in turn (a ward of
monitors), and one to one beside 1,000 idle connections. Payload 64 bytes. The broker has one core, the generator the
other. The publisher never runs more than a window of messages ahead of the slowest subscriber, so nothing is dropped
and what is counted is what arrived everywhere. The last row has no peer: the subscriber's session is durable and every
message is on disk (fsync) before PUBACK; mosquitto writes its sessions now and then.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

from littoral.net.listen import listen_stream
from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connack, Connect, Filter, Publish, Suback, Subscribe
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker

PAYLOAD = 64
TOPICS = [f"ward/7/bed/{bed}/ppg" for bed in range(10, 100)]
BATCH = {0: 400, 1: 50}  # messages in one write
WINDOW = {0: 8000, 1: 400}  # messages ahead of the slowest subscriber
CORES = sorted(os.sched_getaffinity(0))
DURABLE = (1, 1, 0, 1, True)
ROWS = [  # QoS, subscribers, idle connections, topics, durable
    *((qos, fan, 0, 1, False) for qos in (0, 1) for fan in (1, 10)),
    *((qos, 1, idle, topics, False) for idle, topics in ((0, 90), (1000, 1)) for qos in (0, 1)),
]


# ------------------------------------------------------------------------------------ the load generator


class Client(asyncio.Protocol):
    """Connects, subscribes if asked to, then hands every read to ``received``."""

    def __init__(self, name: str, qos: int | None = None, filter: str = "", *, durable: bool = False) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.name, self.qos, self.filter, self.durable = name, qos, filter, durable
        self._decoder: Decoder | None = Decoder(4)
        self.rest = b""
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(encode(Connect(self.name, 4, not self.durable), 4))

    def data_received(self, data: bytes) -> None:
        if self._decoder is None:
            self.received(data)
            return
        for packet in self._decoder.feed(data):
            if isinstance(packet, Connack) and self.qos is not None:
                self.transport.write(encode(Subscribe(1, [Filter(self.filter, self.qos)]), 4))
            if isinstance(packet, Suback) or (isinstance(packet, Connack) and self.qos is None):
                self._decoder = None
                self.ready.set_result(None)

    def received(self, data: bytes) -> None:
        raise NotImplementedError


class Subscriber(Client):
    """Counts whole packets, all of one known size; acknowledges those of QoS 1 in one write a read."""

    size = 0
    progress: asyncio.Event

    def received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        whole = len(data) // self.size
        self.rest = data[whole * self.size :]
        self.count += whole
        if self.qos:
            place = 2 + 2 + len(TOPICS[0])
            last = whole * self.size
            self.transport.write(
                b"".join([b"@\x02" + data[at + place : at + place + 2] for at in range(0, last, self.size)])
            )
        self.progress.set()


class Publisher(Client):
    def received(self, data: bytes) -> None:
        self.count += len(data) // 4  # PUBACKs


class Idle(Client):
    def received(self, data: bytes) -> None:
        return


def publish_packets(qos: int, payload: bytes, topics: list[str]) -> list[bytes]:
    """Ready-made writes, each of BATCH packets, the topics taking turns."""
    writes, number = [], 0
    for _ in range(20):
        packets = []
        for _ in range(BATCH[qos]):
            number = number % 60000 + 1
            name = topics[number % len(topics)]
            packets.append(encode(Publish(name, payload, qos, packet_id=number if qos else 0), 4))
        writes.append(b"".join(packets))
    return writes


async def measure(port: int, qos: int, fan: int, idle: int, topics: int, durable: bool, seconds: float) -> float:
    """Messages per second that went in and came out at every subscriber."""
    loop = asyncio.get_running_loop()
    progress = asyncio.Event()
    Subscriber.progress = progress
    writes = publish_packets(qos, b"x" * PAYLOAD, TOPICS[:topics])
    Subscriber.size = len(writes[0]) // BATCH[qos]
    clients: list[Client] = []

    async def connect(client: Client) -> None:
        await loop.create_connection(lambda: client, "127.0.0.1", port)
        clients.append(client)
        await client.ready

    for first in range(0, idle, 100):
        await asyncio.gather(*(connect(Idle(f"idle-{first + each}")) for each in range(min(100, idle))))
    filter = TOPICS[0] if topics == 1 else "ward/7/bed/+/ppg"
    subscribers = [Subscriber(f"sub-{each}", qos, filter, durable=durable) for each in range(fan)]
    for subscriber in subscribers:
        await connect(subscriber)
    publisher = Publisher("pub")
    await connect(publisher)

    async def run(until: float) -> int:
        sent, turn = subscribers[0].count, 0
        begin = min(each.count for each in subscribers)
        while loop.time() < until:
            while sent - min(each.count for each in subscribers) < WINDOW[qos]:
                publisher.transport.write(writes[turn % 20])
                sent += BATCH[qos]
                turn += 1
            progress.clear()
            async with asyncio.timeout(5):
                await progress.wait()
        counted = min(each.count for each in subscribers) - begin
        while min(each.count for each in subscribers) < sent:  # leave nothing for the next run
            progress.clear()
            async with asyncio.timeout(5):
                await progress.wait()
        return counted

    try:
        await run(loop.time() + 0.3)
        begin = time.perf_counter()
        counted = await run(loop.time() + seconds)
        return counted / (time.perf_counter() - begin)
    finally:
        for client in clients:
            client.transport.abort()


# ------------------------------------------------------------------------------------------ the brokers


async def serve(folder: Path) -> None:
    """Our broker, in a process of its own."""
    store = await EmbeddedStore.open(folder)
    broker = Broker(access=OpenAccess(), streams=store.streams, records=store.records("bench"))
    await broker.start()
    listener = await listen_stream(broker.protocol_factory("bench"))
    print(listener.port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await listener.close()
    await broker.close()
    await store.close()


@contextmanager
def ours() -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        command = [*pinned(0), sys.executable, str(Path(__file__).resolve()), "--serve", folder]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            yield int(child.stdout.readline())
        finally:
            child.terminate()
            child.wait(10)


@contextmanager
def mosquitto(program: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        # Its queue must not drop, and it must not be held back by a smaller window than ours.
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "log_type none"]
        lines += ["max_inflight_messages 100", "max_queued_messages 0", "set_tcp_nodelay true"]
        config.write_text("\n".join(lines) + "\n")
        child = subprocess.Popen([*pinned(0), program, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port
        finally:
            child.terminate()
            child.wait(10)


def pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(CORES[core % len(CORES)])] if shutil.which("taskset") else []


def rates(port: int, rows: list[tuple[int, int, int, int, bool]], seconds: float) -> list[float]:
    async def every() -> list[float]:
        return [await measure(port, *row, seconds) for row in rows]

    return uvloop.run(every())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--seconds", type=float, default=1.5)
    chosen = arguments.parse_args()
    if chosen.serve:
        uvloop.run(serve(chosen.serve))
        return
    with ours() as port:
        os.sched_setaffinity(0, {CORES[-1]})
        own = rates(port, [*ROWS, DURABLE], chosen.seconds)
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    theirs: list[float] = []
    if program is None:
        print("mosquitto is not here: no comparison")
    else:
        with mosquitto(program) as port:
            theirs = rates(port, ROWS, chosen.seconds)
    print(f"{'':40}{'littoral':>12}{'mosquitto':>12}{'ratio':>8}")
    for index, (qos, fan, idle, topics, _) in enumerate(ROWS):
        name = (
            f"QoS {qos}, 1 to {fan}" + (f", {idle} idle" if idle else "") + (f", {topics} topics" if topics > 1 else "")
        )
        peer = f"{theirs[index]:>12,.0f}{own[index] / theirs[index]:>8.1f}" if theirs else ""
        print(f"{name + ' (messages in/s)':40}{own[index]:>12,.0f}{peer}")
    print(f"{'QoS 1, 1 to 1, durable session':40}{own[-1]:>12,.0f}")


if __name__ == "__main__":
    main()
