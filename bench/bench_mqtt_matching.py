"""Does a publish cost more when there are more subscriptions? A thousand against a million in one router.

``.venv/bin/python bench/bench_mqtt_matching.py`` fills a broker's router with the subscriptions of many sessions (half
of them exact topics, half with ``+`` or ``#`` in different places) and prints, for each size, the CPU time of finding
out who gets a message: for a topic that is new each time (the tree is walked), and for one that is known. Then bytes
of memory for a subscription, with all that the session knows of it, and seconds to load them. Goal: a million is
within 2 x of a thousand. No peer: this is of our own tree; in the same process, so the same core.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from pathlib import Path

from littoral.protocols.mqtt.packets import Filter
from littoral.things.access import Client, OpenAccess
from littoral.things.broker.limits import MQTT, BrokerLimits
from littoral.things.broker.router import Router
from littoral.things.broker.session import Grant, Session

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


def filled(count: int) -> Router:
    router = Router()
    texts = iter(filters(count))
    for number in range(count // PER_SESSION):
        session = Session(Client(f"c{number}"), OpenAccess(), MQTT, BrokerLimits())
        session.expiry = 3600  # there, though not connected
        for text in itertools.islice(texts, PER_SESSION):
            router.subscribe(session, Filter(text, 1), Grant(text, 1))
    return router


def topics(count: int) -> list[str]:
    """Of beds all over the place, each matched by two filters and walked past a third."""
    each = count // len(SHAPES)
    step = max(1, each * 7919 // PUBLISHES) | 1
    return [f"ward/{n // 1000}/bed/{n}/hr" for n in (turn * step % each for turn in range(PUBLISHES))]


def microseconds(router: Router, names: list[str], *, known: bool) -> float:
    """CPU for one, the best of some rounds."""
    best = 1e9
    for _ in range(ROUNDS):
        router.changed()
        if known:
            for name in names:
                router.route(name)
        else:
            names = [str(bytearray(name, "ascii"), "ascii") for name in names]  # as from the wire: not hashed before
        began = time.process_time()
        if known:
            for name in names:
                router.route(name)
        else:
            for name in names:
                assert len(router.route(name).deliveries) in (1, 2)
                router._routes.clear()
        best = min(best, (time.process_time() - began) / len(names))
    return best * 1e6


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> int:
    found: dict[int, tuple[float, float]] = {}
    for count in (1000, 1_000_000):
        gc.collect()
        before, began = resident(), time.process_time()
        router = filled(count)
        loading = time.process_time() - began
        assert router.subscriptions == count
        size = (resident() - before) / count
        names = topics(count)
        found[count] = microseconds(router, names, known=False), microseconds(router, names, known=True)
        took = "" if count == 1000 else f"   loaded in {loading:.1f} s, {size:,.0f} bytes each"
        print(f"{count:>9,} subscriptions: new topic {found[count][0]:6.2f} us, known {found[count][1]:5.2f} us{took}")
    ratio = found[1_000_000][0] / found[1000][0]
    print(f"a million costs {ratio:.2f} x a thousand, goal {GOAL:g}: {'met' if ratio <= GOAL else 'MISSED'}")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
