"""Who has cost the least lately is next."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.shield import CheapFirst
from littoral.protocols.shield.cheapfirst import LONGEST, UNKNOWN


def test_who_was_there_goes_before_who_is_new_and_who_costs_little_before_who_costs_much() -> None:
    queue: CheapFirst[int] = CheapFirst()
    for number in range(3):
        queue.add("flood", number, 0.0, known=False)
    queue.add("new", 3, 0.0, known=False)
    queue.add("old", 4, 0.0, known=True)
    seen = []
    while queue:
        client, number = queue.take()
        seen.append((client, number))
        queue.charge(client, 0.001 if client == "flood" else 0.00001, 0.0)
        if number == 4:
            queue.add("old", 5, 0.0, known=True)
    assert seen == [("old", 4), ("old", 5), ("flood", 0), ("new", 3), ("flood", 1), ("flood", 2)]
    with pytest.raises(IndexError):
        queue.take()


def test_what_was_long_ago_counts_little() -> None:
    queue: CheapFirst[int] = CheapFirst()

    def spends(client: str, cost: float, now: float) -> None:
        queue.add(client, 0, now, known=True)
        queue.take()
        queue.charge(client, cost, now)

    spends("once", 1.0, 0.0)
    spends("lately", 0.01, 6.0)
    queue.add("lately", 1, 6.0, known=True)
    queue.add("once", 2, 6.0, known=True)
    assert queue.take() == ("once", 2)  # 1.0 is 0.0025 after six seconds


def test_after_a_long_time_nothing_is_known() -> None:
    queue: CheapFirst[int] = CheapFirst()
    queue.add("a", 0, 0.0, known=True)
    queue.take()
    queue.charge("a", 1.0, 0.0)
    queue.add("b", 1, LONGEST + 1, known=False)
    queue.add("a", 2, LONGEST + 1, known=True)
    assert [queue.take()[0], queue.take()[0]] == ["a", "b"]
    queue.charge("a", UNKNOWN, 10 * LONGEST)  # no number is too large


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40), st.data())
def test_all_come_and_each_client_s_in_their_order(arrivals: list[tuple[str, bool]], data: st.DataObject) -> None:
    queue: CheapFirst[int] = CheapFirst()
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    now = 0.0
    for number, (client, known) in enumerate(arrivals):
        queue.add(client, number, now, known=known)
        now += data.draw(st.sampled_from([0.0, 0.1, 50.0]))
        if data.draw(st.booleans()):
            served, what = queue.take()
            seen[served].append(what)
            queue.charge(served, data.draw(st.sampled_from([0.0, 0.001, 1.0])), now)
    while queue:
        served, what = queue.take()
        seen[served].append(what)
        queue.charge(served, 0.001, now)
    assert all(each == sorted(each) for each in seen.values())
    assert {client: len(each) for client, each in seen.items() if each} == Counter(client for client, _ in arrivals)
