"""The broker killed (SIGKILL) again and again under its clients: is what it acknowledged still there, in order?

``.venv/bin/python bench/mqtt_crashes.py [--rounds 200] [--seed 1]``

Each round starts the broker on the folder of the round before, and kills it at a random moment. A publisher with a
durable session sends numbered messages to four topics, of QoS 1 and QoS 2 in turns, and keeps what has no PUBACK or
PUBREC for the next round, as a client must. A durable subscriber is there in every other round and acknowledges most of
what it gets. The checker then holds what came against what the publisher was told: nothing acknowledged is missing,
QoS 2 came once, and of each topic and QoS the first arrivals are in the order of publication. Exit status 0: so it is.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Connack, Connect, Filter, Packet, Publish, Suback, Subscribe

PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7
TOPICS = 4
WINDOW = 40
PATIENCE = 120  # seconds until the broker listens, on a machine that is busy


class Line:
    """One connection, and the end of it as the empty list."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._decoder = Decoder(4)

    @classmethod
    async def open(cls, port: int, client_id: str) -> Line:
        line = cls(*await asyncio.open_connection("127.0.0.1", port))
        line.send(Connect(client_id, 4, clean=False))
        return line

    def send(self, *packets: Packet) -> None:
        if not self._writer.is_closing():
            self._writer.write(b"".join(encode(packet, 4) for packet in packets))

    async def packets(self) -> list[Packet]:
        try:
            while data := await self._reader.read(65536):
                if packets := self._decoder.feed(data):
                    return packets
        except ConnectionError:
            pass
        self._writer.close()
        return []


class Publisher:
    """Numbers every message; what was not acknowledged is sent again under its packet identifier."""

    def __init__(self) -> None:
        self.count = 0
        self.acknowledged: set[int] = set()
        self._under_way: dict[int, int] = {}  # packet identifier: message
        self._released: deque[int] = deque()
        self._identifier = 0

    def _next(self) -> Publish:
        self.count += 1
        while True:
            self._identifier = self._identifier % 500 + 1  # soon used again, so that a stale one would be seen
            if self._identifier not in self._under_way and self._identifier not in self._released:
                break
        self._under_way[self._identifier] = self.count
        return self._packet(self._identifier, self.count)

    @staticmethod
    def _packet(identifier: int, number: int, *, dup: bool = False) -> Publish:
        return Publish(f"t/{number % TOPICS}", b"%d" % number, qos_of(number), dup=dup, packet_id=identifier)

    async def run(self, port: int) -> None:
        line = await Line.open(port, "publisher")
        while packets := await line.packets():
            for packet in packets:
                if isinstance(packet, Connack):
                    again = [self._packet(*pair, dup=True) for pair in self._under_way.items()]
                    line.send(*(Ack(PUBREL, each) for each in self._released), *again)
                elif isinstance(packet, Ack):
                    self._take(packet, line)
            while len(self._under_way) + len(self._released) < WINDOW:
                line.send(self._next())

    def _take(self, ack: Ack, line: Line) -> None:
        if ack.kind == PUBCOMP:
            if ack.packet_id in self._released:
                self._released.remove(ack.packet_id)
            return
        number = self._under_way.pop(ack.packet_id, 0)
        if number:
            self.acknowledged.add(number)
        if ack.kind == PUBREC:
            if ack.packet_id not in self._released:
                self._released.append(ack.packet_id)
            line.send(Ack(PUBREL, ack.packet_id))


