"""Batches: within their bounds, in order, nothing lost, nobody waits longer than was said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.batching import Batcher

SIZES = st.integers(0, 40)


@given(
    arrivals=st.lists(st.tuples(st.floats(0, 5), SIZES), max_size=60),
    most=st.integers(1, 8),
    most_size=st.integers(1, 100),
    wait=st.sampled_from([0.0, 0.5, 2.0]),
    work=st.floats(0, 3),
)
def test_any_traffic(arrivals: list[tuple[float, int]], most: int, most_size: int, wait: float, work: float) -> None:
    """One worker that is free again ``work`` seconds after it took a batch."""
    batcher: Batcher[int] = Batcher(most=most, most_size=most_size, room=1000, wait=wait)
    now, free, done = 0.0, 0.0, []
    since: dict[int, float] = {}
    pending = sorted((at, number, size) for number, (at, size) in enumerate(arrivals))
    while pending or len(batcher):
        due = batcher.due()
        turn = max(free, due) if due is not None else float("inf")
        if pending and pending[0][0] <= turn:
            at, number, size = pending.pop(0)
            now = max(now, at)
            since[number] = now
            assert batcher.add(number, size, now)
            continue
        now = max(now, turn)
        batch = batcher.take(now)
        assert batch and len(batch) <= most
        assert len(batch) == 1 or sum(size for _, size in batch) <= most_size
        assert batch[0][0] not in done
        first = since[batch[0][0]]
        assert now <= max(free, first + wait) + 1e-9  # whoever is first waits so long, or for the worker
        done += [number for number, _ in batch]
        free = now + work
    assert done == [number for _, number, _ in sorted((at, n, s) for n, (at, s) in enumerate(arrivals))]


def test_company_is_waited_for_and_no_longer_than_said() -> None:
    batcher: Batcher[str] = Batcher(most=3, most_size=100, room=10, wait=1.0)
    assert batcher.due() is None and batcher.take(5.0) == []
    batcher.add("a", 1, 10.0)
    batcher.add("b", 1, 10.5)
    assert batcher.due() == 11.0 and batcher.take(10.9) == []
    assert batcher.take(11.0) == [("a", 1), ("b", 1)]
    for each in "cde":
        batcher.add(each, 1, 12.0)
    assert batcher.due() == 12.0  # it is full


def test_what_failed_together_comes_again_alone_and_first() -> None:
    batcher: Batcher[str] = Batcher(most=10, most_size=100, room=2, wait=1.0)
    batcher.add("a", 1, 0.0)
    batcher.add("b", 1, 0.0)
    assert not batcher.add("c", 1, 0.0)
    batch = batcher.take(1.0)
    batcher.add("d", 1, 1.0)
    batcher.again(batch, 1.0, alone=True)
    assert [batcher.take(1.0) for _ in range(2)] == [[("a", 1)], [("b", 1)]]
    assert batcher.take(1.0) == [] and batcher.take(2.0) == [("d", 1)]
