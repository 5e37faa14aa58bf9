"""Attacks out of refusals, with a clock that is moved; and who contributed, in constant memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from littoral.edge.control import Control
from littoral.edge.ddos.attacks import KEPT, LOST, YEAR, Attacks
from littoral.edge.ddos.watch import LEAST, QUIET, TELL, Watch
from littoral.protocols.shield import Contributors
from littoral.store.embedded import EmbeddedStore


@given(st.lists(st.sampled_from("abcdefgh"), max_size=200))
def test_contributors_are_never_too_many_and_miss_nobody_large(names: list[str]) -> None:
    room = 3
    summary = Contributors(room)
    for name in names:
        summary.add(name)
    exact, told = Counter(names), dict(summary.top(room))
    assert len(told) <= room
    for name, count in exact.items():
        assert count - len(names) / (room + 1) <= told.get(name, 0) <= count


class Moved:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refuse(watch: Watch, count: int, client: str = "192.0.2.1", why: str = "client-requests") -> None:
    for _ in range(count):
        watch.refused(why, client, "shop" if why == "client-requests" else "")


def test_an_attack_begins_with_a_hundred_refusals_and_ends_with_a_quiet_minute() -> None:
    clock = Moved()
    watch = Watch(clock, {"shop": "E1"}.get)  # type: ignore[arg-type]
    assert watch.report() is None
    refuse(watch, LEAST - 1)
    assert watch.report() is None
    clock.now += 1
    refuse(watch, 31, "192.0.2.2", "client-connections")
    first = watch.report()
    assert first is not None
    assert (first["end"], first["total"], first["distribution"]) == (None, 130, "E1")
    assert first["vectors"]["client-requests"] == {"sum": 99, "max": 99, "seconds": 1}
    assert first["contributors"] == [("192.0.2.1", 99), ("192.0.2.2", 31)]
    clock.now += 1
    refuse(watch, 1)
    assert watch.report() is None  # it was told of a second ago
    clock.now += TELL
    again = watch.report()
    assert again is not None
    assert again["total"] == 131
    assert watch.report() is None
    clock.now += QUIET
    last = watch.report()
    assert last is not None
    assert last["id"] == first["id"]
    assert last["end"] == clock.now - QUIET - TELL
    assert watch.report() is None
    refuse(watch, LEAST)
    other = watch.report()
    assert other is not None
    assert other["id"] != first["id"]


def test_few_refusals_are_no_attack() -> None:
    clock = Moved()
    watch = Watch(clock, lambda _: "")
    for _ in range(5):
        refuse(watch, LEAST - 1)
        assert watch.report() is None
        clock.now += QUIET
        assert watch.report() is None


async def test_attacks_are_kept_for_a_year_and_one_whose_location_is_silent_is_over(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path)
    attacks = Attacks(await Control.open(store.records("c")), "000000000000")
    told = {"start": 10.0, "end": None, "distribution": "", "total": 1, "vectors": {}, "contributors": []}
    await attacks.take("pop1", {"id": "a", **told}, 20.0)
    assert "EndTime" not in attacks.summary(attacks.all(20.0)[0])
    assert attacks.summary(attacks.all(20.0 + LOST + 1)[0])["EndTime"] == 20.0
    await attacks.take("pop1", {"id": "b", **told, "start": 11.0 + YEAR}, 12.0 + YEAR)
    assert [each["id"] for each in attacks.all(12.0 + YEAR)] == ["b"]
    for number in range(KEPT):
        await attacks.take("pop1", {"id": str(number), **told, "start": 20.0 + YEAR + number}, 12.0 + YEAR)
    found = attacks.all(12.0 + YEAR)
    assert len(found) == KEPT
    assert found[0]["id"] == str(KEPT - 1)
    assert "b" not in {each["id"] for each in found}
    await store.close()
