"""Hit ratio of S3-FIFO (what the edge uses), LRU and W-TinyLFU on generated traces, and operations a second.

No public CDN trace can be had here, so the shapes are stated: popularity by Zipf (``alpha``), a share of requests for
objects that are asked for once only (``once``), now and then a scan over cold objects (``scan``), popularity that
drifts (``drift`` of the ranks are exchanged for new objects over the trace), sizes log-normal around 16 KiB with a long
tail to 16 MiB. The cache holds 1 %, 5 % or 10 % of the bytes of all objects. Hit ratio is of requests; the second
figure is of bytes.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

from littoral.edge.eviction import S3Fifo, touch

Trace = list[tuple[int, int]]  # key, size


def trace(
    chance: random.Random,
    *,
    requests: int,
    objects: int,
    alpha: float = 0.9,
    once: float = 0.15,
    scan: float = 0.05,
    drift: float = 0.2,
) -> Trace:
    weights = list(itertools.accumulate((rank + 1) ** -alpha for rank in range(objects)))
    names = list(range(objects))
    sizes: dict[int, int] = {}
    fresh = itertools.count(objects)
    made: Trace = []

    def ask(key: int) -> None:
        if key not in sizes:
            sizes[key] = min(16 << 20, max(200, int(chance.lognormvariate(math.log(16384), 1.4))))
        made.append((key, sizes[key]))

    changes = max(1, int(requests / max(1, objects * drift)))
    while len(made) < requests:
        dice = chance.random()
        if dice < once:
            ask(next(fresh))
        elif dice < once + scan / 500:
            for _ in range(500):
                ask(next(fresh))
        else:
            ask(names[bisect.bisect(weights, chance.random() * weights[-1])])
        if len(made) % changes == 0:
            names[chance.randrange(objects)] = next(fresh)
    return made[:requests]


@dataclass(slots=True)
class Thing:
    cost: int
    uses: int = 0


class Policy(Protocol):
    def admit(self, key: int, held: Thing, /) -> list[int]: ...


class Lru:
    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self.order: OrderedDict[int, Thing] = OrderedDict()

    def hit(self, key: int) -> None:
        self.order.move_to_end(key)

    def admit(self, key: int, held: Thing) -> list[int]:
        self.order[key] = held
        self.bytes += held.cost
        gone = []
        while self.bytes > self.limit:
            old, left = self.order.popitem(last=False)
            self.bytes -= left.cost
            gone.append(old)
        return gone


class TinyLfu:
    """W-TinyLFU (Einziger et al. 2017): a window of 1 %, a main of a probationary and a protected (80 %) LRU, and a
    count-min sketch of 4 bits with aging that decides who may enter the main part."""

    def __init__(self, limit: int, expected: int) -> None:
        self.window_limit = max(1, limit // 100)
        self.main_limit = limit - self.window_limit
        self.window: OrderedDict[int, Thing] = OrderedDict()
        self.probation: OrderedDict[int, Thing] = OrderedDict()
        self.protected: OrderedDict[int, Thing] = OrderedDict()
        self.bytes = {id(part): 0 for part in (self.window, self.probation, self.protected)}
        self.width = 1 << max(10, (expected * 4).bit_length())
        self.rows = [bytearray(self.width) for _ in range(4)]
        self.seen, self.sample = 0, expected * 10

    def count(self, key: int) -> None:
        for seed, row in enumerate(self.rows):
            at = hash((seed, key)) & (self.width - 1)
            if row[at] < 15:
                row[at] += 1
        self.seen += 1
        if self.seen >= self.sample:
            self.rows = [bytearray(value >> 1 for value in row) for row in self.rows]
            self.seen //= 2

    def frequency(self, key: int) -> int:
        return min(row[hash((seed, key)) & (self.width - 1)] for seed, row in enumerate(self.rows))

    def hit(self, key: int) -> None:
        self.count(key)
        if key in self.window:
            self.window.move_to_end(key)
        elif key in self.protected:
            self.protected.move_to_end(key)
        else:
            self.put(self.protected, key, self.take(self.probation, key))
            while self.bytes[id(self.protected)] > self.main_limit * 8 // 10:
                old = next(iter(self.protected))
                self.put(self.probation, old, self.take(self.protected, old))

    def put(self, part: OrderedDict[int, Thing], key: int, held: Thing) -> None:
        part[key] = held
        self.bytes[id(part)] += held.cost

    def take(self, part: OrderedDict[int, Thing], key: int) -> Thing:
        held = part.pop(key)
        self.bytes[id(part)] -= held.cost
        return held

    def admit(self, key: int, held: Thing) -> list[int]:
        self.count(key)
        self.put(self.window, key, held)
        gone: list[int] = []
        while self.bytes[id(self.window)] > self.window_limit:
            candidate = next(iter(self.window))
            self.enter(candidate, self.take(self.window, candidate), gone)
        return gone

    def enter(self, candidate: int, held: Thing, gone: list[int]) -> None:
        if held.cost > self.main_limit:
            gone.append(candidate)
            return
        while self.bytes[id(self.probation)] + self.bytes[id(self.protected)] + held.cost > self.main_limit:
            part = self.probation or self.protected
            victim = next(iter(part))
            if self.frequency(candidate) <= self.frequency(victim):
                gone.append(candidate)
                return
            self.take(part, victim)
            gone.append(victim)
        self.put(self.probation, candidate, held)


@dataclass(slots=True)
class Score:
    hits: int = 0
    bytes_hit: int = 0
    seconds: float = 0.0


def replay(policy: Any, requests: Trace) -> Score:
    """Run the trace; what is greater than the cache is not offered to it."""
    score, kept = Score(), dict[int, Thing]()
    hit = getattr(policy, "hit", None)
    began = time.perf_counter()
    for key, size in requests:
        held = kept.get(key)
        if held is None:
            held = kept[key] = Thing(size)
            for gone in policy.admit(key, held):
                kept.pop(gone, None)
            continue
        score.hits += 1
        score.bytes_hit += size
        if hit is None:
            touch(held)
        else:
            hit(key)
    score.seconds = time.perf_counter() - began
    return score


SHAPES: dict[str, dict[str, float]] = {
    "web objects": {"alpha": 0.9, "once": 0.15, "scan": 0.05, "drift": 0.2},
    "many one-hit wonders": {"alpha": 0.8, "once": 0.40, "scan": 0.05, "drift": 0.2},
    "scans": {"alpha": 0.9, "once": 0.05, "scan": 0.30, "drift": 0.2},
    "steady and skewed": {"alpha": 1.1, "once": 0.05, "scan": 0.0, "drift": 0.02},
}


def main() -> None:
    requests, objects = 400_000, 60_000
    print(f"{requests:,} requests, {objects:,} objects at a time; ratio of requests / of bytes")
    for name, shape in SHAPES.items():
        asked = trace(random.Random(7), requests=requests, objects=objects, **shape)
        total = sum(dict(asked).values())
        for share in (1, 5, 10):
            limit = total * share // 100
            policies: dict[str, Any] = {
                "LRU": Lru(limit),
                "S3-FIFO": S3Fifo(limit),
                "W-TinyLFU": TinyLfu(limit, max(1000, limit // 40_000)),
            }
            row = []
            for word, policy in policies.items():
                score = replay(policy, asked)
                of_bytes = score.bytes_hit / sum(size for _, size in asked)
                rate = requests / score.seconds / 1e6
                row.append(f"{word} {score.hits / requests:.3f}/{of_bytes:.3f} {rate:.2f} M/s")
            print(f"{name:<22} {share:>2} %   " + "   ".join(row), flush=True)


if __name__ == "__main__":
    main()
