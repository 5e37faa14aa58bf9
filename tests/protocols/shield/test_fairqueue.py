"""Whoever comes seldom does not wait behind those who come all the time, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.shield import FairQueue


def test_a_client_of_whom_nobody_waited_goes_before_a_flood() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(1_000):
        queue.add(f"attacker {number % 10}", number)
    for _ in range(50):
        queue.take()
    queue.add("visitor", -1)
    assert [queue.take()[0] for _ in range(2)].count("visitor") == 1
    assert len(queue) == 949


def test_those_of_whom_some_wait_have_turns() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(100):
        queue.add("much", number)
    for number in range(5):
        queue.add("little", number)
    first = Counter(queue.take()[0] for _ in range(10))
    assert first == {"much": 5, "little": 5}


def test_new_ones_without_end_do_not_keep_others_waiting_for_ever() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(5):
        queue.add("page", number)
    queue.take()
    taken = []
    for number in range(40):
        queue.add(f"new {number}", 0)
        queue.add(f"new {number + 1_000}", 0)
        taken.append(queue.take()[0])
    assert taken.count("page") == 4


def test_who_has_the_most_gives_way_the_oldest_first() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(100):
        queue.add("flood", number)
    for number in range(3):
        queue.add("visitor", number)
    assert queue.cut(20) == [("flood", number) for number in range(83)]
    assert Counter(queue.take()[0] for _ in range(20)) == {"flood": 17, "visitor": 3}


def test_more_clients_than_room() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(100):
        queue.add(f"client {number}", number)
    assert len(queue.cut(40)) == 60
    assert len(queue) == 40
    assert queue.cut(40) == []


@given(st.lists(st.one_of(st.sampled_from("abcde"), st.integers(0, 12), st.none())))
def test_each_client_s_own_order_is_kept_and_nothing_is_lost(steps: list[str | int | None]) -> None:
    """A letter adds of that client, a number cuts to so many, None takes."""
    queue: FairQueue[int] = FairQueue()
    waiting: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, str):
            queue.add(step, number)
            waiting.setdefault(step, []).append(number)
            continue
        gone = queue.cut(step) if step is not None else [queue.take()] if queue else []
        for client, what in gone:
            assert waiting[client].pop(0) == what
        assert len(queue) == sum(map(len, waiting.values()))
        if step is not None:
            assert len(queue) <= step
