"""Hours of quick alarms do not hide the seconds in which they are slow; a phase of few alarms is judged as such."""

from __future__ import annotations

import pytest

from littoral.drills.outage.alarms import LEAST, judge
from littoral.drills.outage.seen import Plan, Seen
from littoral.tour.findings import Check, Findings

MOMENTS = {"beds": 0.0, "cut": 100.0, "killed": 200.0, "again": 202.0, "restored": 300.0, "drained": 302.0}


def judged(drain: list[float]) -> Check:
    """A day of alarms of 4 ms, of which those in the drain took so many ms."""
    calm = [(at / 10, at / 10 + 0.004) for at in range(4000) if not 300 <= at / 10 < 302]
    slow = [(300.0 + n / 1000, 300.0 + n / 1000 + ms / 1000) for n, ms in enumerate(drain)]
    found = Findings()
    judge(found, Seen(Plan(10), moments=MOMENTS, alarms=sorted([*calm, *slow])))
    assert all(check.holds for check in found.checks if "throughout" not in check.claim)
    assert sum("spool draining" in name for name, _ in found.rows) == 1
    (check,) = [check for check in found.checks if "throughout" in check.claim]
    return check


@pytest.mark.parametrize(
    ("drain", "holds"),
    [
        ([9.0] * 40, True),
        ([11.0] * 40, False),  # the median of everything is 4 ms still
        ([9.0] * 39 + [80.0], True),  # the one of a hundred that may be late
        ([9.0] * 38 + [80.0, 80.0], False),
        ([80.0] * (LEAST - 1), True),  # says nothing
    ],
)
def test_each_phase_is_held_against_the_goals(drain: list[float], holds: bool) -> None:
    check = judged(drain)
    assert check.holds is holds
    assert ("spool draining" in check.seen) is (len(drain) >= LEAST)


def test_nothing_heard_is_not_throughout() -> None:
    found = Findings()
    judge(found, Seen(Plan(10), moments=MOMENTS, alarms=[(1.0, None)]))
    assert not [check for check in found.checks if check.holds]
