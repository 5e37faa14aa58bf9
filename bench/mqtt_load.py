"""What the MQTT benchmarks share: the brokers, each one process on one core, and the clients that load them from the
other.

A *row* is measured at every broker in turn, in rounds, so that a machine that changes its speed changes it for all. Of
each broker it counts messages, wall time and the CPU time (user and system, all threads) of its process, and of the
load its own CPU time: where that is near the whole of its core, the load is the limit and not the broker, and the
table says so.

The publisher is pipelined: it writes many messages at once, and never has more than a window of them ahead of the
slowest subscriber, so nothing is dropped and what is counted is what arrived everywhere.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connack, Connect, Filter, Publish, Suback, Subscribe

PAYLOAD = 64
TOPICS = [f"ward/7/bed/{bed}/ppg" for bed in range(10, 100)]
WILDCARD = "ward/7/bed/+/ppg"
BATCH = {0: 400, 1: 50}  # messages in one write
WINDOW = {0: 8000, 1: 400}  # messages ahead of the slowest subscriber
CORES = sorted(os.sched_getaffinity(0))
TICK = os.sysconf("SC_CLK_TCK")
BUSY = 0.9  # of its core, from which on the load is the limit


# ------------------------------------------------------------------------------------------ the brokers


@dataclass(frozen=True)
class Broker:
    name: str
    port: int
    pid: int
    tls: ssl.SSLContext | None = None  # with which the load connects

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        """KiB that are the process's own (PSS)."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("Pss:")))


@contextmanager
def running(name: str, command: Sequence[str], port: int | None = None) -> Iterator[Broker]:
    """``port`` None: the program prints it."""
    pinned = ["taskset", "-c", str(CORES[0])] if shutil.which("taskset") else []
    printed = subprocess.PIPE if port is None else subprocess.DEVNULL
    child = subprocess.Popen([*pinned, *command], stdout=printed, stderr=subprocess.DEVNULL if port else None)
    try:
        if port is None:
            assert child.stdout is not None
            port = int(child.stdout.readline())
        _await_port(name, port, child)
        yield Broker(name, port, child.pid)
    finally:
        child.terminate()
        child.wait(30)
        if child.stdout is not None:
            child.stdout.close()


