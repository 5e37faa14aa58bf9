"""S3-FIFO: what must hold after any sequence of admissions, hits and removals, and what it is for."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from littoral.edge.eviction import S3Fifo, touch


@dataclass
class Thing:
    cost: int
    uses: int = 0


STEPS = st.lists(
    st.tuples(st.sampled_from(("admit", "touch", "remove")), st.integers(0, 30), st.integers(1, 60)), max_size=300
)


@given(STEPS, st.integers(1, 400))
def test_bytes_stay_bounded_and_each_entry_is_in_one_queue(steps: list[tuple[str, int, int]], limit: int) -> None:
    policy: S3Fifo[int, Thing] = S3Fifo(limit)
    kept: dict[int, Thing] = {}
    for step, key, cost in steps:
        if step == "touch" and key in kept:
            touch(kept[key])
        elif step == "remove" or (step == "admit" and key in kept):
            kept.pop(key, None)
            policy.remove(key)
        if step == "admit":
            kept[key] = Thing(cost)
            for gone in policy.admit(key, kept[key]):
                del kept[gone]
        assert not policy.small.keys() & policy.main.keys()
        assert policy.small.keys() | policy.main.keys() == kept.keys()
        assert policy.small_bytes == sum(held.cost for held in policy.small.values())
        assert policy.main_bytes == sum(held.cost for held in policy.main.values())
        assert policy.bytes <= limit
        assert len(policy.ghost) <= len(policy) + 1


def test_a_scan_does_not_push_out_what_is_asked_for() -> None:
    policy: S3Fifo[str, Thing] = S3Fifo(1000)
    kept = {f"hot{number}": Thing(1) for number in range(500)}
    for key, thing in kept.items():
        policy.admit(key, thing)
        touch(thing)
    for number in range(100_000):
        policy.admit(f"once{number}", Thing(1))
    assert kept.keys() <= policy.main.keys()


def test_what_comes_back_soon_goes_to_main() -> None:
    policy: S3Fifo[int, Thing] = S3Fifo(100)
    for number in range(120):
        policy.admit(number, Thing(1))
    early = next(number for number in range(120) if number not in policy.small and number not in policy.main)
    policy.admit(early, Thing(1))
    assert early in policy.main


def test_what_is_dead_leaves_however_often_it_was_asked_for() -> None:
    dead: set[int] = set()
    policy: S3Fifo[int, Thing] = S3Fifo(10, dead=lambda thing: id(thing) in dead)
    things = {number: Thing(1) for number in range(10)}
    for number, thing in things.items():
        policy.admit(number, thing)
        touch(thing)
    dead.add(id(things[0]))
    assert policy.admit(10, Thing(1)) == [0]


def test_a_better_hit_ratio_than_lru_on_a_skewed_trace() -> None:
    from bench.bench_cache import Lru, replay, trace

    requests = trace(random.Random(1), requests=40_000, objects=8_000)
    unique = sum(dict(requests).values())
    assert replay(S3Fifo(unique // 10), requests).hits > 1.05 * replay(Lru(unique // 10), requests).hits
