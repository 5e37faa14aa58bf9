"""Buckets of a sketch against exact ones: never lower, seldom higher, of one size."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.shield import Buckets

NOW = 1_000.0


class Exact:
    """What the sketch approximates: a bucket for each client."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.empty: dict[str, float] = defaultdict(float)

    def put(self, client: str, now: float, amount: float) -> None:
        self.empty[client] = max(self.empty[client], now) + amount / self.rate

    def level(self, client: str, now: float) -> float:
        return max(0.0, self.empty[client] - now) * self.rate


arrivals = st.lists(
    st.tuples(st.integers(0, 40), st.floats(0, 3), st.floats(0.1, 20)), min_size=1, max_size=120
)  # client, seconds since the one before, tokens


@given(arrivals=arrivals, width=st.sampled_from([2, 8, 64]), depth=st.integers(1, 4), burst=st.floats(1, 50))
@settings(max_examples=150, deadline=None)
def test_a_bucket_is_never_taken_for_lower_than_it_is(
    arrivals: list[tuple[int, float, float]], width: int, depth: int, burst: float
) -> None:
    """With a few cells for many clients: whoever the sketch admits, an exact bucket of the same tokens admits too."""
    sketch, exact, now = Buckets(10.0, burst, width=width, depth=depth), Exact(10.0), NOW
    for number, pause, amount in arrivals:
        now += pause
        client = f"client {number}"
        if not sketch.take(client, now, amount):
            assert exact.level(client, now) <= burst + 1e-3
            exact.put(client, now, amount)
        assert sketch.level(client, now) >= exact.level(client, now) - 1e-6


def test_one_client_has_its_rate_and_its_burst_and_no_more() -> None:
    buckets = Buckets(100.0, 50.0)
    taken = [at for at in range(3_000) if not buckets.take("a", NOW + at / 1000)]  # a thousand a second
    assert 345 <= len(taken) <= 355  # three seconds' worth, and the burst
    assert all(not buckets.take("b", NOW + at / 1000) for at in range(0, 3_000, 20))
    assert buckets.take("a", NOW + 3.6) == 0.0
    assert buckets.level("a", NOW + 10.0) == 0.0


def test_who_is_refused_is_told_how_long_and_pays_nothing() -> None:
    buckets = Buckets(10.0, 10.0)
    buckets.take("a", NOW, 20.0)
    assert [round(buckets.take("a", NOW, 5.0), 6) for _ in range(3)] == [1.0] * 3
    assert buckets.take("a", NOW + 1.001) == 0.0


def test_a_charge_is_for_what_is_done_and_is_forgotten_in_time() -> None:
    buckets = Buckets(10.0, 10.0)
    for _ in range(100):
        buckets.charge("a", NOW, 100.0)
    assert buckets.level("a", NOW) == pytest.approx(20.0)  # twice the burst
    assert buckets.take("a", NOW) > 0.0
    assert buckets.take("a", NOW + 1.001) == 0.0


def test_memory_is_the_same_whatever_comes() -> None:
    buckets = Buckets(10.0, 10.0, width=1024)
    before = buckets.size
    for number in range(50_000):
        buckets.take(f"client {number}", NOW + number / 1000)
    assert buckets.size == before == 4 * 1024 * 8


def test_clients_within_their_limits_are_seldom_taken_for_others() -> None:
    """64 over the limit and 1,024 cells a row: the bound is (64 / 1024) ** 4, one in 65,536; 5,000 are tried."""
    buckets = Buckets(10.0, 10.0, width=1024)
    for number in range(64):
        buckets.take(f"heavy {random.random()} {number}", NOW, 1_000.0)
    refused = sum(1 for number in range(5_000) if buckets.level(f"light {random.random()} {number}", NOW) > 10.0)
    assert refused <= 3


@pytest.mark.parametrize("wrong", [{"width": 1000}, {"width": 131_072}, {"depth": 5}, {"depth": 0}, {"width": 1}])
def test_sizes_that_a_hash_does_not_give_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Buckets(1.0, 1.0, **wrong)
