"""Does a publish cost more when there are more subscriptions? A thousand against a million in one broker.

``.venv/bin/python bench/bench_mqtt_matching.py`` fills a broker's router with the subscriptions of many sessions (half
of them exact topics, half with ``+`` or ``#`` in different places) and prints, for each size, the CPU time of a publish
of QoS 1 in the process, of its matching alone where the topic is new (the tree is walked), and where it is known. The
sessions are away, so a delivery ends in their queues. Then bytes of memory for a subscription, with all that the
session knows of it, and seconds to load them. Goal: a publish among a million within 2 x of one among a thousand. No
peer: this is of our own tree; in the same process, so the same core.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from littoral.protocols.mqtt.packets import Filter
from littoral.things.access import Client, OpenAccess
from littoral.things.broker import Broker
from littoral.things.broker.limits import MQTT, BrokerLimits
from littoral.things.broker.router import Router
from littoral.things.broker.session import Grant, Session
from littoral.things.message import Publication

GOAL = 2.0
PER_SESSION = 100
ROUNDS = 5
PUBLISHES = 4000
SHAPES = (
    "ward/{w}/bed/{b}/hr",
    "ward/{w}/bed/{b}/spo2",
    "ward/{w}/bed/{b}/#",
    "ward/{w}/+/{b}/alarm",
)


def filters(count: int) -> list[str]:
    each = count // len(SHAPES)
    return [shape.format(w=n // 1000, b=n) for n in range(each) for shape in SHAPES]


def filled(count: int) -> Broker:
    broker = Broker(access=OpenAccess())
    texts = iter(filters(count))
    for number in range(count // PER_SESSION):
        session = Session(Client(f"c{number}"), OpenAccess(), MQTT, BrokerLimits())
        session.expiry = 3600  # there, though not connected
        for text in itertools.islice(texts, PER_SESSION):
            broker.router.subscribe(session, Filter(text, 1), Grant(text, 1))
    return broker


def topics(count: int) -> list[str]:
    """Of beds all over the place, each matched by two filters and walked past a third."""
    each = count // len(SHAPES)
    step = max(1, each * 7919 // PUBLISHES) | 1
    return [f"ward/{n // 1000}/bed/{n}/hr" for n in (turn * step % each for turn in range(PUBLISHES))]


def fresh(names: list[str]) -> list[str]:
    """As from the wire: not hashed before."""
    return [str(bytearray(name, "ascii"), "ascii") for name in names]


def matching(router: Router, names: list[str]) -> None:
    for name in names:
        assert len(router.route(name).deliveries) in (1, 2)
        router._routes.clear()


def known(router: Router, names: list[str]) -> None:
    for name in names:
        router.route(name)


async def publish(broker: Broker, names: list[str]) -> None:
    for name in names:
        await broker.publish(Publication(name, b"x" * 64, 1))
        broker.router._routes.clear()


def microseconds(work: Callable[[list[str]], object], names: list[str], before: Callable[[], object]) -> float:
    """CPU for one, the best of some rounds."""
    best = 1e9
    for _ in range(ROUNDS):
        before()
        prepared = fresh(names)
        began = time.process_time()
        work(prepared)
        best = min(best, (time.process_time() - began) / len(names))
    return best * 1e6


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> int:
    cost: dict[int, float] = {}
    for count in (1000, 1_000_000):
        gc.collect()
        before, began = resident(), time.process_time()
        broker = filled(count)
        router = broker.router
        loading = time.process_time() - began
        assert router.subscriptions == count
        size = (resident() - before) / count
        names = topics(count)
        cost[count] = microseconds(lambda some: asyncio.run(publish(broker, some)), names, router.changed)  # noqa: B023
        match = microseconds(partial(matching, router), names, router.changed)
        again = microseconds(partial(known, router), names, lambda: known(router, names))  # noqa: B023
        print(f"{count:>9,} subscriptions: publish {cost[count]:6.2f} us, matching {match:6.2f}, known {again:5.2f}")
    print(f"a million were loaded in {loading:.1f} s and take {size:,.0f} bytes each")
    ratio = cost[1_000_000] / cost[1000]
    print(f"a publish among a million costs {ratio:.2f} x, goal {GOAL:g}: {'met' if ratio <= GOAL else 'MISSED'}")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
