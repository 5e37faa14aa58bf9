"""What an idle MQTT connection costs, and how many clients a second can connect: one core for the broker.

``.venv/bin/python bench/bench_mqtt_connections.py`` holds 19,500 idle connections without TLS (as many as a process may
have descriptors, 20,000 at most), each with a client identifier and one subscription, and prints the memory (PSS,
before and with them) for each; mosquitto holds 4,000. Then a storm: 4,000 clients, 256 at a time, from CONNECT to
CONNACK. Goals: 12 KiB, and 2,000 a second.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import sys
import time

import uvloop

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connect, Filter, Subscribe
from mqtt_load import BUSY, Broker, Counted, all_of, littoral, mosquitto

HELD = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) - 500
PEER_HELD, GROUP = 4000, 100
ANSWERS = bytes.fromhex("200200009003000101")  # CONNACK, SUBACK
STORM, ABREAST = 4000, 256
KIB, EACH_SECOND = 12.0, 2000


def idle(broker: Broker, numbers: range) -> list[socket.socket]:
    """Connected and subscribed, all of them at once."""
    sockets = [socket.create_connection(("127.0.0.1", broker.port), timeout=10) for _ in numbers]
    for one, number in zip(sockets, numbers, strict=True):
        one.sendall(
            encode(Connect(f"monitor-{number}", 4, True), 4) + encode(Subscribe(1, [Filter(f"ward/{number}/do", 1)]), 4)
        )
    for one in sockets:
        got = b""
        while len(got) < len(ANSWERS):
            if not (some := one.recv(len(ANSWERS) - len(got))):
                raise RuntimeError(f"{broker.name} let a connection not in")
            got += some
        if got != ANSWERS:
            raise RuntimeError(f"{broker.name} answered {got.hex()}")
    return sockets


def reset(one: socket.socket) -> None:
    """Closed at once: thousands of ports that linger would make the next connects slow."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def held(broker: Broker, count: int) -> float:
    """KiB a connection."""
    for one in idle(broker, range(50)):
        reset(one)
    time.sleep(0.5)
    before = broker.memory()
    sockets: list[socket.socket] = []
    try:
        for first in range(0, count, GROUP):
            sockets += idle(broker, range(first, min(first + GROUP, count)))
        return (broker.memory() - before) / count
    finally:
        for one in sockets:
            reset(one)


async def storm(broker: Broker, first: int, counted: Counted) -> None:
    """As many as there are come in; each goes when the next comes."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(first, first + STORM))

    async def lane() -> None:
        for number in numbers:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.setblocking(False)
            try:
                await loop.sock_connect(one, ("127.0.0.1", broker.port))
                await loop.sock_sendall(one, encode(Connect(f"storm-{number}", 4, True), 4))
                if await loop.sock_recv(one, 4) != ANSWERS[:4]:
                    raise RuntimeError(f"{broker.name} let storm-{number} not in")
            finally:
                one.close()

    began, cpu, own = time.perf_counter(), broker.cpu(), time.process_time()
    await asyncio.gather(*(lane() for _ in range(ABREAST)))
    counted.messages += STORM
    counted.seconds += time.perf_counter() - began
    counted.cpu += broker.cpu() - cpu
    counted.load += time.process_time() - own


def main() -> int:
    met = True
    with all_of(littoral, mosquitto) as brokers:
        for broker in brokers:
            own = broker.name == "littoral"
            count = HELD if own else PEER_HELD
            size = held(broker, count)
            met = met and not (own and size > KIB)
            goal = f"; goal {KIB:g} KiB: {'met' if size <= KIB else 'MISSED'}" if own else ""
            print(f"{broker.name:10} {size:>6.2f} KiB for each of {count:,} idle connections{goal}", flush=True)
        storms = {each.name: Counted() for each in brokers}
        for turn in range(2):
            for broker in brokers:
                uvloop.run(storm(broker, turn * STORM, storms[broker.name]))
    for name, one in storms.items():
        goal = ""
        if name == "littoral":
            goal = f"; goal {EACH_SECOND:,} a second: {'met' if one.rate >= EACH_SECOND else 'MISSED'}"
            met = met and one.rate >= EACH_SECOND
        note = " (the load is the limit)" if one.load_share > BUSY else ""
        print(
            f"{name:10} {one.rate:>8,.0f} connects a second, {one.each:.0f} us of the broker's CPU each "
            f"({1e6 / one.each:,.0f} a second of it), CPU of the load {one.load_share:.0%}{note}{goal}"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
