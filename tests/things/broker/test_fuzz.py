"""A short slice of what the fuzzer of MQTT does (fuzz/mqtt.py): packets, and connections beside a good one."""

from __future__ import annotations

import pytest
from fuzz.mqtt import END, FRAGMENTS, mqtt, packets, soak
from hypothesis import given, settings
from hypothesis import strategies as st

WHOLE = len(packets(5))
WORDS = st.integers(0, WHOLE - 1) | st.integers(0, WHOLE + len(FRAGMENTS) - 1) | st.integers(0, 255)
CONNECTION = st.tuples(st.integers(0, 3), st.lists(WORDS, max_size=20)).map(lambda parts: bytes((parts[0], *parts[1])))


@settings(max_examples=200, deadline=None, derandomize=True)  # `make fuzz` looks for what is new
@given(st.integers(0, 255), st.lists(CONNECTION, min_size=1, max_size=3))
def test_connections(how: int, connections: list[bytes]) -> None:
    mqtt(bytes((how,)) + END.join(connections))


def test_nothing_is_left_of_many_packets(capsys: pytest.CaptureFixture[str]) -> None:
    """After each connection the broker holds what it held before (fuzz.mqtt.Witnessed)."""
    soak(5_000, 1)
    assert "MB" in capsys.readouterr().out
