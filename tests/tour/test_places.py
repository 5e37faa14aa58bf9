"""What is said of a place that does not become ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from littoral.tour.places import PlaceError, PlaceProcess


@pytest.mark.parametrize(("seconds", "why"), [(0.0, "within 0 s"), (120.0, r"\(exit 2\)")])
def test_a_place_that_is_late_is_told_from_one_that_ended(tmp_path: Path, seconds: float, why: str) -> None:
    edge = PlaceProcess("ward7-edge", "edge", tmp_path / "place", (), {})  # it needs an upstream
    try:
        with pytest.raises(PlaceError, match=f"ward7-edge did not become ready {why}:"):
            edge.wait_ready(seconds)
    finally:
        edge.stop()