class Subscriber:
    """A QoS 2 message counts when its identifier was not known; PUBREL makes it unknown again (s. 4.3.3, method B)."""

    def __init__(self, chance: random.Random) -> None:
        self.got: list[int] = []
        self._known: set[int] = set()
        self._chance = chance

    async def run(self, port: int, *, subscribe: bool = False) -> None:
        line = await Line.open(port, "subscriber")
        while packets := await line.packets():
            for packet in packets:
                if isinstance(packet, Connack) and subscribe:
                    line.send(Subscribe(1, [Filter("t/#", 2)]))
                elif isinstance(packet, Suback):
                    return
                elif isinstance(packet, Publish):
                    self._publish(packet, line)
                elif isinstance(packet, Ack) and packet.kind == PUBREL:
                    self._known.discard(packet.packet_id)
                    if self._chance.random() < 0.99:  # else the broker must say it again, on the next connection
                        line.send(Ack(PUBCOMP, packet.packet_id))

    def _publish(self, packet: Publish, line: Line) -> None:
        number = int(packet.payload)
        if packet.qos == 1:
            self.got.append(number)
            line.send(Ack(PUBACK, packet.packet_id))
            return
        if packet.packet_id not in self._known:
            self._known.add(packet.packet_id)
            self.got.append(number)
        if self._chance.random() < 0.99:
            line.send(Ack(PUBREC, packet.packet_id))


def qos_of(number: int) -> int:
    return 1 + number // TOPICS % 2


def problems(acknowledged: set[int], got: list[int]) -> list[str]:
    """What the promises say must not be."""
    found = []
    missing = acknowledged - set(got)
    if missing:
        found.append(f"{len(missing)} acknowledged messages are lost, such as {sorted(missing)[:5]}")
    twice = [number for number, times in Counter(got).items() if qos_of(number) == 2 and times > 1]
    if twice:
        found.append(f"{len(twice)} messages of QoS 2 came more than once, such as {sorted(twice)[:5]}")
    first = list(dict.fromkeys(got))
    for topic in range(TOPICS):
        for qos in (1, 2):
            row = [number for number in first if number % TOPICS == topic and qos_of(number) == qos]
            if row != sorted(row):
                found.append(f"topic {topic}, QoS {qos}: not in order")
    return found


async def one_round(folder: Path, seconds: float, *clients: Publisher | Subscriber, subscribe: bool = False) -> None:
    """Ends with the broker killed, or with the subscription made."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "faulthandler", "-m", "tests.things.broker.serving", str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    tasks: list[asyncio.Task[None]] = []
    try:
        assert child.stdout is not None
        port = int(await _started(child, child.stdout))
        for client in clients:
            running = client.run(port, subscribe=subscribe) if isinstance(client, Subscriber) else client.run(port)
            tasks.append(asyncio.create_task(_until_killed(running)))
        await asyncio.wait(tasks, timeout=None if subscribe else seconds)
    finally:
        child.kill()
        await child.wait()
        await asyncio.gather(*tasks)


async def _started(child: asyncio.subprocess.Process, says: asyncio.StreamReader) -> bytes:
    """What it says when it listens. One that does not in time shows on standard error what it is doing."""
    try:
        return await asyncio.wait_for(says.readline(), PATIENCE)
    except TimeoutError:
        child.send_signal(signal.SIGABRT)
        await child.wait()
        raise


async def _until_killed(running: Coroutine[None, None, None]) -> None:
    with suppress(ConnectionError):  # killed before it was connected
        await running


async def loop(folder: Path, rounds: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    publisher, subscriber = Publisher(), Subscriber(chance)
    await one_round(folder, 30.0, subscriber, subscribe=True)
    for number in range(rounds):
        clients = (publisher, subscriber) if number % 2 else (publisher,)
        await one_round(folder, chance.uniform(0.02, 0.3), *clients)
    for _ in range(20):  # without the publisher, until the subscriber has everything
        if publisher.acknowledged <= set(subscriber.got):
            break
        await one_round(folder, 3.0, subscriber)
    print(
        f"{rounds} kills; {publisher.count} published, {len(publisher.acknowledged)} acknowledged, "
        f"{len(subscriber.got)} received ({len(set(subscriber.got))} different)"
    )
    return problems(publisher.acknowledged, subscriber.got)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(loop(Path(folder), chosen.rounds, chosen.seed))
    for problem in found:
        print("PROBLEM:", problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
