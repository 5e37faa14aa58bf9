"""The turnstile against a server that is modelled: what a byte costs depends on who sent it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.shield.turnstile import (
    ALARM,
    BURST,
    CLIENTS,
    ENTRY,
    FREE,
    LARGEST,
    LATE,
    LIGHT,
    MOST,
    QUANTUM,
    SHARE,
    Turnstile,
)

ROUND = 0.02
ASKS = 2e-6  # seconds that a byte of an ordinary request costs


@dataclass
class Server:
    """One processor. Every client in ``eager`` has always more to send; each of the ``visitors`` asks once a round."""

    eager: dict[str, float]  # what a byte of theirs costs
    visitors: tuple[str, ...] = ()
    asks: int = 200
    stile: Turnstile = field(default_factory=Turnstile)
    now: float = 100.0
    done: dict[str, int] = field(default_factory=dict)
    waited: int = 0  # requests of visitors that did not go at once
    refused: set[str] = field(default_factory=set)

    def round(self) -> float:
        """One round; how late the probe was."""
        spent = 0.0
        for visitor in self.visitors:
            if self.stile.refuses(visitor, self.now):
                self.refused.add(visitor)
            if self.stile.passes(visitor, self.asks, self.now):
                spent += self.asks * ASKS
            else:
                self.waited += 1
        waiting = [client for client in self.eager if not self.stile.passes(client, QUANTUM, self.now)]
        chosen = self.stile.next(waiting, self.now) if waiting else ""
        if chosen:
            self.stile.begin(chosen, self.now)
            taken = self.stile.takes(chosen, LARGEST)
            assert taken <= LARGEST
            spent += taken * self.eager[chosen]
            self.done[chosen] = self.done.get(chosen, 0) + taken
        self.now += max(ROUND, spent)
        self.stile.ended(spent, spent, self.now)
        return spent

    def rounds(self, seconds: float) -> list[float]:
        end = self.now + seconds
        found = []
        while self.now < end:
            found.append(self.round())
        return found


costs = st.floats(1e-9, 5e-6)


@given(st.lists(costs, min_size=1, max_size=12), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_who_asks_little_neither_waits_nor_is_refused_whatever_others_do(eager: list[float], visitors: int) -> None:
    names = tuple(f"v{number}" for number in range(visitors))
    server = Server({f"a{number}": cost for number, cost in enumerate(eager)}, names)
    server.rounds(10.0)
    assert not server.waited
    assert not server.refused


@given(st.lists(costs, min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_server_is_late_for_others_by_one_turn_at_most(eager: list[float]) -> None:
    server = Server({f"a{number}": cost for number, cost in enumerate(eager)}, ("v",))
    assert max(server.rounds(10.0)) <= LARGEST * max(eager) + 1e-3
    late = [each for each in server.rounds(10.0) if each > 0.05]
    assert sum(late) < 0.34 * 10.0 + 0.1  # after a turn that was too dear there is a pause, twice as long


def test_who_costs_little_sends_much_beside_those_who_cost_much() -> None:
    server = Server({"upload": 5e-9, **{f"a{number}": 2e-6 for number in range(8)}}, ("v",))
    server.rounds(20.0)
    most = max(done for client, done in server.done.items() if client != "upload")
    assert server.done["upload"] > 3 * most


def test_an_upload_grows_its_turns_in_peace_and_they_are_the_smallest_after_an_alarm() -> None:
    server = Server({"upload": 5e-9}, ("v",))
    server.rounds(3.0)
    first = server.done["upload"]
    server.rounds(3.0)
    assert server.done["upload"] - first > first
    server.eager["dear"] = 3e-6
    server.rounds(1.0)
    before = server.done["upload"]
    server.round()
    assert server.done["upload"] - before <= QUANTUM


def test_who_is_alone_does_not_wait() -> None:
    stile = Turnstile()
    for number in range(100):
        assert stile.passes("a", 1 << 20, number * ROUND)
        stile.ended(1.0, 1.0, number * ROUND)
    assert stile.price == 1.0
    assert not stile.refuses("a", 2.0)


def two() -> Turnstile:
    stile = Turnstile()
    for client in ("a", "b"):
        stile.passes(client, 1, 0.0)
    stile.ended(0.0, 0.0, 0.0)
    return stile


def test_a_new_connection_counts_for_more_than_its_bytes() -> None:
    stile = two()
    entered = 0
    while stile.passes("a", 500, 0.0, entry=True):
        entered += 1
    assert entered == FREE // (500 + ENTRY)


def test_a_dear_turn_is_forfeited_and_forgotten_after_a_while() -> None:
    stile = two()
    assert not stile.passes("a", QUANTUM, 0.0)
    assert stile.next(["a"], 0.0) == "a"
    stile.begin("a", 0.0)
    stile.takes("a", QUANTUM)
    stile.passes("b", 100, 0.0)
    assert not stile.forfeits("a", 1.0, LATE / 2, 0.01), "the server is in time"
    assert not stile.forfeits("a", 0.001, 2 * LATE, 0.01), "it did not cost much"
    assert stile.forfeits("a", 0.03, 2 * LATE, 0.03)
    assert not stile.forfeits("a", 0.03, 2 * LATE, 0.03), "once"
    stile.ended(0.05, 0.05, 0.05)
    assert stile.refuses("a", 0.06)
    assert not stile.refuses("b", 0.06)
    stile.passes("b", 1, MOST / SHARE)
    assert not stile.refuses("a", MOST / SHARE)


def test_what_another_may_have_begun_is_not_forfeited() -> None:
    stile = two()
    for client in ("a", "b"):
        stile.next([client], 0.0)
        stile.begin(client, 0.0)
        stile.takes(client, QUANTUM)
    assert not stile.forfeits("b", 1.0, 1.0, 0.1)


def test_turns_go_to_who_owes_the_least() -> None:
    server = Server({"a": 1e-6, "b": 3e-6, "c": 1e-7}, ("v",))
    server.rounds(ALARM)
    assert server.done["c"] >= server.done["a"] >= server.done["b"]


def test_time_that_is_nobody_s_keeps_nobody_waiting() -> None:
    """QUIC goes past the crossing: the server is busy, and late never."""
    server = Server({"upload": 5e-9}, ("v",))
    for _ in range(500):
        server.round()
        server.stile.ended(ROUND, 0.001, server.now + ROUND)
        server.now += ROUND
    before = server.done["upload"]
    for _ in range(100):
        server.round()
        server.stile.ended(ROUND, 0.001, server.now + ROUND)
        server.now += ROUND
    assert server.done["upload"] - before > 20 * QUANTUM


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 2 * QUANTUM), st.floats(0, 0.1)), max_size=60))
def test_what_is_owed_is_bounded_and_in_time_nobody_is_refused(steps: list[tuple[str, int, float]]) -> None:
    stile, now = two(), 0.0
    for client, size, spent in steps:
        stile.passes(client, size, now)
        now += ROUND
        stile.ended(spent, 0.0, now)
        assert not any(stile.refuses(each, now) for each in "abcd")
        assert stile.price >= 1.0


def test_memory_is_bounded() -> None:
    stile = Turnstile()
    for number in range(2 * CLIENTS):
        stile.passes(f"c{number}", 10, 0.0)
    assert len(stile._accounts) <= CLIENTS
    assert BURST > LIGHT


@pytest.mark.parametrize("late", [0.0, 1.0])
def test_the_price_rises_only_when_it_is_late_and_there_are_others(late: float) -> None:
    stile = two()
    stile.passes("a", 10, 0.0)
    stile.passes("b", 10, 0.0)
    stile.ended(late / 2, late, 0.1)
    assert (stile.price > 1.0) is (late > 0)
    stile.ended(0.0, 0.0, 100.0)
    assert stile.price == 1.0
    stile.passes("a", 10, 100.0)
    stile.passes("b", 10, 100.0)
    stile.ended(0.001, 1.0, 101.0)  # others of the machine keep it from working
    assert stile.price == 1.0