def _await_port(name: str, port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{name} does not listen")


SERVER = """
import asyncio, signal, sys, uvloop
from pathlib import Path
from littoral.net.listen import listen_stream
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker
async def main():
    store = await EmbeddedStore.open(Path(sys.argv[1]))
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
uvloop.run(main())
"""


@contextmanager
def littoral(server: str = SERVER) -> Iterator[Broker]:
    """Our broker with its store, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, running("littoral", [sys.executable, "-c", server, folder]) as broker:
        yield broker


@contextmanager
def mosquitto(*lines: str, name: str = "mosquitto") -> Iterator[Broker]:
    """Its queue must not drop, and it must not be held back by a smaller window than ours. Without ``lines``, nothing
    is stored."""
    port, program = free_port(), found("mosquitto")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        plain = [f"listener {port} 127.0.0.1", "allow_anonymous true", "log_type none", "user root"]
        plain += ["max_inflight_messages 100", "max_queued_messages 0", "set_tcp_nodelay true"]
        storing = [*lines, f"persistence_location {folder}/"] if lines else ["persistence false"]
        config.write_text("\n".join([*plain, *storing]) + "\n")
        with running(name, [program, "-c", str(config)], port) as broker:
            yield broker


@contextmanager
def nats(name: str = "nats") -> Iterator[Broker]:
    """nats-server's MQTT needs JetStream, and JetStream a name for the server."""
    port, program = free_port(), found("nats-server")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nats.conf"
        config.write_text(
            f'server_name: bench\nhost: "127.0.0.1"\nport: {free_port()}\n'
            f'jetstream {{ store_dir: "{folder}" }}\nmqtt {{ host: "127.0.0.1", port: {port} }}\n'
        )
        with running(name, [program, "-c", str(config)], port) as broker:
            yield broker


def found(program: str) -> str:
    """Raises FileNotFoundError where it is not installed."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        raise FileNotFoundError(program)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ------------------------------------------------------------------------------------ the load's clients


class Client(asyncio.Protocol):
    """Connects, subscribes if asked to, then hands every read to ``received``."""

    def __init__(self, name: str, qos: int | None = None, *filters: str, durable: bool = False) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.name, self.qos, self.filters, self.durable = name, qos, filters, durable
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
                self.transport.write(encode(Subscribe(1, [Filter(each, self.qos) for each in self.filters]), 4))
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


async def connect(client: Client, broker: Broker) -> None:
    await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", broker.port, ssl=broker.tls)
    async with asyncio.timeout(20):
        await client.ready


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


# ------------------------------------------------------------------------------------------------ a row


@dataclass(frozen=True)
class Row:
    name: str
    qos: int
    fan: int = 1
    idle: int = 0
    topics: int = 1
    durable: bool = False
    goals: tuple[tuple[str, float], ...] = ()  # (peer, our rate over its rate)
    brokers: tuple[str, ...] = ()  # none: all


@dataclass
class Counted:
    """What was done at one broker, over the rounds."""

    messages: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    load: float = 0.0

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def each(self) -> float:
        """Microseconds of the broker's CPU a message."""
        return self.cpu / self.messages * 1e6 if self.messages else 0.0

    @property
    def load_share(self) -> float:
        return self.load / self.seconds


async def pump(broker: Broker, row: Row, seconds: float, counted: Counted) -> None:
    """Messages that went in and came out at every subscriber."""
    loop = asyncio.get_running_loop()
    progress = asyncio.Event()
    Subscriber.progress = progress
    writes = publish_packets(row.qos, b"x" * PAYLOAD, TOPICS[: row.topics])
    Subscriber.size = len(writes[0]) // BATCH[row.qos]
    clients: list[Client] = [Idle(f"idle-{each}") for each in range(row.idle)]
    for first in range(0, row.idle, 100):
        await asyncio.gather(*(connect(each, broker) for each in clients[first : first + 100]))
    wanted = TOPICS[0] if row.topics == 1 else WILDCARD
    mark = "durable" if row.durable else "sub"
    subscribers = [Subscriber(f"{mark}-{each}", row.qos, wanted, durable=row.durable) for each in range(row.fan)]
    publisher = Publisher("pub")
    for each in (*subscribers, publisher):
        clients.append(each)
        await connect(each, broker)

    async def arrived(sent: int) -> None:
        while min(each.count for each in subscribers) < sent:
            progress.clear()
            async with asyncio.timeout(15):
                await progress.wait()

    async def run(until: float) -> int:
        sent, turn = subscribers[0].count, 0
        begin = sent
        while loop.time() < until:
            while sent - min(each.count for each in subscribers) < WINDOW[row.qos]:
                publisher.transport.write(writes[turn % 20])
                sent += BATCH[row.qos]
                turn += 1
            await arrived(sent - WINDOW[row.qos] + 1)
        await arrived(sent)  # leave nothing for the next run
        return sent - begin

    try:
        await run(loop.time() + 0.2)
        began, cpu, own = time.perf_counter(), broker.cpu(), time.process_time()
        counted.messages += await run(loop.time() + seconds)
        counted.seconds += time.perf_counter() - began
        counted.cpu += broker.cpu() - cpu
        counted.load += time.process_time() - own
    finally:
        for client in clients:
            client.transport.abort()


def measured(brokers: Sequence[Broker], row: Row, seconds: float, rounds: int) -> dict[str, Counted]:
    results = {each.name: Counted() for each in brokers if not row.brokers or each.name in row.brokers}
    for _ in range(rounds):
        for broker in brokers:
            if broker.name in results:
                uvloop.run(pump(broker, row, seconds, results[broker.name]))
    return results


# ------------------------------------------------------------------------------------------------ the table


@contextmanager
def all_of(*makers: Callable[[], object]) -> Iterator[list[Broker]]:
    """Those of the brokers that are installed, running side by side; only one is loaded at a time. From here on this
    process has the other core."""
    os.sched_setaffinity(0, set(CORES))
    with ExitStack() as stack:
        brokers: list[Broker] = []
        for maker in makers:
            try:
                brokers.append(stack.enter_context(cast("ExitStack", maker())))  # type: ignore[arg-type]
            except FileNotFoundError as missing:
                print(f"{missing} is not here: no comparison with it")
        os.sched_setaffinity(0, {CORES[-1]})
        yield brokers


def table(rows: Sequence[Row], brokers: Sequence[Broker], seconds: float, rounds: int) -> bool:
    """Measure and print; whether every goal was met."""
    names = [each.name for each in brokers]
    print(f"of the brokers: messages a second in and CPU each; load average before: {os.getloadavg()[0]:.1f}")
    print(f"{'':26}" + "".join(f"{name + ' /s':>24}{'us':>8}{'load':>5}" for name in names))
    met = True
    for row in rows:
        results = measured(brokers, row, seconds, rounds)
        line = f"{row.name:26}"
        for name in names:
            one = results.get(name)
            share = f"{one.load_share:.0%}" if one is not None else ""
            line += f"{one.rate:>24,.0f}{one.each:>8.2f}{share:>5}" if one is not None else " " * 37
        print(line, flush=True)
        met = compare(row, results) and met
    return met


def compare(row: Row, results: dict[str, Counted]) -> bool:
    met, own = True, results["littoral"]
    for peer, other in results.items():
        if peer == "littoral":
            continue
        goal = dict(row.goals).get(peer)
        ratio = own.rate / other.rate
        said = f", goal {goal:g}: {'met' if ratio >= goal else 'MISSED'}" if goal is not None else ""
        limited = [name for name in ("littoral", peer) if results[name].load_share > BUSY]
        note = f" (the load is the limit at {' and '.join(limited)})" if limited else ""
        print(f"{'':8}{ratio:.2f} x {peer}'s rate{said}; by CPU a message {other.each / own.each:.2f}{note}")
        met = met and (goal is None or ratio >= goal)
    return met
