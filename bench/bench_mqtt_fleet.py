"""A fleet: 1,000 publishers of one message a second each, and 100 subscribers of a wildcard that each get them all.

``.venv/bin/python bench/bench_mqtt_fleet.py [--seconds 5]`` prints the CPU time (user and system) of our broker and of
mosquitto over the same wall time and the same messages, in turns, and the ratio against its goal. QoS 0, payload 64
bytes, 100,000 deliveries a second. Every millisecond one publisher is due; the subscribers' sockets are emptied twenty
times a second, so that the load takes little of its core and cannot hold back a broker.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from dataclasses import dataclass

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connect, Filter, Publish, Subscribe
from mqtt_load import Broker, all_of, littoral, mosquitto

PUBLISHERS, SUBSCRIBERS = 1000, 100
EMPTIED = 0.05  # seconds
GOAL = 0.7


@dataclass
class Fleet:
    cpu: float = 0.0
    seconds: float = 0.0
    load: float = 0.0
    sent: int = 0
    lost: int = 0


def client(broker: Broker, name: str) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
    one.sendall(encode(Connect(name, 4, True), 4))
    if one.recv(4) != b"\x20\x02\x00\x00":
        raise RuntimeError(f"{broker.name} let {name} not in")
    return one


def subscriber(broker: Broker, name: str) -> socket.socket:
    one = client(broker, name)
    one.sendall(encode(Subscribe(1, [Filter("ward/+/bed/#", 0)]), 4))
    if one.recv(5) != b"\x90\x03\x00\x01\x00":
        raise RuntimeError(f"{broker.name} did not subscribe {name}")
    one.setblocking(False)
    return one


def emptied(subscribers: list[socket.socket]) -> int:
    """Bytes that were there."""
    size = 0
    for one in subscribers:
        try:
            while data := one.recv(1 << 18):
                size += len(data)
                if len(data) < 1 << 18:
                    break
        except BlockingIOError:
            continue
    return size


def beat(broker: Broker, seconds: float, fleet: Fleet) -> None:
    packets = [encode(Publish(f"ward/{n % 40:02}/bed/{n:04}", b"x" * 64, 0), 4) for n in range(PUBLISHERS)]
    subscribers = [subscriber(broker, f"sub-{n}") for n in range(SUBSCRIBERS)]
    publishers = [client(broker, f"monitor-{n}") for n in range(PUBLISHERS)]
    try:
        for one, packet in zip(publishers, packets, strict=True):  # what is looked up once is looked up now
            one.sendall(packet)
        _last(subscribers, PUBLISHERS * SUBSCRIBERS * len(packets[0]))
        began, cpu, own = time.perf_counter(), broker.cpu(), time.process_time()
        sent = size = 0
        empty_at = began + EMPTIED
        while (now := time.perf_counter()) < began + seconds:
            while sent < (now - began) * PUBLISHERS:
                publishers[sent % PUBLISHERS].sendall(packets[sent % PUBLISHERS])
                sent += 1
            if now >= empty_at:
                size += emptied(subscribers)
                empty_at = now + EMPTIED
            time.sleep(0.001)
        size += _last(subscribers, sent * SUBSCRIBERS * len(packets[0]) - size)
        fleet.cpu += broker.cpu() - cpu
        fleet.seconds += time.perf_counter() - began
        fleet.load += time.process_time() - own
        fleet.sent += sent
        fleet.lost += sent * SUBSCRIBERS - size // len(packets[0])
    finally:
        for one in (*publishers, *subscribers):
            one.close()


def _last(subscribers: list[socket.socket], due: int) -> int:
    """Wait for so many bytes, or for ten seconds without any."""
    size, quiet = 0, time.monotonic()
    while size < due and time.monotonic() < quiet + 10:
        came = emptied(subscribers)
        size += came
        if came:
            quiet = time.monotonic()
        time.sleep(0.01)
    return size


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--rounds", type=int, default=2)
    chosen = arguments.parse_args()
    with all_of(littoral, mosquitto) as brokers:
        fleets = {each.name: Fleet() for each in brokers}
        for _ in range(chosen.rounds):
            for broker in brokers:
                beat(broker, chosen.seconds, fleets[broker.name])
    print(f"{'':12}{'CPU of a core':>14}{'us a delivery':>15}{'messages/s':>12}{'lost':>8}{'CPU of the load':>17}")
    for name, one in fleets.items():
        each = one.cpu / (one.sent * SUBSCRIBERS) * 1e6
        print(
            f"{name:12}{one.cpu / one.seconds:>14.0%}{each:>15.2f}{one.sent / one.seconds:>12,.0f}{one.lost:>8,}"
            f"{one.load / one.seconds:>17.0%}"
        )
    if "mosquitto" not in fleets:
        return 0
    ratio = (fleets["littoral"].cpu / fleets["littoral"].sent) / (fleets["mosquitto"].cpu / fleets["mosquitto"].sent)
    print(f"{ratio:.2f} of mosquitto's CPU, goal {GOAL:g}: {'met' if ratio <= GOAL else 'MISSED'}")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
