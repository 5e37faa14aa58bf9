"""Topic names and filters, by the examples of the specification (s. 4.7) and by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.mqtt.topics import BadTopic, check_filter, check_name, matches, split_shared


@pytest.mark.parametrize(
    ("text", "topic", "wanted"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("$SYS/+", "$SYS/x", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("a/b", "a/B", False),
    ],
)
def test_matches(text: str, topic: str, wanted: bool) -> None:
    assert matches(text, topic) is wanted


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "+a", "a/b+", "a\0b", "x" * 101, "a/b/c/d/e"])
def test_bad_filters(text: str) -> None:
    with pytest.raises(BadTopic):
        check_filter(text, max_bytes=100, max_slashes=3)


@pytest.mark.parametrize("text", ["", "a/+", "#", "a\0"])
def test_bad_names(text: str) -> None:
    with pytest.raises(BadTopic):
        check_name(text)


@pytest.mark.parametrize("text", ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a"])
def test_bad_shared(text: str) -> None:
    with pytest.raises(BadTopic):
        split_shared(text)


def test_shared() -> None:
    assert split_shared("$share/g/a/+/b") == ("g", "a/+/b")
    assert split_shared("a/b") == (None, "a/b")


levels = st.lists(st.sampled_from(["a", "b", "", "$x"]), min_size=1, max_size=5)


@given(levels)
def test_a_name_matches_itself_and_hash(names: list[str]) -> None:
    topic = "/".join(names)
    if topic:
        assert matches(topic, topic)
    assert matches("#", topic) is not topic.startswith("$")
