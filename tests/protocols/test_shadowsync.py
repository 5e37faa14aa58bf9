"""Two sides of a shadow: AWS's rule of conflicts, then any updates, outages and crashes against a model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from littoral.protocols import shadow
from littoral.protocols.shadowsync import Pending, Record, Side, Write, difference, finished, plan


def between(base: Any, here: Any, above: Any, rule: Any = "aws", direction: Any = "betweenDeviceAndCloud") -> Any:
    return plan(Record(base, 1, 1), Side(here, 5), Side(above, 7), rule, direction).goal


def test_what_only_one_side_changed_goes_to_the_other() -> None:
    base = {"reported": {"a": 1, "b": {"c": 1, "d": 2}}}
    here = {"reported": {"a": 2, "b": {"c": 1, "d": 2}}}
    above = {"reported": {"a": 1, "b": {"c": 9}}, "desired": {"x": True}}
    made = plan(Record(base, 5, 7), Side(here, 6), Side(above, 8))
    assert made.goal == {"reported": {"a": 2, "b": {"c": 9}}, "desired": {"x": True}}
    assert made.here == Write({"reported": {"b": {"c": 9, "d": None}}, "desired": {"x": True}}, 6)
    assert made.above == Write({"reported": {"a": 2}}, 8)


@pytest.mark.parametrize(("rule", "desired", "reported"), [("aws", 3, 2), ("cloud", 3, 3), ("device", 2, 2)])
def test_who_wins_a_conflict(rule: str, desired: int, reported: int) -> None:
    def both(value: int) -> Any:
        return {"desired": {"k": value}, "reported": {"k": value}}

    assert between(both(1), both(2), both(3), rule) == {"desired": {"k": desired}, "reported": {"k": reported}}


def test_both_made_the_same_object_and_nothing_of_it_is_lost() -> None:
    found = between({}, {"desired": {"a": {"x": 1}}}, {"desired": {"a": {"y": 2}}})
    assert found == {"desired": {"a": {"x": 1, "y": 2}}}


def test_a_deletion_goes_over_what_did_not_change_and_yields_to_what_did() -> None:
    one, two = {"desired": {"a": 1}}, {"desired": {"a": 2}}
    assert plan(Record(one, 5, 7), Side(None), Side(one, 7)).above == Write(None, 7)
    assert plan(Record(one, 5, 7), Side(one, 5), Side(None)).here == Write(None, 5)
    assert plan(Record(one, 5, 7), Side(two, 6), Side(None)).above == Write(two, 0)
    assert plan(Record(None, 0, 0), Side(None), Side(one, 1)).here == Write(one, 0)


def test_one_direction_only_overwrites() -> None:
    one, two = {"desired": {"a": 1}}, {"desired": {"b": 2}}
    up = plan(Record(None), Side(one, 1), Side(two, 1), "aws", "deviceToCloud")
    assert (up.here, up.above) == (None, Write({"desired": {"a": 1, "b": None}}, 1))
    down = plan(Record(None), Side(one, 1), Side(two, 1), "aws", "cloudToDevice")
    assert (down.above, down.here) == (None, Write({"desired": {"a": None, "b": 2}}, 1))


def test_our_own_writing_is_not_taken_for_a_change_above() -> None:
    """Killed after 2 was written above and before that was kept; meanwhile it became 1 again here."""
    base, two = {"desired": {"a": 1}}, {"desired": {"a": 2}}
    pending = Pending(Side(two, 6), Side(base, 7), (two,))
    made = plan(Record(base, 5, 7, pending), Side(base, 7), Side(two, 8))
    assert made.goal == base


def test_what_was_sent_and_may_still_arrive_comes_to_nothing() -> None:
    base, two = {"desired": {"a": 1}}, {"desired": {"a": 2}}
    pending = Pending(Side(two, 6), Side(base, 7), (two,))
    made = plan(Record(base, 5, 7, pending), Side(base, 7), Side(base, 7))
    assert made.above == Write(base, 7)


def test_a_record_survives_its_writing_down() -> None:
    kept = Record({"desired": {"a": 1}}, 5, 7, Pending(Side(None), Side({"desired": {}}, 7), (None, {})))
    assert Record.from_json(json.loads(json.dumps(kept.to_json()))) == kept


leaves = st.one_of(st.integers(0, 3), st.booleans(), st.just([1]), st.just({}))
objects = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(leaves, lambda inner: st.dictionaries(st.sampled_from("abc"), inner)),
    max_size=3,
)


class Kept:
    """A real shadow."""

    def __init__(self) -> None:
        self.shadow = shadow.NONE

    def side(self) -> Side:
        return Side(self.shadow.state, self.shadow.version) if self.shadow.exists else Side()

    def take(self, write: Write) -> bool:
        """Whether its version is still that one."""
        if write.version and (not self.shadow.exists or self.shadow.version != write.version):
            return False
        if write.patch is None:
            self.shadow, _ = shadow.delete(self.shadow, "t", 1)
            return True
        return self.update(write.patch)

    def update(self, state: Any) -> bool:
        request = shadow.parse_update(json.dumps({"state": state}).encode())
        self.shadow = shadow.update(self.shadow, request, 1).shadow
        return True


class TwoSides(RuleBasedStateMachine):
    """Leaves of one level, so that who wrote what since both sides last agreed is plain."""

    @initialize(rule=st.sampled_from(["aws", "cloud", "device"]))
    def begin(self, rule: Any) -> None:
        self.rule = rule
        self.sides = {"here": Kept(), "above": Kept()}
        self.record = Record()
        self.written: dict[tuple[str, str], dict[str, Any]] = {}  # since the last agreement: leaf -> side -> value
        self.touched: set[str] = set()  # sides with a deletion since then
        self.late: Write | None = None  # sent above, not arrived
        self.crashed = False
        self.agreed: Any = {}

    @rule(
        side=st.sampled_from(["here", "above"]),
        section=st.sampled_from(["desired", "reported"]),
        name=st.sampled_from("xy"),
        value=st.sampled_from([None, 0, 1]),
    )
    def write(self, side: str, section: str, name: str, value: Any) -> None:
        self.sides[side].update({section: {name: value}})
        self.written.setdefault((section, name), {})[side] = value

    @rule(side=st.sampled_from(["here", "above"]))
    def delete(self, side: str) -> None:
        kept = self.sides[side]
        if kept.shadow.exists:
            kept.shadow, _ = shadow.delete(kept.shadow, "t", 1)
            self.touched.add(side)

    @rule()
    def arrive_late(self) -> None:
        if self.late is not None:
            self.sides["above"].take(self.late)
            self.late = None

    @rule(stop=st.sampled_from([None, "above", "pending", "here", "lost"]))
    def reconcile(self, stop: str | None) -> None:
        """``stop``: where the core is killed, or the link goes (``lost``: what was sent arrives later or never)."""
        here, above = self.sides["here"], self.sides["above"]
        made = plan(self.record, here.side(), above.side(), self.rule)
        self.record = Record(self.record.base, self.record.here, self.record.above, made.pending)
        if stop in ("pending", "lost"):
            self.late = made.above if stop == "lost" and made.above and made.above.version else None
            self.crashed = True
            return
        if made.above is not None:
            assert above.take(made.above)
        if stop == "above":
            self.crashed = True
            return
        if made.here is not None:
            assert here.take(made.here)
        if stop == "here":
            self.crashed = True
            return
        self.record = finished(made, here.shadow.version, above.shadow.version)
        self.late = None if self.late is not None and self.late.version != above.shadow.version else self.late
        self.check()

    def check(self) -> None:
        here, above = (self.sides[side].side().state for side in ("here", "above"))
        assert here == above, "they differ"
        if not self.touched:
            for (section, name), values in self.written.items():
                found = (here or {}).get(section, {}).get(name)
                if len(values) == 1:
                    assert found == next(iter(values.values())), f"{section} {name}: lost"
                elif not self.crashed:
                    winner = "here" if self.rule == "device" or (self.rule, section) == ("aws", "reported") else "above"
                    base = self.agreed.get(section, {}).get(name)
                    moved = [values[side] for side in (winner, *({"here", "above"} - {winner})) if values[side] != base]
                    assert found == (moved[0] if moved else base), f"{section} {name}: the wrong one won"
                else:
                    assert found in values.values() or found == self.agreed.get(section, {}).get(name)
        self.agreed, self.crashed = here or {}, False
        self.written.clear()
        self.touched.clear()

    @invariant()
    def writing_twice_changes_nothing(self) -> None:
        if hasattr(self, "sides") and self.record.pending is None and self.record.base is not None:
            here, above = self.sides["here"].side(), self.sides["above"].side()
            if (here.version, above.version) == (self.record.here, self.record.above) and here.state and above.state:
                made = plan(self.record, here, above, self.rule)
                assert (made.here, made.above) == (None, None)


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)


@settings(max_examples=200, deadline=None)
@given(before=objects, after=objects)
def test_a_difference_is_what_a_shadow_merges(before: Any, after: Any) -> None:
    kept = Kept()
    kept.update({"desired": before, "reported": {"is": "there"}})
    kept.update({"desired": difference(before, after)})
    assert shadow.same(dict(kept.shadow.state.get("desired", {})), after)
