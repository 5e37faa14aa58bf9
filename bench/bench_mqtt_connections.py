"""What an idle MQTT connection costs, and how many clients a second can connect: one core for the broker.

``.venv/bin/python bench/bench_mqtt_connections.py`` holds 19,500 idle connections without TLS (as many as a process may
have descriptors, 20,000 at most), each with a client identifier and one subscription, and prints the memory of ours
and of mosquitto (PSS, before and with them) for each. Then a storm: 6,000 clients, 256 at a time, from CONNECT to
CONNACK. Goals: 12 KiB, and 2,000 a second.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
import time

import uvloop
from mqtt_load import BUSY, Broker, Counted, Idle, all_of, littoral, mosquitto

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connect, Filter, Subscribe

HELD = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) - 500
STORM, ABREAST = 6000, 256
KIB, EACH_SECOND = 12.0, 2000


def idle(broker: Broker, number: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
    one.sendall(
        encode(Connect(f"monitor-{number}", 4, True), 4) + encode(Subscribe(1, [Filter(f"ward/{number}/do", 1)]), 4)
    )
    got = b""
    while len(got) < 9:
        if not (some := one.recv(9 - len(got))):
            raise RuntimeError(f"{broker.name} let connection {number} not in")
        got += some
    return one


def held(broker: Broker) -> float:
    """KiB a connection."""
    for number in range(50):
        idle(broker, number).close()
    time.sleep(0.5)
    before = broker.memory()
    sockets: list[socket.socket] = []
    try:
        sockets += [idle(broker, number) for number in range(HELD)]
        return (broker.memory() - before) / HELD
    finally:
        for one in sockets:
            one.close()


async def storm(broker: Broker, first: int, counted: Counted) -> None:
    """As many as there are come in; each goes when the next comes."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(first, first + STORM))

    async def lane() -> None:
        for number in numbers:
            client = Idle(f"storm-{number}")
            transport, _ = await loop.create_connection(lambda client=client: client, "127.0.0.1", broker.port)
            async with asyncio.timeout(30):
                await client.ready
            transport.abort()

    began, cpu, own = time.perf_counter(), broker.cpu(), time.process_time()
    await asyncio.gather(*(lane() for _ in range(ABREAST)))
    counted.messages += STORM
    counted.seconds += time.perf_counter() - began
    counted.cpu += broker.cpu() - cpu
    counted.load += time.process_time() - own


def main() -> int:
    met = True
    with all_of(littoral, mosquitto) as brokers:
        storms = {each.name: Counted() for each in brokers}
        for turn in range(2):
            for broker in brokers:
                uvloop.run(storm(broker, turn * STORM, storms[broker.name]))
        for name, one in storms.items():
            own = name == "littoral"
            met = met and not (own and one.rate < EACH_SECOND)
            goal = f"; goal {EACH_SECOND:,} a second: {'met' if one.rate >= EACH_SECOND else 'MISSED'}" if own else ""
            note = " (the load is the limit)" if one.load_share > BUSY else ""
            print(
                f"{name:10} {one.rate:>8,.0f} connects a second, {one.each:6.0f} us CPU of the broker each, "
                f"CPU of the load {one.load_share:.0%}{note}{goal}"
            )
        if len(storms) > 1:
            print(f"{'':10} {storms['littoral'].rate / storms['mosquitto'].rate:.2f} x mosquitto's rate")
        sizes = {each.name: held(each) for each in brokers}
    for name, size in sizes.items():
        own = name == "littoral"
        met = met and not (own and size > KIB)
        goal = f"; goal {KIB:g} KiB: {'met' if size <= KIB else 'MISSED'}" if own else ""
        print(f"{name:10} {size:>6.2f} KiB for each of {HELD:,} idle connections{goal}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
