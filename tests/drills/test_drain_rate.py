"""The rate of a drain is taken between looks, and is not judged where too little was seen of it."""

from __future__ import annotations

import pytest

from littoral.drills.outage.findings import _drain
from littoral.drills.outage.seen import Plan, Seen
from littoral.tour.findings import Findings


def seen(rate: float, messages: int, *, wait: float, look: float, stuck_at: int | None = None) -> Seen:
    """What looks every ``look`` seconds have of a link that drains so many a second after ``wait`` seconds."""
    made = Seen(Plan(10), due=float(messages), spooled=messages, resumed_after=wait, sent=[(0.0, 0.0)])
    until = messages / rate + wait
    at = 0.0
    while at < until or made.sent[-1][1] < (stuck_at or messages):
        at += look
        made.sent.append((at, min(float(stuck_at or messages), max(0.0, (at - wait) * rate))))
    return made


@pytest.mark.parametrize("look", [0.1, 0.13, 0.31])
@pytest.mark.parametrize("wait", [0.05, 0.5, 1.234])
def test_neither_the_wait_nor_the_last_look_counts(wait: float, look: float) -> None:
    drained = seen(20_000, 60_000, wait=wait, look=look)
    assert drained.drain_rate == pytest.approx(20_000)
    found = Findings()
    _drain(found, drained)
    assert [check.seen for check in found.checks if "drains" in check.claim] == ["20000 a second"]


def test_a_drain_of_a_moment_is_neither_met_nor_missed() -> None:
    found = Findings()
    _drain(found, seen(17_824, 2_057, wait=0.5, look=0.1))
    assert not [check for check in found.checks if "drains" in check.claim]
    assert any("drains at 20000" in name and "not judged" in value for name, value in found.rows)


def test_a_drain_of_a_moment_is_met_where_it_is_fast_enough_with_all_waits() -> None:
    found = Findings()
    _drain(found, seen(69_000, 50_000, wait=0.2, look=0.1))
    (check,) = [check for check in found.checks if "drains" in check.claim]
    assert check.holds and check.seen == "50000 a second at least, waits included"


def test_a_drain_that_does_not_end_is_missed() -> None:
    found = Findings()
    _drain(found, seen(40_000, 80_000, wait=0.5, look=0.1, stuck_at=79_000))
    (check,) = [check for check in found.checks if "drains" in check.claim]
    assert not check.holds and "did not" in check.seen
