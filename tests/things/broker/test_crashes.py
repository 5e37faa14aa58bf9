"""bench/mqtt_crashes.py in short: the broker is killed a few times, and the checker finds nothing; and it can find."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import mqtt_crashes as crashes


async def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    assert await crashes.loop(tmp_path, 4, 7) == []


@pytest.mark.parametrize(
    ("got", "complaint"),
    [([1, 3], "lost"), ([1, 2, 3, 5, 5], "more than once"), ([9, 1, 2, 3], "not in order")],
)
def test_the_checker_sees_what_is_wrong(got: list[int], complaint: str) -> None:
    (found,) = crashes.problems({1, 2, 3}, got)
    assert complaint in found


def test_what_may_come_twice() -> None:
    """QoS 1: sent again after a crash, and so is what came after it."""
    assert crashes.problems({8, 16}, [8, 16, 8, 16, 24]) == []
